/* The proxy's end of the control socket, against a supervisor that this test plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/control_server.h"
#include "common/json.h"
#include "common/log.h"
#include "proxy/supervisor_link.h"
#include "tests/unit/patience.h"

#define PATIENCE_MS 20000 /* a test that waits longer has failed */

static uv_loop_t loop;
static uv_timer_t watchdog;
static char dir[64], path[96];
static struct supervisor_link *link_;
static bool link_gone;

/* The supervisor: what it answers, and what it was told. */
static struct control_server *server;
static const char *hello_answer; /* JSON; NULL: an error; "": none */
static struct control_request *unanswered;
static struct {
	struct control_conn *conn;
	json_t *hello, *ready, *stats, *failed; /* the last params of each */
	unsigned hellos, readies, all_stats, faileds, closed;
} heard;

/* The proxy: what it was told, as text. */
static char told[1024];
static struct control_request *drain_req;
static unsigned connected;

#define RUN_UNTIL(cond)                                                                            \
	while (!(cond))                                                                            \
	(void)uv_run(&loop, UV_RUN_ONCE)

/* --- the supervisor ------------------------------------------------------------------------- */

static void
on_hello(void *arg, struct control_conn *conn, struct control_request *req, const char *method,
         json_t *params)
{
	assert_string_equal(method, "proxy/hello");
	heard.conn = conn;
	heard.hellos++;
	json_decref(heard.hello);
	heard.hello = json_incref(params);
	if (hello_answer == NULL)
		control_reply_error(req, CONTROL_NOT_ALLOWED, "not you");
	else if (hello_answer[0] == '\0')
		unanswered = req;
	else
		control_reply(req, json_loads(hello_answer, 0, NULL));
}

static void
keep(json_t **where, json_t *params, unsigned *count)
{
	json_decref(*where);
	*where = json_incref(params);
	(*count)++;
}

static void
on_told(void *arg, struct control_conn *conn, const char *method, json_t *params)
{
	if (strcmp(method, "proxy/ready") == 0)
		keep(&heard.ready, params, &heard.readies);
	else if (strcmp(method, "proxy/stats") == 0)
		keep(&heard.stats, params, &heard.all_stats);
	else if (strcmp(method, "backend/failed") == 0)
		keep(&heard.failed, params, &heard.faileds);
	else
		fail_msg("%s", method);
}

static void
on_proxy_gone(void *arg, struct control_conn *conn)
{
	heard.closed++;
	heard.conn = NULL;
}

static void
open_server(void)
{
	static const struct control_handlers handlers = {
		.on_request = on_hello, .on_notification = on_told, .on_closed = on_proxy_gone};

	assert_int_equal(control_server_new(&server, &loop, path, (gid_t)-1, &handlers, NULL, NULL),
	                 0);
}

static void
set_true(void *arg)
{
	*(bool *)arg = true;
}

static void
close_server(void)
{
	bool gone = false;

	if (server == NULL)
		return;
	control_server_close(server, set_true, &gone);
	RUN_UNTIL(gone);
	server = NULL;
}

/* --- the proxy ------------------------------------------------------------------------------ */

static void tell(const char *fmt, ...) PRINTF_LIKE(1, 2);

static void
tell(const char *fmt, ...)
{
	size_t at = strlen(told);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(told + at, sizeof(told) - at, fmt, ap);
	va_end(ap);
}

static void
on_backend_up(void *arg, int id, const char *url, int64_t generation)
{
	tell("up %d %s %lld; ", id, url, (long long)generation);
}

static void
on_backend_down(void *arg, int id, const char *reason, int64_t next_retry_ms)
{
	tell("down %d %s %lld; ", id, reason, (long long)next_retry_ms);
}

static void
on_backends(void *arg, const int *ids, size_t count)
{
	tell("all");
	for (size_t i = 0; i < count; i++)
		tell(" %d", ids[i]);
	tell("; ");
}

static void
on_drain(void *arg, struct control_request *req, uint64_t deadline_ms, uint64_t delay_ms)
{
	tell("drain %llu", (unsigned long long)deadline_ms);
	if (delay_ms > 0)
		tell(" after %llu", (unsigned long long)delay_ms);
	tell("; ");
	drain_req = req;
}

static void
on_backend_drain(void *arg, struct control_request *req, int id, uint64_t deadline_ms)
{
	tell("drain %d %llu; ", id, (unsigned long long)deadline_ms);
	drain_req = req;
}

static int64_t login_expires_at;

static void
on_login(void *arg, int64_t expires_at)
{
	login_expires_at = expires_at;
}

static void
on_reload(void *arg)
{
	tell("%s", "reload; ");
}

static void
on_connected(void *arg)
{
	connected++;
}

static void
open_link(void)
{
	static const struct supervisor_link_hooks hooks = {
		.on_backend_up = on_backend_up,
		.on_backend_down = on_backend_down,
		.on_backends = on_backends,
		.on_drain = on_drain,
		.on_backend_drain = on_backend_drain,
		.on_login = on_login,
		.on_reload = on_reload,
		.on_connected = on_connected,
	};

	link_gone = false;
	link_ = supervisor_link_new(&loop, path, 42, &hooks, NULL);
	assert_non_null(link_);
}

static void
close_link(void)
{
	if (link_ == NULL)
		return;
	supervisor_link_close(link_, set_true, &link_gone);
	RUN_UNTIL(link_gone);
	link_ = NULL;
}

static void
connect_link(void)
{
	open_server();
	open_link();
	RUN_UNTIL(connected == 1 && heard.all_stats == 1);
}

/* --- every test ----------------------------------------------------------------------------- */

static void
on_watchdog(uv_timer_t *timer)
{
	fail_msg("waited too long; told: %s", told);
}

static int
setup(void **state)
{
	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(dir, sizeof(dir), "/tmp/test-link-XXXXXX");
	if (mkdtemp(dir) == NULL || uv_loop_init(&loop) != 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/control.sock", dir);
	(void)uv_timer_init(&loop, &watchdog);
	(void)uv_timer_start(&watchdog, on_watchdog, patience(PATIENCE_MS), 0);
	memset(&heard, 0, sizeof(heard));
	hello_answer = "{\"backends\":[]}";
	unanswered = drain_req = NULL;
	connected = 0;
	told[0] = '\0';
	return 0;
}

static int
teardown(void **state)
{
	close_link();
	close_server();
	json_decref(heard.hello);
	json_decref(heard.ready);
	json_decref(heard.stats);
	json_decref(heard.failed);
	uv_close((uv_handle_t *)&watchdog, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	return rmdir(dir) != 0 ? -1 : uv_loop_close(&loop); /* 0: no handle was left open */
}

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

/* --- what it is told ------------------------------------------------------------------------ */

static void
backends_come_and_go(void **state)
{
	connect_link();
	told[0] = '\0';
	control_notify(heard.conn, "backend/down",
	               json_pack("{s:i,s:s,s:i}", "id", 0, "reason", "exited with code 1",
	                         "next_retry_ms", 500));
	control_notify(heard.conn, "backend/down",
	               json_pack("{s:i,s:s,s:n}", "id", 1, "reason", "stopped", "next_retry_ms"));
	control_notify(heard.conn, "something/new", NULL);
	control_notify(heard.conn, "backend/up", NULL);
	control_notify(heard.conn, "backend/up", json_pack("{s:i,s:i}", "id", 1, "generation", 4));
	control_notify(heard.conn, "backend/up",
	               json_pack("{s:i,s:s,s:i}", "id", 0, "url", "unix:///a", "generation", 4));
	RUN_UNTIL(strstr(told, "up 0") != NULL);
	assert_string_equal(told, "down 0 exited with code 1 500; down 1 stopped -1; "
	                          "up 0 unix:///a 4; ");
}

static void
the_end_of_the_login_is_told_at_first_and_when_it_changes(void **state)
{
	hello_answer = "{\"backends\":[],\"login\":{\"expires_at\":1795687200}}";
	connect_link();
	assert_int_equal(login_expires_at, 1795687200);
	control_notify(heard.conn, "login/changed", json_pack("{s:i}", "expires_at", 1795690000));
	RUN_UNTIL(login_expires_at == 1795690000);
	control_notify(heard.conn, "login/changed", json_pack("{s:n}", "expires_at"));
	RUN_UNTIL(login_expires_at == 0);
	control_notify(heard.conn, "login/changed", json_pack("{s:i}", "expires_at", 1795690000));
	RUN_UNTIL(login_expires_at == 1795690000);
	control_notify(heard.conn, "login/changed", NULL);
	RUN_UNTIL(login_expires_at == 0);
}

static void
a_reload_is_passed_on(void **state)
{
	connect_link();
	told[0] = '\0';
	control_notify(heard.conn, "reload", NULL);
	RUN_UNTIL(told[0] != '\0');
	assert_string_equal(told, "reload; ");
}

static void
one_that_is_gone_is_forgotten(void **state)
{
	hello_answer = "{\"backends\":["
		       "{\"id\":0,\"url\":\"unix:///a\",\"generation\":3,\"state\":\"up\"}]}";
	connect_link();
	told[0] = '\0';
	control_notify(heard.conn, "backend/gone", json_pack("{s:i}", "id", 5));
	control_notify(heard.conn, "backend/gone", json_pack("{s:i}", "id", -1));
	control_notify(heard.conn, "backend/up",
	               json_pack("{s:i,s:s,s:i}", "id", 1, "url", "unix:///b", "generation", 4));
	control_notify(heard.conn, "backend/gone", json_pack("{s:i}", "id", 0));
	RUN_UNTIL(strstr(told, "all") != NULL);
	assert_string_equal(told, "up 1 unix:///b 4; all 1; ");
}

static struct {
	unsigned count;
	int code;
	json_int_t in_flight;
	char message[128];
} answer;

static void
on_answer(void *arg, json_t *result, int code, const char *message)
{
	answer.count++;
	answer.code = code;
	answer.in_flight = json_get_int(result, "in_flight", -1);
	(void)snprintf(answer.message, sizeof(answer.message), "%s",
	               message != NULL ? message : "");
}

static void
ask(const char *method, const char *params)
{
	memset(&answer, 0, sizeof(answer));
	control_call(heard.conn, method, params != NULL ? json_loads(params, 0, NULL) : NULL,
	             PATIENCE_MS, on_answer, NULL);
}

static void
a_drain_is_answered_when_it_is_done(void **state)
{
	connect_link();
	told[0] = '\0';
	ask("drain", "{\"deadline_ms\":30000}");
	RUN_UNTIL(drain_req != NULL);
	assert_string_equal(told, "drain 30000; ");
	control_reply(drain_req, json_pack("{s:i}", "in_flight", 2));
	RUN_UNTIL(answer.count == 1);
	assert_int_equal(answer.in_flight, 2);
	drain_req = NULL;
	told[0] = '\0';
	ask("drain", "{\"deadline_ms\":30000,\"delay_ms\":5000}");
	RUN_UNTIL(drain_req != NULL);
	assert_string_equal(told, "drain 30000 after 5000; ");
	control_reply(drain_req, json_pack("{s:i}", "in_flight", 0));
	RUN_UNTIL(answer.count == 1);
	drain_req = NULL;
	told[0] = '\0';
	ask("backend/drain", "{\"id\":1,\"deadline_ms\":0}");
	RUN_UNTIL(drain_req != NULL);
	assert_string_equal(told, "drain 1 0; ");
	control_reply(drain_req, json_pack("{s:i}", "in_flight", 0));
	RUN_UNTIL(answer.count == 1);
}

static void
wrong_params_are_told_by_name(void **state)
{
	static const struct {
		const char *method, *params, *name;
		int code;
	} rows[] = {
		{"drain",         NULL,					  "deadline_ms", CONTROL_INVALID_PARAMS  },
		{"drain",         "{}",					  "deadline_ms", CONTROL_INVALID_PARAMS  },
		{"drain",         "{\"deadline_ms\":-1}",                        "deadline_ms", CONTROL_INVALID_PARAMS  },
		{"drain",         "{\"deadline_ms\":1.5}",                       "deadline_ms", CONTROL_INVALID_PARAMS  },
		{"drain",         "{\"deadline_ms\":\"1\"}",                     "deadline_ms", CONTROL_INVALID_PARAMS  },
		{"drain",         "{\"deadline_ms\":1,\"id\":0}",                "id",          CONTROL_INVALID_PARAMS  },
		{"drain",         "{\"deadline_ms\":1,\"dead\":0}",              "dead",        CONTROL_INVALID_PARAMS  },
		{"drain",         "{\"deadline_ms\":1,\"delay_ms\":-1}",         "delay_ms",
	         CONTROL_INVALID_PARAMS										 },
		{"drain",         "{\"deadline_ms\":1,\"delay_ms\":true}",       "delay_ms",
	         CONTROL_INVALID_PARAMS										 },
		{"backend/drain", "{\"id\":1,\"deadline_ms\":1,\"delay_ms\":1}", "delay_ms",
	         CONTROL_INVALID_PARAMS										 },
		{"backend/drain", "{\"deadline_ms\":1}",                         "id",          CONTROL_INVALID_PARAMS  },
		{"backend/drain", "{\"deadline_ms\":1,\"id\":128}",              "id",          CONTROL_INVALID_PARAMS  },
		{"backend/drain", "{\"deadline_ms\":1,\"id\":\"0\"}",            "id",          CONTROL_INVALID_PARAMS  },
		{"backend/drain", "{\"id\":0}",                                  "deadline_ms", CONTROL_INVALID_PARAMS  },
		{"backend/drain", "{\"deadline_ms\":1,\"id\":0,\"x\":1}",        "x",
	         CONTROL_INVALID_PARAMS										 },
		{"nonsense",      "{}",					  "nonsense",    CONTROL_METHOD_NOT_FOUND},
	};

	connect_link();
	for (size_t i = 0; i < NELEM(rows); i++) {
		ask(rows[i].method, rows[i].params);
		RUN_UNTIL(answer.count == 1);
		assert_int_equal(answer.code, rows[i].code);
		assert_non_null(strstr(answer.message, rows[i].name));
	}
	assert_null(drain_req);
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
#define with_loop(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		with_loop(it_says_who_it_is_and_is_told_the_whole_picture),
		with_loop(backends_that_cannot_be_are_passed_over),
		with_loop(it_tries_again_until_there_is_a_supervisor),
		with_loop(one_that_does_not_know_us_is_asked_again),
		with_loop(readiness_is_said_when_it_changes),
		with_loop(a_reason_that_was_cut_in_a_character_is_said_all_the_same),
		with_loop(stats_are_said_at_intervals_and_the_last_change_always),
		with_loop(a_failure_of_a_backend_is_said_while_connected),
		with_loop(backends_come_and_go),
		with_loop(the_end_of_the_login_is_told_at_first_and_when_it_changes),
		with_loop(a_reload_is_passed_on),
		with_loop(one_that_is_gone_is_forgotten),
		with_loop(a_drain_is_answered_when_it_is_done),
		with_loop(wrong_params_are_told_by_name),
		with_loop(it_comes_back_and_says_all_of_it_again),
		with_loop(what_changes_meanwhile_is_said_afterwards),
		with_loop(a_drain_may_be_answered_after_the_supervisor_went),
		with_loop(it_may_be_closed_at_any_time),
		with_loop(closing_says_first_what_is_to_be_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
