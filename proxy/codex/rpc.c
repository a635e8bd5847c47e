/* rpc: one WebSocket connection to an app-server, its calls, and every way it can end. */
#include "proxy/codex/rpc.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <uthash.h>
#include <utlist.h>

#include "common/log.h"

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

struct message {
	struct message *next;
	size_t len;
	size_t sent;
	unsigned char room[]; /* LWS_PRE bytes for the frame header, then the text */
};

struct call {
	uint64_t id;
	uint64_t deadline_ms;
	rpc_answer_fn answer;
	void *arg;
	struct message *held;     /* not sent yet: RPC_IN_FLIGHT_MAX others are under way */
	struct call *prev, *next; /* among the held ones */
	UT_hash_handle hh;
};

enum state {
	STATE_OPENING,
	STATE_OPEN,
	STATE_FLUSHING, /* closing; the queue goes out first */
	STATE_ENDED,    /* the socket is not ours any more; the timer makes the last calls */
};

struct rpc {
	enum state state;
	struct lws *wsi; /* NULL before the connect and after the end */
	bool tcp;
	uv_loop_t *loop;
	const struct rpc_handlers *handlers;
	void *arg;
	uv_timer_t timer; /* the next deadline, whatever the state */
	uint64_t state_deadline_ms;
	struct call *calls; /* by id: every call without an answer */
	struct call *held;  /* those of them that are not sent yet, in order */
	unsigned in_flight;
	struct message *queue, *queue_last;
	size_t queue_bytes;
	char *rx; /* a message that did not arrive in one piece */
	size_t rx_len, rx_cap;
	char reason[160];
};

static uint64_t last_id; /* of the process: ids never repeat, over reconnects too */

static void on_timer(uv_timer_t *timer);

/* The timer stands for the soonest deadline. */
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
	if (rpc->wsi != NULL)
		lws_set_opaque_user_data(rpc->wsi, NULL); /* its later callbacks find nobody */
	rpc->wsi = NULL;
	rpc->state = STATE_ENDED;
	rpc->state_deadline_ms = 0;
	arm(rpc);
}

/* For an end that lws does not know of yet. */
static void
kill_connection(struct rpc *rpc, const char *reason)
{
	struct lws *wsi = rpc->wsi;

	end(rpc, "%s", reason);
	if (wsi != NULL)
		lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

static void
queue_push(struct rpc *rpc, struct message *m)
{
	m->next = NULL;
	if (rpc->queue == NULL)
		rpc->queue = m;
	else
		rpc->queue_last->next = m;
	rpc->queue_last = m;
	rpc->queue_bytes += m->len;
	if (rpc->wsi != NULL)
		(void)lws_callback_on_writable(rpc->wsi); /* fails only on a dead wsi */
}

static void
queue_pop(struct rpc *rpc)
{
	struct message *m = rpc->queue;

	rpc->queue = m->next;
	rpc->queue_bytes -= m->len;
	free(m);
}

/* Sends calls that were held back, as far as there is room. */
static void
send_held(struct rpc *rpc)
{
	while (rpc->held != NULL && rpc->in_flight < RPC_IN_FLIGHT_MAX) {
		struct call *call = rpc->held;

		DL_DELETE(rpc->held, call);
		queue_push(rpc, call->held);
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
	send_held(rpc);
	if (call->answer != NULL)
		call->answer(call->arg, result, error);
	free(call);
}

static void
on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* Answers what is unanswered, says goodbye, and goes. */
static void
finish(struct rpc *rpc)
{
	struct rpc_error lost = {.code = RPC_LOST, .message = rpc->reason};

	while (rpc->calls != NULL)
		settle(rpc, rpc->calls, NULL, &lost);
	rpc->handlers->on_closed(rpc->arg, rpc, rpc->reason);
	while (rpc->queue != NULL)
		queue_pop(rpc);
	free(rpc->rx);
	uv_close((uv_handle_t *)&rpc->timer, on_timer_closed);
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
		kill_connection(rpc, "no answer to the WebSocket handshake");
		break;
	case STATE_OPEN:
		expire_calls(rpc);
		break;
	case STATE_FLUSHING:
		kill_connection(rpc, "closed by us");
		break;
	case STATE_ENDED:
		finish(rpc);
		break;
	}
}

static void
handle_answer(struct rpc *rpc, json_t *root, json_t *id)
{
	struct rpc_error error = {.code = -32603, .message = "answer without a result"};
	json_t *result = json_object_get(root, "result");
	json_t *failed = json_object_get(root, "error");
	struct call *call;
	uint64_t key;

	if (!json_is_integer(id))
		return;
	key = (uint64_t)json_integer_value(id);
	HASH_FIND(hh, rpc->calls, &key, sizeof(key), call);
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
	if (rpc->state == STATE_OPEN)
		arm(rpc);
}

static void
handle_message(struct rpc *rpc, const char *bytes, size_t len)
{
	const struct rpc_handlers *h = rpc->handlers;
	json_auto_t *root = NULL;
	const char *method;
	json_t *id;

	if (h->on_frame(rpc->arg, rpc, bytes, len))
		return;
	root = json_loadb(bytes, len, JSON_ALLOW_NUL, NULL);
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
		return 0;
	if (last && rpc->rx_len == 0) {
		handle_message(rpc, bytes, len);
		return 0;
	}
	if (assemble(rpc, bytes, len) < 0)
		return -1;
	if (!last)
		return 0;
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
	while (rpc->queue != NULL) {
		struct message *m = rpc->queue;
		size_t left = m->len - m->sent;
		size_t n = left < FRAGMENT_BYTES ? left : FRAGMENT_BYTES;
		int flags = lws_write_ws_flags(LWS_WRITE_TEXT, m->sent == 0, n == left);

		/* The frame header overwrites bytes in front: headroom, or sent already. */
		if (lws_write(wsi, m->room + LWS_PRE + m->sent, n, (enum lws_write_protocol)flags) <
		    0) {
			end(rpc, "writing to the app-server failed");
			return -1;
		}
		m->sent += n;
		if (m->sent == m->len)
			queue_pop(rpc);
		if (rpc->queue != NULL && lws_send_pipe_choked(wsi)) {
			(void)lws_callback_on_writable(wsi); /* fails only on a dead wsi */
			return 0;
		}
	}
	if (rpc->state != STATE_FLUSHING)
		return 0;
	end(rpc, "closed by us");
	lws_close_reason(wsi, LWS_CLOSE_STATUS_GOINGAWAY, NULL, 0);
	return -1;
}

static int
on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct rpc *rpc = wsi != NULL ? lws_get_opaque_user_data(wsi) : NULL;

	switch ((int)reason) {
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return rpc != NULL ? on_receive(rpc, wsi, in, len) : -1;
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return rpc != NULL ? on_writeable(rpc, wsi) : -1;
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		if (rpc == NULL)
			return -1;
		if (rpc->state == STATE_OPENING) {
			rpc->state = STATE_OPEN;
			arm(rpc);
			rpc->handlers->on_open(rpc->arg, rpc);
		}
		return 0;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		if (rpc != NULL)
			end(rpc, "%.*s", in != NULL ? (int)len : 14,
			    in != NULL ? (const char *)in : "cannot connect");
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
	case LWS_CALLBACK_WSI_DESTROY: /* the only word on a handshake that is never answered */
		if (rpc != NULL)
			end(rpc, rpc->state == STATE_OPENING ? "the handshake was not answered"
			                                     : "the connection was closed");
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

/* Parses url into ci; text is a copy of url that lives until the connect has begun. */
static int
parse_url(struct lws_client_connect_info *ci, char *text, char *host, size_t host_size, bool *tcp,
          struct err *err)
{
	const char *scheme, *address, *path;
	int port;

	if (strncmp(text, "unix://", 7) == 0 && text[7] == '/') {
		text[6] = '+'; /* as lws wants it: +/path */
		ci->address = text + 6;
		ci->path = "/";
		ci->host = "localhost";
		return 0;
	}
	if (strncmp(text, "ws://", 5) != 0)
		return err_set(err, -EINVAL, "%s: not unix:///PATH or ws://HOST:PORT", text);
	if (lws_parse_uri(text, &scheme, &address, &port, &path) != 0 || *address == '\0')
		return err_set(err, -EINVAL, "not a WebSocket address");
	(void)snprintf(host, host_size, "%s:%d", address, port);
	ci->address = address;
	ci->port = port;
	ci->host = host;
	/* lws dropped the slash in front of the path; the byte is still there to be used again. */
	ci->path = "/";
	if (*path != '\0' && *path != '/') {
		char *slash = text + (path - text) - 1;

		*slash = '/';
		ci->path = slash;
	}
	*tcp = true;
	return 0;
}

int
rpc_open(struct rpc **out, struct lws_vhost *vhost, uv_loop_t *loop, const char *url,
         const struct rpc_handlers *handlers, void *arg, struct err *err)
{
	/* A peer that answers no ping for 30 s is gone, whatever TCP thinks. */
	static const lws_retry_bo_t policy = {.secs_since_valid_ping = 20,
	                                      .secs_since_valid_hangup = 30};
	struct lws_client_connect_info ci;
	AUTO_FREE char *text = strdup(url);
	struct rpc *rpc;
	struct lws *wsi;
	char host[300];
	int r;

	rpc = calloc(1, sizeof(*rpc));
	if (text == NULL || rpc == NULL) {
		free(rpc);
		return err_set(err, -ENOMEM, "no memory");
	}
	memset(&ci, 0, sizeof(ci));
	r = parse_url(&ci, text, host, sizeof(host), &rpc->tcp, err);
	if (r < 0) {
		free(rpc);
		return r;
	}
	rpc->state = STATE_OPENING;
	rpc->loop = loop;
	rpc->handlers = handlers;
	rpc->arg = arg;
	(void)uv_timer_init(loop, &rpc->timer); /* cannot fail */
	rpc->timer.data = rpc;
	rpc->state_deadline_ms = uv_now(loop) + OPEN_TIMEOUT_MS;
	arm(rpc);
	*out = rpc;
	ci.context = lws_get_vhost_user(vhost);
	ci.vhost = vhost;
	ci.local_protocol_name = "codex-rpc";
	ci.retry_and_idle_policy = &policy;
	ci.opaque_user_data = rpc;
	/* Callbacks may run, and the state change, before this returns. */
	wsi = lws_client_connect_via_info(&ci);
	if (wsi == NULL)
		end(rpc, "cannot connect");
	else if (rpc->state != STATE_ENDED)
		rpc->wsi = wsi;
	return 0;
}

void
rpc_close(struct rpc *rpc)
{
	switch (rpc->state) {
	case STATE_OPENING:
		kill_connection(rpc, "closed by us");
		break;
	case STATE_OPEN:
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

/* Queues the text that the pieces make up. */
static struct message *
message_new(const char *const *pieces, const size_t *lens, size_t count)
{
	struct message *m;
	size_t len = 0, at = LWS_PRE;

	for (size_t i = 0; i < count; i++)
		len += lens[i];
	m = malloc(sizeof(*m) + LWS_PRE + len);
	if (m == NULL)
		return NULL;
	m->next = NULL;
	m->len = len;
	m->sent = 0;
	for (size_t i = 0; i < count; i++) {
		memcpy(m->room + at, pieces[i], lens[i]);
		at += lens[i];
	}
	return m;
}

uint64_t
rpc_call(struct rpc *rpc, const char *method, const char *params, size_t len, uint64_t timeout_ms,
         rpc_answer_fn answer, void *arg)
{
	struct message *m;
	struct call *call;
	char head[160];
	int n;

	if (rpc->state != STATE_OPEN || len > RPC_MESSAGE_MAX - sizeof(head) ||
	    rpc->queue_bytes + len > QUEUE_MAX_BYTES)
		return 0;
	n = snprintf(head, sizeof(head),
	             "{\"id\":%llu,\"method\":\"%s\",\"params\":", (unsigned long long)++last_id,
	             method);
	assert(n > 0 && (size_t)n < sizeof(head)); /* methods are our own constants */
	m = message_new((const char *const[]){head, params, "}"},
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
	send_held(rpc);
	if (uv_timer_get_due_in(&rpc->timer) > timeout_ms ||
	    !uv_is_active((uv_handle_t *)&rpc->timer))
		arm(rpc);
	return call->id;
}

void
rpc_abandon(struct rpc *rpc, uint64_t id)
{
	struct call *call;

	HASH_FIND(hh, rpc->calls, &id, sizeof(id), call);
	if (call != NULL)
		call->answer = NULL;
}

/* A message that waits for nothing. Lost without memory: the peer has its own deadlines. */
static void
send_text(struct rpc *rpc, const char *const *pieces, const size_t *lens, size_t count)
{
	struct message *m;

	if (rpc->state != STATE_OPEN || rpc->queue_bytes > QUEUE_MAX_BYTES)
		return;
	m = message_new(pieces, lens, count);
	if (m == NULL) {
		log_warning("no memory for a message to the app-server: dropped");
		return;
	}
	queue_push(rpc, m);
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
