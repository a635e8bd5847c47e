/* rpc: one WebSocket connection to an app-server, its calls, and every way it can end. */
#include "proxy/codex/rpc.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <uthash.h>
#include <utlist.h>

#include "common/log.h"
#include "proxy/codex/delta_scan.h"
#include "proxy/codex/lws_orphans.h"
#include "proxy/codex/rpc_queue.h"
#include "proxy/codex/rpc_url.h"

/* Connect and upgrade take 1 ms; a server that starts under load was seen to take 0.3 s. */
#define OPEN_TIMEOUT_MS  5000
/* What is queued when we close (interrupts, unsubscribes) is small: it leaves at once or never. */
#define FLUSH_TIMEOUT_MS 500
/* One lws_write: what the socket does not take of it, lws copies. Far under codex's 16 MiB. */
#define FRAGMENT_BYTES   ((size_t)128 << 10)
/* Nearly every message fits, and is handled where it lies. */
#define RX_PIECE_BYTES   ((size_t)64 << 10)
/* So much unsent means that the app-server does not read any more. */
#define QUEUE_MAX_BYTES  ((size_t)512 << 20)
/* The beginning of an answer, up to the id in it. */
#define HEAD_MAX         ((size_t)160)

struct call {
	uint64_t id;
	uint64_t deadline_ms;
	rpc_answer_fn answer;
	void *arg;
	bool id_only;             /* see rpc_wants_id_only */
	struct rpc_message *held; /* not sent yet: RPC_IN_FLIGHT_MAX others are under way */
	struct call *prev, *next; /* among the held ones */
	UT_hash_handle hh;
};

enum state {
	STATE_OPENING,
	STATE_OPEN,
	STATE_FLUSHING, /* closing; the queue goes out first */
	STATE_ENDED,    /* nothing is sent or heard any more; the timer makes the last calls */
};

struct rpc {
	enum state state;
	struct lws *wsi; /* NULL before the connect and after the end */
	bool tcp;
	uv_loop_t *loop;
	const struct rpc_handlers *handlers;
	void *arg;
	uv_timer_t timer;    /* not after the next deadline, whatever the state */
	uv_prepare_t sender; /* before the loop waits: sends what was queued meanwhile */
	unsigned handles;    /* open ones of the two */
	uint64_t state_deadline_ms;
	struct call *calls; /* by id: every call without an answer */
	struct call *held;  /* those of them that are not sent yet, in order */
	unsigned in_flight;
	struct rpc_queue queue;
	char *rx; /* a message that did not arrive in one piece */
	size_t rx_len, rx_cap;
	char reason[160];
};

static uint64_t last_id; /* of the process: ids never repeat, over reconnects too */

static void on_timer(uv_timer_t *timer);

/* Finds the soonest deadline. */
static void
arm(struct rpc *rpc)
{
	uint64_t now = uv_now(rpc->loop), soonest = UINT64_MAX;
	struct call *call, *tmp;

	if (rpc->state == STATE_OPEN) {
		HASH_ITER(hh, rpc->calls, call, tmp) {
			if (call->deadline_ms < soonest)
				soonest = call->deadline_ms;
		}
	} else {
		soonest = rpc->state_deadline_ms;
	}
	if (soonest == UINT64_MAX)
		(void)uv_timer_stop(&rpc->timer); /* cannot fail on an initialised timer */
	else
		(void)uv_timer_start(&rpc->timer, on_timer, soonest > now ? soonest - now : 0, 0);
}

/* The connection is over, whoever ended it; on_closed follows from the loop. */
static void end(struct rpc *rpc, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
end(struct rpc *rpc, const char *fmt, ...)
{
	va_list ap;

	if (rpc->state == STATE_ENDED)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(rpc->reason, sizeof(rpc->reason), fmt, ap);
	va_end(ap);
	rpc->state = STATE_ENDED;
	rpc->state_deadline_ms = 0;
	arm(rpc);
}

/* Sends what is queued, as far as the socket takes it. -1: the connection is broken. */
static int
send_queued(struct rpc *rpc, struct lws *wsi)
{
	while (rpc->queue.first != NULL) {
		struct rpc_message *m = rpc->queue.first;
		size_t left = m->len - m->sent;
		size_t n = left < FRAGMENT_BYTES ? left : FRAGMENT_BYTES;
		int flags = lws_write_ws_flags(LWS_WRITE_TEXT, m->sent == 0, n == left);

		if (lws_partial_buffered(wsi)) {
			(void)lws_callback_on_writable(wsi); /* fails only on a dead wsi */
			return 0;
		}
		/* The frame header overwrites bytes in front: headroom, or sent already. */
		if (lws_write(wsi, m->room + LWS_PRE + m->sent, n, (enum lws_write_protocol)flags) <
		    0) {
			end(rpc, "writing to the app-server failed");
			return -1;
		}
		m->sent += n;
		if (m->sent == m->len)
			rpc_queue_pop(&rpc->queue);
	}
	return 0;
}

static void
on_prepare(uv_prepare_t *sender)
{
	struct rpc *rpc = sender->data;

	(void)uv_prepare_stop(sender); /* cannot fail */
	if (rpc->wsi != NULL && rpc->state == STATE_OPEN)
		(void)send_queued(rpc, rpc->wsi); /* it has ended the connection then */
}

/* It leaves before the loop waits again, without a question whether the socket is writable: each
 * of those costs four system calls. */
static void
enqueue(struct rpc *rpc, struct rpc_message *m)
{
	rpc_queue_push(&rpc->queue, m);
	(void)uv_prepare_start(&rpc->sender,
	                       on_prepare); /* cannot fail; nothing if it is started */
}

/* Sends calls that were held back, until so many are under way. */
static void
send_held(struct rpc *rpc, unsigned max_in_flight)
{
	while (rpc->held != NULL && rpc->in_flight < max_in_flight) {
		struct call *call = rpc->held;

		DL_DELETE(rpc->held, call);
		enqueue(rpc, call->held);
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
	send_held(rpc, RPC_IN_FLIGHT_MAX);
	if (call->answer != NULL)
		call->answer(call->arg, result, error);
	free(call);
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct rpc *rpc = handle->data;

	if (--rpc->handles == 0)
		free(rpc);
}

/* Answers what is unanswered, says goodbye, and goes. */
static void
finish(struct rpc *rpc)
{
	struct rpc_error lost = {.code = RPC_LOST, .message = rpc->reason};
	struct lws *wsi = rpc->wsi;

	rpc->wsi = NULL;
	if (wsi != NULL) {
		lws_set_opaque_user_data(wsi, NULL); /* its later callbacks find nobody */
		/* Here, outside of any callback of lws, it may be done at once. Its way of doing it
		 * later waits for the next thing that happens in lws, which may be never. */
		lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
	}
	while (rpc->calls != NULL)
		settle(rpc, rpc->calls, NULL, &lost);
	rpc->handlers->on_closed(rpc->arg, rpc, rpc->reason);
	rpc_queue_clear(&rpc->queue);
	free(rpc->rx);
	uv_close((uv_handle_t *)&rpc->timer, on_handle_closed);
	uv_close((uv_handle_t *)&rpc->sender, on_handle_closed);
}

static void
expire_calls(struct rpc *rpc)
{
	static const struct rpc_error timeout = {
		.code = RPC_TIMEOUT, .message = "the app-server did not answer in time"};
	uint64_t now = uv_now(rpc->loop);
	struct call *call, *tmp;

	/* An answer may add calls, or close the connection, but never ends another call. */
	HASH_ITER(hh, rpc->calls, call, tmp) {
		if (call->deadline_ms <= now && rpc->state == STATE_OPEN)
			settle(rpc, call, NULL, &timeout);
	}
	arm(rpc);
}

static void
on_timer(uv_timer_t *timer)
{
	struct rpc *rpc = timer->data;

	switch (rpc->state) {
	case STATE_OPENING:
		end(rpc, "no answer to the WebSocket handshake");
		break;
	case STATE_OPEN:
		expire_calls(rpc);
		break;
	case STATE_FLUSHING:
		end(rpc, "closed by us");
		break;
	case STATE_ENDED:
		finish(rpc);
		break;
	}
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

/* Of an answer that is needed for its id only, what begins it is parsed, with an end of ours. */
static json_t *
parse(const struct rpc *rpc, const char *bytes, size_t len)
{
	static const char end_of_it[] = "}}}";
	char brief[HEAD_MAX + sizeof(end_of_it)];
	unsigned long long id;
	struct call *call;
	size_t head;

	if (answer_scan(&id, &head, bytes, len) && head <= HEAD_MAX) {
		call = find_call(rpc, id);
		if (call != NULL && call->id_only) {
			memcpy(brief, bytes, head);
			memcpy(brief + head, end_of_it, sizeof(end_of_it));
			bytes = brief;
			len = head + sizeof(end_of_it) - 1;
		}
	}
	return json_loadb(bytes, len, JSON_ALLOW_NUL, NULL);
}

static void
handle_message(struct rpc *rpc, const char *bytes, size_t len)
{
	const struct rpc_handlers *h = rpc->handlers;
	json_auto_t *root = NULL;
	const char *method;
	json_t *id;

	if (h->on_frame(rpc->arg, rpc, bytes, len) || rpc->state != STATE_OPEN)
		return;
	root = parse(rpc, bytes, len);
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

/* Adds a piece of a message that is larger than one piece. */
static int
assemble(struct rpc *rpc, const char *bytes, size_t len)
{
	if (len > RPC_MESSAGE_MAX - rpc->rx_len) {
		end(rpc, "the app-server sent a message over %zu bytes", RPC_MESSAGE_MAX);
		return -1;
	}
	if (rpc->rx_len + len > rpc->rx_cap) {
		size_t cap = (rpc->rx_len + len) * 2;
		char *grown = realloc(rpc->rx, cap);

		if (grown == NULL) {
			end(rpc, "no memory for a message of the app-server");
			return -1;
		}
		rpc->rx = grown;
		rpc->rx_cap = cap;
	}
	if (len > 0) /* an empty last frame has no bytes to point to */
		memcpy(rpc->rx + rpc->rx_len, bytes, len);
	rpc->rx_len += len;
	return 0;
}

static int
on_receive(struct rpc *rpc, struct lws *wsi, const char *bytes, size_t len)
{
	bool last = lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;

	if (rpc->tcp) {
		int one = 1;

		/* The server leaves Nagle on: with delayed ACKs each of its small writes would wait
		 * 40 ms for us. The kernel forgets this setting, so it is renewed. Best effort. */
		(void)setsockopt(lws_get_socket_fd(wsi), IPPROTO_TCP, TCP_QUICKACK, &one,
		                 sizeof(one));
	}
	if (rpc->state != STATE_OPEN)
		return rpc->state == STATE_ENDED ? -1 : 0;
	if (last && rpc->rx_len == 0 && len > 0) {
		handle_message(rpc, bytes, len);
		return 0;
	}
	if (assemble(rpc, bytes, len) < 0)
		return -1;
	if (!last)
		return 0;
	if (rpc->rx_len > 0)
		handle_message(rpc, rpc->rx, rpc->rx_len);
	rpc->rx_len = 0;
	if (rpc->rx_cap > RX_PIECE_BYTES * 4) { /* large ones are rare: give the memory back */
		free(rpc->rx);
		rpc->rx = NULL;
		rpc->rx_cap = 0;
	}
	return 0;
}

static int
on_writeable(struct rpc *rpc, struct lws *wsi)
{
	if (rpc->state == STATE_ENDED)
		return -1;
	if (send_queued(rpc, wsi) < 0)
		return -1;
	if (rpc->queue.first != NULL)
		return 0;
	if (rpc->state != STATE_FLUSHING)
		return 0;
	end(rpc, "closed by us");
	/* For when it is closed: after a -1 from here lws would not say goodbye. */
	lws_close_reason(wsi, LWS_CLOSE_STATUS_GOINGAWAY, NULL, 0);
	return 0;
}

/* The last that lws says of a connection; any of several callbacks may be it. */
static void
on_gone(struct rpc *rpc, struct lws *wsi, const char *why, size_t len)
{
	lws_set_opaque_user_data(wsi, NULL);
	if (rpc == NULL)
		return;
	if (why != NULL)
		end(rpc, "%.*s", (int)len, why);
	else if (rpc->state != STATE_OPENING)
		end(rpc, "the connection was closed");
	else
		end(rpc, rpc->wsi == NULL ? "cannot connect" : "the handshake was not answered");
	rpc->wsi = NULL;
}

static int
on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct rpc *rpc = wsi != NULL ? lws_get_opaque_user_data(wsi) : NULL;

	switch ((int)reason) {
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return rpc != NULL ? on_receive(rpc, wsi, in, len) : 0;
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return rpc != NULL ? on_writeable(rpc, wsi) : 0;
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		if (rpc == NULL || rpc->state != STATE_OPENING)
			return -1;
		rpc->state = STATE_OPEN;
		arm(rpc);
		rpc->handlers->on_open(rpc->arg, rpc);
		return 0;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		on_gone(rpc, wsi, in, len);
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
	case LWS_CALLBACK_WSI_DESTROY: /* the only word on a handshake that is never answered */
		on_gone(rpc, wsi, NULL, 0);
		return 0;
	}
	return lws_callback_http_dummy(wsi, reason, user, in, len);
}

struct lws_vhost *
rpc_vhost_new(struct lws_context *ctx, struct err *err)
{
	static const struct lws_protocols protocols[] = {
		{.name = "codex-rpc",
	         .callback = on_event,
	         .rx_buffer_size = RX_PIECE_BYTES,
	         .tx_packet_size = FRAGMENT_BYTES + 64},
		{.name = NULL},
	};
	struct lws_context_creation_info info;
	struct lws_vhost *vhost;

	memset(&info, 0, sizeof(info));
	info.vhost_name = "codex-rpc";
	info.port = CONTEXT_PORT_NO_LISTEN;
	info.protocols = protocols;
	info.user = ctx; /* so that rpc_open needs the vhost only */
	vhost = lws_create_vhost(ctx, &info);
	if (vhost == NULL)
		(void)err_set(err, -ENOMEM, "cannot make the WebSocket client"); /* NULL says it */
	return vhost;
}

int
rpc_open(struct rpc **out, struct lws_vhost *vhost, uv_loop_t *loop, const char *url,
         const struct rpc_handlers *handlers, void *arg, struct err *err)
{
	/* A peer that answers no ping for 30 s is gone, whatever TCP thinks. */
	static const lws_retry_bo_t policy = {.secs_since_valid_ping = 20,
	                                      .secs_since_valid_hangup = 30};
	struct lws_client_connect_info ci;
	struct rpc_url where;
	struct rpc *rpc;
	struct lws *wsi;
	int r;

	r = rpc_url_parse(&where, url, err);
	if (r < 0)
		return r;
	rpc = calloc(1, sizeof(*rpc));
	if (rpc == NULL) {
		rpc_url_free(&where);
		return err_set(err, -ENOMEM, "no memory");
	}
	rpc->tcp = where.tcp;
	rpc->state = STATE_OPENING;
	rpc->loop = loop;
	rpc->handlers = handlers;
	rpc->arg = arg;
	(void)uv_timer_init(loop, &rpc->timer); /* cannot fail */
	(void)uv_prepare_init(loop, &rpc->sender);
	rpc->timer.data = rpc->sender.data = rpc;
	rpc->handles = 2;
	rpc->state_deadline_ms = uv_now(loop) + OPEN_TIMEOUT_MS;
	arm(rpc);
	*out = rpc;
	memset(&ci, 0, sizeof(ci));
	ci.address = where.address;
	ci.port = where.port;
	ci.host = where.host;
	ci.path = where.path;
	ci.context = lws_get_vhost_user(vhost);
	ci.vhost = vhost;
	ci.local_protocol_name = "codex-rpc";
	ci.retry_and_idle_policy = &policy;
	ci.opaque_user_data = rpc;
	/* Callbacks may run, and the state change, before this returns. */
	wsi = lws_client_connect_via_info(&ci);
	if (wsi == NULL)
		end(rpc, "cannot connect");
	if (rpc->state != STATE_ENDED)
		rpc->wsi = wsi;
	else
		lws_orphans_close(loop);
	rpc_url_free(&where); /* lws has copied what it needs */
	return 0;
}

void
rpc_close(struct rpc *rpc)
{
	switch (rpc->state) {
	case STATE_OPENING:
		end(rpc, "closed by us");
		break;
	case STATE_OPEN:
		send_held(rpc, UINT_MAX); /* interrupts may be among them */
		rpc->state = STATE_FLUSHING;
		rpc->state_deadline_ms = uv_now(rpc->loop) + FLUSH_TIMEOUT_MS;
		arm(rpc);
		(void)lws_callback_on_writable(rpc->wsi); /* fails only on a dead wsi */
		break;
	case STATE_FLUSHING:
	case STATE_ENDED:
		break;
	}
}

uint64_t
rpc_call(struct rpc *rpc, const char *method, const char *params, size_t len, uint64_t timeout_ms,
         rpc_answer_fn answer, void *arg)
{
	struct rpc_message *m;
	struct call *call;
	char head[160];
	int n;

	if (rpc->state != STATE_OPEN || len > RPC_MESSAGE_MAX - sizeof(head) ||
	    rpc->queue.bytes + len > QUEUE_MAX_BYTES)
		return 0;
	n = snprintf(head, sizeof(head),
	             "{\"id\":%llu,\"method\":\"%s\",\"params\":", (unsigned long long)++last_id,
	             method);
	assert(n > 0 && (size_t)n < sizeof(head)); /* methods are our own constants */
	m = rpc_message_new((const char *const[]){head, params, "}"},
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
	DL_APPEND(rpc->held, call);
	send_held(rpc, RPC_IN_FLIGHT_MAX);
	if (uv_timer_get_due_in(&rpc->timer) > timeout_ms ||
	    !uv_is_active((uv_handle_t *)&rpc->timer))
		(void)uv_timer_start(&rpc->timer, on_timer, timeout_ms, 0); /* a live handle */
	return call->id;
}

void
rpc_wants_id_only(struct rpc *rpc, uint64_t id)
{
	struct call *call = find_call(rpc, id);

	if (call != NULL)
		call->id_only = true;
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
	struct rpc_message *m;

	if (rpc->state != STATE_OPEN || rpc->queue.bytes > QUEUE_MAX_BYTES)
		return;
	m = rpc_message_new(pieces, lens, count);
	if (m == NULL) {
		log_warning("no memory for a message to the app-server: dropped");
		return;
	}
	enqueue(rpc, m);
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
