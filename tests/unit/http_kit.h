/* http_kit: an HTTP server with a stub behind it and clients before it, all on one loop.
 *
 * For the tests of proxy/http only: include it once, after cmocka. */
#ifndef SIDECAR_TESTS_HTTP_KIT_H
#define SIDECAR_TESTS_HTTP_KIT_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/log.h"
#include "proxy/http/chunked.h"
#include "proxy/http/http.h"
#include "proxy/lws_context.h"
#include "tests/unit/patience.h"

#define PATIENCE_MS 10000 /* a test that waits longer has failed */
#define HELD_MAX    64

/* --- what the tests share ------------------------------------------------------------------- */

struct client;

static struct {
	uv_loop_t loop;
	uv_timer_t deadline;
	bool late;
	uv_prepare_t counter;
	unsigned turns; /* of the loop */
	struct lws_context *ctx;
	struct http_server *server;
	struct http_limits limits;
	struct sockaddr_storage address;
	socklen_t address_len;
	char dir[64]; /* of a unix socket; "": none */
	struct client *clients;

	/* What the stub has seen. */
	unsigned heads, requests, completed, cut;
	struct http_exchange *held[HELD_MAX]; /* not answered yet, in their order */
	unsigned held_count;
	enum http_method method;
	char path[256];
	char *body; /* of the last request, with a NUL after it */
	size_t body_len;
	char request_id[256];

	/* What it does; NULL: see serve(). */
	void (*on_request)(struct http_exchange *x);
	int (*on_head)(struct http_exchange *x);
	void (*on_done)(struct http_exchange *x, bool complete);
	size_t size; /* of the answer of /size */
} kit;

/* Runs the loop until it is so. */
#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		kit_set_deadline(patience(PATIENCE_MS));                                           \
		while (!(condition)) {                                                             \
			if (kit.late)                                                              \
				fail_msg("waited in vain for: %s", #condition);                    \
			(void)uv_run(&kit.loop, UV_RUN_ONCE);                                      \
		}                                                                                  \
		(void)uv_timer_stop(&kit.deadline);                                                \
	} while (0)

static inline void
kit_on_deadline(uv_timer_t *timer)
{
	kit.late = true;
}

/* It repeats: when it fires at the start of a turn, the rest of that turn would wait for something
 * else. */
static inline void
kit_set_deadline(unsigned ms)
{
	kit.late = false;
	uv_update_time(&kit.loop);
	(void)uv_timer_start(&kit.deadline, kit_on_deadline, ms, 10);
}

static inline void
kit_on_turn(uv_prepare_t *counter)
{
	kit.turns++;
}

/* Lets the loop run for a while in which nothing ought to happen; returns how often it turned.
 * One that spins turns some thousand times in 100 ms. */
static inline unsigned
kit_turns_in(unsigned ms)
{
	unsigned before = kit.turns;

	kit_set_deadline(ms);
	while (!kit.late)
		(void)uv_run(&kit.loop, UV_RUN_ONCE);
	(void)uv_timer_stop(&kit.deadline);
	return kit.turns - before;
}

/* Gives the server its turn at what was just sent: on one machine it is there at once. */
static inline void
kit_turn(void)
{
	for (unsigned i = 0; i < 5; i++)
		(void)uv_run(&kit.loop, UV_RUN_NOWAIT);
}

#define QUIET_MS       50
/* libwebsockets has timers of its own. */
#define assert_quiet() assert_in_range(kit_turns_in(QUIET_MS), 1, 20)

/* --- the stub behind the server ------------------------------------------------------------- */

static inline void
reply_text(struct http_exchange *x, int status, const char *text)
{
	http_reply(x, status, "text/plain", text, strlen(text));
}

/* /echo: the body. /size: kit.size bytes. /hold: later. Others: "hello". */
static inline void
serve(struct http_exchange *x)
{
	if (strcmp(kit.path, "/echo") == 0) {
		http_reply(x, 200, "text/plain", kit.body, kit.body_len);
	} else if (strcmp(kit.path, "/size") == 0) {
		char *bytes = malloc(kit.size);

		assert_non_null(bytes);
		for (size_t i = 0; i < kit.size; i++)
			bytes[i] = (char)('a' + i % 23);
		http_reply(x, 200, "application/octet-stream", bytes, kit.size);
		free(bytes);
	} else if (strcmp(kit.path, "/hold") == 0) {
		assert_true(kit.held_count < HELD_MAX);
		kit.held[kit.held_count++] = x;
	} else {
		reply_text(x, 200, "hello");
	}
}

static inline void
kit_on_request(void *arg, struct http_exchange *x)
{
	const char *body = http_body(x, &kit.body_len);

	kit.requests++;
	kit.method = http_method(x);
	(void)snprintf(kit.path, sizeof(kit.path), "%s", http_path(x));
	(void)snprintf(kit.request_id, sizeof(kit.request_id), "%s", http_request_id(x));
	free(kit.body);
	kit.body = malloc(kit.body_len + 1);
	assert_non_null(kit.body);
	memcpy(kit.body, body, kit.body_len);
	kit.body[kit.body_len] = '\0';
	if (kit.on_request != NULL)
		kit.on_request(x);
	else
		serve(x);
}

static inline int
kit_on_head(void *arg, struct http_exchange *x)
{
	kit.heads++;
	return kit.on_head != NULL ? kit.on_head(x) : 0;
}

static inline void
kit_on_done(void *arg, struct http_exchange *x, bool complete)
{
	unsigned kept = 0;

	if (complete)
		kit.completed++;
	else
		kit.cut++;
	for (unsigned i = 0; i < kit.held_count; i++)
		if (kit.held[i] != x)
			kit.held[kept++] = kit.held[i];
	kit.held_count = kept;
	if (kit.on_done != NULL)
		kit.on_done(x, complete);
}

static inline size_t
kit_format_error(void *arg, int status, const char *message, char *body, size_t size)
{
	int len = snprintf(body, size, "{\"error\":%d}", status);

	return (size_t)len;
}

static const struct http_handlers kit_handlers = {
	.on_request = kit_on_request,
	.on_done = kit_on_done,
	.format_error = kit_format_error,
	.on_head = kit_on_head,
};

/* --- the clients ---------------------------------------------------------------------------- */

/* Freed by client_close, or by kit_close. */
struct client {
	uv_poll_t poll;
	int fd;
	struct client *next;
	bool deaf; /* reads nothing */
	bool head; /* the next answer is one to HEAD: without a body */
	bool eof;
	bool reset;

	char *in; /* all that came */
	size_t in_len, in_cap;
	size_t at; /* the answers before it have been taken */
	char *out; /* what is still to be sent: the last out_len bytes of out_size */
	size_t out_len, out_size;

	/* The last answer taken by next_answer(). */
	int status;
	char *head_text; /* status line and headers */
	char *body;
	size_t body_len;
};

static inline void client_on_poll(uv_poll_t *poll, int status, int events);

static inline void
client_poll(struct client *c)
{
	int events = (c->out_len > 0 ? UV_WRITABLE : 0) | (c->deaf || c->eof ? 0 : UV_READABLE);

	if (events == 0)
		(void)uv_poll_stop(&c->poll);
	else
		(void)uv_poll_start(&c->poll, events, client_on_poll);
}

static inline void
client_read(struct client *c)
{
	ssize_t n;

	if (c->in_cap - c->in_len < 65536) {
		c->in_cap = (c->in_cap + 65536) * 2;
		c->in = realloc(c->in, c->in_cap);
		assert_non_null(c->in);
	}
	n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, MSG_DONTWAIT);
	if (n > 0)
		c->in_len += (size_t)n;
	else if (n == 0)
		c->eof = true;
	else if (errno != EAGAIN)
		c->eof = c->reset = true;
}

static inline void
client_write(struct client *c)
{
	ssize_t n = send(c->fd, c->out + c->out_size - c->out_len, c->out_len,
	                 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN) {
		c->out_len = 0; /* what came before it can still be read */
		c->reset = true;
		return;
	}
	if (n > 0)
		c->out_len -= (size_t)n;
}

static inline void
client_on_poll(uv_poll_t *poll, int status, int events)
{
	struct client *c = poll->data;

	/* An error shows as all events at once: what it is, reading tells. */
	if ((events & UV_READABLE) || status < 0)
		client_read(c);
	if ((events & UV_WRITABLE) && c->out_len > 0)
		client_write(c);
	client_poll(c);
}

static inline struct client *
client_open(void)
{
	struct client *c = calloc(1, sizeof(*c));
	int one = 1;

	assert_non_null(c);
	c->fd = socket(kit.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	/* A head and its body are two sends: the second would wait for the first's delayed ACK. */
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	assert_return_code(connect(c->fd, (struct sockaddr *)&kit.address, kit.address_len), errno);
	assert_int_equal(uv_poll_init(&kit.loop, &c->poll, c->fd), 0);
	c->poll.data = c;
	c->next = kit.clients;
	kit.clients = c;
	client_poll(c);
	return c;
}

static inline void
client_on_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;

	free(c->in);
	free(c->out);
	free(c->head_text);
	free(c->body);
	free(c);
}

static inline void
client_close(struct client *c)
{
	struct client **at = &kit.clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	(void)uv_poll_stop(&c->poll);
	uv_close((uv_handle_t *)&c->poll, client_on_closed);
	(void)close(c->fd);
}

/* Closes with a reset. */
static inline void
client_reset(struct client *c)
{
	struct linger linger = {.l_onoff = 1};

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	client_close(c);
}

static inline void
client_send_bytes(struct client *c, const char *data, size_t len)
{
	char *out = malloc(c->out_len + len + 1);

	assert_non_null(out);
	if (c->out_len > 0)
		memcpy(out, c->out + c->out_size - c->out_len, c->out_len);
	memcpy(out + c->out_len, data, len);
	free(c->out);
	c->out = out;
	c->out_len += len;
	c->out_size = c->out_len;
	client_write(c);
	client_poll(c);
}

static inline void
client_send(struct client *c, const char *text)
{
	client_send_bytes(c, text, strlen(text));
}

/* Is the text in what came and was not taken yet? */
static inline bool
client_has(const struct client *c, const char *text)
{
	return c->in_len > c->at &&
	       memmem(c->in + c->at, c->in_len - c->at, text, strlen(text)) != NULL;
}

static inline void
client_listen_again(struct client *c)
{
	c->deaf = false;
	client_poll(c);
}

static inline void
client_get(struct client *c, const char *path)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: t\r\n\r\n", path);
	client_send(c, text);
}

static inline void
client_post(struct client *c, const char *path, const char *body)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
	               "POST %s HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n", path,
	               strlen(body));
	client_send(c, text);
	client_send(c, body);
}

/* A header of the last answer, NULL when it has none. Valid until the next call. */
static inline const char *
client_header(struct client *c, const char *name)
{
	static char value[1024];
	size_t len = strlen(name);

	for (const char *line = strstr(c->head_text, "\r\n"); line != NULL;
	     line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		(void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + len + 2, "\r"),
		               line + len + 2);
		return value;
	}
	return NULL;
}

static inline void
client_add_body(struct client *c, const char *data, size_t len)
{
	if (len > 0)
		memcpy(c->body + c->body_len, data, len);
	c->body_len += len;
	c->body[c->body_len] = '\0';
}

/* Takes the body that begins at data. False: it is not complete yet. */
static inline bool
client_take_body(struct client *c, const char *data, size_t len)
{
	const char *text = client_header(c, "content-length");
	struct chunked chunked = {0};
	const char *piece = NULL;
	size_t piece_len = 0;
	enum chunked_result r;

	if (text != NULL && !c->head && len < strtoull(text, NULL, 10))
		return false;
	free(c->body);
	c->body = malloc(len + 1);
	assert_non_null(c->body);
	c->body_len = 0;
	client_add_body(c, "", 0);
	if (c->head || c->status < 200 || c->status == 204 || c->status == 304)
		return true;
	if (text != NULL) {
		client_add_body(c, data, strtoull(text, NULL, 10));
		c->at += c->body_len;
		return true;
	}
	if (client_header(c, "transfer-encoding") == NULL) {
		client_add_body(c, data, len);
		c->at += len;
		return c->eof;
	}
	text = data;
	while ((r = chunked_next(&chunked, &data, &len, &piece, &piece_len)) == CHUNKED_PIECE)
		client_add_body(c, piece, piece_len);
	assert_int_not_equal(r, CHUNKED_BAD);
	c->at += (size_t)(data - text);
	return r == CHUNKED_END;
}

/* Takes the next answer, when all of it is here. */
static inline bool
client_take_answer(struct client *c)
{
	char *from = c->in + c->at;
	size_t before = c->at;
	char *end = c->in_len > c->at ? memmem(from, c->in_len - c->at, "\r\n\r\n", 4) : NULL;

	if (end == NULL)
		return false;
	free(c->head_text);
	c->head_text = strndup(from, (size_t)(end + 2 - from));
	assert_int_equal(sscanf(c->head_text, "HTTP/1.%*1[01] %d", &c->status), 1);
	c->at = (size_t)(end + 4 - c->in);
	if (client_take_body(c, c->in + c->at, c->in_len - c->at))
		return true;
	c->at = before;
	return false;
}

/* Waits for the next answer; it is in c->status, c->body and client_header(). */
static inline void
next_answer(struct client *c)
{
	UNTIL(client_take_answer(c) || c->eof);
	if (c->eof && c->in_len == c->at && c->status == 0)
		fail_msg("closed without an answer after %zu bytes, %u requests, last %s", c->at,
		         kit.requests, kit.path);
}

#define assert_answer(c, wanted_status, wanted_body)                                               \
	do {                                                                                       \
		(c)->status = 0;                                                                   \
		next_answer(c);                                                                    \
		assert_int_equal((c)->status, (wanted_status));                                    \
		assert_string_equal((c)->body, (wanted_body));                                     \
	} while (0)

/* The end of the connection, and not a byte before it. */
#define assert_closed(c)                                                                           \
	do {                                                                                       \
		UNTIL((c)->eof);                                                                   \
		assert_int_equal((c)->in_len, (c)->at);                                            \
	} while (0)

/* --- life ----------------------------------------------------------------------------------- */

static inline int
kit_listen_tcp(void)
{
	struct sockaddr_in *in = (void *)&kit.address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	kit.address_len = sizeof(*in);
	assert_return_code(bind(fd, (struct sockaddr *)in, sizeof(*in)), errno);
	assert_return_code(listen(fd, 128), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)in, &kit.address_len), errno);
	return fd;
}

static inline int
kit_listen_unix(void)
{
	struct sockaddr_un *un = (void *)&kit.address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	(void)strcpy(kit.dir, "/tmp/test-http.XXXXXX");
	assert_non_null(mkdtemp(kit.dir));
	un->sun_family = AF_UNIX;
	(void)snprintf(un->sun_path, sizeof(un->sun_path), "%s/http.sock", kit.dir);
	kit.address_len = sizeof(*un);
	assert_return_code(bind(fd, (struct sockaddr *)un, sizeof(*un)), errno);
	assert_return_code(listen(fd, 128), errno);
	return fd;
}

/* kit.limits may be changed before. */
static inline void
kit_start(int fd)
{
	struct err err;

	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	assert_int_equal(uv_loop_init(&kit.loop), 0);
	(void)uv_timer_init(&kit.loop, &kit.deadline);
	(void)uv_prepare_init(&kit.loop, &kit.counter);
	(void)uv_prepare_start(&kit.counter, kit_on_turn);
	assert_int_equal(lws_context_open(&kit.ctx, &kit.loop, &err), 0);
	assert_int_equal(http_server_new(&kit.server, kit.ctx, &kit.loop, &kit.limits,
	                                 &kit_handlers, NULL, &err),
	                 0);
	assert_int_equal(http_server_listen(kit.server, fd, &err), 0);
}

static inline int
kit_setup_limits(void **state)
{
	memset(&kit, 0, sizeof(kit));
	kit.limits = (struct http_limits){
		.max_body_bytes = 1 << 20,
		.max_stream_bytes = 1 << 20,
		.max_connections = 100,
		.body_timeout_ms = 30000,
		.write_stall_ms = 30000,
	};
	return 0;
}

static inline int
kit_setup(void **state)
{
	(void)kit_setup_limits(state);
	kit_start(kit_listen_tcp());
	return 0;
}

static inline int
kit_setup_unix(void **state)
{
	(void)kit_setup_limits(state);
	kit_start(kit_listen_unix());
	return 0;
}

/* Whatever is still open must come down with it, and nothing may be left on the loop. */
static inline int
kit_teardown(void **state)
{
	if (kit.server != NULL)
		http_server_close(kit.server);
	uv_close((uv_handle_t *)&kit.deadline, NULL);
	uv_close((uv_handle_t *)&kit.counter, NULL);
	for (struct client *c = kit.clients, *next; c != NULL; c = next) {
		next = c->next;
		(void)uv_poll_stop(&c->poll);
		uv_close((uv_handle_t *)&c->poll, client_on_closed);
		(void)close(c->fd);
	}
	assert_true(lws_context_shutdown(kit.ctx, &kit.loop));
	if (kit.server != NULL) {
		assert_int_equal(http_server_connections(kit.server), 0);
		http_server_free(kit.server);
	}
	assert_int_equal(uv_loop_close(&kit.loop), 0);
	free(kit.body);
	if (kit.dir[0] != '\0') {
		(void)unlink(((struct sockaddr_un *)(void *)&kit.address)->sun_path);
		(void)rmdir(kit.dir);
	}
	return 0;
}

#define TEST(f)             cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
#define TEST_UNIX(f)        cmocka_unit_test_setup_teardown(f, kit_setup_unix, kit_teardown)
#define TEST_WITH_LIMITS(f) cmocka_unit_test_setup_teardown(f, kit_setup_limits, kit_teardown)

#endif
