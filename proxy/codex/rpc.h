/* rpc: JSON-RPC with a codex app-server over one WebSocket (unix://PATH or ws://HOST:PORT).
 *
 * One rpc is one connection (websocket.h): it opens once, closes once; reconnecting is the
 * backend's work. */
#ifndef SIDECAR_PROXY_CODEX_RPC_H
#define SIDECAR_PROXY_CODEX_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/common.h"
#include "common/err.h"
#include "common/json.h"

struct rpc;

/* Codex cuts the connection over 64 MiB a message or 16 MiB a frame; answers to us are far
 * smaller: the largest seen is the model list (100 KB). */
#define RPC_MESSAGE_MAX ((size_t)64 << 20)

struct rpc_error {
	int code;            /* JSON-RPC code; RPC_LOST or RPC_TIMEOUT when there was no answer */
	const char *message; /* never NULL */
	json_t *data;        /* borrowed, may be NULL */
};

#define RPC_LOST    (-1) /* the connection ended first */
#define RPC_TIMEOUT (-2) /* no answer within the deadline */

/* More unanswered requests than this are kept back, in order: beyond about 128 codex answers
 * -32001. */
#define RPC_IN_FLIGHT_MAX 100

/* result (borrowed) XOR error. Called exactly once per call that was taken, never from inside
 * rpc_call. */
typedef void (*rpc_answer_fn)(void *arg, json_t *result, const struct rpc_error *error);

struct rpc_handlers {
	/* The WebSocket is open; nothing has been sent yet. */
	void (*on_open)(void *arg, struct rpc *rpc);
	/* A text frame, whole, before it is parsed: return true when it was dealt with (the delta
	 * fast path). bytes are valid during the call. */
	bool (*on_frame)(void *arg, struct rpc *rpc, const char *bytes, size_t len);
	void (*on_notification)(void *arg, struct rpc *rpc, const char *method, json_t *params);
	/* A request of the server; answer with rpc_reply / rpc_reply_error, id borrowed. */
	void (*on_request)(void *arg, struct rpc *rpc, json_t *id, const char *method,
	                   json_t *params);
	/* Failed to open, or ended; every pending call has been answered RPC_LOST before. Last
	 * call; rpc is freed after it. Never from inside rpc_open. reason: for the log. */
	void (*on_closed)(void *arg, struct rpc *rpc, const char *reason);
};

int rpc_open(struct rpc **out, uv_loop_t *loop, const char *url,
             const struct rpc_handlers *handlers, void *arg, struct err *err) MUST_CHECK;
/* Idempotent; on_closed follows, never from inside. */
void rpc_close(struct rpc *rpc);

/* Sends a request. params: the text of a JSON object, copied. Ids never repeat in a process's
 * life. Returns the id (> 0); 0 when it was not taken (no memory, closing, or over
 * RPC_MESSAGE_MAX): answer is then not called. answer may be NULL. */
uint64_t rpc_call(struct rpc *rpc, const char *method, const char *params, size_t len,
                  uint64_t timeout_ms, rpc_answer_fn answer, void *arg);
/* Of the answer of call id nothing is needed but result.thread.id, result.turn.id or result.status.
 */
void rpc_wants_little(struct rpc *rpc, uint64_t id);
/* Forget who waits: answer of call id will not be called. */
void rpc_abandon(struct rpc *rpc, uint64_t id);
void rpc_notify(struct rpc *rpc, const char *method);
void rpc_reply(struct rpc *rpc, json_t *id, json_t *result /* borrowed */);
void rpc_reply_error(struct rpc *rpc, json_t *id, int code, const char *message);
unsigned rpc_pending(const struct rpc *rpc); /* calls without an answer */

#endif
