/* sse: a stream of server-sent events as the answer to an exchange. */
#include "proxy/http/sse.h"

#include <stdlib.h>

/* A comment, not an event: proxies on the way see bytes, parsers of the stream see nothing. */
static const char keepalive_comment[] = ": keep-alive\n\n";

struct sse {
	struct http_exchange *x;
	uv_timer_t timer; /* header delay first, keep-alive after */
	uint64_t header_delay_ms;
	uint64_t keepalive_ms;
	uint64_t last_write; /* loop time, ms */
	bool open;
	void (*on_open)(void *arg);
	void *arg;
};

struct sse *
sse_new(uv_loop_t *loop, struct http_exchange *x, uint64_t header_delay_ms, uint64_t keepalive_ms,
        void (*on_open)(void *arg), void *arg)
{
	struct sse *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->x = x;
	s->header_delay_ms = header_delay_ms;
	s->keepalive_ms = keepalive_ms;
	s->on_open = on_open;
	s->arg = arg;
	(void)uv_timer_init(loop, &s->timer); /* cannot fail */
	s->timer.data = s;
	return s;
}

static void
on_keepalive(uv_timer_t *timer)
{
	struct sse *s = timer->data;
	uint64_t idle = uv_now(timer->loop) - s->last_write;

	/* Writes only note the time; the timer catches up here. */
	if (idle >= s->keepalive_ms) {
		(void)sse_write(s, keepalive_comment, sizeof(keepalive_comment) - 1, NULL, 0, NULL,
		                0); /* a client cut off is told by on_done */
		idle = 0;
	}
	uv_timer_start(timer, on_keepalive, s->keepalive_ms - idle, 0);
}

static void
on_delay_over(uv_timer_t *timer)
{
	struct sse *s = timer->data;

	sse_open(s);
	s->on_open(s->arg);
}

void
sse_start_delay(struct sse *s)
{
	if (!s->open)
		uv_timer_start(&s->timer, on_delay_over, s->header_delay_ms, 0);
}

void
sse_open(struct sse *s)
{
	if (s->open)
		return;
	s->open = true;
	uv_timer_stop(&s->timer); /* the delay's */
	s->last_write = uv_now(s->timer.loop);
	http_add_header(s->x, "cache-control", "no-cache");
	/* nginx would hold the events back otherwise. */
	http_add_header(s->x, "x-accel-buffering", "no");
	http_stream_begin(s->x, 200, "text/event-stream; charset=utf-8");
	if (s->keepalive_ms > 0)
		uv_timer_start(&s->timer, on_keepalive, s->keepalive_ms, 0);
}

bool
sse_is_open(const struct sse *s)
{
	return s->open;
}

bool
sse_write(struct sse *s, const char *a, size_t alen, const char *b, size_t blen, const char *c,
          size_t clen)
{
	s->last_write = uv_now(s->timer.loop);
	return http_stream_write(s->x, a, alen, b, blen, c, clen);
}

bool
sse_event(struct sse *s, const char *data, size_t len)
{
	return sse_write(s, "data: ", 6, data, len, "\n\n", 2);
}

void
sse_end(struct sse *s)
{
	uv_timer_stop(&s->timer);
	http_stream_end(s->x);
}

static void
on_closed(uv_handle_t *handle)
{
	struct sse *s = handle->data;

	free(s);
}

void
sse_free(struct sse *s)
{
	if (s != NULL)
		uv_close((uv_handle_t *)&s->timer, on_closed);
}
