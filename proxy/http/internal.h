/* internal: what the files of proxy/http share; nobody outside includes it.
 *
 * server.c accepts, connection.c obeys libwebsockets' callbacks, guards.c keeps its traps away,
 * exchange.c holds one request and its answer. */
#ifndef SIDECAR_PROXY_HTTP_INTERNAL_H
#define SIDECAR_PROXY_HTTP_INTERNAL_H

#include "proxy/http/chunked.h"
#include "proxy/http/http.h"
#include "proxy/http/out_queue.h"

struct http_listener;
struct http_tls;

struct http_server {
	struct lws_context *ctx;
	struct lws_vhost *vhost; /* of new connections */
	struct http_tls *tls;    /* NULL: plain HTTP */
	uv_loop_t *loop;
	struct http_limits limits;
	const struct http_handlers *handlers;
	void *arg;
	struct http_listener *listeners;
	uv_timer_t retry; /* accepting again after files ran out */
	uv_timer_t nudge; /* those that wait in libwebsockets */
	unsigned connections;
	uint64_t accepted_ms;   /* loop time, of the last one */
	uint64_t reported_full; /* loop time, ms */
	struct http_exchange *exchanges;
	struct http_exchange *dirty;     /* their queues are looked at before the loop waits */
	uv_prepare_t writer;             /* does so; started while there are any */
	struct http_exchange *unwatched; /* parked, the longest first */
	uv_timer_t watcher;              /* for the first of them */
	bool leaving;                    /* every answer asks for the connection to be closed */
	bool draining;                   /* and it is closed after each */
	bool closed;                     /* the handlers are not called any more */
};

/* How far the answer is. */
enum http_answer {
	HTTP_ANSWER_NONE,
	HTTP_ANSWER_STREAM, /* begun */
	HTTP_ANSWER_WHOLE,  /* all of it is queued */
};

/* An idle connection has none: it lives from the head of the request to the last byte of the
 * answer, or to the end of the request body, whichever is later. */
struct http_exchange {
	struct http_server *server;
	struct http_exchange *prev, *next; /* of the server's */
	struct lws *wsi;                   /* NULL once the connection and this have parted */
	void *data;
	int caller;

	enum http_method method;
	const char *path;
	const char *headers[HTTP_HEADER_COUNT];
	const char *request_id;
	uint64_t started_ns;

	bool body_complete;
	bool body_chunked;
	bool expect_continue;
	struct chunked chunked;
	uint64_t content_length;
	char *body;
	size_t body_len;
	size_t body_cap;

	enum http_answer answer;
	int status; /* 0: none yet */
	bool http_1_0;
	bool close;    /* the connection ends with this answer */
	bool unframed; /* a stream without chunks, ended by closing */
	char *extra;   /* the header lines that the handler added */
	size_t extra_len;
	bool no_memory; /* for a header line: the answer will say that */
	struct out_queue out;
	size_t before_stream; /* bytes of out that are none of it */
	bool stream_sent;     /* some of it: what has been said cannot be taken back */

	bool owes_done; /* the handler has seen it, and has not seen its end */
	bool cut;       /* being killed: nothing is taken, nothing is sent */
	bool in_event; /* inside a callback of libwebsockets that looks at the queue when it ends */
	bool asked;    /* WRITEABLE has been asked for, and is still to come */
	bool is_dirty;
	struct http_exchange *dirty_prev, *dirty_next; /* of the server's */

	/* guards.c: see there. */
	bool body_begun;
	bool parked;
	bool unwatched; /* on the server's list */
	struct http_exchange *unwatched_prev, *unwatched_next;
	uint64_t parked_ms; /* loop time */
	bool watching;
	uv_poll_t watch;
	int watch_fd;
	bool stall_armed;
	bool moved;     /* a write went out since the last look */
	unsigned still; /* looks in a row that saw no byte taken */
	int on_the_way; /* at that look, in the kernel */

	char text[]; /* what the strings above point to */
};

/* exchange.c */
struct http_exchange *exchange_new(struct http_server *s, struct lws *wsi, enum http_method method,
                                   const char *path, size_t path_len) MUST_CHECK;
/* Tells the handler that it is over, if it does not know yet. */
void exchange_done(struct http_exchange *x, bool complete);
/* Something is queued, or the end is: all that is until the loop waits again leaves together. */
void exchange_ask_to_write(struct http_exchange *x);
/* Asks for WRITEABLE. */
void exchange_ask_writeable(struct http_exchange *x);
/* It has none any more. */
void exchange_clean(struct http_exchange *x);
/* Exactly once, after it has been taken off its connection. */
void exchange_free(struct http_exchange *x);
/* Appends request body. 0, -EMSGSIZE over the limit, -ENOMEM. */
int exchange_add_body(struct http_exchange *x, const char *data, size_t len) MUST_CHECK;
/* An answer of the server itself, its body made by format_error. */
void exchange_error(struct http_exchange *x, int status, const char *message);

/* connection.c */
int connection_on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                        size_t len);
/* Sends what is queued, from outside of libwebsockets' callbacks. x may be gone then. */
void connection_write(struct http_exchange *x);
/* The client has gone, or is being thrown out: ends the exchange now, the connection soon. */
void connection_lose(struct http_exchange *x);

/* server.c */
void server_on_connection(struct http_server *s);
void server_on_disconnection(struct http_server *s);
/* cert, key: files, NULL for plain HTTP. NULL: no memory, or they are no such files. */
struct lws_vhost *server_vhost(struct http_server *s, const char *cert, const char *key);

/* tls.c */
void tls_close(struct http_tls *t); /* NULL is fine */

/* guards.c */
enum guard_head { GUARD_HEAD_OK, GUARD_HEAD_REFUSED };

/* Finds out how the body is framed, and answers what cannot be read safely. REFUSED: an answer is
 * queued, the connection must close after it. */
enum guard_head guard_head(struct http_exchange *x);
/* Is this, the first piece of the body, the head read a second time? The connection must close. */
bool guard_is_head(const struct http_exchange *x, const char *data, size_t len);
/* Stops libwebsockets from reading while an answer is being made; a client that goes away is
 * noticed all the same. Only from the WRITEABLE callback, which must return GUARD_PARKED then;
 * returning 0 from it ends the parking. */
#define GUARD_PARKED 1
void guard_park(struct http_exchange *x);
/* Ends the connection without another byte, from any place; its CLOSED event follows. */
void guard_kill(struct lws *wsi);
/* Called after each write: while bytes wait, looks that the client goes on taking some. */
void guard_stall_start(struct http_exchange *x);
/* The timer of it has come. false: it has taken nothing for too long. */
bool guard_stall_check(struct http_exchange *x);
/* The timer for the watches: the server's watcher. */
void guard_on_watcher(uv_timer_t *watcher);
/* The watch of guard_park ends. True: x is freed by it, later. */
bool guard_unwatch(struct http_exchange *x);

#endif
