/* A turn from its submission to its one end: finished, failed, cancelled, refused. */
#include "tests/unit/turn_fixture.h"

static void
a_turn_finishes_and_leaves_nothing(void **state)
{
	struct caller *c;

	open_turns(2, 2);
	c = submit(0);
	assert_string_equal(c->heard, "MA");
	assert_stats(1, 0);
	assert_string_equal(turn_thread_id(c->turn), "thread-1");
	codex_starts();
	codex_says_text("hello");
	codex_says((struct event){.kind = EVENT_USAGE});
	codex_finishes(FINISH_STOP);
	assert_string_equal(c->heard, "MASTUF");
	assert_stats(0, 0);
	assert_int_equal(told.outcomes, 1);
	assert_false(told.last_failed);
	assert_true(told.stats > 0);
	assert_int_equal(codex.cancelled, 0);
}

static void
events_never_come_from_inside_submit(void **state)
{
	struct caller *c = &callers[0];

	open_turns(1, 1);
	c->turn = turn_submit(turns, conversation_new(), 0, on_event, c);
	assert_string_equal(c->heard, "");
	assert_string_equal(turn_thread_id(c->turn), "");
	run_loop(&loop);
	assert_string_equal(c->heard, "MA");
	codex_finishes(FINISH_STOP);
}

static void
a_failure_that_another_try_cannot_cure_is_told(void **state)
{
	static const enum failure_kind kinds[] = {
		FAILURE_INVALID_REQUEST,
		FAILURE_CONTEXT_LENGTH,
		FAILURE_RATE_LIMITED,
		FAILURE_UPSTREAM_AUTH,
		/* codex has tried these again itself */
		FAILURE_UPSTREAM_ERROR,
		FAILURE_UPSTREAM_OVERLOADED,
		FAILURE_INTERNAL,
	};

	open_turns(1, 1);
	for (unsigned i = 0; i < NELEM(kinds); i++) {
		struct caller *c = submit(i);

		codex_fails(kinds[i]);
		assert_failed(c, "MAX", kinds[i]);
		assert_int_equal(told.outcomes, i + 1);
		assert_true(told.last_failed);
		assert_int_equal(told.last_failure, kinds[i]);
		assert_stats(0, 0);
	}
}

static void
an_unknown_model_is_told_at_once(void **state)
{
	struct caller *c = &callers[0];
	struct conversation *conversation = conversation_new();

	open_turns(1, 0);
	(void)submit(1); /* the only slot, and no queue: it is told all the same */
	models = MODEL_UNKNOWN;
	conversation->model = strdup("gpt-nope");
	c->turn = turn_submit(turns, conversation, 0, on_event, c);
	run_loop(&loop);
	assert_failed(c, "X", FAILURE_MODEL_NOT_FOUND);
	assert_non_null(strstr(c->failure.message, "gpt-nope"));
	assert_int_equal(told.outcomes, 0);
	codex_finishes(FINISH_STOP);
}

static void
a_model_that_cannot_be_known_yet_is_resolved_when_a_backend_is_there(void **state)
{
	struct caller *c;

	codex.usable = false;
	open_turns(1, 1);
	models = MODEL_NOT_YET;
	c = submit(0);
	assert_string_equal(c->heard, "");
	assert_stats(0, 1);
	codex.usable = true;
	models = MODEL_FOUND;
	turns_pump(turns);
	assert_string_equal(c->heard, "MA");
	codex_finishes(FINISH_STOP);
	codex.usable = false;
	turns_pump(turns);
	models = MODEL_NOT_YET;
	c = submit(1);
	codex.usable = true;
	turns_pump(turns);
	assert_failed(c, "X", FAILURE_NO_BACKEND);
}

static void
an_image_that_nobody_may_fetch_is_refused_before_the_queue(void **state)
{
	struct caller *c = &callers[0];
	struct conversation *conversation = conversation_new();

	open_turns(1, 0);
	(void)submit(1); /* the only slot, and no queue: it is told all the same */
	conversation->items = json_pack("[{s:s,s:[{s:s,s:s,s:s}]}]", "type", "message", "content",
	                                "type", "input_image", "image_url", "https://a.example/b",
	                                "param", "input[0].content[0].image_url");
	c->turn = turn_submit(turns, conversation, 0, on_event, c);
	run_loop(&loop);
	assert_failed(c, "MX", FAILURE_INVALID_REQUEST);
	assert_string_equal(c->failure.upstream_param, "input[0].content[0].image_url");
	assert_string_equal(c->failure.upstream_code, "invalid_image_url");
	assert_int_equal(told.outcomes, 0);
	codex_finishes(FINISH_STOP);
}

static void
several_keys_are_served_in_turn(void **state)
{
	static const unsigned keys[] = {1, 1, 1, 2, 3};

	open_turns(1, 5);
	for (unsigned i = 0; i < 5; i++)
		callers[i].turn =
			turn_submit(turns, conversation_new(), keys[i], on_event, &callers[i]);
	run_loop(&loop);
	codex_finishes(FINISH_STOP); /* of key 1 */
	assert_string_equal(callers[1].heard, "M");
	assert_string_equal(callers[3].heard, "MA");
	codex_finishes(FINISH_STOP);
	assert_string_equal(callers[4].heard, "MA");
	for (unsigned i = 0; i < 3; i++)
		codex_finishes(FINISH_STOP);
	assert_string_equal(callers[2].heard, "MAF");
}

static void
a_turn_gives_its_place_up_to_a_key_that_has_none(void **state)
{
	open_turns(1, 2);
	for (unsigned i = 0; i < 4; i++) {
		callers[i].turn = turn_submit(turns, conversation_new(), i == 3 ? 2 : 1, on_event,
		                              &callers[i]);
		run_loop(&loop);
	}
	assert_failed(&callers[2], "MX", FAILURE_QUEUE_FULL);
	assert_string_equal(callers[3].heard, "M");
	assert_stats(1, 2);
	for (unsigned i = 0; i < 3; i++)
		codex_finishes(FINISH_STOP);
	assert_string_equal(callers[1].heard, "MAF");
	assert_string_equal(callers[3].heard, "MAF");
}

static void
turns_over_the_limits_wait_or_are_refused(void **state)
{
	open_turns(2, 1);
	for (unsigned i = 0; i < 4; i++)
		(void)submit(i);
	assert_stats(2, 1);
	assert_string_equal(callers[2].heard, "M");
	assert_failed(&callers[3], "MX", FAILURE_QUEUE_FULL);
	codex_finishes(FINISH_STOP);
	assert_string_equal(callers[2].heard, "MA");
	codex_finishes(FINISH_STOP);
	codex_finishes(FINISH_STOP);
	assert_string_equal(callers[2].heard, "MAF");
	assert_int_equal(told.outcomes, 3);
}

static void
without_a_login_nobody_waits(void **state)
{
	open_turns(1, 5);
	for (unsigned i = 0; i < 3; i++)
		(void)submit(i);
	assert_stats(1, 2);
	codex.needs_login = true;
	codex.usable = false;
	turns_pump(turns);
	/* the one that runs may have got through before: it has a backend that will tell */
	assert_string_equal(callers[0].heard, "MA");
	assert_failed(&callers[1], "MX", FAILURE_LOGIN_REQUIRED);
	assert_failed(&callers[2], "MX", FAILURE_LOGIN_REQUIRED);
	assert_failed(submit(3), "X", FAILURE_LOGIN_REQUIRED);
	assert_stats(1, 0);
	/* and one that would wait for its next try */
	codex_fails(FAILURE_BACKEND_LOST);
	turns_pump(turns);
	assert_failed(&callers[0], "MARMX", FAILURE_LOGIN_REQUIRED);

	codex.needs_login = false;
	codex.usable = true;
	turns_pump(turns);
	(void)submit(4);
	codex_finishes(FINISH_STOP);
	assert_string_equal(callers[4].heard, "MAF");
}

static void
the_end_of_a_turn_is_told_before_the_next_one_begins(void **state)
{
	open_turns(1, 1);
	(void)submit(0);
	(void)submit(1);
	callers[1].cancel_at = 'A';
	codex_fails(FAILURE_CONTEXT_LENGTH);
	assert_failed(&callers[0], "MAX", FAILURE_CONTEXT_LENGTH);
	assert_string_equal(callers[1].heard, "MA");
}

static void
no_memory_for_a_thread_ends_the_turn(void **state)
{
	open_turns(1, 1);
	codex.no_memory = true;
	assert_failed(submit(0), "MX", FAILURE_INTERNAL);
	assert_int_equal(told.outcomes, 0);
	codex.no_memory = false;
	(void)submit(1);
	codex_finishes(FINISH_STOP);
}

static void
a_backend_that_went_in_the_last_moment_is_waited_for(void **state)
{
	open_turns(1, 4);
	codex.none_to_pick = true;
	(void)submit(0);
	(void)submit(1);
	assert_stats(0, 2);
	codex.none_to_pick = false;
	turns_pump(turns);
	assert_string_equal(callers[0].heard, "MA"); /* in the order they came */
	codex_finishes(FINISH_STOP);
	codex_finishes(FINISH_STOP);
	assert_string_equal(callers[1].heard, "MAF");
}

/* --- cancel --------------------------------------------------------------------------------- */

static void
cancel(unsigned number)
{
	turn_cancel(callers[number].turn);
	callers[number].turn = NULL; /* any event from now on fails the test */
}

static void
a_turn_may_be_cancelled_before_it_begins(void **state)
{
	open_turns(1, 1);
	callers[0].turn = turn_submit(turns, conversation_new(), 0, on_event, &callers[0]);
	cancel(0);
	run_loop(&loop);
	assert_string_equal(callers[0].heard, "");
	assert_int_equal(codex.begun, 0);
}

static void
a_turn_may_be_cancelled_while_it_waits(void **state)
{
	open_turns(1, 2);
	for (unsigned i = 0; i < 3; i++)
		(void)submit(i);
	cancel(1);
	assert_stats(1, 1);
	codex_finishes(FINISH_STOP);
	assert_string_equal(callers[2].heard, "MA");
	codex_finishes(FINISH_STOP);
	assert_int_equal(codex.begun, 2);
}

static void
a_turn_may_be_cancelled_while_it_runs(void **state)
{
	open_turns(1, 1);
	(void)submit(0);
	(void)submit(1);
	codex_starts();
	cancel(0);
	assert_int_equal(codex.cancelled, 1);
	assert_int_equal(told.outcomes, 0); /* says nothing about the backend */
	assert_string_equal(callers[1].heard, "MA");
	codex_finishes(FINISH_STOP);
}

static void
a_turn_may_be_cancelled_between_two_tries(void **state)
{
	open_turns(1, 1);
	(void)submit(0);
	codex_fails(FAILURE_BACKEND_ERROR);
	assert_string_equal(callers[0].heard, "MARM");
	assert_stats(0, 0);
	cancel(0);
	pass_time(&loop, 10000);
	assert_int_equal(codex.begun, 1);
}

static void
a_turn_may_be_cancelled_from_inside_every_event(void **state)
{
	static const char events[] = "MASTZCUR";

	open_turns(1, 1);
	for (unsigned i = 0; i < sizeof(events) - 1; i++) {
		struct caller *c = &callers[i];

		c->cancel_at = events[i];
		(void)submit(i);
		if (c->turn != NULL)
			codex_starts();
		if (c->turn != NULL)
			codex_says_text("x");
		if (c->turn != NULL)
			codex_says((struct event){.kind = EVENT_REASONING});
		if (c->turn != NULL)
			codex_says((struct event){.kind = EVENT_TOOL_CALL});
		if (c->turn != NULL)
			codex_says((struct event){.kind = EVENT_USAGE});
		if (c->turn != NULL)
			codex_fails(FAILURE_BACKEND_LOST);
		assert_null(c->turn);
		assert_int_equal(c->heard[strlen(c->heard) - 1], events[i]);
		assert_stats(0, 0);
		assert_null(codex.threads);
		pass_time(&loop, 10000);
	}
}

static void
cancelled_while_the_model_becomes_known(void **state)
{
	codex.usable = false;
	open_turns(1, 2);
	models = MODEL_NOT_YET;
	callers[0].cancel_at = 'M';
	(void)submit(0);
	(void)submit(1);
	codex.usable = true;
	models = MODEL_FOUND;
	turns_pump(turns);
	assert_string_equal(callers[0].heard, "M");
	assert_string_equal(callers[1].heard, "MA");
	codex_finishes(FINISH_STOP);
}

/* --- turns that belong together: the end of one is the end of others -------------------------- */

/* It waits no more when it says so: the slot of the other one is not for it. */
static void
a_turn_that_waited_too_long_may_take_the_running_one_along(void **state)
{
	open_turns(1, 2);
	(void)submit(0);
	(void)submit(1);
	callers[1].takes = &callers[0];
	callers[1].take_at = 'X';
	pass_time(&loop, 500);
	(void)submit(2);
	pass_time(&loop, 500);
	assert_failed(&callers[1], "MX", FAILURE_QUEUE_TIMEOUT);
	assert_int_equal(codex.cancelled, 1);
	assert_string_equal(callers[2].heard, "MA"); /* the slot is its own */
	codex_finishes(FINISH_STOP);
	assert_int_equal(codex.begun, 2);
}

static void
a_turn_that_begins_again_may_be_taken_along_by_the_next_in_its_slot(void **state)
{
	open_turns(1, 2);
	(void)submit(0);
	(void)submit(1);
	callers[1].takes = &callers[0];
	callers[1].take_at = 'A';
	codex_fails(FAILURE_BACKEND_LOST);
	assert_string_equal(callers[0].heard, "MARM"); /* and nothing behind the cancel */
	assert_string_equal(callers[1].heard, "MA");
	codex_finishes(FINISH_STOP);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_turns(a_turn_finishes_and_leaves_nothing),
		with_turns(events_never_come_from_inside_submit),
		with_turns(a_failure_that_another_try_cannot_cure_is_told),
		with_turns(an_unknown_model_is_told_at_once),
		with_turns(a_model_that_cannot_be_known_yet_is_resolved_when_a_backend_is_there),
		with_turns(an_image_that_nobody_may_fetch_is_refused_before_the_queue),
		with_turns(several_keys_are_served_in_turn),
		with_turns(a_turn_gives_its_place_up_to_a_key_that_has_none),
		with_turns(turns_over_the_limits_wait_or_are_refused),
		with_turns(without_a_login_nobody_waits),
		with_turns(the_end_of_a_turn_is_told_before_the_next_one_begins),
		with_turns(no_memory_for_a_thread_ends_the_turn),
		with_turns(a_backend_that_went_in_the_last_moment_is_waited_for),
		with_turns(a_turn_may_be_cancelled_before_it_begins),
		with_turns(a_turn_may_be_cancelled_while_it_waits),
		with_turns(a_turn_may_be_cancelled_while_it_runs),
		with_turns(a_turn_may_be_cancelled_between_two_tries),
		with_turns(a_turn_may_be_cancelled_from_inside_every_event),
		with_turns(cancelled_while_the_model_becomes_known),
		with_turns(a_turn_that_waited_too_long_may_take_the_running_one_along),
		with_turns(a_turn_that_begins_again_may_be_taken_along_by_the_next_in_its_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
