/* rpc: calls to an app-server over one WebSocket: their ids, answers and deadlines. */
#include "proxy/codex/rpc.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "common/hash.h"
#include "common/json.h"
#include "common/log.h"
#include "proxy/codex/delta_scan.h"
#include "proxy/codex/websocket.h"
#include "proxy/codex/ws_out.h"

/* So much unsent means that the app-server does not read any more. */
#define QUEUE_MAX_BYTES ((size_t)512 << 20)

struct call {
	uint64_t id;
	uint64_t deadline_ms;
	rpc_answer_fn answer;
	void *arg;
	bool brief;               /* see rpc_wants_little */
	struct ws_message *held;  /* not sent yet: RPC_IN_FLIGHT_MAX others are under way */
	struct call *prev, *next; /* among the held ones */
	UT_hash_handle hh;
};

struct rpc {
	struct websocket *ws; /* NULL: it has ended */
	uv_loop_t *loop;
	const struct rpc_handlers *handlers;
	void *arg;
	uv_timer_t timer;   /* not after the next deadline of a call */
	struct call *calls; /* by id: every call without an answer */
	struct call *held;  /* those of them that are not sent yet, in order */
	unsigned in_flight;
};

static uint64_t last_id; /* of the process: ids never repeat, over reconnects too */

static void on_timer(uv_timer_t *timer);

static bool
is_open(const struct rpc *rpc)
{
	return rpc->ws != NULL && websocket_is_open(rpc->ws);
}

/* --- calls ----------------------------------------------------------------------------------- */

/* Finds the soonest deadline. */
static void
arm(struct rpc *rpc)
{
	uint64_t now = uv_now(rpc->loop), soonest = UINT64_MAX;
	struct call *call, *tmp;

	HASH_ITER(hh, rpc->calls, call, tmp) {
		if (call->deadline_ms < soonest)
			soonest = call->deadline_ms;
	}
	if (soonest == UINT64_MAX)
		(void)uv_timer_stop(&rpc->timer); /* cannot fail on an initialised timer */
	else
		(void)uv_timer_start(&rpc->timer, on_timer, soonest > now ? soonest - now : 0, 0);
}

/* Sends calls that were held back, until so many are under way. */
static void
send_held(struct rpc *rpc, unsigned max_in_flight)
{
	while (rpc->held != NULL && rpc->in_flight < max_in_flight) {
		struct call *call = rpc->held;

		DL_DELETE(rpc->held, call);
		websocket_send(rpc->ws, call->held);
		call->held = NULL;
		rpc->in_flight++;
	}
}

/* The only place where a call ends. */
static void
settle(struct rpc *rpc, struct call *call, json_t *result, const struct rpc_error *error)
{
	HASH_DEL(rpc->calls, call);
	if (call->held != NULL) {
		DL_DELETE(rpc->held, call);
		free(call->held);
	} else {
		rpc->in_flight--;
	}
	if (is_open(rpc))
		send_held(rpc, RPC_IN_FLIGHT_MAX);
	if (call->answer != NULL)
		call->answer(call->arg, result, error);
	free(call);
}

static void
on_timer(uv_timer_t *timer)
{
	static const struct rpc_error timeout = {
		.code = RPC_TIMEOUT, .message = "the app-server did not answer in time"};
	struct rpc *rpc = timer->data;
	uint64_t now = uv_now(rpc->loop);
	struct call *call, *tmp;

	if (!is_open(rpc))
		return; /* they will be told that it is lost */
	/* An answer may add calls, or close the connection, but never ends another call. */
	HASH_ITER(hh, rpc->calls, call, tmp) {
		if (call->deadline_ms <= now && is_open(rpc))
			settle(rpc, call, NULL, &timeout);
	}
	arm(rpc);
}

static struct call *
find_call(const struct rpc *rpc, uint64_t id)
{
	struct call *call;

	HASH_FIND(hh, rpc->calls, &id, sizeof(id), call);
	return call;
}

static void
handle_answer(struct rpc *rpc, json_t *root, json_t *id)
{
	struct rpc_error error = {.code = -32603, .message = "answer without a result"};
	json_t *result = json_object_get(root, "result");
	json_t *failed = json_object_get(root, "error");
	struct call *call;

	if (!json_is_integer(id))
		return;
	call = find_call(rpc, (uint64_t)json_integer_value(id));
	if (call == NULL || call->held != NULL)
		return; /* late, or never asked */
	if (json_is_object(failed)) {
		error.code = (int)json_get_int(failed, "code", -32603);
		if (json_get_string(failed, "message") != NULL)
			error.message = json_get_string(failed, "message");
		error.data = json_object_get(failed, "data");
		result = NULL;
	}
	settle(rpc, call, result, result != NULL ? NULL : &error);
	/* The timer may stand for this call still: it looks again when it comes. */
}

/* --- messages of the server ------------------------------------------------------------------ */

/* An answer of which little is needed is not parsed. True: it was one. */
static bool
handle_brief_answer(struct rpc *rpc, const char *bytes, size_t len)
{
	json_auto_t *result = NULL;
	struct answer a;
	struct call *call;

	if (!answer_scan(&a, bytes, len))
		return false;
	call = find_call(rpc, a.id);
	if (call == NULL || call->held != NULL || !call->brief)
		return false;
	if (a.member == NULL)
		result = json_object();
	else
		result = strcmp(a.member, "status") == 0
		                 ? json_pack("{s:s%}", a.member, a.value, a.value_len)
		                 : json_pack("{s:{s:s%}}", a.member, "id", a.value, a.value_len);
	if (result == NULL)
		return false;
	settle(rpc, call, result, NULL);
	return true;
}

static void
on_message(void *arg, const char *bytes, size_t len)
{
	struct rpc *rpc = arg;
	const struct rpc_handlers *h = rpc->handlers;
	json_auto_t *root = NULL;
	const char *method;
	bool no_memory;
	json_t *id;

	if (h->on_frame(rpc->arg, rpc, bytes, len) || !is_open(rpc) ||
	    handle_brief_answer(rpc, bytes, len))
		return;
	root = json_load(bytes, len, JSON_ALLOW_NUL, NULL, &no_memory);
	if (no_memory) {
		/* Whom it was for is not known: better that all begin again than that one waits. */
		log_warning("app-server: out of memory for a message, the connection is closed");
		rpc_close(rpc);
		return;
	}
	if (!json_is_object(root)) {
		log_debug("app-server: %zu bytes that are no JSON object, ignored", len);
		return;
	}
	method = json_get_string(root, "method");
	id = json_object_get(root, "id");
	if (method == NULL)
		handle_answer(rpc, root, id);
	else if (id != NULL)
		h->on_request(rpc->arg, rpc, id, method, json_get_object(root, "params"));
	else
		h->on_notification(rpc->arg, rpc, method, json_get_object(root, "params"));
}

/* --- life ------------------------------------------------------------------------------------ */

static void
on_open(void *arg)
{
	struct rpc *rpc = arg;

	rpc->handlers->on_open(rpc->arg, rpc);
}

static void
on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void
on_closed(void *arg, const char *reason)
{
	struct rpc *rpc = arg;
	struct rpc_error lost = {.code = RPC_LOST, .message = reason};

	rpc->ws = NULL;
	while (rpc->calls != NULL)
		settle(rpc, rpc->calls, NULL, &lost);
	rpc->handlers->on_closed(rpc->arg, rpc, reason);
	uv_close((uv_handle_t *)&rpc->timer, on_timer_closed);
}

int
rpc_open(struct rpc **out, uv_loop_t *loop, const char *url, const struct rpc_handlers *handlers,
         void *arg, struct err *err)
{
	static const struct websocket_handlers ws_handlers = {
		.on_open = on_open, .on_message = on_message, .on_closed = on_closed};
	struct rpc *rpc = calloc(1, sizeof(*rpc));
	int r;

	if (rpc == NULL)
		return err_set(err, -ENOMEM, "no memory");
	rpc->loop = loop;
	rpc->handlers = handlers;
	rpc->arg = arg;
	r = websocket_open(&rpc->ws, loop, url, RPC_MESSAGE_MAX, &ws_handlers, rpc, err);
	if (r < 0) {
		free(rpc);
		return r;
	}
	(void)uv_timer_init(loop, &rpc->timer); /* cannot fail */
	rpc->timer.data = rpc;
	*out = rpc;
	return 0;
}

void
rpc_close(struct rpc *rpc)
{
	if (is_open(rpc))
		send_held(rpc, UINT_MAX); /* interrupts may be among them */
	if (rpc->ws != NULL)
		websocket_close(rpc->ws);
}

/* --- saying ---------------------------------------------------------------------------------- */

uint64_t
rpc_call(struct rpc *rpc, const char *method, const char *params, size_t len, uint64_t timeout_ms,
         rpc_answer_fn answer, void *arg)
{
	struct ws_message *m;
	struct call *call;
	char head[160];
	int n;

	if (!is_open(rpc) || len > RPC_MESSAGE_MAX - sizeof(head) ||
	    websocket_unsent_bytes(rpc->ws) + len > QUEUE_MAX_BYTES)
		return 0;
	n = snprintf(head, sizeof(head),
	             "{\"id\":%llu,\"method\":\"%s\",\"params\":", (unsigned long long)++last_id,
	             method);
	assert(n > 0 && (size_t)n < sizeof(head)); /* methods are our own constants */
	m = websocket_text(rpc->ws, (const char *const[]){head, params, "}"},
	                   (const size_t[]){(size_t)n, len, 1}, 3);
	call = calloc(1, sizeof(*call));
	if (m == NULL || call == NULL) {
		free(m);
		free(call);
		return 0;
	}
	call->id = last_id;
	call->deadline_ms = uv_now(rpc->loop) + timeout_ms;
	call->answer = answer;
	call->arg = arg;
	call->held = m;
	HASH_ADD(hh, rpc->calls, id, sizeof(call->id), call);
	if (call->hh.tbl == NULL) {
		free(m);
		free(call);
		return 0;
	}
	DL_APPEND(rpc->held, call);
	send_held(rpc, RPC_IN_FLIGHT_MAX);
	if (uv_timer_get_due_in(&rpc->timer) > timeout_ms ||
	    !uv_is_active((uv_handle_t *)&rpc->timer))
		(void)uv_timer_start(&rpc->timer, on_timer, timeout_ms, 0); /* a live handle */
	return call->id;
}

void
rpc_wants_little(struct rpc *rpc, uint64_t id)
{
	struct call *call = find_call(rpc, id);

	if (call != NULL)
		call->brief = true;
}

void
rpc_abandon(struct rpc *rpc, uint64_t id)
{
	struct call *call = find_call(rpc, id);

	if (call != NULL)
		call->answer = NULL;
}

/* A message that waits for nothing. Lost without memory: the peer has its own deadlines. */
static void
send_text(struct rpc *rpc, const char *const *pieces, const size_t *lens, size_t count)
{
	struct ws_message *m;

	if (!is_open(rpc) || websocket_unsent_bytes(rpc->ws) > QUEUE_MAX_BYTES)
		return;
	m = websocket_text(rpc->ws, pieces, lens, count);
	if (m == NULL) {
		log_warning("no memory for a message to the app-server: dropped");
		return;
	}
	websocket_send(rpc->ws, m);
}

void
rpc_notify(struct rpc *rpc, const char *method)
{
	send_text(rpc, (const char *const[]){"{\"method\":\"", method, "\"}"},
	          (const size_t[]){11, strlen(method), 2}, 3);
}

/* {"id":ID,"<kind>":VALUE} */
static void
reply(struct rpc *rpc, json_t *id, const char *kind, json_t *value)
{
	AUTO_FREE char *id_text = NULL, *value_text = NULL;
	size_t id_len, value_len;

	id_text = json_to_text(id, &id_len);
	value_text = json_to_text(value, &value_len);
	if (id_text == NULL || value_text == NULL) {
		log_warning("no memory for an answer to the app-server: dropped");
		return;
	}
	send_text(rpc, (const char *const[]){"{\"id\":", id_text, kind, value_text, "}"},
	          (const size_t[]){6, id_len, strlen(kind), value_len, 1}, 5);
}

void
rpc_reply(struct rpc *rpc, json_t *id, json_t *result)
{
	reply(rpc, id, ",\"result\":", result);
}

void
rpc_reply_error(struct rpc *rpc, json_t *id, int code, const char *message)
{
	json_auto_t *error = json_pack("{s:i,s:s}", "code", code, "message", message);

	reply(rpc, id, ",\"error\":", error);
}

unsigned
rpc_pending(const struct rpc *rpc)
{
	return HASH_COUNT(rpc->calls);
}
