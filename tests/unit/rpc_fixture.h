/* rpc_fixture: an rpc and its peer on one loop. */
#ifndef SIDECAR_TESTS_RPC_FIXTURE_H
#define SIDECAR_TESTS_RPC_FIXTURE_H

#include "tests/unit/patience.h"
#include "tests/unit/ws_peer.h"

#include <signal.h>

#include "common/log.h"
#include "proxy/codex/rpc.h"

#define PATIENCE_MS 30000 /* a test that waits longer has failed */
#define LONG_MS     60000 /* for calls that must not expire */

static uv_loop_t loop;
static uv_timer_t watchdog;
static char dir[64], socket_path[96], url[128];

/* One that made a call. */
struct asker {
	unsigned answers;
	int code; /* 0: a result */
	char text[128];
	void (*then)(struct asker *self);
};

/* What the rpc told its owner. */
static struct {
	struct rpc *rpc; /* NULL: closed */
	unsigned opens, frames, notifications, requests, closes, answers;
	unsigned answers_when_closed;
	size_t last_frame_len;
	bool swallow; /* on_frame says: dealt with */
	char last_method[64];
	char last_params[64];
	char reason[200];
	char close_in; /* o f n r: closes from inside that callback */
} owner;

static inline void
maybe_close(char where)
{
	if (owner.close_in == where)
		rpc_close(owner.rpc);
}

static inline void
on_open(void *arg, struct rpc *rpc)
{
	owner.rpc = rpc;
	owner.opens++;
	maybe_close('o');
}

static inline bool
on_frame(void *arg, struct rpc *rpc, const char *bytes, size_t len)
{
	owner.frames++;
	owner.last_frame_len = len;
	assert_true(len > 0);
	assert_true(bytes[0] != '\0' || bytes[len - 1] != '\0'); /* they can be read */
	maybe_close('f');
	return owner.swallow;
}

static inline void
note_params(const char *method, json_t *params)
{
	AUTO_FREE char *text = params != NULL ? json_to_text(params, NULL) : NULL;

	(void)snprintf(owner.last_method, sizeof(owner.last_method), "%s", method);
	(void)snprintf(owner.last_params, sizeof(owner.last_params), "%s",
	               text != NULL ? text : "");
}

static inline void
on_notification(void *arg, struct rpc *rpc, const char *method, json_t *params)
{
	owner.notifications++;
	note_params(method, params);
	maybe_close('n');
}

static inline void
on_request(void *arg, struct rpc *rpc, json_t *id, const char *method, json_t *params)
{
	json_auto_t *result = json_pack("{s:s}", "got", method);

	owner.requests++;
	note_params(method, params);
	maybe_close('r');
	if (strcmp(method, "refuse me") == 0)
		rpc_reply_error(rpc, id, -32601, "no \"such\" method");
	else
		rpc_reply(rpc, id, result);
}

static inline void
on_closed(void *arg, struct rpc *rpc, const char *reason)
{
	assert_ptr_equal(arg, &owner);
	assert_int_equal(rpc_pending(rpc), 0);
	owner.closes++;
	owner.answers_when_closed = owner.answers;
	(void)snprintf(owner.reason, sizeof(owner.reason), "%s", reason);
	rpc_close(rpc); /* may be said again, and does nothing */
	owner.rpc = NULL;
}

static const struct rpc_handlers handlers = {
	.on_open = on_open,
	.on_frame = on_frame,
	.on_notification = on_notification,
	.on_request = on_request,
	.on_closed = on_closed,
};

static inline void
on_answer(void *arg, json_t *result, const struct rpc_error *error)
{
	struct asker *a = arg;
	AUTO_FREE char *text = NULL;

	assert_true((result == NULL) == (error != NULL));
	a->answers++;
	owner.answers++;
	a->code = error != NULL ? error->code : 0;
	text = result != NULL ? json_to_text(result, NULL) : NULL;
	(void)snprintf(a->text, sizeof(a->text), "%s", text != NULL ? text : error->message);
	if (a->then != NULL)
		a->then(a);
}

/* asker NULL: nobody waits. One that may still wait at the end of a test must be static. */
static inline uint64_t
call(const char *method, struct asker *asker, uint64_t timeout_ms)
{
	return rpc_call(owner.rpc, method, "{}", 2, timeout_ms, asker != NULL ? on_answer : NULL,
	                asker);
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

static inline void
open_rpc(void)
{
	struct rpc *rpc = NULL;
	unsigned closes = owner.closes;

	assert_int_equal(rpc_open(&rpc, &loop, url, &handlers, &owner, NULL), 0);
	assert_int_equal(owner.closes, closes); /* never from inside */
	owner.rpc = rpc;
}

/* An rpc and its peer that talk. */
static inline void
connect_rpc(void)
{
	peer_listen_unix(&loop, socket_path);
	open_rpc();
	RUN_UNTIL(owner.opens == 1 || owner.closes == 1);
	assert_int_equal(owner.opens, 1);
}

/* What the peer sends is dealt with in order: when this is answered, so is what came before. */
static inline void
settle(void)
{
	static unsigned count;
	unsigned heard = owner.frames;
	char text[64];

	(void)snprintf(text, sizeof(text), "{\"method\":\"settled %u\"}", ++count);
	peer_send(text);
	RUN_UNTIL(strncmp(owner.last_method, "settled", 7) == 0 &&
	          strtoul(owner.last_method + 8, NULL, 10) == count);
	assert_true(owner.frames > heard);
	owner.notifications--;
}

/* Answers the n-th message with its own id. `rest` follows the id: "\"result\":1". */
static inline void
peer_answers(size_t n, const char *rest)
{
	json_auto_t *message = NULL;
	char text[256];

	assert_true(n < peer.count);
	message = json_parse(peer.messages[n], peer.lens[n], NULL);
	(void)snprintf(text, sizeof(text), "{\"id\":%lld,%s}",
	               (long long)json_get_int(message, "id", -1), rest);
	peer_send(text);
}

static inline const char *
peer_method(size_t n)
{
	static char method[64];
	json_auto_t *message = json_parse(peer.messages[n], peer.lens[n], NULL);

	(void)snprintf(method, sizeof(method), "%s", json_get_string(message, "method"));
	return method;
}

static inline int
setup(void **state)
{
	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	(void)signal(SIGPIPE, SIG_IGN);
	memset(&owner, 0, sizeof(owner));
	memset(&peer, 0, sizeof(peer));
	(void)snprintf(dir, sizeof(dir), "/tmp/test-rpc-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(socket_path, sizeof(socket_path), "%s/c.sock", dir);
	(void)snprintf(url, sizeof(url), "unix://%s", socket_path);
	if (uv_loop_init(&loop) != 0 || uv_timer_init(&loop, &watchdog) != 0)
		return -1;
	(void)uv_timer_start(&watchdog, on_watchdog, patience(PATIENCE_MS), 0);
	return 0;
}

static inline int
teardown(void **state)
{
	if (owner.rpc != NULL)
		rpc_close(owner.rpc);
	RUN_UNTIL(owner.rpc == NULL);
	peer_stop();
	uv_close((uv_handle_t *)&watchdog, NULL);
	while (uv_loop_alive(&loop))
		(void)uv_run(&loop, UV_RUN_DEFAULT);
	peer_forget_messages();
	(void)unlink(socket_path);
	if (rmdir(dir) != 0)
		return -1;
	return uv_loop_close(&loop); /* 0: no handle was left open */
}

#define with_rpc(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
