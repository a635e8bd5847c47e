/* What ends or repeats a turn by itself: deadlines, lost backends, the drain. */
#include "tests/unit/turn_fixture.h"

/* --- deadlines ------------------------------------------------------------------------------ */

static void
waiting_too_long_for_a_slot_is_said_so(void **state)
{
	open_turns(1, 2);
	(void)submit(0);
	(void)submit(1);
	pass_time(&loop, 999);
	assert_non_null(callers[1].turn);
	pass_time(&loop, 1);
	assert_failed(&callers[1], "MX", FAILURE_QUEUE_TIMEOUT);
	assert_int_equal(told.outcomes, 0);
	assert_stats(1, 0);
	codex_finishes(FINISH_STOP);
}

static void
waiting_too_long_for_a_backend_is_said_so(void **state)
{
	codex.usable = false;
	open_turns(1, 2);
	(void)submit(0);
	pass_time(&loop, 1000);
	assert_failed(&callers[0], "MX", FAILURE_NO_BACKEND);
}

static void
a_model_that_gives_no_sign_is_given_up(void **state)
{
	open_turns(1, 1);
	(void)submit(0);
	pass_time(&loop, 19999);
	assert_non_null(callers[0].turn);
	pass_time(&loop, 1);
	assert_failed(&callers[0], "MAX", FAILURE_BACKEND_TIMEOUT);
	assert_int_equal(codex.cancelled, 1);
	assert_int_equal(told.outcomes, 1);
	assert_int_equal(told.last_failure, FAILURE_BACKEND_TIMEOUT);
}

static void
a_model_that_falls_silent_is_given_up(void **state)
{
	open_turns(1, 1);
	(void)submit(0);
	codex_starts(); /* from now on the shorter deadline counts */
	pass_time(&loop, 4999);
	assert_non_null(callers[0].turn);
	pass_time(&loop, 1);
	assert_failed(&callers[0], "MASX", FAILURE_UPSTREAM_TIMEOUT);
	assert_int_equal(told.last_failure, FAILURE_UPSTREAM_TIMEOUT);
	assert_int_equal(codex.cancelled, 1);
}

static void
every_event_is_a_sign_of_life(void **state)
{
	open_turns(1, 1);
	(void)submit(0);
	codex_starts();
	for (int i = 0; i < 10; i++) {
		pass_time(&loop, 4000);
		codex_says_text("x");
	}
	pass_time(&loop, 4999);
	assert_string_equal(callers[0].heard, "MASTTTTTTTTTT");
	pass_time(&loop, 1);
	assert_failed(&callers[0], "MASTTTTTTTTTTX", FAILURE_UPSTREAM_TIMEOUT);
}

static void
a_model_that_never_ends_is_not_the_backends_fault(void **state)
{
	open_turns(1, 1);
	(void)submit(0);
	codex_starts();
	for (int i = 0; i < 24; i++) {
		pass_time(&loop, 4000);
		codex_says_text("x");
	}
	pass_time(&loop, 3999);
	assert_non_null(callers[0].turn);
	pass_time(&loop, 1);
	assert_int_equal(callers[0].failure.kind, FAILURE_TOTAL_TIMEOUT);
	assert_int_equal(callers[0].failure.class_, FAILURE_REQUEST);
	assert_int_equal(codex.cancelled, 1);
	assert_int_equal(told.outcomes, 1);
}

/* --- another try ---------------------------------------------------------------------------- */

static void
a_lost_backend_is_no_loss_before_the_first_word(void **state)
{
	open_turns(1, 1);
	(void)submit(0);
	codex_starts();
	codex_fails(FAILURE_BACKEND_LOST);
	assert_stats(0, 0);
	run_loop(&loop); /* without a pause */
	assert_string_equal(callers[0].heard, "MASRMA");
	assert_int_equal(told.last_failure, FAILURE_BACKEND_LOST);
	/* the first sign is waited for anew */
	pass_time(&loop, 19999);
	assert_non_null(callers[0].turn);
	codex_starts();
	codex_finishes(FINISH_STOP);
	assert_string_equal(callers[0].heard, "MASRMASF");
	assert_int_equal(told.outcomes, 2);
	assert_false(told.last_failed);
}

static void
a_second_try_waits_for_a_backend_ahead_of_others(void **state)
{
	open_turns(1, 2);
	(void)submit(0);
	(void)submit(1);
	codex.usable = false;
	turns_pump(turns);
	codex_fails(FAILURE_BACKEND_LOST);
	run_loop(&loop);
	assert_stats(0, 2);
	codex.usable = true;
	turns_pump(turns);
	assert_string_equal(callers[0].heard, "MARMA");
	assert_string_equal(callers[1].heard, "M");
	codex_finishes(FINISH_STOP);
	codex_finishes(FINISH_STOP);
	codex.usable = false;
	turns_pump(turns);
	(void)submit(2);
	codex.usable = true;
	turns_pump(turns);
	codex.usable = false;
	turns_pump(turns);
	codex_fails(FAILURE_BACKEND_LOST);
	run_loop(&loop);
	pass_time(&loop, 1000); /* but not for ever */
	assert_failed(&callers[2], "MARMX", FAILURE_NO_BACKEND);
}

static void
after_the_first_word_there_is_no_second_try(void **state)
{
	open_turns(1, 1);
	callers[0].commit_at = 'T';
	(void)submit(0);
	codex_starts();
	codex_says_text("x");
	codex_fails(FAILURE_BACKEND_LOST);
	assert_failed(&callers[0], "MASTX", FAILURE_BACKEND_LOST);
}

static void
text_that_was_kept_back_does_not_forbid_a_second_try(void **state)
{
	open_turns(1, 1);
	(void)submit(0);
	codex_starts();
	codex_says_text("x"); /* the caller has not committed */
	codex_fails(FAILURE_BACKEND_LOST);
	run_loop(&loop);
	assert_string_equal(callers[0].heard, "MASTRMA");
	codex_finishes(FINISH_STOP);
}

static void
tries_are_paused_longer_and_longer_and_end(void **state)
{
	static const uint64_t pauses[] = {50, 100, 200, 400, 800, 1600, 1600};
	struct caller *c = &callers[0];

	open_turns(1, 1);
	(void)submit(0);
	for (unsigned i = 0; i < NELEM(pauses); i++) {
		codex_fails(i < 6 ? FAILURE_NO_BACKEND : FAILURE_BACKEND_LOST);
		assert_non_null(c->turn);
		assert_stats(0, 0); /* the slot is another's meanwhile */
		pass_time(&loop, pauses[i] - 1);
		assert_null(codex.threads);
		pass_time(&loop, 1);
		assert_non_null(codex.threads);
	}
	codex_fails(FAILURE_BACKEND_LOST);
	assert_failed(c, "MARMARMARMARMARMARMARMAX", FAILURE_BACKEND_LOST);
	assert_true(c->failure.given_up);
	assert_int_equal(codex.begun, 8);
	assert_int_equal(told.outcomes, 8);
}

static void
a_wrong_answer_is_not_asked_for_as_often_as_a_lost_one(void **state)
{
	static const enum failure_kind kinds[] = {FAILURE_BACKEND_ERROR, FAILURE_BACKEND_TIMEOUT};

	open_turns(1, 1);
	for (unsigned i = 0; i < NELEM(kinds); i++) {
		(void)submit(i);
		codex_fails(kinds[i]);
		pass_time(&loop, 50);
		codex_fails(kinds[i]);
		pass_time(&loop, 100);
		codex_fails(kinds[i]);
		assert_failed(&callers[i], "MARMARMAX", kinds[i]);
		assert_true(callers[i].failure.given_up);
	}
	callers[2].commit_at = 'T';
	(void)submit(2);
	codex_says_text("x");
	codex_fails(FAILURE_BACKEND_ERROR);
	assert_false(callers[2].failure.given_up); /* another try could do better */
	(void)submit(3);
	for (unsigned i = 0; i < 8; i++) {
		codex_fails(FAILURE_NO_BACKEND);
		pass_time(&loop, 1600);
	}
	assert_failed(&callers[3], "MARMARMARMARMARMARMARMAX", FAILURE_NO_BACKEND);
	assert_false(callers[3].failure.given_up); /* and so could a later one */
}

static void
the_whole_deadline_counts_in_a_pause_too(void **state)
{
	const struct turns_config config = {
		.loop = &loop,
		.max_running = 1,
		.queue_timeout_ms = 1000,
		.total_timeout_ms = 30,
		.first_event_timeout_ms = 1000,
		.idle_timeout_ms = 1000,
		.resolve_model = resolve_model,
	};

	turns = turns_new(&config);
	(void)submit(0);
	codex_fails(FAILURE_BACKEND_ERROR);
	pass_time(&loop, 30);
	assert_failed(&callers[0], "MARMX", FAILURE_TOTAL_TIMEOUT);
	assert_int_equal(codex.begun, 1);
	(void)submit(1); /* no one has to listen to stats and outcomes */
	codex_finishes(FINISH_STOP);
}

/* --- drain ---------------------------------------------------------------------------------- */

static void
an_idle_drain_is_done_at_once_but_not_from_inside(void **state)
{
	open_turns(1, 1);
	turns_drain(turns, 5000, on_drained, &told);
	assert_int_equal(told.drained, 0);
	run_loop(&loop);
	assert_int_equal(told.drained, 1);
	assert_int_equal(told.left, 0);
	pass_time(&loop, 10000);
	assert_int_equal(told.drained, 1);
}

static void
a_drain_lets_turns_end_and_refuses_new_ones(void **state)
{
	open_turns(1, 1);
	(void)submit(0);
	(void)submit(1);
	turns_drain(turns, 5000, on_drained, &told);
	assert_failed(submit(2), "X", FAILURE_DRAINING);
	codex_finishes(FINISH_STOP);
	run_loop(&loop);
	assert_int_equal(told.drained, 0);
	codex_finishes(FINISH_STOP); /* the one that waited */
	run_loop(&loop);
	assert_int_equal(told.drained, 1);
	assert_int_equal(told.left, 0);
	assert_failed(submit(3), "X", FAILURE_DRAINING);
}

static void
a_turn_that_came_before_the_drain_is_not_refused(void **state)
{
	open_turns(1, 1);
	callers[0].turn = turn_submit(turns, conversation_new(), 0, on_event, &callers[0]);
	turns_drain(turns, 5000, on_drained, &told);
	run_loop(&loop);
	codex_finishes(FINISH_STOP);
	run_loop(&loop);
	assert_int_equal(told.drained, 1);
	assert_int_equal(told.left, 0);
}

static void
a_cancelled_turn_ends_a_drain_as_well(void **state)
{
	open_turns(1, 1);
	(void)submit(0);
	turns_drain(turns, 5000, on_drained, &told);
	turn_cancel(callers[0].turn);
	assert_int_equal(told.drained, 0);
	run_loop(&loop);
	assert_int_equal(told.drained, 1);
}

static void
at_its_deadline_a_drain_breaks_off_what_is_left(void **state)
{
	open_turns(2, 2);
	for (unsigned i = 0; i < 3; i++)
		(void)submit(i);
	codex_fails(FAILURE_BACKEND_ERROR); /* one of each: paused, running, waiting or running */
	turns_drain(turns, 40, on_drained, &told);
	pass_time(&loop, 39);
	assert_int_equal(told.drained, 0);
	pass_time(&loop, 1);
	assert_int_equal(told.drained, 1);
	assert_int_equal(told.left, 3);
	assert_failed(&callers[0], "MARMX", FAILURE_DRAINING);
	assert_failed(&callers[1], "MAX", FAILURE_DRAINING);
	assert_failed(&callers[2], "MAX", FAILURE_DRAINING);
	assert_int_equal(told.outcomes, 1); /* the drain is no backend's fault */
}

static void
a_second_drain_only_moves_the_deadline_nearer(void **state)
{
	open_turns(1, 1);
	(void)submit(0);
	turns_drain(turns, 10000, on_drained, &told);
	turns_drain(turns, 20000, on_drained, &told);
	turns_drain(turns, 100, on_drained, &told);
	turns_drain(turns, 5000, on_drained, &told);
	pass_time(&loop, 99);
	assert_int_equal(told.drained, 0);
	pass_time(&loop, 1);
	assert_int_equal(told.drained, 1);
	assert_int_equal(told.left, 1);
	turns_drain(turns, 0, on_drained, &told);
	pass_time(&loop, 100000);
	assert_int_equal(told.drained, 1);
}

static void
a_later_drain_does_not_put_off_the_end(void **state)
{
	open_turns(1, 1);
	turns_drain(turns, 10000, on_drained, &told);
	turns_drain(turns, 5000, on_drained, &told);
	run_loop(&loop);
	assert_int_equal(told.drained, 1);
}

static void
a_provider_that_cannot_be_reached_is_told_where_codex_only_tries_again(void **state)
{
	open_turns(1, 1);
	codex.retrying = true;
	(void)submit(0);
	pass_time(&loop, 20000);
	assert_failed(&callers[0], "MAX", FAILURE_UPSTREAM_UNREACHABLE);
	assert_int_equal(told.last_failure, FAILURE_UPSTREAM_UNREACHABLE);
	assert_int_equal(codex.cancelled, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_turns(waiting_too_long_for_a_slot_is_said_so),
		with_turns(a_provider_that_cannot_be_reached_is_told_where_codex_only_tries_again),
		with_turns(waiting_too_long_for_a_backend_is_said_so),
		with_turns(a_model_that_gives_no_sign_is_given_up),
		with_turns(a_model_that_falls_silent_is_given_up),
		with_turns(every_event_is_a_sign_of_life),
		with_turns(a_model_that_never_ends_is_not_the_backends_fault),
		with_turns(a_lost_backend_is_no_loss_before_the_first_word),
		with_turns(a_second_try_waits_for_a_backend_ahead_of_others),
		with_turns(after_the_first_word_there_is_no_second_try),
		with_turns(text_that_was_kept_back_does_not_forbid_a_second_try),
		with_turns(tries_are_paused_longer_and_longer_and_end),
		with_turns(a_wrong_answer_is_not_asked_for_as_often_as_a_lost_one),
		with_turns(the_whole_deadline_counts_in_a_pause_too),
		with_turns(an_idle_drain_is_done_at_once_but_not_from_inside),
		with_turns(a_drain_lets_turns_end_and_refuses_new_ones),
		with_turns(a_turn_that_came_before_the_drain_is_not_refused),
		with_turns(a_cancelled_turn_ends_a_drain_as_well),
		with_turns(at_its_deadline_a_drain_breaks_off_what_is_left),
		with_turns(a_second_drain_only_moves_the_deadline_nearer),
		with_turns(a_later_drain_does_not_put_off_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
