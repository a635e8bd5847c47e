/* ws_peer: the other end of a WebSocket connection, on the test's own loop; it obeys the test.
 *
 * One connection at a time, over a unix socket or TCP. Include it in one file of the program. */
#ifndef SIDECAR_TESTS_WS_PEER_H
#define SIDECAR_TESTS_WS_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <libwebsockets.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "common/json.h"

enum ws_opcode { WS_MORE = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

#define PEER_MESSAGES_MAX 300

static struct {
	/* what the test wants */
	const char *answer; /* to the handshake; NULL: the right one, "": none at all */
	bool deaf;          /* accepts, and never reads */
	/* the connection */
	union {
		uv_stream_t stream;
		uv_pipe_t pipe;
		uv_tcp_t tcp;
	} listener, conn;
	bool tcp, listening, accepted, upgraded;
	struct json_buf in; /* bytes not yet looked at */
	struct json_buf message;
	/* what was heard */
	char head[2048]; /* of the upgrade request */
	char *messages[PEER_MESSAGES_MAX];
	size_t lens[PEER_MESSAGES_MAX];
	size_t count;
	size_t largest_frame;
	unsigned pings, pongs, closes, connections;
	bool gone;   /* the client has closed the socket */
	bool closed; /* and we have ours */
} peer;

/* --- sending -------------------------------------------------------------------------------- */

struct peer_write {
	uv_write_t req;
	char data[];
};

static inline void
peer_on_written(uv_write_t *req, int status)
{
	free(req->data);
}

static inline void
peer_send_bytes(const void *data, size_t len)
{
	struct peer_write *w = malloc(sizeof(*w) + len);
	uv_buf_t buf;

	memcpy(w->data, data, len);
	w->req.data = w;
	buf = uv_buf_init(w->data, (unsigned)len);
	assert_int_equal(uv_write(&w->req, &peer.conn.stream, &buf, 1, peer_on_written), 0);
}

static inline void
peer_send_frame(enum ws_opcode opcode, bool last, const void *data, size_t len)
{
	unsigned char *frame = malloc(len + 10);
	size_t at = 2;

	frame[0] = (unsigned char)((last ? 0x80 : 0) | opcode);
	if (len < 126) {
		frame[1] = (unsigned char)len;
	} else if (len < 65536) {
		frame[1] = 126;
		at = 4;
	} else {
		frame[1] = 127;
		at = 10;
	}
	for (size_t i = 2, left = len; i < at; i++, left >>= 8)
		frame[at + 1 - i] = (unsigned char)(left & 0xff);
	memcpy(frame + at, data, len);
	peer_send_bytes(frame, at + len);
	free(frame);
}

static inline void
peer_send(const char *text)
{
	peer_send_frame(WS_TEXT, true, text, strlen(text));
}

/* --- receiving ------------------------------------------------------------------------------ */

static inline void
peer_take(size_t len)
{
	memmove(peer.in.data, peer.in.data + len, peer.in.len - len);
	peer.in.len -= len;
}

static inline void
peer_upgrade(void)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char digest[20];
	char text[256], accept[40];
	const char *key;
	int n;

	key = strcasestr(peer.head, "sec-websocket-key: ");
	assert_non_null(key);
	n = snprintf(text, sizeof(text), "%.24s%s", key + 19, guid);
	(void)lws_SHA1((unsigned char *)text, (size_t)n, digest);
	assert_true(lws_b64_encode_string((char *)digest, 20, accept, sizeof(accept)) > 0);
	n = snprintf(text, sizeof(text),
	             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	             "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	             accept);
	peer_send_bytes(text, (size_t)n);
	peer.upgraded = true;
}

static inline bool
peer_take_head(void)
{
	const char *end = memmem(peer.in.data, peer.in.len, "\r\n\r\n", 4);
	size_t len;

	if (end == NULL)
		return false;
	len = (size_t)(end - peer.in.data) + 4;
	assert_true(len < sizeof(peer.head));
	memcpy(peer.head, peer.in.data, len);
	peer.head[len] = '\0';
	peer_take(len);
	if (peer.answer == NULL)
		peer_upgrade();
	else if (peer.answer[0] != '\0')
		peer_send_bytes(peer.answer, strlen(peer.answer));
	return true;
}

static inline void
peer_on_frame(unsigned first, const char *data, size_t len)
{
	enum ws_opcode opcode = first & 15;

	if (len > peer.largest_frame)
		peer.largest_frame = len;
	if (opcode == WS_PONG) {
		peer.pongs++;
	} else if (opcode == WS_CLOSE) {
		peer.closes++;
	} else if (opcode == WS_PING) {
		peer.pings++;
	} else {
		json_buf_append(&peer.message, data, len);
		if ((first & 0x80) == 0)
			return;
		json_buf_append(&peer.message, "", 1);
		assert_true(peer.count < PEER_MESSAGES_MAX);
		peer.messages[peer.count] = peer.message.data;
		peer.lens[peer.count++] = peer.message.len - 1;
		peer.message = (struct json_buf){.data = NULL};
	}
}

static inline bool
peer_take_frame(void)
{
	unsigned char *p = (unsigned char *)peer.in.data;
	size_t at = 2, len;

	if (peer.in.len < 2)
		return false;
	assert_true((p[1] & 0x80) != 0); /* clients mask */
	len = p[1] & 0x7f;
	if (len == 126)
		at = 4;
	else if (len == 127)
		at = 10;
	if (peer.in.len < at + 4)
		return false;
	if (at > 2)
		len = 0;
	for (size_t i = 2; i < at; i++)
		len = len << 8 | p[i];
	if (peer.in.len < at + 4 + len)
		return false;
	for (size_t i = 0; i < len; i++)
		p[at + 4 + i] ^= p[at + (i & 3)];
	peer_on_frame(p[0], (char *)p + at + 4, len);
	peer_take(at + 4 + len);
	return true;
}

static inline void
peer_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char room[1 << 20];

	*buf = uv_buf_init(room, sizeof(room));
}

static inline void
peer_on_closed(uv_handle_t *handle)
{
	peer.closed = true;
}

static inline void
peer_hang_up(void)
{
	if (!uv_is_closing((uv_handle_t *)&peer.conn.stream))
		uv_close((uv_handle_t *)&peer.conn.stream, peer_on_closed);
}

/* May the next connection come? */
static inline bool
peer_is_free(void)
{
	return !peer.accepted || peer.closed;
}

static inline void
peer_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	if (n < 0) {
		peer.gone = true;
		peer_hang_up();
		return;
	}
	json_buf_append(&peer.in, buf->base, (size_t)n);
	while (peer.upgraded ? peer_take_frame() : peer_take_head())
		continue;
}

static inline void
peer_on_connection(uv_stream_t *listener, int status)
{
	assert_int_equal(status, 0);
	assert_true(peer_is_free());
	if (peer.tcp)
		(void)uv_tcp_init(listener->loop, &peer.conn.tcp);
	else
		(void)uv_pipe_init(listener->loop, &peer.conn.pipe, 0);
	assert_int_equal(uv_accept(listener, &peer.conn.stream), 0);
	peer.accepted = true;
	peer.upgraded = peer.gone = peer.closed = false;
	peer.connections++;
	if (!peer.deaf)
		(void)uv_read_start(&peer.conn.stream, peer_on_alloc, peer_on_read);
}

/* --- life ----------------------------------------------------------------------------------- */

static inline void
peer_forget_messages(void)
{
	while (peer.count > 0)
		free(peer.messages[--peer.count]);
	json_buf_free(&peer.in);
	json_buf_free(&peer.message);
}

static inline void
peer_listen_unix(uv_loop_t *loop, const char *path)
{
	(void)uv_pipe_init(loop, &peer.listener.pipe, 0);
	assert_int_equal(uv_pipe_bind(&peer.listener.pipe, path), 0);
	assert_int_equal(uv_listen(&peer.listener.stream, 8, peer_on_connection), 0);
	peer.listening = true;
}

/* Returns the port. */
static inline int
peer_listen_tcp(uv_loop_t *loop)
{
	struct sockaddr_in addr;
	int len = sizeof(addr);

	peer.tcp = true;
	(void)uv_tcp_init(loop, &peer.listener.tcp);
	(void)uv_ip4_addr("127.0.0.1", 0, &addr);
	assert_int_equal(uv_tcp_bind(&peer.listener.tcp, (struct sockaddr *)&addr, 0), 0);
	assert_int_equal(uv_listen(&peer.listener.stream, 8, peer_on_connection), 0);
	assert_int_equal(uv_tcp_getsockname(&peer.listener.tcp, (struct sockaddr *)&addr, &len), 0);
	peer.listening = true;
	return ntohs(addr.sin_port);
}

static inline void
peer_stop(void)
{
	if (peer.listening)
		uv_close((uv_handle_t *)&peer.listener.stream, NULL);
	if (peer.accepted)
		peer_hang_up();
	peer.listening = false;
}

#endif
