/* control_fixture: a control server and a client on one loop, for the tests of both. */
#ifndef SIDECAR_TESTS_CONTROL_FIXTURE_H
#define SIDECAR_TESTS_CONTROL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/control_server.h"
#include "common/json.h"
#include "common/log.h"
#include "tests/unit/patience.h"

#define PATIENCE_MS 10000 /* a test that waits longer has failed */

static uv_loop_t loop;
static uv_timer_t watchdog;
static char dir[64], path[96];
static struct control_server *server;

/* What the server's side saw. */
static struct {
	struct control_conn *conn;    /* the last one that spoke */
	struct control_request *held; /* the last of all_held */
	struct control_request *all_held[300];
	size_t held_count;
	unsigned requests, notifications, closed;
	char last_method[64];
} seen;

/* What the client's side saw. */
static struct {
	struct control_conn *conn;
	int status; /* of connecting; 1: not yet */
	unsigned answers, closed, requests;
	unsigned answers_when_closed;
	int code;
	char text[128]; /* of the answer: a string result, or the error's message */
} client;

/* --- the server's side ---------------------------------------------------------------------- */

static inline void
server_request(void *arg, struct control_conn *conn, struct control_request *req,
               const char *method, json_t *params)
{
	seen.conn = conn;
	seen.requests++;
	(void)snprintf(seen.last_method, sizeof(seen.last_method), "%s", method);
	if (strcmp(method, "echo") == 0) {
		control_reply(req, json_string(json_get_string(params, "text")));
	} else if (strcmp(method, "hold") == 0) {
		seen.held = seen.all_held[seen.held_count++] = req;
	} else if (strcmp(method, "close") == 0) {
		control_conn_close(conn);
		control_reply(req, json_true());
	} else if (strcmp(method, "huge") == 0) {
		AUTO_FREE char *text = malloc(CONTROL_LINE_MAX);

		memset(text, 'x', CONTROL_LINE_MAX);
		control_reply(req, json_stringn(text, CONTROL_LINE_MAX));
	} else if (strcmp(method, "broken") == 0) {
		control_reply(req, NULL);
	} else {
		control_reply_error(req, CONTROL_METHOD_NOT_FOUND, "no method %s", method);
	}
}

static inline void
server_notification(void *arg, struct control_conn *conn, const char *method, json_t *params)
{
	seen.conn = conn;
	seen.notifications++;
	if (strcmp(method, "close me") == 0)
		control_conn_close(conn);
}

static inline void
server_closed(void *arg, struct control_conn *conn)
{
	seen.closed++;
}

static const struct control_handlers server_handlers = {
	.on_request = server_request,
	.on_notification = server_notification,
	.on_closed = server_closed,
};

/* --- the client's side ---------------------------------------------------------------------- */

static inline void
client_request(void *arg, struct control_conn *conn, struct control_request *req,
               const char *method, json_t *params)
{
	client.requests++;
	control_reply(req, json_string("from the client"));
}

static inline void
client_closed(void *arg, struct control_conn *conn)
{
	client.closed++;
	client.answers_when_closed = client.answers;
	client.conn = NULL;
}

static inline void
client_connected(void *arg, struct control_conn *conn, int status)
{
	client.status = status;
}

static const struct control_handlers client_handlers = {
	.on_request = client_request,
	.on_closed = client_closed,
};

static inline void
on_answer(void *arg, json_t *result, int code, const char *message)
{
	client.answers++;
	client.code = code;
	assert_true((result == NULL) == (message != NULL));
	(void)snprintf(client.text, sizeof(client.text), "%.100s",
	               message != NULL          ? message
	               : json_is_string(result) ? json_string_value(result)
	                                        : "?");
}

static inline void
connect_client(void)
{
	client.status = 1;
	assert_int_equal(control_conn_connect(&client.conn, &loop, path, client_connected,
	                                      &client_handlers, NULL),
	                 0);
}

/* --- the loop ------------------------------------------------------------------------------- */

static inline void
on_watchdog(uv_timer_t *timer)
{
	fail_msg("waited too long");
}

/* The loop's turns until cond; each may wait for an event. */
#define RUN_UNTIL(cond)                                                                            \
	while (!(cond))                                                                            \
	(void)uv_run(&loop, UV_RUN_ONCE)

static inline int
setup(void **state)
{
	/* what the code under test warns about is expected here */
	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	(void)signal(SIGPIPE, SIG_IGN);
	memset(&seen, 0, sizeof(seen));
	memset(&client, 0, sizeof(client));
	(void)snprintf(dir, sizeof(dir), "/tmp/test-control-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/control.sock", dir);
	if (uv_loop_init(&loop) != 0 || uv_timer_init(&loop, &watchdog) != 0)
		return -1;
	(void)uv_timer_start(&watchdog, on_watchdog, patience(PATIENCE_MS), 0);
	server = NULL;
	return control_server_new(&server, &loop, path, (gid_t)-1, &server_handlers, NULL, NULL);
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

static inline int
teardown(void **state)
{
	if (client.conn != NULL)
		control_conn_close(client.conn);
	close_server();
	uv_close((uv_handle_t *)&watchdog, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	(void)unlink(path);
	if (rmdir(dir) != 0)
		return -1;
	return uv_loop_close(&loop); /* 0: no handle was left open */
}

/* --- a client that keeps to no rules -------------------------------------------------------- */

static inline int
raw_client(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static inline void
raw_send(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* What the server says until it closes, or until there are `lines` lines. */
static inline const char *
raw_read(int fd, size_t lines)
{
	static char text[1 << 16];
	size_t len = 0, found = 0;

	while (found < lines) {
		ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		for (ssize_t i = 0; i < n; i++)
			found += text[len + (size_t)i] == '\n';
		if (n > 0)
			len += (size_t)n;
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	text[len] = '\0';
	return text;
}

#define with_server(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
