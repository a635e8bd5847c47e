/* supervisor_link_fixture: the proxy's end of the control socket, and a supervisor that a test
 * plays. */
#ifndef SIDECAR_TESTS_SUPERVISOR_LINK_FIXTURE_H
#define SIDECAR_TESTS_SUPERVISOR_LINK_FIXTURE_H

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

static inline void
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

static inline void
keep(json_t **where, json_t *params, unsigned *count)
{
	json_decref(*where);
	*where = json_incref(params);
	(*count)++;
}

static inline void
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

static inline void
on_proxy_gone(void *arg, struct control_conn *conn)
{
	heard.closed++;
	heard.conn = NULL;
}

static inline void
open_server(void)
{
	static const struct control_handlers handlers = {
		.on_request = on_hello, .on_notification = on_told, .on_closed = on_proxy_gone};

	assert_int_equal(control_server_new(&server, &loop, path, (gid_t)-1, &handlers, NULL, NULL),
	                 0);
}

static inline void
set_true(void *arg)
{
	*(bool *)arg = true;
}

static inline void
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

static inline void
tell(const char *fmt, ...)
{
	size_t at = strlen(told);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(told + at, sizeof(told) - at, fmt, ap);
	va_end(ap);
}

static inline void
on_backend_up(void *arg, int id, const char *url, int64_t generation)
{
	tell("up %d %s %lld; ", id, url, (long long)generation);
}

static inline void
on_backend_down(void *arg, int id, const char *reason, int64_t next_retry_ms)
{
	tell("down %d %s %lld; ", id, reason, (long long)next_retry_ms);
}

static inline void
on_backends(void *arg, const int *ids, size_t count)
{
	tell("all");
	for (size_t i = 0; i < count; i++)
		tell(" %d", ids[i]);
	tell("; ");
}

static inline void
on_drain(void *arg, struct control_request *req, uint64_t deadline_ms, uint64_t delay_ms)
{
	tell("drain %llu", (unsigned long long)deadline_ms);
	if (delay_ms > 0)
		tell(" after %llu", (unsigned long long)delay_ms);
	tell("; ");
	drain_req = req;
}

static inline void
on_backend_drain(void *arg, struct control_request *req, int id, uint64_t deadline_ms)
{
	tell("drain %d %llu; ", id, (unsigned long long)deadline_ms);
	drain_req = req;
}

static int64_t login_expires_at;

static inline void
on_login(void *arg, int64_t expires_at)
{
	login_expires_at = expires_at;
}

static inline void
on_reload(void *arg)
{
	tell("%s", "reload; ");
}

static inline void
on_connected(void *arg)
{
	connected++;
}

static inline void
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

static inline void
close_link(void)
{
	if (link_ == NULL)
		return;
	supervisor_link_close(link_, set_true, &link_gone);
	RUN_UNTIL(link_gone);
	link_ = NULL;
}

static inline void
connect_link(void)
{
	open_server();
	open_link();
	RUN_UNTIL(connected == 1 && heard.all_stats == 1);
}

/* --- every test ----------------------------------------------------------------------------- */

static inline void
on_watchdog(uv_timer_t *timer)
{
	fail_msg("waited too long; told: %s", told);
}

static inline int
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

static inline int
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

/* --- one call of the supervisor's ----------------------------------------------------------- */

static struct {
	unsigned count;
	int code;
	json_int_t in_flight;
	char message[128];
} answer;

static inline void
on_answer(void *arg, json_t *result, int code, const char *message)
{
	answer.count++;
	answer.code = code;
	answer.in_flight = json_get_int(result, "in_flight", -1);
	(void)snprintf(answer.message, sizeof(answer.message), "%s",
	               message != NULL ? message : "");
}

static inline void
ask(const char *method, const char *params)
{
	memset(&answer, 0, sizeof(answer));
	control_call(heard.conn, method, params != NULL ? json_loads(params, 0, NULL) : NULL,
	             PATIENCE_MS, on_answer, NULL);
}

#define with_loop(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
