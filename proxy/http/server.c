/* server: listening sockets, accepting, and how many connections there may be. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "common/log.h"
#include "proxy/http/internal.h"

/* Longer than any client keeps an idle connection in its pool: if we closed first, a request of
 * its could be on the way. */
#define KEEPALIVE_SECS 75

/* Accepted in one go before others get their turn. */
#define ACCEPT_BURST 64

/* After running out of files: another one may have been closed meanwhile. */
#define RETRY_MS 200

/* Who connects sends a request; this takes as long on a busy machine. */
#define REQUEST_MS 250

/* The full house is reported so often. */
#define REPORT_MS 60000

/* libwebsockets sends at most so much at a time. */
#define SEND_MAX 65536

struct http_listener {
	uv_poll_t poll;
	int fd;
	struct http_server *server;
	struct http_listener *next;
};

static void on_connectable(uv_poll_t *poll, int status, int events);

static bool
is_full(const struct http_server *s)
{
	return s->connections >= s->limits.max_connections;
}

static void
start_accepting(struct http_server *s)
{
	if (s->draining)
		return;
	for (struct http_listener *l = s->listeners; l != NULL; l = l->next)
		(void)uv_poll_start(&l->poll, UV_READABLE, on_connectable); /* an open handle */
}

/* Those who knock wait in the kernel's backlog. */
static void
stop_accepting(struct http_server *s)
{
	for (struct http_listener *l = s->listeners; l != NULL; l = l->next)
		(void)uv_poll_stop(&l->poll); /* cannot fail */
}

static void
on_retry(uv_timer_t *timer)
{
	struct http_server *s = timer->data;

	if (!is_full(s))
		start_accepting(s);
}

/* The socket stays readable while the connection cannot be taken: polling on would spin. */
static void
pause_accepting(struct http_server *s, int error)
{
	log_warning("accepting a connection: %s, again in %d ms", strerror(error), RETRY_MS);
	stop_accepting(s);
	(void)uv_timer_start(&s->retry, on_retry, RETRY_MS, 0); /* an open handle */
}

static void
report_full(struct http_server *s)
{
	uint64_t now = uv_now(s->loop);

	if (s->reported_full != 0 && now - s->reported_full < REPORT_MS)
		return;
	s->reported_full = now;
	log_warning("%u connections: the next wait until one ends", s->connections);
}

/* false: no memory. */
static bool
adopt(struct http_server *s, int fd)
{
	unsigned before = s->connections;

	errno = 0;
	if (lws_adopt_socket_vhost(s->vhost, fd) != NULL || errno != ENOMEM)
		/* Or it knows already that what has come is no TLS: then it is about to close fd,
		 * and tells of that as of any other end. */
		return true;
	/* It has closed fd; but not where its event loop had no memory: then it has told of the
	 * connection before, and will not tell of its end. */
	if (fcntl(fd, F_GETFD) >= 0)
		(void)close(fd); /* nothing was written */
	s->connections = before;
	return false;
}

/* Where libwebsockets has no memory for the head of a request, the connection waits until another
 * one has no use for its memory any more, and only then. So here is another one: it ends at once.
 */
static void
on_nudge(uv_timer_t *timer)
{
	struct http_server *s = timer->data;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
		http_server_was_short(s);
		return;
	}
	(void)close(ends[1]);    /* nothing was written */
	(void)adopt(s, ends[0]); /* if there is no memory again, we are told again */
}

void
http_server_was_short(void *server)
{
	struct http_server *s = server;

	if (!s->closed)
		(void)uv_timer_start(&s->nudge, on_nudge, RETRY_MS, 0); /* an open handle */
}

static void
on_connectable(uv_poll_t *poll, int status, int events)
{
	struct http_listener *l = poll->data;
	struct http_server *s = l->server;
	int one = 1;

	for (int i = 0; i < ACCEPT_BURST; i++) {
		int fd;

		if (is_full(s)) {
			report_full(s);
			stop_accepting(s);
			return;
		}
		fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
			return;
		if (fd < 0) {
			pause_accepting(s, errno);
			return;
		}
		/* A unix socket has no such option, and no need of it. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (!adopt(s, fd)) {
			pause_accepting(s, ENOMEM);
			return;
		}
	}
}

void
server_on_connection(struct http_server *s)
{
	s->connections++;
	s->accepted_ms = uv_now(s->loop);
}

void
server_on_disconnection(struct http_server *s)
{
	bool was_full = is_full(s);

	s->connections--;
	if (was_full)
		start_accepting(s);
}

struct lws_vhost *
server_vhost(struct http_server *s, const char *cert, const char *key)
{
	static const struct lws_protocols protocols[2] = {
		[0].name = "http",
		[0].callback = connection_on_event,
		[0].tx_packet_size = SEND_MAX,
	};
	struct lws_context_creation_info info;

	memset(&info, 0, sizeof(info));
	info.vhost_name = "http";
	info.protocols = protocols;
	info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
	info.keepalive_timeout = KEEPALIVE_SECS;
	info.user = s;
	if (cert != NULL) {
		info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = cert;
		info.ssl_private_key_filepath = key;
	}
	/* HTTP/2 would be offered otherwise, and the guards know HTTP/1.1 only. */
	info.alpn = "http/1.1";
	return lws_create_vhost(s->ctx, &info);
}

int
http_server_new(struct http_server **out, struct lws_context *ctx, uv_loop_t *loop,
                const struct http_limits *limits, const struct http_handlers *handlers, void *arg,
                struct err *err)
{
	struct http_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return err_set(err, -ENOMEM, "HTTP server: out of memory");
	s->ctx = ctx;
	s->loop = loop;
	s->limits = *limits;
	s->handlers = handlers;
	s->arg = arg;
	s->vhost = server_vhost(s, NULL, NULL);
	if (s->vhost == NULL) {
		free(s);
		return err_set(err, -ENOMEM, "libwebsockets: the HTTP vhost could not be made");
	}
	(void)uv_timer_init(loop, &s->retry); /* cannot fail */
	(void)uv_timer_init(loop, &s->nudge);
	(void)uv_timer_init(loop, &s->watcher);
	(void)uv_prepare_init(loop, &s->writer);
	s->retry.data = s->nudge.data = s->watcher.data = s->writer.data = s;
	*out = s;
	return 0;
}

int
http_server_listen(struct http_server *s, int fd, struct err *err)
{
	struct http_listener *l = calloc(1, sizeof(*l));
	int r = l != NULL ? uv_poll_init(s->loop, &l->poll, fd) : -ENOMEM;

	if (r < 0) {
		free(l);
		(void)close(fd); /* it was ours */
		return err_set(err, r, "listening socket %d: %s", fd, strerror(-r));
	}
	l->poll.data = l;
	l->fd = fd;
	l->server = s;
	l->next = s->listeners;
	s->listeners = l;
	if (!is_full(s) && !s->draining)
		(void)uv_poll_start(&l->poll, UV_READABLE, on_connectable); /* an open handle */
	return 0;
}

static void
on_listener_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
http_server_leave(struct http_server *s)
{
	s->leaving = true;
}

void
http_server_stop_listening(struct http_server *s)
{
	struct http_listener *l;

	s->leaving = s->draining = true;
	while ((l = s->listeners) != NULL) {
		s->listeners = l->next;
		(void)uv_poll_stop(&l->poll); /* cannot fail */
		uv_close((uv_handle_t *)&l->poll, on_listener_closed);
		(void)close(l->fd); /* others may hold the same socket, and go on listening */
	}
}

bool
http_server_expects_requests(const struct http_server *s)
{
	const struct http_exchange *x;

	DL_FOREACH(s->exchanges, x)
		if (!x->body_complete && x->answer == HTTP_ANSWER_NONE)
			return true;
	return http_server_exchanges(s) < s->connections &&
	       uv_now(s->loop) < s->accepted_ms + REQUEST_MS;
}

unsigned
http_server_connections(const struct http_server *s)
{
	return s->connections;
}

unsigned
http_server_exchanges(const struct http_server *s)
{
	const struct http_exchange *x;
	unsigned n = 0;

	DL_COUNT(s->exchanges, x, n);
	return n;
}

void
http_server_close(struct http_server *s)
{
	if (s->closed)
		return;
	http_server_stop_listening(s);
	while (s->exchanges != NULL)
		connection_lose(s->exchanges);
	s->closed = true;
	tls_close(s->tls);
	uv_close((uv_handle_t *)&s->retry, NULL);
	uv_close((uv_handle_t *)&s->nudge, NULL);
	uv_close((uv_handle_t *)&s->watcher, NULL);
	uv_close((uv_handle_t *)&s->writer, NULL);
}

void
http_server_free(struct http_server *s)
{
	free(s);
}
