/* Control connections over real sockets: calls, answers, and how they end. */
#include "tests/unit/control_fixture.h"

/* --- calls ---------------------------------------------------------------------------------- */

static void
a_call_is_answered_also_when_made_before_the_connection_is_there(void **state)
{
	connect_client();
	control_call(client.conn, "echo", json_pack("{s:s}", "text", "hello"), 5000, on_answer,
	             NULL);
	RUN_UNTIL(client.answers == 1);
	assert_int_equal(client.status, 0);
	assert_string_equal(client.text, "hello");
	control_call(client.conn, "nonsense", NULL, 5000, on_answer, NULL);
	RUN_UNTIL(client.answers == 2);
	assert_int_equal(client.code, CONTROL_METHOD_NOT_FOUND);
	assert_string_equal(client.text, "no method nonsense");
}

static void
both_ends_may_call_and_notify(void **state)
{
	connect_client();
	control_notify(client.conn, "hello", NULL);
	RUN_UNTIL(seen.notifications == 1);
	control_call(seen.conn, "anything", NULL, 5000, on_answer, NULL);
	RUN_UNTIL(client.answers == 1);
	assert_string_equal(client.text, "from the client");
	control_call(seen.conn, "nobody waits", NULL, 5000, NULL, NULL);
	RUN_UNTIL(client.requests == 2);
	assert_int_equal(client.answers, 1);
}

static void
each_end_knows_who_the_other_is(void **state)
{
	static int note;

	connect_client();
	control_notify(client.conn, "hello", NULL);
	RUN_UNTIL(seen.notifications == 1);
	assert_int_equal(control_conn_peer_pid(seen.conn), getpid());
	assert_int_equal(control_conn_peer_uid(seen.conn), geteuid());
	assert_true(control_conn_peer_in_group(seen.conn, getegid()));
	assert_false(control_conn_peer_in_group(seen.conn, 54321));
	control_conn_set_data(seen.conn, &note);
	assert_ptr_equal(control_conn_data(seen.conn), &note);
}

static void
a_call_without_answer_ends_at_its_deadline(void **state)
{
	connect_client();
	control_call(client.conn, "hold", NULL, 30, on_answer, NULL);
	RUN_UNTIL(client.answers == 1);
	assert_int_equal(client.code, CONTROL_TIMEOUT);
	/* the late answer disturbs nobody */
	control_reply(seen.held, json_true());
	control_call(client.conn, "echo", json_pack("{s:s}", "text", "next"), 5000, on_answer,
	             NULL);
	RUN_UNTIL(client.answers == 2);
	assert_string_equal(client.text, "next");
}

static void
an_answer_may_be_given_after_the_peer_went(void **state)
{
	connect_client();
	control_call(client.conn, "hold", NULL, 5000, on_answer, NULL);
	RUN_UNTIL(seen.held != NULL);
	control_conn_close(client.conn);
	control_conn_close(client.conn);
	RUN_UNTIL(seen.closed == 1 && client.closed == 1);
	assert_int_equal(client.code, CONTROL_DISCONNECTED);
	assert_int_equal(client.answers, 1);
	control_reply(seen.held, json_true());
}

static void
pending_calls_fail_before_the_connection_is_gone(void **state)
{
	connect_client();
	for (int i = 0; i < 3; i++)
		control_call(client.conn, "hold me not", NULL, 5000, NULL, NULL);
	control_call(client.conn, "close", NULL, 5000, on_answer, NULL);
	control_call(client.conn, "echo", NULL, 5000, on_answer, NULL);
	RUN_UNTIL(client.closed == 1);
	assert_int_equal(client.answers_when_closed, 2);
	assert_int_equal(client.code, CONTROL_DISCONNECTED);
	RUN_UNTIL(seen.closed == 1);
}

static void
what_cannot_be_answered_is_an_error_and_not_silence(void **state)
{
	connect_client();
	control_call(client.conn, "huge", NULL, 5000, on_answer, NULL);
	RUN_UNTIL(client.answers == 1);
	assert_int_equal(client.code, CONTROL_INTERNAL_ERROR);
	control_call(client.conn, "broken", NULL, 5000, on_answer, NULL);
	RUN_UNTIL(client.answers == 2);
	assert_int_equal(client.code, CONTROL_INTERNAL_ERROR);
}

static void
a_request_too_long_to_send_is_answered_from_the_loop(void **state)
{
	AUTO_FREE char *text = malloc(CONTROL_LINE_MAX);

	memset(text, 'x', CONTROL_LINE_MAX);
	connect_client();
	control_call(client.conn, "echo",
	             json_pack("{s:s%}", "text", text, (size_t)CONTROL_LINE_MAX), 5000, on_answer,
	             NULL);
	assert_int_equal(client.answers, 0);
	RUN_UNTIL(client.answers == 1);
	assert_int_equal(client.code, CONTROL_INTERNAL_ERROR);
}

static void
close_in_answer(void *arg, json_t *result, int code, const char *message)
{
	client.answers++;
	control_conn_close(client.conn);
}

static void
every_callback_may_close_the_connection(void **state)
{
	connect_client();
	control_call(client.conn, "echo", NULL, 5000, close_in_answer, NULL);
	control_call(client.conn, "hold", NULL, 5000, on_answer, NULL);
	RUN_UNTIL(client.closed == 1);
	assert_int_equal(client.answers, 2);
	RUN_UNTIL(seen.closed == 1);
	control_reply(seen.held, NULL);
	connect_client();
	control_notify(client.conn, "close me", NULL);
	control_notify(client.conn, "not heard", NULL);
	RUN_UNTIL(client.closed == 2 && seen.closed == 2);
	assert_int_equal(seen.notifications, 1);
	connect_client(); /* at its deadline */
	control_call(client.conn, "hold", NULL, 10, close_in_answer, NULL);
	RUN_UNTIL(client.closed == 3 && seen.closed == 3);
	control_reply_error(seen.held, CONTROL_FAILED, "late");
}

static void
connecting_to_nobody_fails_later_and_once(void **state)
{
	close_server();
	connect_client();
	control_call(client.conn, "echo", NULL, 5000, on_answer, NULL);
	assert_int_equal(client.status, 1);
	RUN_UNTIL(client.closed == 1);
	assert_int_equal(client.status, -ENOENT);
	assert_int_equal(client.code, CONTROL_DISCONNECTED);
	assert_int_equal(client.answers, 1);
}

static void
a_connection_closed_while_connecting_says_so(void **state)
{
	connect_client();
	control_conn_close(client.conn);
	RUN_UNTIL(client.closed == 1);
	assert_int_equal(client.status, -ECANCELED);
}

static void
a_path_that_would_be_cut_is_refused(void **state)
{
	char long_path[200];
	struct control_conn *conn;
	struct control_server *other;

	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[0] = '/';
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(
		control_conn_connect(&conn, &loop, long_path, NULL, &client_handlers, NULL),
		-ENAMETOOLONG);
	assert_int_equal(control_server_new(&other, &loop, long_path, (gid_t)-1, &server_handlers,
	                                    NULL, NULL),
	                 -ENAMETOOLONG);
}

static void
finishing_lets_the_queued_lines_out(void **state)
{
	int fd = raw_client();
	const char *text;

	raw_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hold\"}\n");
	RUN_UNTIL(seen.held != NULL);
	control_reply(seen.held, json_string("parting"));
	control_conn_finish(seen.conn, 5000);
	text = raw_read(fd, 99);
	assert_string_equal(text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"parting\"}\n");
	RUN_UNTIL(seen.closed == 1);
	(void)close(fd);
}

static void
finishing_does_not_wait_for_ever(void **state)
{
	int fd = raw_client();

	raw_send(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"hello\"}\n");
	RUN_UNTIL(seen.notifications == 1);
	for (int i = 0; i < 10; i++) { /* more than the socket takes */
		AUTO_FREE char *text = malloc(300000);

		memset(text, 'x', 300000);
		control_notify(seen.conn, "n", json_pack("{s:s%}", "t", text, (size_t)300000));
	}
	control_conn_finish(seen.conn, 30);
	RUN_UNTIL(seen.closed == 1);
	(void)close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_server(a_call_is_answered_also_when_made_before_the_connection_is_there),
		with_server(both_ends_may_call_and_notify),
		with_server(each_end_knows_who_the_other_is),
		with_server(a_call_without_answer_ends_at_its_deadline),
		with_server(an_answer_may_be_given_after_the_peer_went),
		with_server(pending_calls_fail_before_the_connection_is_gone),
		with_server(what_cannot_be_answered_is_an_error_and_not_silence),
		with_server(a_request_too_long_to_send_is_answered_from_the_loop),
		with_server(every_callback_may_close_the_connection),
		with_server(connecting_to_nobody_fails_later_and_once),
		with_server(a_connection_closed_while_connecting_says_so),
		with_server(a_path_that_would_be_cut_is_refused),
		with_server(finishing_lets_the_queued_lines_out),
		with_server(finishing_does_not_wait_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
