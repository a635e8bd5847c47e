/* exchange: one request and its answer, as the handlers see it. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "common/random.h"
#include "proxy/http/internal.h"

#define REQUEST_ID_MAX 128 /* longer ones are not ids */
#define OWN_ID_SIZE    sizeof("req_0123456789abcdef")

/* Status line, content type, length, connection, request id, and their names. */
#define HEAD_SPARE 512

#define FIRST_BODY_CAP ((size_t)16384) /* most requests are smaller */

/* The body of an error is one short JSON object. */
#define ERROR_BODY_MAX 2048

/* The head of an error, and what it says in a few words. */
#define ANSWER_ROOM 800

/* libwebsockets has a token for these; the others are found by name. */
static const enum lws_token_indexes header_tokens[HTTP_HEADER_COUNT] = {
	[HTTP_AUTHORIZATION] = WSI_TOKEN_HTTP_AUTHORIZATION,
	[HTTP_CONTENT_TYPE] = WSI_TOKEN_HTTP_CONTENT_TYPE,
	[HTTP_CONTENT_ENCODING] = WSI_TOKEN_HTTP_CONTENT_ENCODING,
	[HTTP_ORIGIN] = WSI_TOKEN_ORIGIN,
	[HTTP_X_FORWARDED_FOR] = WSI_TOKEN_X_FORWARDED_FOR,
	[HTTP_ACCESS_CONTROL_REQUEST_HEADERS] = WSI_TOKEN_HTTP_AC_REQUEST_HEADERS,
};

static const char *const header_names[HTTP_HEADER_COUNT] = {
	[HTTP_X_API_KEY] = "x-api-key:",
	[HTTP_X_REQUEST_ID] = "x-request-id:",
	[HTTP_ACCESS_CONTROL_REQUEST_METHOD] = "access-control-request-method:",
};

static int
header_length(struct lws *wsi, size_t i)
{
	const char *name = header_names[i];

	if (name != NULL)
		return lws_hdr_custom_length(wsi, name, (int)strlen(name));
	return lws_hdr_total_length(wsi, header_tokens[i]);
}

/* Values that came in several lines are joined by ", ". */
#define JOIN_ROOM 64

static size_t
text_size(struct lws *wsi, size_t path_len)
{
	size_t size = path_len + 1 + OWN_ID_SIZE;

	for (size_t i = 0; i < HTTP_HEADER_COUNT; i++) {
		int len = header_length(wsi, i);

		if (len > 0)
			size += (size_t)len + JOIN_ROOM;
	}
	return size;
}

/* Returns the byte after what it wrote. */
static char *
copy_header(struct http_exchange *x, size_t i, char *at)
{
	int len = header_length(x->wsi, i);
	const char *name = header_names[i];

	if (len <= 0)
		return at;
	if (name != NULL)
		len = lws_hdr_custom_copy(x->wsi, at, len + JOIN_ROOM, name, (int)strlen(name));
	else
		len = lws_hdr_copy(x->wsi, at, len + JOIN_ROOM, header_tokens[i]);
	if (len < 0)
		return at;
	while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t'))
		len--;
	at[len] = '\0';
	x->headers[i] = at;
	return at + len + 1;
}

static bool
is_request_id(const char *id)
{
	size_t len = 0;

	if (id == NULL)
		return false;
	while (id[len] > ' ' && id[len] < 0x7f && len <= REQUEST_ID_MAX)
		len++;
	return len > 0 && len <= REQUEST_ID_MAX && id[len] == '\0';
}

static void
set_request_id(struct http_exchange *x, char *room)
{
	uint64_t random = 0;

	x->request_id = x->headers[HTTP_X_REQUEST_ID];
	if (is_request_id(x->request_id))
		return;
	if (!random_bytes(&random, sizeof(random)))
		random = uv_hrtime(); /* before the kernel's pool is ready: unique enough */
	(void)snprintf(room, OWN_ID_SIZE, "req_%016" PRIx64, random);
	x->request_id = room;
}

struct http_exchange *
exchange_new(struct http_server *s, struct lws *wsi, enum http_method method, const char *path,
             size_t path_len)
{
	struct http_exchange *x = calloc(1, sizeof(*x) + text_size(wsi, path_len));
	char *at;

	if (x == NULL)
		return NULL;
	/* Room for an error, whatever may happen: from here on there is an answer. */
	if (out_queue_reserve(&x->out, ANSWER_ROOM) == NULL) {
		free(x);
		return NULL;
	}
	x->server = s;
	DL_APPEND(s->exchanges, x);
	x->wsi = wsi;
	x->method = method;
	x->started_ns = uv_hrtime();
	at = x->text;
	memcpy(at, path, path_len);
	x->path = at;
	at += path_len + 1;
	for (size_t i = 0; i < HTTP_HEADER_COUNT; i++)
		at = copy_header(x, i, at);
	set_request_id(x, at);
	return x;
}

void
exchange_done(struct http_exchange *x, bool complete)
{
	if (!x->owes_done)
		return;
	x->owes_done = false;
	http_body_release(x);
	if (!x->server->closed)
		x->server->handlers->on_done(x->server->arg, x, complete);
}

void
exchange_free(struct http_exchange *x)
{
	DL_DELETE(x->server->exchanges, x);
	exchange_clean(x);
	http_body_release(x);
	out_queue_fini(&x->out);
	free(x->extra);
	x->wsi = NULL;
	if (!guard_unwatch(x))
		free(x);
}

int
exchange_add_body(struct http_exchange *x, const char *data, size_t len)
{
	size_t max = x->server->limits.max_body_bytes;
	size_t cap = x->body_cap;
	char *body;

	if (len == 0)
		return 0; /* the body of a POST that has none */
	if (len > max - x->body_len)
		return -EMSGSIZE;
	if (x->body_len + len > cap) {
		cap = cap == 0 ? FIRST_BODY_CAP : cap * 2;
		while (cap < x->body_len + len)
			cap *= 2;
		if (!x->body_chunked && cap > x->content_length)
			cap = (size_t)x->content_length;
		body = realloc(x->body, cap);
		if (body == NULL)
			return -ENOMEM;
		x->body = body;
		x->body_cap = cap;
	}
	memcpy(x->body + x->body_len, data, len);
	x->body_len += len;
	return 0;
}

void
exchange_error(struct http_exchange *x, int status, const char *message)
{
	char body[ERROR_BODY_MAX];
	size_t len = x->server->handlers->format_error(x->server->arg, status, message, body,
	                                               sizeof(body));

	http_reply(x, status, "application/json", body, len);
}

enum http_method
http_method(const struct http_exchange *x)
{
	return x->method;
}

const char *
http_path(const struct http_exchange *x)
{
	return x->path;
}

const char *
http_header(const struct http_exchange *x, enum http_header h)
{
	return x->headers[h];
}

const char *
http_body(const struct http_exchange *x, size_t *len)
{
	*len = x->body_len;
	return x->body != NULL ? x->body : "";
}

void
http_body_release(struct http_exchange *x)
{
	free(x->body);
	x->body = NULL;
	x->body_len = 0;
	x->body_cap = 0;
}

const char *
http_request_id(const struct http_exchange *x)
{
	return x->request_id;
}

uint64_t
http_started_ns(const struct http_exchange *x)
{
	return x->started_ns;
}

static bool
is_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

	switch (address->ss_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
		       (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) &&
		        v6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
	default:
		return false;
	}
}

bool
http_peer_is_local(const struct http_exchange *x)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	return x->wsi != NULL &&
	       getpeername(lws_get_socket_fd(x->wsi), (struct sockaddr *)&address, &len) == 0 &&
	       is_loopback(&address);
}

void
http_set_data(struct http_exchange *x, void *data)
{
	x->data = data;
}

void *
http_data(const struct http_exchange *x)
{
	return x->data;
}

void
http_set_caller(struct http_exchange *x, int caller)
{
	x->caller = caller;
}

int
http_caller(const struct http_exchange *x)
{
	return x->caller;
}

int
http_status(const struct http_exchange *x)
{
	return x->status;
}

bool
http_stream_begun(const struct http_exchange *x)
{
	return x->answer != HTTP_ANSWER_NONE;
}

void
http_abort(struct http_exchange *x)
{
	if (x->cut || x->wsi == NULL)
		return;
	x->cut = true;
	guard_kill(x->wsi);
}

/* Values can hold what a client sent: a line break in one would begin a header of its making. */
static size_t
copy_visible(char *to, const char *from)
{
	size_t n = 0;

	for (; *from != '\0'; from++)
		if (!iscntrl((unsigned char)*from))
			to[n++] = *from;
	return n;
}

void
http_add_header(struct http_exchange *x, const char *name, const char *value)
{
	size_t name_len = strlen(name);
	char *extra = realloc(x->extra, x->extra_len + name_len + strlen(value) + 4);

	if (extra == NULL) {
		x->no_memory = true; /* the answer will be that */
		return;
	}
	x->extra = extra;
	extra += x->extra_len;
	memcpy(extra, name, name_len);
	extra += name_len;
	*extra++ = ':';
	*extra++ = ' ';
	extra += copy_visible(extra, value);
	*extra++ = '\r';
	*extra++ = '\n';
	x->extra_len = (size_t)(extra - x->extra);
}

static void
add_line(unsigned char **at, unsigned char *end, const char *line)
{
	size_t len = strlen(line);

	if (len < (size_t)(end - *at)) {
		memcpy(*at, line, len);
		*at += len;
	}
}

#define LENGTH_NONE ((size_t)-1)

/* Queues the head of the answer. length: of the body, LENGTH_NONE for a stream. */
static bool
add_head(struct http_exchange *x, int status, const char *content_type, size_t length)
{
	char line[REQUEST_ID_MAX + 32];
	size_t type_len = content_type != NULL ? strlen(content_type) : 0;
	size_t room = HEAD_SPARE + type_len + x->extra_len;
	unsigned char *head = x->no_memory ? NULL : out_queue_reserve(&x->out, room);
	unsigned char *at = head;
	unsigned char *end;

	if (head == NULL)
		return false;
	end = head + room;
	if (x->server->leaving)
		x->close = true;
	if (length == LENGTH_NONE && x->http_1_0)
		x->unframed = x->close = true;
	if (lws_add_http_header_status(x->wsi, (unsigned)status, &at, end) != 0 ||
	    (content_type != NULL &&
	     lws_add_http_header_by_token(x->wsi, WSI_TOKEN_HTTP_CONTENT_TYPE,
	                                  (const unsigned char *)content_type, (int)type_len, &at,
	                                  end) != 0))
		return false;
	if (length != LENGTH_NONE && status != 204 && status != 304) {
		(void)snprintf(line, sizeof(line), "content-length: %zu\r\n", length);
		add_line(&at, end, line);
	} else if (length == LENGTH_NONE && !x->unframed) {
		add_line(&at, end, "transfer-encoding: chunked\r\n");
	}
	if (x->close)
		add_line(&at, end, "connection: close\r\n");
	(void)snprintf(line, sizeof(line), "x-request-id: %s\r\n", x->request_id);
	add_line(&at, end, line);
	if (x->extra_len > 0) {
		memcpy(at, x->extra, x->extra_len);
		at += x->extra_len;
	}
	if (lws_finalize_http_header(x->wsi, &at, end) != 0)
		return false;
	out_queue_commit(&x->out, (size_t)(at - head));
	x->status = status;
	free(x->extra);
	x->extra = NULL;
	x->extra_len = 0;
	return true;
}

void
exchange_ask_writeable(struct http_exchange *x)
{
	if (x->asked)
		return;
	x->asked = true;
	(void)lws_callback_on_writable(x->wsi); /* a connection that failed says so itself */
}

static void
on_prepare(uv_prepare_t *writer)
{
	struct http_server *s = writer->data;
	struct http_exchange *x;

	while ((x = s->dirty) != NULL) {
		exchange_clean(x);
		connection_write(x);
	}
	(void)uv_prepare_stop(writer); /* cannot fail */
}

/* Asking libwebsockets for WRITEABLE costs four system calls and a round of the loop. */
static void
mark_dirty(struct http_exchange *x)
{
	struct http_server *s = x->server;

	if (x->is_dirty)
		return;
	x->is_dirty = true;
	DL_APPEND2(s->dirty, x, dirty_prev, dirty_next);
	(void)uv_prepare_start(&s->writer, on_prepare); /* cannot fail; nothing if it is started */
}

void
exchange_clean(struct http_exchange *x)
{
	if (!x->is_dirty)
		return;
	x->is_dirty = false;
	DL_DELETE2(x->server->dirty, x, dirty_prev, dirty_next);
}

void
exchange_ask_to_write(struct http_exchange *x)
{
	if (x->in_event || x->asked)
		return;
	if (x->parked && !x->server->closed)
		mark_dirty(x);
	else
		exchange_ask_writeable(x);
}

/* In place of the answer for which there was no memory. What it takes is there since the beginning.
 */
static bool
add_regret(struct http_exchange *x, size_t before)
{
	char body[ERROR_BODY_MAX];
	size_t len = 0;

	out_queue_shorten(&x->out, before);
	free(x->extra);
	x->extra = NULL;
	x->extra_len = 0;
	x->no_memory = false;
	len = x->server->handlers->format_error(x->server->arg, 500, "Out of memory.", body,
	                                        sizeof(body));
	return add_head(x, 500, "application/json", len) && out_queue_append(&x->out, body, len);
}

void
http_reply(struct http_exchange *x, int status, const char *content_type, const char *data,
           size_t len)
{
	bool bare = x->method == HTTP_HEAD || status == 204 || status == 304;
	size_t before = out_queue_size(&x->out);

	if (x->cut || x->wsi == NULL || x->answer != HTTP_ANSWER_NONE)
		return;
	if ((!add_head(x, status, content_type, len) ||
	     (!bare && !out_queue_append(&x->out, data, len))) &&
	    !add_regret(x, before)) {
		http_abort(x);
		return;
	}
	x->answer = HTTP_ANSWER_WHOLE;
	exchange_ask_to_write(x);
}

/* There was no memory for more of it. */
static void
regret_stream(struct http_exchange *x)
{
	if (x->stream_sent || !add_regret(x, x->before_stream)) {
		http_abort(x);
		return;
	}
	x->answer = HTTP_ANSWER_WHOLE;
	exchange_ask_to_write(x);
}

void
http_stream_begin(struct http_exchange *x, int status, const char *content_type)
{
	if (x->cut || x->wsi == NULL || x->answer != HTTP_ANSWER_NONE)
		return;
	x->before_stream = out_queue_size(&x->out);
	x->answer = HTTP_ANSWER_STREAM;
	if (add_head(x, status, content_type, LENGTH_NONE))
		exchange_ask_to_write(x);
	else
		regret_stream(x);
}

static bool
add_piece(struct http_exchange *x, const char *data, size_t len)
{
	if (x->unframed)
		return out_queue_append(&x->out, data, len);
	return out_queue_append_chunked(&x->out, data, len);
}

bool
http_stream_write(struct http_exchange *x, const char *a, size_t alen, const char *b, size_t blen,
                  const char *c, size_t clen)
{
	if (x->cut || x->wsi == NULL || x->answer != HTTP_ANSWER_STREAM)
		return false;
	if (x->method == HTTP_HEAD)
		return true;
	/* What waits already is over the limit: one large write alone is nobody's fault. */
	if (out_queue_size(&x->out) > x->server->limits.max_stream_bytes) {
		http_abort(x);
		return false;
	}
	if (!add_piece(x, a, alen) || !add_piece(x, b, blen) || !add_piece(x, c, clen)) {
		regret_stream(x);
		return false;
	}
	exchange_ask_to_write(x);
	return true;
}

void
http_stream_end(struct http_exchange *x)
{
	if (x->cut || x->wsi == NULL || x->answer != HTTP_ANSWER_STREAM)
		return;
	if (x->method != HTTP_HEAD && !x->unframed && !out_queue_end_chunked(&x->out)) {
		regret_stream(x);
		return;
	}
	x->answer = HTTP_ANSWER_WHOLE;
	exchange_ask_to_write(x);
}
