/* What the control socket tells of the apps' lines and changes. */
#include "tests/unit/control_fixture.h"

#include "supervisor/live.h"
#include "supervisor/log_ring.h"

static unsigned closed;

static void
on_request(void *arg, struct control_conn *conn, struct control_request *req, const char *method,
           json_t *params)
{
	if (!live_request(conn, req, method, params))
		control_reply_error(req, CONTROL_METHOD_NOT_FOUND, "no method %s", method);
}

static void
on_closed(void *arg, struct control_conn *conn)
{
	live_closed(conn);
	closed++;
}

static const struct control_handlers live_handlers = {
	.on_request = on_request,
	.on_closed = on_closed,
};

static int
setup_live(void **state)
{
	int r = setup(state);

	closed = 0;
	if (r != 0)
		return r;
	close_server();
	return control_server_new(&server, &loop, path, (gid_t)-1, &live_handlers, NULL, NULL);
}

static int
teardown_live(void **state)
{
	int r = teardown(state);

	live_fini();
	return r;
}

static void
write_line(const char *app, const char *text)
{
	live_line(app, OUTPUT_STDERR,
	          &(struct output_line){.level = LOG_LEVEL_WARNING, .text = text});
}

static void
change(const char *app, enum app_state from, enum app_state to)
{
	live_change(&(struct live_change){.app = app,
	                                  .from = from,
	                                  .to = to,
	                                  .reason = "because",
	                                  .pid = to == APP_STARTING ? 42 : 0,
	                                  .generation = 7});
}

/* The answer, or notification, in the next line. New reference. */
static json_t *
next(int fd)
{
	static char line[CONTROL_LINE_MAX + 1];
	size_t len = 0;
	json_t *message;

	for (;;) {
		ssize_t n = read(fd, line + len, 1);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return NULL;
		if (n > 0 && line[len] == '\n')
			break;
		if (n > 0)
			len++;
		else
			(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	message = json_loadb(line, len, 0, NULL);
	assert_non_null(message);
	return message;
}

/* Texts of the answer's lines, each with a '|' behind it. */
static void
ask_lines(int fd, const char *params, const char *joined)
{
	char text[256], found[512] = "";
	json_t *line;
	size_t i;

	(void)snprintf(text, sizeof(text),
	               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logs\",\"params\":%s}\n",
	               params);
	raw_send(fd, text);
	{
		json_auto_t *answer = next(fd);
		json_t *lines = json_get_array(json_get_object(answer, "result"), "lines");

		assert_non_null(lines);
		json_array_foreach(lines, i, line) {
			(void)strcat(found, json_get_string(line, "text"));
			(void)strcat(found, "|");
		}
	}
	assert_string_equal(found, joined);
}

static void
ask_wrong(int fd, const char *method, const char *params, int code)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
	               "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n", method,
	               params);
	raw_send(fd, text);
	{
		json_auto_t *answer = next(fd);

		assert_int_equal(json_get_int(json_get_object(answer, "error"), "code", 0), code);
	}
}

static void
the_last_lines_of_those_who_are_meant_come_in_order(void **state)
{
	int fd = raw_client();

	write_line("a-0", "1");
	write_line("b", "2");
	write_line("a-1", "3");
	write_line("a-0", "4");
	write_line("a-x", "5");
	ask_lines(fd, "{\"app\":\"all\"}", "1|2|3|4|5|");
	ask_lines(fd, "{\"app\":\"a\"}", "1|3|4|");
	ask_lines(fd, "{\"app\":\"a\",\"lines\":2}", "3|4|");
	ask_lines(fd, "{\"app\":\"a-0\"}", "1|4|");
	ask_lines(fd, "{\"app\":\"b\",\"lines\":0}", "");
	ask_lines(fd, "{\"app\":\"b\",\"lines\":100000}", "2|");
	(void)close(fd);
}

static void
a_line_says_where_it_comes_from(void **state)
{
	int fd = raw_client();

	write_line("a", "x \xff y");
	raw_send(fd,
	         "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logs\",\"params\":{\"app\":\"a\"}}\n");
	{
		json_auto_t *answer = next(fd);
		json_t *line = json_array_get(
			json_get_array(json_get_object(answer, "result"), "lines"), 0);

		assert_string_equal(json_get_string(line, "app"), "a");
		assert_string_equal(json_get_string(line, "stream"), "stderr");
		assert_string_equal(json_get_string(line, "level"), "warning");
		assert_string_equal(json_get_string(line, "text"), "x \xef\xbf\xbd y");
		assert_int_equal(strlen(json_get_string(line, "ts")),
		                 strlen("2026-01-01T00:00:00.000Z"));
	}
	(void)close(fd);
}

static void
wrong_questions_are_refused(void **state)
{
	int fd = raw_client();

	change("a", APP_STOPPED, APP_WAITING);
	ask_lines(fd, "{\"app\":\"a\"}", ""); /* it is known, though it has not written yet */
	ask_lines(fd, "{\"app\":\"all\"}", "");
	ask_wrong(fd, "logs", "{}", CONTROL_INVALID_PARAMS);
	ask_wrong(fd, "logs", "{\"app\":\"\"}", CONTROL_INVALID_PARAMS);
	ask_wrong(fd, "logs", "{\"app\":7}", CONTROL_INVALID_PARAMS);
	ask_wrong(fd, "logs", "{\"app\":\"a\",\"lines\":-1}", CONTROL_INVALID_PARAMS);
	ask_wrong(fd, "logs", "{\"app\":\"a\",\"lines\":\"3\"}", CONTROL_INVALID_PARAMS);
	ask_wrong(fd, "logs", "{\"app\":\"a\",\"follow\":1}", CONTROL_INVALID_PARAMS);
	ask_wrong(fd, "logs", "{\"app\":\"a\",\"n\":1}", CONTROL_INVALID_PARAMS);
	ask_wrong(fd, "logs", "{\"app\":\"b\"}", CONTROL_NO_SUCH_APP);
	ask_wrong(fd, "logs", "{\"app\":\"a-0\"}", CONTROL_NO_SUCH_APP);
	ask_wrong(fd, "subscribe", "{\"app\":\"a\"}", CONTROL_INVALID_PARAMS);
	ask_wrong(fd, "elsewhere", "{}", CONTROL_METHOD_NOT_FOUND);
	(void)close(fd);
}

static void
lines_beyond_what_fits_into_an_answer_are_left_out(void **state)
{
	static char text[OUTPUT_LINE_MAX + 1];
	int fd = raw_client();
	json_t *lines;

	memset(text, 1, OUTPUT_LINE_MAX); /* each byte is six in JSON */
	for (int i = 0; i < 40; i++)
		write_line("a", text);
	raw_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"logs\",\"params\":{\"app\":\"a\","
	             "\"lines\":1000}}\n");
	{
		json_auto_t *answer = next(fd);

		lines = json_get_array(json_get_object(answer, "result"), "lines");
		assert_in_range(json_array_size(lines), 10, 20);
	}
	(void)close(fd);
}

static void
a_follower_hears_every_line_of_whom_it_follows(void **state)
{
	int fd = raw_client();

	write_line("a-0", "old");
	ask_lines(fd, "{\"app\":\"a\",\"lines\":5,\"follow\":true}", "old|");
	write_line("b", "not this");
	write_line("a-1", "this");
	change("a-1", APP_STARTING, APP_READY); /* nor this */
	write_line("a-0", "and this");
	for (int i = 0; i < 2; i++) {
		json_auto_t *message = next(fd);
		json_t *params = json_get_object(message, "params");

		assert_string_equal(json_get_string(message, "method"), "log/line");
		assert_null(json_object_get(message, "id"));
		assert_string_equal(json_get_string(params, "text"), i == 0 ? "this" : "and this");
		assert_string_equal(json_get_string(params, "app"), i == 0 ? "a-1" : "a-0");
	}
	(void)close(fd);
	RUN_UNTIL(closed == 1);
	write_line("a-0", "nobody hears this");
}

static void
a_subscriber_hears_every_change(void **state)
{
	int fd = raw_client();

	raw_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}\n");
	json_decref(next(fd));
	write_line("a", "not this");
	change("a", APP_WAITING, APP_STARTING);
	change("a", APP_STARTING, APP_STOPPING);
	for (int i = 0; i < 2; i++) {
		json_auto_t *message = next(fd);
		json_t *params = json_get_object(message, "params");

		assert_string_equal(json_get_string(message, "method"), "event/state");
		assert_string_equal(json_get_string(params, "app"), "a");
		assert_string_equal(json_get_string(params, "from"),
		                    i == 0 ? "waiting" : "starting");
		assert_string_equal(json_get_string(params, "to"),
		                    i == 0 ? "starting" : "stopping");
		assert_string_equal(json_get_string(params, "reason"), "because");
		assert_int_equal(json_get_int(params, "generation", 0), 7);
		assert_int_equal(json_get_int(params, "pid", -1), i == 0 ? 42 : -1);
	}
	(void)close(fd);
}

static void
one_that_does_not_read_is_cut_off_and_the_others_are_not(void **state)
{
	static char text[OUTPUT_LINE_MAX + 1];
	int slow = raw_client(), fd = raw_client();

	memset(text, 'x', OUTPUT_LINE_MAX);
	change("a", APP_STOPPED, APP_WAITING);
	ask_lines(slow, "{\"app\":\"a\",\"follow\":true}", "");
	for (unsigned i = 0; i < 2000 && closed == 0; i++) {
		write_line("a", text);
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(closed, 1);
	ask_lines(fd, "{\"app\":\"a\",\"lines\":0,\"follow\":true}", "");
	write_line("a", "still here");
	{
		json_auto_t *message = next(fd);

		assert_string_equal(json_get_string(json_get_object(message, "params"), "text"),
		                    "still here");
	}
	(void)close(slow);
	(void)close(fd);
}

#define with_live(test) cmocka_unit_test_setup_teardown(test, setup_live, teardown_live)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_live(the_last_lines_of_those_who_are_meant_come_in_order),
		with_live(a_line_says_where_it_comes_from),
		with_live(wrong_questions_are_refused),
		with_live(lines_beyond_what_fits_into_an_answer_are_left_out),
		with_live(a_follower_hears_every_line_of_whom_it_follows),
		with_live(a_subscriber_hears_every_change),
		with_live(one_that_does_not_read_is_cut_off_and_the_others_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
