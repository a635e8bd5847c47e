/* The proxy's end of the control socket: how it begins, what it says, and how it ends. */
#include "tests/unit/supervisor_link_fixture.h"

/* --- beginning ------------------------------------------------------------------------------ */

static void
it_says_who_it_is_and_is_told_the_whole_picture(void **state)
{
	hello_answer = "{\"backends\":["
		       "{\"id\":0,\"url\":\"unix:///a\",\"generation\":3,\"state\":\"up\","
		       "\"next_retry_ms\":null},"
		       "{\"id\":2,\"url\":\"unix:///b\",\"generation\":1,\"state\":\"down\","
		       "\"reason\":\"it crashed\",\"next_retry_ms\":500},"
		       "{\"id\":63,\"url\":\"unix:///c\",\"generation\":1,\"state\":\"odd\"}]}";
	connect_link();
	assert_int_equal(json_get_int(heard.hello, "protocol", 0), 1);
	assert_int_equal(json_get_int(heard.hello, "pid", 0), getpid());
	assert_int_equal(json_get_int(heard.hello, "generation", 0), 42);
	assert_int_equal(json_object_size(heard.hello), 3);
	assert_string_equal(told, "up 0 unix:///a 3; down 2 it crashed 500; "
	                          "down 63 not running -1; all 0 2 63; ");
}

static void
backends_that_cannot_be_are_passed_over(void **state)
{
	hello_answer = "{\"backends\":[7,null,{},{\"id\":-1,\"state\":\"up\",\"url\":\"x\"},"
		       "{\"id\":128,\"state\":\"up\",\"url\":\"x\"},"
		       "{\"id\":4294967296,\"state\":\"up\",\"url\":\"x\"},"
		       "{\"id\":\"0\",\"state\":\"up\",\"url\":\"x\"},"
		       "{\"id\":1,\"state\":\"up\"},"
		       "{\"id\":5,\"state\":\"up\",\"url\":\"y\",\"generation\":\"z\"}]}";
	connect_link();
	assert_string_equal(told, "up 5 y 0; all 1 5; ");
}

static void
it_tries_again_until_there_is_a_supervisor(void **state)
{
	open_link();
	supervisor_link_ready(link_, "not yet", false);
	(void)uv_run(&loop, UV_RUN_ONCE);
	(void)uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(connected, 0);
	open_server();
	RUN_UNTIL(connected == 1 && heard.readies == 1);
	assert_string_equal(json_get_string(heard.ready, "reason"), "not yet");
}

static void
one_that_does_not_know_us_is_asked_again(void **state)
{
	hello_answer = NULL;
	open_server();
	open_link();
	RUN_UNTIL(heard.hellos == 2);
	assert_int_equal(connected, 0);
	hello_answer = "{\"backends\":7}";
	RUN_UNTIL(heard.hellos == 3);
	hello_answer = "{\"backends\":[]}";
	RUN_UNTIL(connected == 1);
	assert_string_equal(told, "all; ");
}

/* --- what it says --------------------------------------------------------------------------- */

static void
readiness_is_said_when_it_changes(void **state)
{
	connect_link();
	assert_int_equal(heard.readies, 0); /* nobody has said anything yet */
	supervisor_link_ready(link_, "no backend", false);
	RUN_UNTIL(heard.readies == 1);
	assert_false(json_get_bool(heard.ready, "ready", true));
	assert_string_equal(json_get_string(heard.ready, "reason"), "no backend");
	supervisor_link_ready(link_, "no backend", false);
	supervisor_link_ready(link_, NULL, false);
	RUN_UNTIL(heard.readies == 2);
	assert_true(json_get_bool(heard.ready, "ready", false));
	assert_int_equal(json_object_size(heard.ready), 1);
	supervisor_link_ready(link_, NULL, false);
	supervisor_link_ready(link_, "gone", false);
	RUN_UNTIL(heard.readies == 3);
	assert_string_equal(json_get_string(heard.ready, "reason"), "gone");
	assert_null(json_object_get(heard.ready, "needs"));
	supervisor_link_ready(link_, "gone", true); /* what is missing is news too */
	RUN_UNTIL(heard.readies == 4);
	assert_string_equal(json_get_string(heard.ready, "needs"), "login");
}

static void
a_reason_that_was_cut_in_a_character_is_said_all_the_same(void **state)
{
	char reason[400];

	memset(reason, 'a', sizeof(reason));
	reason[254] = (char)0xe2;
	reason[255] = (char)0x82;
	reason[256] = '\0';
	connect_link();
	supervisor_link_ready(link_, reason, false);
	RUN_UNTIL(heard.readies == 1);
	assert_false(json_get_bool(heard.ready, "ready", true));
	assert_int_equal(strlen(json_get_string(heard.ready, "reason")), 254);
	supervisor_link_failed(link_, 3, 9, "upstream", "bad \xff byte");
	RUN_UNTIL(heard.faileds == 1);
	assert_non_null(strstr(json_get_string(heard.failed, "message"), "bad "));
}

static void
stats_are_said_at_intervals_and_the_last_change_always(void **state)
{
	struct supervisor_link_stats stats = {0};
	uint64_t begun;

	connect_link();
	begun = uv_now(&loop);
	for (unsigned i = 1; i <= 50; i++) {
		stats.in_flight = i;
		stats.queued = 2 * i;
		stats.threads = 3 * i;
		supervisor_link_stats(link_, &stats);
	}
	RUN_UNTIL(heard.all_stats == 2);
	assert_true(uv_now(&loop) - begun >= 100);
	assert_int_equal(json_get_int(heard.stats, "in_flight", 0), 50);
	assert_int_equal(json_get_int(heard.stats, "queued", 0), 100);
	assert_int_equal(json_get_int(heard.stats, "threads", 0), 150);
	/* no change, no word; and a change that is taken back is none */
	supervisor_link_stats(link_, &stats);
	stats.in_flight = 1;
	supervisor_link_stats(link_, &stats);
	stats.in_flight = 50;
	supervisor_link_stats(link_, &stats);
	supervisor_link_ready(link_, NULL, false);
	RUN_UNTIL(heard.readies == 1);
	stats.in_flight = 51;
	supervisor_link_stats(link_, &stats);
	RUN_UNTIL(json_get_int(heard.stats, "in_flight", 0) == 51);
	assert_int_equal(heard.all_stats, 3);
}

static void
a_failure_of_a_backend_is_said_while_connected(void **state)
{
	connect_link();
	supervisor_link_failed(link_, 3, 9, "auth", "log in");
	RUN_UNTIL(heard.faileds == 1);
	assert_int_equal(json_get_int(heard.failed, "id", -1), 3);
	assert_int_equal(json_get_int(heard.failed, "generation", -1), 9);
	assert_string_equal(json_get_string(heard.failed, "kind"), "auth");
	assert_string_equal(json_get_string(heard.failed, "message"), "log in");
	close_server();
	RUN_UNTIL(heard.closed == 1);
	supervisor_link_failed(link_, 3, 9, "auth", "log in");
}

/* --- the connection is lost ----------------------------------------------------------------- */

static void
it_comes_back_and_says_all_of_it_again(void **state)
{
	const struct supervisor_link_stats stats = {1, 2, 3};

	connect_link();
	supervisor_link_ready(link_, NULL, false);
	supervisor_link_stats(link_, &stats);
	RUN_UNTIL(heard.readies == 1 && heard.all_stats == 2);
	for (unsigned round = 1; round <= 2; round++) {
		close_server();
		RUN_UNTIL(heard.closed == round);
		told[0] = '\0';
		open_server();
		RUN_UNTIL(connected == round + 1 && heard.readies == round + 1 &&
		          heard.all_stats == round + 2);
		assert_int_equal(heard.hellos, round + 1);
		assert_true(json_get_bool(heard.ready, "ready", false));
		assert_int_equal(json_get_int(heard.stats, "threads", 0), 3);
		assert_string_equal(told, "all; ");
	}
}

static void
what_changes_meanwhile_is_said_afterwards(void **state)
{
	const struct supervisor_link_stats stats = {7, 0, 7};

	connect_link();
	close_server();
	RUN_UNTIL(heard.closed == 1);
	supervisor_link_ready(link_, "a", false);
	supervisor_link_ready(link_, "b", false);
	supervisor_link_stats(link_, &stats);
	open_server();
	RUN_UNTIL(connected == 2 && heard.readies == 1 && heard.all_stats == 2);
	assert_string_equal(json_get_string(heard.ready, "reason"), "b");
	assert_int_equal(json_get_int(heard.stats, "in_flight", 0), 7);
}

static void
a_drain_may_be_answered_after_the_supervisor_went(void **state)
{
	connect_link();
	ask("drain", "{\"deadline_ms\":30000}");
	RUN_UNTIL(drain_req != NULL);
	close_server();
	RUN_UNTIL(answer.count == 1);
	assert_int_equal(answer.code, CONTROL_DISCONNECTED);
	control_reply(drain_req, json_pack("{s:i}", "in_flight", 0));
}

/* --- the end -------------------------------------------------------------------------------- */

static void
it_may_be_closed_at_any_time(void **state)
{
	open_link(); /* connecting to nobody */
	close_link();
	open_link(); /* waiting for the next try */
	(void)uv_run(&loop, UV_RUN_ONCE);
	(void)uv_run(&loop, UV_RUN_ONCE);
	close_link();
	open_server();
	open_link(); /* connecting to somebody */
	close_link();
	hello_answer = ""; /* greeting */
	open_link();
	RUN_UNTIL(unanswered != NULL);
	close_link();
	control_reply(unanswered, json_loads("{\"backends\":[]}", 0, NULL));
	assert_string_equal(told, "");
}

static void
closing_says_first_what_is_to_be_said(void **state)
{
	connect_link();
	supervisor_link_ready(link_, "shutting down", false);
	supervisor_link_close(link_, set_true, &link_gone);
	supervisor_link_close(link_, NULL, NULL); /* once is enough */
	RUN_UNTIL(link_gone && heard.closed == 1);
	link_ = NULL;
	assert_int_equal(heard.readies, 1);
	assert_string_equal(json_get_string(heard.ready, "reason"), "shutting down");
	assert_int_equal(heard.hellos, 1); /* and it does not come back */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_loop(it_says_who_it_is_and_is_told_the_whole_picture),
		with_loop(backends_that_cannot_be_are_passed_over),
		with_loop(it_tries_again_until_there_is_a_supervisor),
		with_loop(one_that_does_not_know_us_is_asked_again),
		with_loop(readiness_is_said_when_it_changes),
		with_loop(a_reason_that_was_cut_in_a_character_is_said_all_the_same),
		with_loop(stats_are_said_at_intervals_and_the_last_change_always),
		with_loop(a_failure_of_a_backend_is_said_while_connected),
		with_loop(it_comes_back_and_says_all_of_it_again),
		with_loop(what_changes_meanwhile_is_said_afterwards),
		with_loop(a_drain_may_be_answered_after_the_supervisor_went),
		with_loop(it_may_be_closed_at_any_time),
		with_loop(closing_says_first_what_is_to_be_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
