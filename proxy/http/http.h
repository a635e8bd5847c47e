/* http: an HTTP/1.1 server that hands out whole requests and takes whole or streamed answers.
 *
 * It knows connections, bodies, limits and backpressure, and nothing of what is served. Everything
 * runs on the loop's thread. */
#ifndef SIDECAR_PROXY_HTTP_H
#define SIDECAR_PROXY_HTTP_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/common.h"
#include "common/err.h"

struct http_server;

/* One request and its answer. Made by the server when the head has arrived, handed to on_request
 * when the body is complete, and gone after its on_done call. */
struct http_exchange;

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_PATCH,
	HTTP_DELETE,
	HTTP_OPTIONS,
};

/* The request headers that are kept; others are not looked at. */
enum http_header {
	HTTP_AUTHORIZATION,
	HTTP_CONTENT_TYPE,
	HTTP_CONTENT_ENCODING,
	HTTP_ORIGIN,
	HTTP_X_API_KEY,
	HTTP_X_REQUEST_ID,
	HTTP_X_FORWARDED_FOR,
	HTTP_ACCESS_CONTROL_REQUEST_METHOD,
	HTTP_ACCESS_CONTROL_REQUEST_HEADERS,
	HTTP_HEADER_COUNT,
};

struct http_handlers {
	/* Head and body are complete. Owes exactly one answer, now or later, unless on_done comes
	 * first. */
	void (*on_request)(void *arg, struct http_exchange *x);
	/* The last call for an exchange: answered in full, or the client has gone (complete
	 * false), which may be before on_request, and for a head that cannot be read safely it is
	 * the only one. Nothing that is written in it is sent; the exchange is gone after it. Never
	 * made from inside a call of the handler. */
	void (*on_done)(void *arg, struct http_exchange *x, bool complete);
	/* Writes the body of an error that the server itself answers (400, 408, 411, 413, 501, 503)
	 * into body, at most size bytes; returns its length. */
	size_t (*format_error)(void *arg, int status, const char *message, char *body, size_t size);
	/* May the body be read? Called when the head has arrived. 0: yes; anything else: no, and it
	 * has been answered here, with http_reply (401, 404, 405, 415...). */
	int (*on_head)(void *arg, struct http_exchange *x);
};

struct http_limits {
	size_t max_body_bytes;    /* 413 over it */
	size_t max_stream_bytes;  /* queued for one slow reader; over it the exchange is cut */
	unsigned max_connections; /* accepting pauses at it */
	uint64_t body_timeout_ms; /* whole request body */
	uint64_t write_stall_ms;  /* a reader that takes nothing for so long is cut */
};

int http_server_new(struct http_server **out, struct lws_context *ctx, uv_loop_t *loop,
                    const struct http_limits *limits, const struct http_handlers *handlers,
                    void *arg, struct err *err) MUST_CHECK;
/* Serves HTTPS from now on, with this certificate chain and its key (PEM files); they are read
 * again when they change. The context must be one with TLS. */
int http_server_use_tls(struct http_server *s, const char *cert, const char *key,
                        struct err *err) MUST_CHECK;
/* libwebsockets had no memory for something: a connection may wait for that. */
void http_server_was_short(void *s);
/* Adds a listening socket (TCP or unix, non-blocking); ownership passes to the server. */
int http_server_listen(struct http_server *s, int fd, struct err *err) MUST_CHECK;
/* Asks clients to come back on another connection: with the next answer on each of theirs. */
void http_server_leave(struct http_server *s);
/* Stops accepting and asks clients to close their idle connections; running exchanges go on. */
void http_server_stop_listening(struct http_server *s);
/* Is a request on its way, of a client that cannot have known of the end: on a connection that was
 * accepted a moment ago, or with a body that is still coming? */
bool http_server_expects_requests(const struct http_server *s);
unsigned http_server_connections(const struct http_server *s);
/* Requests in work: from their head to the last byte of their answer. */
unsigned http_server_exchanges(const struct http_server *s);
/* Frees what the loop does not own; its vhost and connections end with lws_context_shutdown.
 * Every exchange ends here, with on_done; after that no callback of the handlers is made but
 * format_error, for requests that still come on connections that there are.
 * Idempotent. */
void http_server_close(struct http_server *s);
/* After lws_context_shutdown. */
void http_server_free(struct http_server *s);

/* The request. Strings live as long as the exchange. */
enum http_method http_method(const struct http_exchange *x);
const char *http_path(const struct http_exchange *x); /* decoded, without the query */
const char *http_header(const struct http_exchange *x, enum http_header h); /* NULL: absent */
const char *http_body(const struct http_exchange *x, size_t *len);
/* The body is not needed any more: give its memory back. */
void http_body_release(struct http_exchange *x);
/* The caller's x-request-id when it is well-formed (1-128 printable ASCII), else a new one. */
const char *http_request_id(const struct http_exchange *x);
uint64_t http_started_ns(const struct http_exchange *x); /* uv_hrtime when the head arrived */
/* Does the client sit on this machine: a unix socket, or a loopback address? */
bool http_peer_is_local(const struct http_exchange *x);
void http_set_data(struct http_exchange *x, void *data);
void *http_data(const struct http_exchange *x);
/* Who is calling, as the handlers number them; 0 at first. */
void http_set_caller(struct http_exchange *x, int caller);
int http_caller(const struct http_exchange *x);

/* The answer. Headers are added before the reply or stream begins; name in lower case, values are
 * filtered of control characters. x-request-id is added by the server. For HEAD no body is sent. */
void http_add_header(struct http_exchange *x, const char *name, const char *value);
/* A whole answer; data is copied. Any size: it is written in pieces as the client reads.
 * content_type: NULL for an answer without a body. */
void http_reply(struct http_exchange *x, int status, const char *content_type, const char *data,
                size_t len);
/* A chunked answer. */
void http_stream_begin(struct http_exchange *x, int status, const char *content_type);
/* Appends up to three pieces as one (a, b, c may be NULL with length 0). Copied; sent when the
 * socket takes it; several writes of one loop turn leave in one send. false: over the limit, the
 * exchange is being cut and on_done(false) will follow; nothing more need be written. */
bool http_stream_write(struct http_exchange *x, const char *a, size_t alen, const char *b,
                       size_t blen, const char *c, size_t clen);
void http_stream_end(struct http_exchange *x);
/* Cuts the connection without an end: for a stream that cannot be ended well. on_done(false). */
void http_abort(struct http_exchange *x);
bool http_stream_begun(const struct http_exchange *x);
/* Of the answer; 0 before there is one. */
int http_status(const struct http_exchange *x);

#endif
