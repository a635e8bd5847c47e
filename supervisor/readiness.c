/* readiness: ask a unix socket whether a server there takes WebSocket connections yet. */
#include "supervisor/readiness.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define FAST_MS     2    /* a server that is about to be ready is seen within this */
#define FAST_FOR_MS 1000 /* most are ready by then */
#define SLOW_MS     50
#define ATTEMPT_MS  2000 /* an accepted connection that says nothing is given up */

/* RFC 6455 1.3; the key is the RFC's own example, the answer to it is not looked at. */
static const char upgrade_request[] = "GET / HTTP/1.1\r\n"
				      "Host: localhost\r\n"
				      "Upgrade: websocket\r\n"
				      "Connection: Upgrade\r\n"
				      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
				      "Sec-WebSocket-Version: 13\r\n\r\n";
static const char upgrade_answer[] = "HTTP/1.1 101";
/* A masked, empty closing frame: without it the server logs a broken connection. */
static const char closing_frame[] = {(char)0x88, (char)0x80, 0, 0, 0, 0};

/* One connection; lives until libuv has let go of it, also when the question is settled. */
struct attempt {
	uv_pipe_t pipe;
	uv_connect_t connect;
	uv_write_t write;
	uv_write_t write_close;
	struct readiness *owner; /* NULL: nobody waits for it any more */
	uint64_t since_ms;
	size_t len;
	char answer[sizeof(upgrade_answer) - 1];
	char buf[512];
};

struct readiness {
	uv_timer_t timer;
	char *path;
	struct attempt *attempt;
	uint64_t since_ms;
	void (*fn)(void *arg);
	void *arg;
	bool closing;
};

static void
on_attempt_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void
drop_attempt(struct attempt *a)
{
	if (a->owner != NULL)
		a->owner->attempt = NULL;
	a->owner = NULL;
	if (!uv_is_closing((uv_handle_t *)&a->pipe))
		uv_close((uv_handle_t *)&a->pipe, on_attempt_closed);
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct attempt *a = handle->data;

	*buf = uv_buf_init(a->buf, sizeof(a->buf));
}

static void
on_goodbye_written(uv_write_t *req, int status)
{
	drop_attempt(req->data);
}

static void
settle(struct attempt *a)
{
	struct readiness *r = a->owner;
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)closing_frame, sizeof(closing_frame));

	r->attempt = NULL;
	a->owner = NULL;
	(void)uv_read_stop((uv_stream_t *)&a->pipe); /* always 0 */
	a->write_close.data = a;
	if (uv_write(&a->write_close, (uv_stream_t *)&a->pipe, &buf, 1, on_goodbye_written) < 0)
		drop_attempt(a);
	(void)uv_timer_stop(&r->timer); /* always 0 */
	r->fn(r->arg);                  /* may close r */
}

static void
on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
	struct attempt *a = stream->data;
	size_t want = sizeof(a->answer) - a->len;

	if (nread == 0)
		return;
	if (nread < 0 || a->owner == NULL) {
		drop_attempt(a);
		return;
	}
	if (want > (size_t)nread)
		want = (size_t)nread;
	memcpy(a->answer + a->len, buf->base, want);
	a->len += want;
	if (a->len < sizeof(a->answer))
		return;
	if (memcmp(a->answer, upgrade_answer, sizeof(a->answer)) == 0)
		settle(a);
	else
		drop_attempt(a); /* asked again at the next tick */
}

static void
on_written(uv_write_t *req, int status)
{
	if (status < 0 && status != UV_ECANCELED)
		drop_attempt(req->data);
}

static void
on_connected(uv_connect_t *req, int status)
{
	struct attempt *a = req->data;
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)upgrade_request, sizeof(upgrade_request) - 1);

	if (status == UV_ECANCELED)
		return; /* being closed */
	a->write.data = a;
	if (status < 0 || a->owner == NULL ||
	    uv_write(&a->write, (uv_stream_t *)&a->pipe, &buf, 1, on_written) < 0 ||
	    uv_read_start((uv_stream_t *)&a->pipe, on_alloc, on_read) < 0)
		drop_attempt(a);
}

static void
on_tick(uv_timer_t *timer)
{
	struct readiness *r = timer->data;
	uint64_t now = uv_now(timer->loop);
	struct attempt *a = r->attempt;

	if (now - r->since_ms > FAST_FOR_MS)
		uv_timer_set_repeat(timer, SLOW_MS);
	if (a != NULL && now - a->since_ms < ATTEMPT_MS)
		return;
	if (a != NULL)
		drop_attempt(a);
	if (access(r->path, F_OK) < 0)
		return;
	a = calloc(1, sizeof(*a));
	if (a == NULL || uv_pipe_init(timer->loop, &a->pipe, 0) < 0) {
		free(a);
		return; /* the next tick tries again */
	}
	a->pipe.data = a;
	a->connect.data = a;
	a->owner = r;
	a->since_ms = now;
	r->attempt = a;
	uv_pipe_connect(&a->connect, &a->pipe, r->path, on_connected);
}

int
readiness_new(struct readiness **out, uv_loop_t *loop, const char *path, void (*fn)(void *arg),
              void *arg)
{
	struct readiness *r = calloc(1, sizeof(*r));
	int err;

	if (r == NULL || (r->path = strdup(path)) == NULL) {
		free(r);
		return -ENOMEM;
	}
	err = uv_timer_init(loop, &r->timer);
	if (err < 0) {
		free(r->path);
		free(r);
		return err;
	}
	r->timer.data = r;
	r->since_ms = uv_now(loop);
	r->fn = fn;
	r->arg = arg;
	(void)uv_timer_start(&r->timer, on_tick, FAST_MS, FAST_MS); /* on_tick is not NULL */
	*out = r;
	return 0;
}

static void
on_timer_closed(uv_handle_t *handle)
{
	struct readiness *r = handle->data;

	free(r->path);
	free(r);
}

void
readiness_close(struct readiness *r)
{
	if (r->closing)
		return;
	r->closing = true;
	if (r->attempt != NULL)
		drop_attempt(r->attempt);
	uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}
