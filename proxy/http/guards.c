/* guards: the traps of libwebsockets 4.1 as an HTTP server, and what keeps them shut.
 *
 * Each was found by experiment; tests/unit/test_http_*.c have a case for each. */
#include <fcntl.h>
#include <linux/sockios.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <utlist.h>

#include "common/log.h"
#include "proxy/http/internal.h"

/* No request body is near 10^18 bytes; longer numbers could overflow. */
#define LENGTH_DIGITS 18

/* A client that goes away is noticed so late at most. */
#define WATCH_AFTER_MS 50

/* A reader is looked at so many times in write_stall_ms. */
#define STALL_LOOKS 4

/* libwebsockets takes "5x" for 5, "abc" for 0, and "5, 7" for 5. */
static bool
parse_length(const char *text, uint64_t *out)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > LENGTH_DIGITS || text[digits] != '\0')
		return false;
	*out = strtoull(text, NULL, 10);
	return true;
}

static bool
has_header(struct lws *wsi, enum lws_token_indexes token)
{
	return lws_hdr_total_length(wsi, token) > 0;
}

/* libwebsockets believes in 100 MiB to come where these name no length. */
static bool
needs_length(enum http_method method)
{
	return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
}

static enum guard_head
refuse(struct http_exchange *x, int status, const char *message)
{
	x->close = true;
	x->body_complete = true; /* where it would end is not known */
	exchange_error(x, status, message);
	return GUARD_HEAD_REFUSED;
}

/* Chunked bodies come with their framing, and without an end: the decoder finds it, and the
 * connection closes after the answer. */
static enum guard_head
check_transfer_encoding(struct http_exchange *x)
{
	char coding[32] = "";

	(void)lws_hdr_copy(x->wsi, coding, sizeof(coding), WSI_TOKEN_HTTP_TRANSFER_ENCODING);
	if (has_header(x->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH))
		return refuse(x, 400, "Content-Length and Transfer-Encoding exclude each other.");
	if (strcasecmp(coding, "chunked") != 0)
		return refuse(x, 501, "The only Transfer-Encoding understood is chunked.");
	if (x->http_1_0 || !needs_length(x->method))
		return refuse(x, 411, "A request like this needs a Content-Length.");
	x->body_chunked = true;
	x->close = true;
	return GUARD_HEAD_OK;
}

/* libwebsockets leaves the client waiting for its 100 Continue. Other expectations are unknown to
 * everybody. */
static bool
expects_continue(struct lws *wsi)
{
	char text[32] = "";

	(void)lws_hdr_copy(wsi, text, sizeof(text), WSI_TOKEN_HTTP_EXPECT); /* "" then */
	return strcasecmp(text, "100-continue") == 0;
}

enum guard_head
guard_head(struct http_exchange *x)
{
	struct lws *wsi = x->wsi;
	char text[64] = "";
	bool sized = has_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);

	/* It would kill a GET five seconds after its head, answered or not. */
	lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
	x->expect_continue = !x->http_1_0 && expects_continue(wsi);
	if (has_header(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING))
		return check_transfer_encoding(x);
	if (sized && (lws_hdr_copy(wsi, text, sizeof(text), WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0 ||
	              !parse_length(text, &x->content_length)))
		return refuse(x, 400, "The Content-Length is not a number of bytes.");
	if (!sized && needs_length(x->method))
		return refuse(x, 411, "A request like this needs a Content-Length.");
	/* Of the requests with an empty body only POST gets the callback for its end. */
	x->body_complete = x->content_length == 0 && !(sized && x->method == HTTP_POST);
	return GUARD_HEAD_OK;
}

static const char *const method_names[] = {
	[HTTP_GET] = "GET ",         [HTTP_HEAD] = "HEAD ",   [HTTP_POST] = "POST ",
	[HTTP_PUT] = "PUT ",         [HTTP_PATCH] = "PATCH ", [HTTP_DELETE] = "DELETE ",
	[HTTP_OPTIONS] = "OPTIONS ",
};

/* Of requests that came in one read libwebsockets puts by what follows the first. When one of those
 * has a body, it reads that from the beginning of what it has put by: the head of the request
 * itself, and then the same again without end. Such a request is not served: the connection is
 * closed before it, as it may be before any request that did not wait for an answer, and the client
 * sends it again. */
bool
guard_is_head(const struct http_exchange *x, const char *data, size_t len)
{
	const char *name = method_names[x->method];
	size_t name_len = strlen(name);

	/* 0: libwebsockets has put something by, for whichever connection. */
	return lws_service_adjust_timeout(x->server->ctx, 1, 0) == 0 &&
	       strncasecmp(data, name, len < name_len ? len : name_len) == 0;
}

/* While a request is being answered libwebsockets 4.1 either does not read the socket but goes on
 * polling it (after a GET), or reads the next request and reports the end of the body over and
 * over (after a POST): a spinning core in both cases, and after a GET a client that has gone is
 * never noticed. And lws_rx_flow_control(0) stops writing as well as reading.
 *
 * What works: flow control is turned off and on again within one WRITEABLE callback. Off is
 * applied at once (PROCESS_NOW): the socket is not polled for input any more. On is noted, which
 * lets writing go on, and would be applied when the callback returns 0: for as long as WRITEABLE
 * returns a positive value, reading stays off; other callbacks cannot say so. A poll of our own on
 * a copy of the descriptor waits for the client's end of the connection; bytes of the next request
 * do not disturb it, they are read when this answer is complete. */
static void
stop_reading(struct lws *wsi)
{
	(void)lws_rx_flow_control(wsi, LWS_RXFLOW_REASON_APPLIES_DISABLE |
	                                       LWS_RXFLOW_REASON_USER_BOOL |
	                                       LWS_RXFLOW_REASON_FLAG_PROCESS_NOW);
	(void)lws_rx_flow_control(wsi, 1); /* neither can fail for a live connection */
}

static void
on_gone(uv_poll_t *watch, int status, int events)
{
	struct http_exchange *x = watch->data;

	/* A client that closes only its sending side looks the same; it loses the answer. */
	(void)uv_poll_stop(watch); /* cannot fail */
	connection_lose(x);
}

static void
watch(struct http_exchange *x)
{
	x->watch_fd = fcntl(lws_get_socket_fd(x->wsi), F_DUPFD_CLOEXEC, 3);
	if (x->watch_fd < 0) {
		/* No file left: this client's going is noticed by the next write only. */
		log_warning("%s: the client is not watched: %m", x->request_id);
		return;
	}
	if (uv_poll_init(x->server->loop, &x->watch, x->watch_fd) < 0) {
		(void)close(x->watch_fd); /* a copy */
		return;
	}
	x->watch.data = x;
	x->watching = true;
	(void)uv_poll_start(&x->watch, UV_DISCONNECT, on_gone); /* cannot fail on an open one */
}

static void
forget_unwatched(struct http_exchange *x)
{
	x->unwatched = false;
	DL_DELETE2(x->server->unwatched, x, unwatched_prev, unwatched_next);
}

static void
start_watcher(struct http_server *s)
{
	uint64_t waited;

	if (s->unwatched == NULL)
		return;
	waited = uv_now(s->loop) - s->unwatched->parked_ms;
	(void)uv_timer_start(&s->watcher, guard_on_watcher,
	                     waited < WATCH_AFTER_MS ? WATCH_AFTER_MS - waited : 0, 0);
}

void
guard_on_watcher(uv_timer_t *watcher)
{
	struct http_server *s = watcher->data;
	struct http_exchange *x;

	while ((x = s->unwatched) != NULL && uv_now(s->loop) - x->parked_ms >= WATCH_AFTER_MS) {
		forget_unwatched(x);
		watch(x);
	}
	start_watcher(s);
}

/* Most requests that the server answers by itself, and many others, are over before a watch would
 * pay: it costs a descriptor and eight system calls. */
static void
watch_later(struct http_exchange *x)
{
	struct http_server *s = x->server;

	if (s->closed) {
		watch(x); /* the watcher has gone */
		return;
	}
	x->unwatched = true;
	DL_APPEND2(s->unwatched, x, unwatched_prev, unwatched_next);
	if (!uv_is_active((uv_handle_t *)&s->watcher))
		start_watcher(s);
}

void
guard_park(struct http_exchange *x)
{
	if (x->parked)
		return;
	x->parked = true;
	x->parked_ms = uv_now(x->server->loop);
	/* One may still be set for more of a chunked body. */
	lws_set_timeout(x->wsi, NO_PENDING_TIMEOUT, 0);
	stop_reading(x->wsi);
	watch_later(x);
}

static void
on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

bool
guard_unwatch(struct http_exchange *x)
{
	if (x->unwatched)
		forget_unwatched(x);
	if (!x->watching)
		return false;
	x->watching = false;
	/* The poll first: epoll keeps a registration whose descriptor was closed under it for as
	 * long as the connection itself lives. */
	(void)uv_poll_stop(&x->watch); /* cannot fail */
	uv_close((uv_handle_t *)&x->watch, on_watch_closed);
	(void)close(x->watch_fd); /* a copy */
	return true;
}

void
guard_kill(struct lws *wsi)
{
	struct http_server *s = lws_vhost_user(lws_get_vhost(wsi));

	lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
	/* Its timers are looked at only after some event of its own. */
	lws_cancel_service(s->ctx);
}

/* What the kernel holds and the client's side has not taken yet. It changes as that takes some: new
 * bytes come only with a write, which is noted. */
static int
on_the_way(struct lws *wsi)
{
	int bytes = 0;

	(void)ioctl(lws_get_socket_fd(wsi), SIOCOUTQ, &bytes); /* 0 then: writes still count */
	return bytes;
}

static void
arm_stall(struct http_exchange *x)
{
	lws_set_timer_usecs(x->wsi,
	                    (lws_usec_t)(x->server->limits.write_stall_ms * 1000 / STALL_LOOKS));
}

void
guard_stall_start(struct http_exchange *x)
{
	x->moved = true;
	if (x->stall_armed || x->server->limits.write_stall_ms == 0)
		return;
	x->stall_armed = true;
	x->still = 0;
	arm_stall(x);
}

bool
guard_stall_check(struct http_exchange *x)
{
	int bytes;

	x->stall_armed = false;
	if (out_queue_size(&x->out) == 0 && !lws_partial_buffered(x->wsi))
		return true;
	bytes = on_the_way(x->wsi);
	if (x->moved || bytes != x->on_the_way)
		x->still = 0;
	else if (++x->still >= STALL_LOOKS)
		return false;
	x->moved = false;
	x->on_the_way = bytes;
	x->stall_armed = true;
	arm_stall(x);
	return true;
}
