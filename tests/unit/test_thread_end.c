/* How a turn ends when codex does not say so, or never would: a lost end, and endless retries. */
#include "proxy/codex/rpc.h"
#include "tests/unit/thread_fixture.h"

static int
setup_impatient(void **state)
{
	if (setup_connected(state) != 0)
		return -1;
	thread_config.completion_grace_ms = 30;
	return 0;
}

/* --- a lost end ----------------------------------------------------------------------------- */

static void
an_idle_thread_ends_its_turn_with_what_is_held(void **state)
{
	turn("!say 3 0 tok\n!lost-completed");
	assert_said("tok0 tok1 tok2 ");
	assert_int_equal(caller.usage.input_tokens, 10);
	assert_int_equal(heard(&fake, "\"thread/read\""), 1);
	assert_int_equal(heard(&fake, "\"turn/interrupt\""), 0); /* there is no turn any more */
	turn("!fail \"unauthorized\" log in\n!lost-completed");
	assert_failed(FAILURE_UPSTREAM_AUTH);
	assert_int_equal(heard(&fake, "\"thread/read\""), 2);
}

static void
an_answer_whose_last_events_are_all_lost_is_whole_when_the_thread_is_idle(void **state)
{
	turn("!say 3 0 tok\n!event lose rawResponse/completed\n!event lose turn/completed");
	assert_said("tok0 tok1 tok2 ");
}

static void
an_active_thread_is_waited_for(void **state)
{
	begin_turn("!say 1 0 all\n!endless");
	RUN_UNTIL(heard(&fake, "\"thread/read\"") >= 3);
	assert_int_equal(caller.ends, 0);
	cancel(&caller);
	RUN_UNTIL(backend_pool_threads(pool) == 0);
	assert_int_equal(heard(&fake, "\"turn/interrupt\""), 1);
}

static void
a_thread_that_codex_does_not_know_ends_with_what_is_held(void **state)
{
	turn("!say 1 0 all\n!endless\n!rpc-error thread/read -32600");
	assert_said("all");
	turn("!fail \"unauthorized\" log in\n!lost-completed\n!rpc-error thread/read -32600");
	assert_failed(FAILURE_UPSTREAM_AUTH);
	/* what may be half of it is no answer: asked again */
	turn("!say 1 0 half\n!event lose rawResponse/completed\n!event lose turn/completed\n"
	     "!rpc-error thread/read -32600");
	assert_said("half");
	assert_int_equal(heard(&fake, "\"thread/read\""), 4);
}

static void
a_codex_that_does_not_answer_ends_only_what_is_whole(void **state)
{
	turn("!say 1 0 all\n!endless\n!mute thread/read");
	assert_said("all");
	/* asked again, and then it answers */
	turn("!say 1 0 half\n!event lose rawResponse/completed\n!event lose turn/completed\n!mute "
	     "thread/read");
	assert_said("half");
	assert_int_equal(heard(&fake, "\"thread/read\""), 3);
	turn("!say 1 0 busy\n!lost-completed\n!rpc-error thread/read -32001");
	assert_said("busy");
	assert_int_equal(heard(&fake, "\"thread/read\""), 5);
}

static void
an_end_that_comes_while_codex_is_asked_is_the_end(void **state)
{
	begin_turn("!say 1 0 all\n!wait 60\n!say 1 0 more\n!mute thread/read");
	RUN_UNTIL(heard(&fake, "\"thread/read\"") == 1);
	RUN_UNTIL(caller.ends == 1 && backend_pool_threads(pool) == 0);
	assert_said("allmore");
}

static void
a_lost_connection_while_codex_is_asked_loses_nothing_that_is_whole(void **state)
{
	begin_turn("!say 1 0 all\n!endless\n!mute thread/read");
	RUN_UNTIL(heard(&fake, "\"thread/read\"") == 1);
	fake_order(&fake, "drop");
	RUN_UNTIL(caller.ends == 1);
	assert_said("all");
}

/* --- endless retries ------------------------------------------------------------------------ */

#define NOTICE "!retry Connection failed: error sending request\n"

static void
retries_without_end_are_cut_with_their_cause(void **state)
{
	turn(NOTICE NOTICE NOTICE NOTICE NOTICE NOTICE "!silence");
	assert_failed(FAILURE_UPSTREAM_UNREACHABLE);
	assert_non_null(strstr(caller.failure.message, "Connection failed"));
	assert_int_equal(heard(&fake, "\"turn/interrupt\""), 1);
	turn("!part some\n" NOTICE NOTICE NOTICE NOTICE NOTICE NOTICE "!silence");
	assert_failed(FAILURE_UPSTREAM_UNREACHABLE);
	assert_string_equal(caller.text, "some");
}

static void
as_many_retries_as_codex_makes_by_itself_are_none_too_many(void **state)
{
	turn(NOTICE NOTICE NOTICE NOTICE NOTICE "!say 1 0 at last");
	assert_said("at last");
	turn("!part a\n" NOTICE NOTICE NOTICE "!part ab\n" NOTICE NOTICE NOTICE NOTICE NOTICE
	     "!say 1 0 abc");
	assert_said("abc");
}

static void
repeating_the_same_again_and_again_is_no_progress(void **state)
{
	turn("!part a\n" NOTICE "!part a\n" NOTICE "!part a\n" NOTICE "!part a\n" NOTICE
	     "!part a\n" NOTICE "!part a\n" NOTICE "!part a\n!silence");
	assert_failed(FAILURE_UPSTREAM_UNREACHABLE);
	assert_string_equal(caller.text, "a");
}

static void
whether_codex_is_retrying_is_known(void **state)
{
	struct failure why;

	begin_turn("!part some\n!wait 50\n" NOTICE "!wait 50\n!part some more\n!silence");
	RUN_UNTIL(strcmp(caller.text, "some") == 0);
	assert_false(thread_is_retrying(caller.thread, &why));
	RUN_UNTIL(thread_is_retrying(caller.thread, &why));
	assert_int_equal(why.kind, FAILURE_UPSTREAM_UNREACHABLE);
	RUN_UNTIL(strcmp(caller.text, "some more") == 0);
	assert_false(thread_is_retrying(caller.thread, &why));
	cancel(&caller);
	RUN_UNTIL(backend_pool_threads(pool) == 0);
}

/* --- threads that stay loaded --------------------------------------------------------------- */

static void
a_thread_that_stays_loaded_is_unsubscribed_again(void **state)
{
	fake_order(&fake, "keep-loaded 1");
	turn("!say 1 0 x");
	assert_said("x");
	assert_int_equal(heard(&fake, "\"thread/unsubscribe\""), 2);
	fake_order(&fake, "keep-loaded 1000"); /* not for ever */
	turn("!say 1 0 y");
	assert_said("y");
	assert_int_equal(heard(&fake, "\"thread/unsubscribe\""), 5);
}

int
main(int argc, char **argv)
{
#define with_fake(test) cmocka_unit_test_setup_teardown(test, setup_impatient, teardown_connected)
	const struct CMUnitTest tests[] = {
		with_fake(an_idle_thread_ends_its_turn_with_what_is_held),
		with_fake(
			an_answer_whose_last_events_are_all_lost_is_whole_when_the_thread_is_idle),
		with_fake(an_active_thread_is_waited_for),
		with_fake(a_thread_that_codex_does_not_know_ends_with_what_is_held),
		with_fake(a_codex_that_does_not_answer_ends_only_what_is_whole),
		with_fake(an_end_that_comes_while_codex_is_asked_is_the_end),
		with_fake(a_lost_connection_while_codex_is_asked_loses_nothing_that_is_whole),
		with_fake(retries_without_end_are_cut_with_their_cause),
		with_fake(as_many_retries_as_codex_makes_by_itself_are_none_too_many),
		with_fake(repeating_the_same_again_and_again_is_no_progress),
		with_fake(whether_codex_is_retrying_is_known),
		with_fake(a_thread_that_stays_loaded_is_unsubscribed_again),
	};

	find_build(argv[0]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
