/* websocket: one connection to a WebSocket server, and every way it can end. */
#include "proxy/codex/websocket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/log.h"
#include "proxy/codex/dial.h"
#include "proxy/codex/rpc_url.h"
#include "proxy/codex/ws_in.h"
#include "proxy/codex/ws_out.h"
#include "proxy/codex/ws_upgrade.h"

/* Connect and upgrade take 1 ms; a server that starts under load was seen to take 0.3 s. */
#define OPEN_TIMEOUT_MS  5000
/* What is queued when we close (interrupts, unsubscribes) is small: it leaves at once or never. */
#define FLUSH_TIMEOUT_MS 500
/* A peer that has said nothing for so long is asked, and one that does not answer is gone, whatever
 * TCP thinks. */
#define PING_AFTER_MS    20000
#define GONE_AFTER_MS    30000
/* A read brings what has come meanwhile, which can be a lot. */
#define READ_MAX         ((size_t)64 << 10)
/* A turn begins with three messages; more of them leave in the next write. */
#define BUFS_AT_ONCE     32

enum state {
	STATE_OPENING,
	STATE_OPEN,
	STATE_FLUSHING, /* closing; the queue goes out first */
	STATE_ENDED,    /* nothing is sent or heard any more; the timer makes the last call */
};

struct websocket {
	enum state state;
	uv_loop_t *loop;
	const struct websocket_handlers *handlers;
	void *arg;
	struct rpc_url where;
	struct dial dial;
	bool connected;
	struct ws_upgrade upgrade;
	struct ws_in *in;
	struct ws_out out;
	uv_write_t write; /* of what the socket did not take at once */
	bool writing;
	size_t write_bytes;
	bool goodbye_queued;
	uv_timer_t timer;    /* the deadline of the state; while it is open, the pings */
	uv_prepare_t sender; /* before the loop waits: sends what was queued meanwhile */
	unsigned open;       /* handles, and what dial has */
	uint64_t heard_ms;   /* loop time of the last read */
	char reason[160];
};

static void flush(struct websocket *ws);
static void on_timer(uv_timer_t *timer);

/* --- the end --------------------------------------------------------------------------------- */

static void
let_go(struct websocket *ws)
{
	if (--ws->open > 0)
		return;
	ws_in_free(ws->in);
	ws_out_fini(&ws->out);
	rpc_url_free(&ws->where);
	free(ws);
}

static void
on_handle_closed(uv_handle_t *handle)
{
	let_go(handle->data);
}

static void
on_dial_closed(void *arg)
{
	let_go(arg);
}

/* The connection is over, whoever ended it; on_closed follows from the loop. */
static void end(struct websocket *ws, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
end(struct websocket *ws, const char *fmt, ...)
{
	va_list ap;

	if (ws->state == STATE_ENDED)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(ws->reason, sizeof(ws->reason), fmt, ap);
	va_end(ap);
	ws->state = STATE_ENDED;
	(void)uv_timer_start(&ws->timer, on_timer, 0, 0); /* a live handle */
}

static void
finish(struct websocket *ws)
{
	ws->handlers->on_closed(ws->arg, ws->reason);
	uv_close((uv_handle_t *)&ws->timer, on_handle_closed);
	uv_close((uv_handle_t *)&ws->sender, on_handle_closed);
	if (!dial_close(&ws->dial, on_dial_closed))
		let_go(ws);
}

/* Silent for too long? */
static void
look_for_life(struct websocket *ws)
{
	uint64_t silent_ms = uv_now(ws->loop) - ws->heard_ms;
	uint64_t wait_ms = PING_AFTER_MS - silent_ms;
	struct ws_message *ping;

	if (silent_ms >= GONE_AFTER_MS) {
		end(ws, "the app-server answers no ping");
		return;
	}
	if (silent_ms >= PING_AFTER_MS) {
		wait_ms = GONE_AFTER_MS - silent_ms;
		ping = ws_out_control(&ws->out, WSLAY_PING, NULL, 0);
		if (ping != NULL) /* no memory: its silence will be judged all the same */
			websocket_send(ws, ping);
	}
	(void)uv_timer_start(&ws->timer, on_timer, wait_ms, 0); /* a live handle */
}

static void
on_timer(uv_timer_t *timer)
{
	struct websocket *ws = timer->data;

	switch (ws->state) {
	case STATE_OPENING:
		end(ws, "no answer to the WebSocket handshake");
		break;
	case STATE_OPEN:
		look_for_life(ws);
		break;
	case STATE_FLUSHING:
		end(ws, "closed by us");
		break;
	case STATE_ENDED:
		finish(ws);
		break;
	}
}

/* --- sending --------------------------------------------------------------------------------- */

static void
on_written(uv_write_t *write, int status)
{
	struct websocket *ws = write->data;

	ws->writing = false;
	if (status < 0) {
		end(ws, "writing to the app-server failed: %s", uv_strerror(status));
		return;
	}
	ws_out_consume(&ws->out, ws->write_bytes);
	flush(ws);
}

static size_t
sum(const uv_buf_t *bufs, unsigned count)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < count; i++)
		bytes += bufs[i].len;
	return bytes;
}

/* The rest leaves when the socket takes it. */
static int
write_later(struct websocket *ws)
{
	uv_buf_t bufs[BUFS_AT_ONCE];
	unsigned count = ws_out_peek(&ws->out, bufs, BUFS_AT_ONCE);

	ws->write.data = ws;
	ws->write_bytes = sum(bufs, count);
	ws->writing = true;
	return uv_write(&ws->write, &ws->dial.socket.stream, bufs, count, on_written);
}

static void
queue_goodbye(struct websocket *ws)
{
	static const unsigned char going_away[] = {WSLAY_CODE_GOING_AWAY >> 8,
	                                           WSLAY_CODE_GOING_AWAY & 255};
	struct ws_message *goodbye =
		ws_out_control(&ws->out, WSLAY_CONNECTION_CLOSE, going_away, sizeof(going_away));

	ws->goodbye_queued = true;
	if (goodbye != NULL) /* no memory: it will see that we are gone */
		ws_out_push(&ws->out, goodbye);
}

/* Everything has left: the last word, and the end. */
static void
on_flushed(struct websocket *ws)
{
	if (ws->goodbye_queued) {
		end(ws, "closed by us");
		return;
	}
	queue_goodbye(ws);
	flush(ws);
}

/* Sends what is queued, as far as the socket takes it. */
static void
flush(struct websocket *ws)
{
	uv_buf_t bufs[BUFS_AT_ONCE];
	int r = 0;

	if (ws->writing || !ws->connected || ws->state == STATE_ENDED)
		return;
	while (r >= 0 && !ws->writing && ws->out.first != NULL) {
		unsigned count = ws_out_peek(&ws->out, bufs, BUFS_AT_ONCE);

		r = uv_try_write(&ws->dial.socket.stream, bufs, count);
		if (r >= 0)
			ws_out_consume(&ws->out, (size_t)r);
		if (r == UV_EAGAIN || (r >= 0 && (size_t)r < sum(bufs, count)))
			r = write_later(ws);
	}
	if (r < 0)
		end(ws, "writing to the app-server failed: %s", uv_strerror(r));
	else if (ws->out.first == NULL && ws->state == STATE_FLUSHING)
		on_flushed(ws);
}

static void
on_prepare(uv_prepare_t *sender)
{
	(void)uv_prepare_stop(sender); /* cannot fail */
	flush(sender->data);
}

void
websocket_send(struct websocket *ws, struct ws_message *m)
{
	ws_out_push(&ws->out, m);
	(void)uv_prepare_start(&ws->sender, on_prepare); /* nothing if it is started */
}

/* --- receiving ------------------------------------------------------------------------------- */

static void
on_message(void *arg, const char *bytes, size_t len)
{
	struct websocket *ws = arg;

	if (ws->state == STATE_OPEN)
		ws->handlers->on_message(ws->arg, bytes, len);
}

static void
on_ping(void *arg, const char *bytes, size_t len)
{
	struct websocket *ws = arg;
	struct ws_message *pong;

	if (ws->state != STATE_OPEN)
		return;
	pong = ws_out_control(&ws->out, WSLAY_PONG, bytes, len);
	if (pong != NULL) /* no memory: it may ask again */
		websocket_send(ws, pong);
}

static void
on_goodbye(void *arg)
{
	struct websocket *ws = arg;

	if (ws->state == STATE_OPEN) {
		queue_goodbye(ws); /* as it is polite to do */
		flush(ws);
	}
	end(ws, "the app-server closed the connection");
}

static const struct ws_in_handlers in_handlers = {
	.on_message = on_message, .on_ping = on_ping, .on_goodbye = on_goodbye};

/* Returns how many of the bytes were the answer to the upgrade. */
static size_t
read_upgrade(struct websocket *ws, const char *bytes, size_t len)
{
	size_t used = ws_upgrade_feed(&ws->upgrade, bytes, len);

	if (ws->upgrade.state == WS_UPGRADE_REFUSED)
		end(ws, "%s", ws->upgrade.problem);
	if (ws->upgrade.state != WS_UPGRADE_DONE)
		return len;
	ws->state = STATE_OPEN;
	look_for_life(ws); /* starts its timer */
	ws->handlers->on_open(ws->arg);
	return used;
}

static void
heard(struct websocket *ws, const char *bytes, size_t len)
{
	const char *problem = NULL;
	size_t used = 0;

	ws->heard_ms = uv_now(ws->loop);
	if (ws->state == STATE_OPENING)
		used = read_upgrade(ws, bytes, len);
	if (used < len && ws->state != STATE_ENDED)
		problem = ws_in_feed(ws->in, bytes + used, len - used);
	if (problem != NULL)
		end(ws, "%s", problem);
}

/* One buffer for all: what was read is dealt with before the next read. */
static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char room[READ_MAX];

	*buf = uv_buf_init(room, sizeof(room));
}

/* The server leaves Nagle on: with delayed ACKs each of its small writes would wait 40 ms for us.
 * The kernel forgets this setting, so it is renewed. Best effort. */
static void
acknowledge_quickly(struct websocket *ws)
{
	int one = 1;
	uv_os_fd_t fd;

	if (ws->where.tcp && uv_fileno(&ws->dial.socket.handle, &fd) == 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct dial *dial = stream->data;
	struct websocket *ws = dial->arg;

	if (n > 0) {
		acknowledge_quickly(ws);
		heard(ws, buf->base, (size_t)n);
	} else if (n < 0) {
		end(ws, "%s%s%s",
		    ws->state == STATE_OPENING ? "the handshake was not answered"
		                               : "the connection was closed",
		    n != UV_EOF ? ": " : "", n != UV_EOF ? uv_strerror((int)n) : "");
	}
	if (ws->state == STATE_ENDED)
		(void)uv_read_stop(stream); /* cannot fail */
}

/* --- opening --------------------------------------------------------------------------------- */

static void
on_connected(void *arg, int status)
{
	struct websocket *ws = arg;
	char request[2048];
	uv_buf_t buf;
	int r = status;

	if (ws->state == STATE_ENDED)
		return;
	if (r == 0)
		r = uv_read_start(&ws->dial.socket.stream, on_alloc, on_read);
	if (r < 0) {
		end(ws, "cannot connect: %s", uv_strerror(r));
		return;
	}
	ws->connected = true;
	r = ws_upgrade_begin(&ws->upgrade, request, sizeof(request), ws->where.host,
	                     ws->where.path);
	if (r > 0) {
		buf = uv_buf_init(request, (unsigned)r);
		r = uv_try_write(&ws->dial.socket.stream, &buf, 1);
	}
	/* A new socket has room for it. */
	if (r < 0 || (size_t)r < buf.len)
		end(ws, "the handshake could not be sent");
}

int
websocket_open(struct websocket **out, uv_loop_t *loop, const char *url, size_t max_message_bytes,
               const struct websocket_handlers *handlers, void *arg, struct err *err)
{
	struct websocket *ws = calloc(1, sizeof(*ws));
	int r;

	if (ws == NULL)
		return err_set(err, -ENOMEM, "no memory");
	r = rpc_url_parse(&ws->where, url, err);
	if (r < 0) {
		free(ws);
		return r;
	}
	ws->in = ws_in_new(max_message_bytes, &in_handlers, ws);
	if (ws->in == NULL || ws_out_init(&ws->out) < 0) {
		ws_in_free(ws->in);
		rpc_url_free(&ws->where);
		free(ws);
		return err_set(err, -ENOMEM, "no memory");
	}
	ws->state = STATE_OPENING;
	ws->loop = loop;
	ws->handlers = handlers;
	ws->arg = arg;
	(void)uv_timer_init(loop, &ws->timer); /* neither can fail */
	(void)uv_prepare_init(loop, &ws->sender);
	ws->timer.data = ws->sender.data = ws;
	ws->open = 3; /* these two, and dial */
	ws->heard_ms = uv_now(loop);
	(void)uv_timer_start(&ws->timer, on_timer, OPEN_TIMEOUT_MS, 0); /* a live handle */
	r = dial_start(&ws->dial, loop, &ws->where, on_connected, ws);
	if (r < 0)
		end(ws, "cannot connect: %s", uv_strerror(r));
	*out = ws;
	return 0;
}

void
websocket_close(struct websocket *ws)
{
	switch (ws->state) {
	case STATE_OPENING:
		end(ws, "closed by us");
		break;
	case STATE_OPEN:
		ws->state = STATE_FLUSHING;
		(void)uv_timer_start(&ws->timer, on_timer, FLUSH_TIMEOUT_MS, 0); /* a live handle */
		(void)uv_prepare_start(&ws->sender, on_prepare);
		break;
	case STATE_FLUSHING:
	case STATE_ENDED:
		break;
	}
}

bool
websocket_is_open(const struct websocket *ws)
{
	return ws->state == STATE_OPEN;
}

struct ws_message *
websocket_text(struct websocket *ws, const char *const *pieces, const size_t *lens, size_t count)
{
	return ws_out_text(&ws->out, pieces, lens, count);
}

size_t
websocket_unsent_bytes(const struct websocket *ws)
{
	return ws->out.bytes;
}
