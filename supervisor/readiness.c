/* readiness: ask a server whether it is there yet. */
#include "supervisor/readiness.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define FAST_MS       2    /* a server that is about to be ready is seen within this */
#define FAST_FOR_MS   1000 /* most are ready by then */
#define SLOW_MS       50
#define ATTEMPT_MS    2000 /* an accepted connection that says nothing is given up */
#define ADDRESSES_MAX 4    /* of a name: "localhost" has two */

/* RFC 6455 1.3; the key is the RFC's own example, the answer to it is not looked at. */
static const char upgrade_request[] = "GET / HTTP/1.1\r\n"
				      "Host: localhost\r\n"
				      "Upgrade: websocket\r\n"
				      "Connection: Upgrade\r\n"
				      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
				      "Sec-WebSocket-Version: 13\r\n\r\n";
/* "HTTP/1.1 101": all that is looked at of an answer */
#define STATUS_AT  9
#define ANSWER_LEN 12
/* A masked, empty closing frame: without it the server logs a broken connection. */
static const char closing_frame[] = {(char)0x88, (char)0x80, 0, 0, 0, 0};

/* One connection; lives until libuv has let go of it, also when the question is settled. */
struct attempt {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_pipe_t pipe;
		uv_tcp_t tcp;
	} s;
	uv_connect_t connect;
	uv_write_t write;
	uv_write_t write_close;
	struct readiness *owner; /* NULL: nobody waits for it any more */
	uint64_t since_ms;
	size_t len;
	char answer[ANSWER_LEN];
	char buf[512];
};

/* A question to the resolver; lives until it is answered. */
struct lookup {
	uv_getaddrinfo_t req;
	struct readiness *owner; /* NULL: nobody waits for it any more */
};

struct readiness {
	uv_timer_t timer;
	enum readiness_kind kind;
	char *path; /* of a unix socket; NULL: host and port */
	char *host, *port;
	char *request; /* NULL: nothing is asked */
	struct sockaddr_storage addresses[ADDRESSES_MAX];
	size_t address_count, next_address;
	struct lookup *lookup;
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
	if (!uv_is_closing(&a->s.handle))
		uv_close(&a->s.handle, on_attempt_closed);
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
say_goodbye(struct attempt *a)
{
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)closing_frame, sizeof(closing_frame));

	(void)uv_read_stop(&a->s.stream); /* always 0 */
	a->write_close.data = a;
	if (uv_write(&a->write_close, &a->s.stream, &buf, 1, on_goodbye_written) < 0)
		drop_attempt(a);
}

static void
settle(struct attempt *a)
{
	struct readiness *r = a->owner;

	r->attempt = NULL;
	a->owner = NULL;
	if (r->kind == READINESS_WEBSOCKET)
		say_goodbye(a);
	else
		drop_attempt(a);
	(void)uv_timer_stop(&r->timer); /* always 0 */
	r->fn(r->arg);                  /* may close r */
}

static bool
is_good(enum readiness_kind kind, const char *answer)
{
	const char *status = answer + STATUS_AT;

	if (memcmp(answer, "HTTP/1.", 7) != 0)
		return false;
	if (kind == READINESS_WEBSOCKET)
		return memcmp(status, "101", 3) == 0;
	return status[0] == '2' || status[0] == '3';
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
	if (is_good(a->owner->kind, a->answer))
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
	const char *request = a->owner != NULL ? a->owner->request : NULL;
	uv_buf_t buf;

	if (status == UV_ECANCELED)
		return; /* being closed */
	if (status == 0 && a->owner != NULL && request == NULL) {
		settle(a);
		return;
	}
	a->write.data = a;
	if (status < 0 || a->owner == NULL) {
		drop_attempt(a);
		return;
	}
	buf = uv_buf_init((char *)(uintptr_t)request, (unsigned)strlen(request));
	if (uv_write(&a->write, &a->s.stream, &buf, 1, on_written) < 0 ||
	    uv_read_start(&a->s.stream, on_alloc, on_read) < 0)
		drop_attempt(a);
}

/* --- where to ask --------------------------------------------------------------------------- */

static void
on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
	struct lookup *l = req->data;
	struct readiness *r = l->owner;

	if (r != NULL) {
		r->lookup = NULL;
		for (const struct addrinfo *a = status == 0 ? res : NULL;
		     a != NULL && r->address_count < ADDRESSES_MAX; a = a->ai_next)
			memcpy(&r->addresses[r->address_count++], a->ai_addr, a->ai_addrlen);
	}
	uv_freeaddrinfo(res);
	free(l);
}

/* A name that is not known yet is asked for again at a later tick. */
static void
look_up(struct readiness *r)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct lookup *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return;
	l->req.data = l;
	l->owner = r;
	if (uv_getaddrinfo(r->timer.loop, &l->req, on_lookup, r->host, r->port, &hints) < 0) {
		free(l);
		return;
	}
	r->lookup = l;
}

static int
connect_unix(struct readiness *r, struct attempt *a)
{
	int err = uv_pipe_init(r->timer.loop, &a->s.pipe, 0);

	if (err == 0)
		uv_pipe_connect(&a->connect, &a->s.pipe, r->path, on_connected);
	return err;
}

/* > 0: the handle is there, but nothing will come of it. */
static int
connect_tcp(struct readiness *r, struct attempt *a)
{
	const struct sockaddr *addr =
		(const struct sockaddr *)&r->addresses[r->next_address++ % r->address_count];
	int err = uv_tcp_init(r->timer.loop, &a->s.tcp);

	if (err < 0)
		return err;
	return uv_tcp_connect(&a->connect, &a->s.tcp, addr, on_connected) < 0 ? 1 : 0;
}

static void
attempt(struct readiness *r, uint64_t now)
{
	struct attempt *a = calloc(1, sizeof(*a));
	int err = a == NULL ? -ENOMEM : r->path != NULL ? connect_unix(r, a) : connect_tcp(r, a);

	if (err < 0) {
		free(a);
		return; /* the next tick tries again */
	}
	a->s.handle.data = a;
	a->connect.data = a;
	a->owner = r;
	a->since_ms = now;
	r->attempt = a;
	if (err > 0)
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
	if (r->path != NULL ? access(r->path, F_OK) == 0 : r->address_count > 0)
		attempt(r, now);
	else if (r->path == NULL && r->lookup == NULL)
		look_up(r);
}

/* --- life ----------------------------------------------------------------------------------- */

static void
free_readiness(struct readiness *r)
{
	free(r->path);
	free(r->host);
	free(r->port);
	free(r->request);
	free(r);
}

/* "HOST:PORT", "[HOST]:PORT" */
static int
split_address(struct readiness *r, const char *address, size_t len)
{
	AUTO_FREE char *text = strndup(address, len);
	char *colon = text != NULL ? strrchr(text, ':') : NULL;
	char *host = text;

	if (text == NULL)
		return -ENOMEM;
	if (colon == NULL || colon == text || colon[1] == '\0')
		return -EINVAL;
	*colon = '\0';
	if (host[0] == '[' && colon[-1] == ']') {
		host++;
		colon[-1] = '\0';
	}
	r->host = strdup(host);
	r->port = strdup(colon + 1);
	return r->host != NULL && r->port != NULL ? 0 : -ENOMEM;
}

static int
take_target(struct readiness *r, const char *target)
{
	const char *path = strchr(target, '/');
	int len = path != NULL ? (int)(path - target) : (int)strlen(target);
	int err = 0;

	if (r->kind == READINESS_WEBSOCKET)
		r->request = strdup(upgrade_request);
	else if (r->kind == READINESS_HTTP &&
	         asprintf(&r->request, "GET %s HTTP/1.1\r\nHost: %.*s\r\nConnection: close\r\n\r\n",
	                  path != NULL ? path : "/", len, target) < 0)
		r->request = NULL;
	if (r->kind != READINESS_CONNECT && r->request == NULL)
		return -ENOMEM;
	if (target[0] != '/')
		err = split_address(r, target, (size_t)len);
	else if ((r->path = strdup(target)) == NULL)
		err = -ENOMEM;
	return err;
}

int
readiness_new(struct readiness **out, uv_loop_t *loop, enum readiness_kind kind, const char *target,
              void (*fn)(void *arg), void *arg)
{
	struct readiness *r = calloc(1, sizeof(*r));
	int err;

	if (r == NULL)
		return -ENOMEM;
	r->kind = kind;
	err = take_target(r, target);
	if (err == 0)
		err = uv_timer_init(loop, &r->timer);
	if (err < 0) {
		free_readiness(r);
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
	free_readiness(handle->data);
}

void
readiness_close(struct readiness *r)
{
	if (r->closing)
		return;
	r->closing = true;
	if (r->attempt != NULL)
		drop_attempt(r->attempt);
	if (r->lookup != NULL)
		r->lookup->owner = NULL;
	uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}
