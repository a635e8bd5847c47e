/* connection: what happens on a connection, told by libwebsockets; the life of its exchanges.
 *
 * Every callback returns 0 to go on and -1 to close, after which the CLOSED event comes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "proxy/http/internal.h"

/* One send. The rest of a larger answer stays in the queue, where it is counted: what
 * libwebsockets could not send it copies, without a limit. */
#define WRITE_MAX ((size_t)65536)

/* After a refusal the body is read on for so long, unheard: closing at once would make a reset of
 * it, and the client might lose the answer. Never longer than a body may take at all. */
#define LINGER_MS 2000

static void
linger(struct http_exchange *x)
{
	uint64_t ms = x->server->limits.body_timeout_ms;

	lws_set_timer_usecs(x->wsi, (lws_usec_t)(ms < LINGER_MS ? ms : LINGER_MS) * 1000);
}

static struct http_exchange *
take_off(struct http_exchange *x)
{
	struct lws *wsi = x->wsi;

	lws_set_opaque_user_data(wsi, NULL);
	lws_set_timer_usecs(wsi, LWS_SET_TIMER_USEC_CANCEL);
	x->wsi = NULL;
	return x;
}

/* The end of an exchange that was not answered in full, or of one that only lingered. */
static void
end_early(struct http_exchange *x)
{
	(void)take_off(x);
	exchange_done(x, false);
	exchange_free(x);
}

void
connection_lose(struct http_exchange *x)
{
	guard_kill(x->wsi);
	end_early(x);
}

/* The whole answer has left. */
static int
finish(struct http_exchange *x)
{
	struct lws *wsi = x->wsi;
	/* A stream may have begun before the draining did. */
	bool close_now = x->close || x->server->draining;

	exchange_done(x, true);
	if (!x->body_complete) {
		if (close_now)
			linger(x);
		return 0; /* until the end of the body, or of the time for it */
	}
	exchange_free(take_off(x));
	if (close_now)
		return -1;
	return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

/* Sends what is queued, once. Returns like a callback. */
static int
send_some(struct http_exchange *x)
{
	size_t len = 0;
	unsigned char *bytes;

	if (x->cut)
		return -1;
	bytes = out_queue_peek(&x->out, WRITE_MAX, &len);
	if (len == 0)
		return 0;
	if (lws_write(x->wsi, bytes, len, LWS_WRITE_HTTP) < 0)
		return -1;
	out_queue_consume(&x->out, len);
	x->stream_sent = x->answer == HTTP_ANSWER_STREAM;
	return 0;
}

/* More to send than the socket has taken at once. */
static bool
is_held_up(struct http_exchange *x)
{
	if (out_queue_size(&x->out) == 0 && !lws_partial_buffered(x->wsi))
		return false;
	guard_stall_start(x);
	return true;
}

static bool
is_answered(const struct http_exchange *x)
{
	return x->answer == HTTP_ANSWER_WHOLE && !(x->server->closed && x->owes_done);
}

/* Sends, and ends the exchange with the last byte. Returns like a callback; *over: it has gone. */
static int
flush(struct http_exchange *x, bool *over)
{
	*over = false;
	if (send_some(x) < 0)
		return -1;
	if (is_held_up(x)) {
		exchange_ask_writeable(x);
		return 0;
	}
	if (!is_answered(x))
		return 0;
	*over = true;
	return finish(x);
}

/* What ends in libwebsockets ends in WRITEABLE: only there it may be told of it. */
void
connection_write(struct http_exchange *x)
{
	if (x->cut)
		return;
	if (!lws_partial_buffered(x->wsi) && send_some(x) < 0) {
		connection_lose(x);
		return;
	}
	if (is_held_up(x) || is_answered(x))
		exchange_ask_writeable(x);
}

/* At the end of each event that may have queued something. */
static int
settle(struct http_exchange *x)
{
	bool over;

	x->in_event = false;
	if (x->answer == HTTP_ANSWER_WHOLE && !lws_partial_buffered(x->wsi))
		return flush(x, &over);
	/* Also where nothing is queued: parking is done in WRITEABLE. */
	exchange_ask_to_write(x);
	return 0;
}

static void
hand_out(struct http_exchange *x)
{
	struct http_server *s = x->server;

	lws_set_timer_usecs(x->wsi, LWS_SET_TIMER_USEC_CANCEL); /* the body's */
	if (x->answer != HTTP_ANSWER_NONE || x->cut)
		return; /* refused meanwhile */
	if (s->closed) {
		x->close = true;
		exchange_error(x, 503, "The server is shutting down.");
		return;
	}
	x->owes_done = true;
	s->handlers->on_request(s->arg, x);
}

static bool
find_method(struct lws *wsi, enum http_method *out)
{
	static const enum lws_token_indexes tokens[] = {
		[HTTP_GET] = WSI_TOKEN_GET_URI,         [HTTP_HEAD] = WSI_TOKEN_HEAD_URI,
		[HTTP_POST] = WSI_TOKEN_POST_URI,       [HTTP_PUT] = WSI_TOKEN_PUT_URI,
		[HTTP_PATCH] = WSI_TOKEN_PATCH_URI,     [HTTP_DELETE] = WSI_TOKEN_DELETE_URI,
		[HTTP_OPTIONS] = WSI_TOKEN_OPTIONS_URI,
	};

	for (size_t i = 0; i < NELEM(tokens); i++) {
		if (lws_hdr_total_length(wsi, tokens[i]) <= 0)
			continue;
		*out = (enum http_method)i;
		return true;
	}
	return false;
}

/* Is the word an element of the comma separated list? */
static bool
lists(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (*list != '\0') {
		list += strspn(list, ", \t");
		if (strncasecmp(list, word, len) == 0 && strcspn(list, ", \t") == len)
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

/* HTTP/1.0 connections are not kept: it is 1.1 in all that is met today. */
static void
read_version(struct http_exchange *x)
{
	char text[256] = "";

	(void)lws_hdr_copy(x->wsi, text, sizeof(text), WSI_TOKEN_HTTP); /* "" then: 1.0 */
	x->http_1_0 = strcmp(text, "HTTP/1.1") != 0;
	text[0] = '\0';
	/* One that does not fit is refused as a list we cannot read: closed. */
	x->close = lws_hdr_copy(x->wsi, text, sizeof(text), WSI_TOKEN_CONNECTION) < 0 ||
	           lists(text, "close") || x->http_1_0;
}

/* What the handlers and the limits say to a head that can be read. */
static void
admit(struct http_exchange *x)
{
	struct http_server *s = x->server;

	if (s->closed) {
		x->close = true;
		exchange_error(x, 503, "The server is shutting down.");
		return;
	}
	if (s->handlers->on_head(s->arg, x) != 0) {
		if (x->answer == HTTP_ANSWER_NONE)
			exchange_error(x, 500, "The request was refused."); /* our own bug */
		return;
	}
	if (x->content_length > s->limits.max_body_bytes)
		exchange_error(x, 413, "The request body is larger than this server takes.");
}

/* Not even for the request itself. What stands on the stack is enough to say so. */
static int
refuse_without_memory(struct http_server *s, struct lws *wsi)
{
	unsigned char text[LWS_PRE + 1024];
	char body[512];
	size_t len = 0;
	int n;

	log_warning("out of memory: a request is refused");
	len = s->handlers->format_error(s->arg, 503, "Out of memory.", body, sizeof(body));
	n = snprintf((char *)text + LWS_PRE, sizeof(text) - LWS_PRE,
	             "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
	             "content-length: %zu\r\nconnection: close\r\n\r\n%.*s",
	             len, (int)len, body);
	(void)lws_write(wsi, text + LWS_PRE, (size_t)n, LWS_WRITE_HTTP); /* the best that we can */
	return -1;
}

static int
on_head(struct lws *wsi, const char *path, size_t len)
{
	struct http_server *s = lws_vhost_user(lws_get_vhost(wsi));
	enum http_method method;
	struct http_exchange *x;
	bool closes;

	/* "%00" would end the path before its end. */
	if (!find_method(wsi, &method) || memchr(path, '\0', len) != NULL)
		return -1;
	x = exchange_new(s, wsi, method, path, len);
	if (x == NULL)
		return refuse_without_memory(s, wsi);
	lws_set_opaque_user_data(wsi, x);
	x->in_event = true;
	read_version(x);
	x->owes_done = !s->closed;
	if (guard_head(x) == GUARD_HEAD_REFUSED)
		return settle(x);
	closes = x->close;
	/* Whether a client that waits for our word sends its body after a refusal is not known;
	 * and more than the limit is not read for nothing. */
	if (x->expect_continue || x->content_length > s->limits.max_body_bytes)
		x->close = true;
	admit(x);
	if (x->answer != HTTP_ANSWER_NONE || x->cut) {
		lws_set_timer_usecs(wsi, (lws_usec_t)s->limits.body_timeout_ms * 1000);
		return settle(x);
	}
	if (x->body_complete) {
		hand_out(x);
		return settle(x);
	}
	lws_set_timer_usecs(wsi, (lws_usec_t)s->limits.body_timeout_ms * 1000);
	if (x->expect_continue) {
		static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

		x->close = closes;
		if (!out_queue_append(&x->out, go_on, sizeof(go_on) - 1))
			return -1;
		return settle(x);
	}
	x->in_event = false;
	return 0;
}

/* The body cannot be taken: answered at once, the rest of it is read over. */
static int
refuse_body(struct http_exchange *x, int status, const char *message)
{
	x->close = true;
	http_body_release(x);
	exchange_error(x, status, message);
	return settle(x);
}

static int
add_body(struct http_exchange *x, const char *data, size_t len)
{
	int r = exchange_add_body(x, data, len);

	if (r == -EMSGSIZE)
		return refuse_body(x, 413, "The request body is larger than this server takes.");
	return r < 0 ? refuse_body(x, 503, "Out of memory.") : 0;
}

static int
on_chunked_body(struct http_exchange *x, const char *data, size_t len)
{
	const char *piece = NULL;
	size_t piece_len = 0;
	int r;

	for (;;) {
		switch (chunked_next(&x->chunked, &data, &len, &piece, &piece_len)) {
		case CHUNKED_MORE:
			return 0;
		case CHUNKED_PIECE:
			r = add_body(x, piece, piece_len);
			if (r < 0 || x->answer != HTTP_ANSWER_NONE)
				return r;
			break;
		case CHUNKED_BAD:
			return refuse_body(x, 400, "The chunked body is malformed.");
		case CHUNKED_END:
			x->body_complete = true;
			hand_out(x);
			return settle(x);
		}
	}
}

static int
on_body(struct lws *wsi, const char *data, size_t len)
{
	struct http_exchange *x = lws_get_opaque_user_data(wsi);
	int r;

	if (x == NULL || x->cut)
		return -1; /* killed; its timer may have been taken back by this read */
	if (!x->body_begun && len > 0 && guard_is_head(x, data, len))
		return -1;
	x->body_begun = true;
	if (x->answer != HTTP_ANSWER_NONE || x->body_complete)
		return 0; /* refused: read over. Or the next request after a chunked body */
	x->in_event = true;
	r = x->body_chunked ? on_chunked_body(x, data, len) : add_body(x, data, len);
	x = lws_get_opaque_user_data(wsi); /* NULL: answered, and gone */
	if (x != NULL)
		x->in_event = false;
	return r;
}

static int
on_body_complete(struct http_exchange *x)
{
	bool over;

	if (x == NULL || x->cut)
		return -1;
	if (x->body_complete)
		return 0; /* a request that waits behind this one; see guard_park */
	x->body_complete = true;
	if (x->answer == HTTP_ANSWER_WHOLE && !x->owes_done)
		return lws_partial_buffered(x->wsi) ? 0 : flush(x, &over); /* it was read over */
	x->in_event = true;
	hand_out(x);
	return settle(x);
}

static int
on_writable(struct http_exchange *x)
{
	bool over;
	int r;

	if (x == NULL)
		return -1; /* killed */
	x->asked = false;
	r = flush(x, &over);
	if (r < 0 || over)
		return r;
	if (!x->body_complete)
		return 0;
	guard_park(x);
	return GUARD_PARKED;
}

static int
on_timer(struct http_exchange *x)
{
	if (x == NULL)
		return 0;
	if (!x->body_complete && x->answer == HTTP_ANSWER_NONE) {
		x->body_complete = true; /* what still comes is not waited for */
		x->in_event = true;
		return refuse_body(x, 408, "The request body did not arrive in time.");
	}
	if (!x->body_complete && !x->owes_done)
		return -1; /* lingered long enough */
	if (!guard_stall_check(x))
		connection_lose(x);
	else if (!x->body_complete && !x->stall_armed)
		linger(x); /* it had taken the timer of the body */
	return 0;
}

static void
on_closed(struct http_exchange *x)
{
	if (x != NULL)
		end_early(x);
}

int
connection_on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
	struct http_exchange *x;

	/* libwebsockets has more reasons than a server without WebSockets hears. */
	switch ((int)reason) {
	case LWS_CALLBACK_WSI_CREATE:
		server_on_connection(lws_vhost_user(lws_get_vhost(wsi)));
		return 0;
	case LWS_CALLBACK_HTTP:
		return on_head(wsi, in, len);
	case LWS_CALLBACK_HTTP_BODY:
		return on_body(wsi, in, len);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return on_body_complete(lws_get_opaque_user_data(wsi));
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return on_writable(lws_get_opaque_user_data(wsi));
	case LWS_CALLBACK_TIMER:
		return on_timer(lws_get_opaque_user_data(wsi));
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		*(char *)in = '\0'; /* "Upgrade" is not asked for any more */
		return 0;
	case LWS_CALLBACK_RAW_ADOPT:
		return -1; /* CONNECT */
	case LWS_CALLBACK_CLOSED_HTTP:
		on_closed(lws_get_opaque_user_data(wsi));
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		x = lws_get_opaque_user_data(wsi);
		on_closed(x); /* closed in a state that has no CLOSED */
		server_on_disconnection(lws_vhost_user(lws_get_vhost(wsi)));
		return 0;
	default:
		return 0;
	}
}
