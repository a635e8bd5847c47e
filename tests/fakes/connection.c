/* connection: the WebSocket clients of the fake app-server, and their queues. */
#include "tests/fakes/connection.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/common.h"
#include "tests/fakes/script.h"

#define FRAMES_AT_ONCE 1024            /* then other connections have their turn */
#define WRITE_BYTES    ((size_t)65536) /* as many frames go out in one write */
#define HEADER_MAX     10

struct connection *connections;

struct frame {
	struct frame *next;
	unsigned times;
	bool binary;
	size_t len;
	unsigned char data[]; /* LWS_PRE bytes first */
};

void
enqueue(struct connection *c, const char *data, size_t len, unsigned times, bool binary)
{
	struct frame *f;

	if (c->cut || times == 0)
		return;
	f = malloc(sizeof(*f) + LWS_PRE + len);
	if (f == NULL)
		errx(70, "no memory");
	*f = (struct frame){.times = times, .binary = binary, .len = len};
	memcpy(f->data + LWS_PRE, data, len);
	*c->last = f;
	c->last = &f->next;
	(void)lws_callback_on_writable(c->wsi);
}

static bool
is_opted_out(const struct connection *c, const char *frame, size_t len)
{
	static const char prefix[] = "{\"method\":\"";
	size_t at = sizeof(prefix) - 1, i;
	const json_t *name;
	const char *end;

	if (len < at || memcmp(frame, prefix, at) != 0)
		return false;
	end = memchr(frame + at, '"', len - at);
	json_array_foreach(c->opted_out, i, name) {
		size_t n = json_string_length(name);

		if (end != NULL && (size_t)(end - frame) - at == n &&
		    memcmp(json_string_value(name), frame + at, n) == 0)
			return true;
	}
	return false;
}

void
notify(struct connection *c, const char *frame, size_t len, unsigned times)
{
	if (!is_opted_out(c, frame, len))
		enqueue(c, frame, len, times, false);
}

void
notify_all(char *frame)
{
	for (struct connection *c = connections; c != NULL; c = c->next) {
		if (c->initialized)
			notify(c, frame, strlen(frame), 1);
	}
	free(frame);
}

void
respond(struct connection *c, const char *id, const char *result)
{
	AUTO_FREE char *text = text_printf("{\"id\":%s,\"result\":%s}", id, result);

	enqueue(c, text, strlen(text), 1, false);
}

void
respond_error(struct connection *c, const char *id, int code, const char *message)
{
	AUTO_FREE char *quoted = text_quoted(message);
	AUTO_FREE char *text =
		text_printf("{\"error\":{\"code\":%d,\"message\":%s},\"id\":%s}", code, quoted, id);

	enqueue(c, text, strlen(text), 1, false);
}

void
connection_cut(struct connection *c)
{
	c->cut = true;
	(void)lws_callback_on_writable(c->wsi);
}

void
connection_cut_in_frame(struct connection *c)
{
	static const char begin[] = "\x81\x7d{\"method\":\"item/agent"; /* 125 bytes are promised */

	/* Behind the library's back. What it does not take, the peer does not need. */
	(void)!write(lws_get_socket_fd(c->wsi), begin, sizeof(begin) - 1);
	connection_cut(c);
}

void
connection_begin(struct connection *c, struct lws *wsi)
{
	*c = (struct connection){.wsi = wsi, .last = NULL, .next = connections};
	c->last = &c->first;
	connections = c;
}

void
connection_end(struct connection *c)
{
	struct connection **at = &connections;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	while (c->first != NULL) {
		struct frame *f = c->first;

		c->first = f->next;
		free(f);
	}
	free(c->rx);
	json_decref(c->opted_out);
}

bool
connection_receive(struct connection *c, const void *data, size_t len)
{
	if (c->rx_len + len > c->rx_cap) {
		c->rx_cap = (c->rx_len + len) * 2;
		c->rx = realloc(c->rx, c->rx_cap);
		if (c->rx == NULL)
			errx(70, "no memory");
	}
	if (len > 0)
		memcpy(c->rx + c->rx_len, data, len);
	c->rx_len += len;
	return lws_is_final_fragment(c->wsi) && lws_remaining_packet_payload(c->wsi) == 0;
}

/* A frame's header, as a server sends it. What libwebsockets sends by itself is one write for each
 * frame, which would make the fake the slowest part of any measurement. */
static size_t
write_header(unsigned char *out, const struct frame *f)
{
	out[0] = f->binary ? 0x82 : 0x81;
	if (f->len < 126) {
		out[1] = (unsigned char)f->len;
		return 2;
	}
	if (f->len <= 0xffff) {
		out[1] = 126;
		out[2] = (unsigned char)(f->len >> 8);
		out[3] = (unsigned char)f->len;
		return 4;
	}
	out[1] = 127;
	for (size_t i = 0; i < 8; i++)
		out[2 + i] = (unsigned char)(f->len >> (56 - 8 * i));
	return HEADER_MAX;
}

static void
frame_sent(struct connection *c)
{
	struct frame *f = c->first;

	if (--f->times > 0)
		return;
	c->first = f->next;
	if (c->first == NULL)
		c->last = &c->first;
	free(f);
}

/* As many as there is room for; how many. */
static int
write_some(struct connection *c)
{
	static unsigned char buf[LWS_PRE + WRITE_BYTES];
	size_t len = 0;
	int count = 0;

	while (c->first != NULL && HEADER_MAX + c->first->len <= WRITE_BYTES - len) {
		const struct frame *f = c->first;

		len += write_header(buf + LWS_PRE + len, f);
		memcpy(buf + LWS_PRE + len, f->data + LWS_PRE, f->len);
		len += f->len;
		frame_sent(c);
		count++;
	}
	if (count == 0) { /* one that is larger than all of the room */
		struct frame *f = c->first;

		if (lws_write(c->wsi, f->data + LWS_PRE, f->len,
		              f->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < 0)
			return -1;
		frame_sent(c);
		return 1;
	}
	/* "HTTP": as it is, whatever the connection has become */
	return lws_write(c->wsi, buf + LWS_PRE, len, LWS_WRITE_HTTP) < 0 ? -1 : count;
}

int
connection_write(struct connection *c)
{
	int n;

	for (int i = 0; c->first != NULL && i < FRAMES_AT_ONCE; i += n) {
		if (lws_send_pipe_choked(c->wsi))
			break;
		n = write_some(c);
		if (n < 0)
			return -1;
	}
	if (c->first != NULL)
		(void)lws_callback_on_writable(c->wsi);
	else if (c->cut)
		return -1;
	return 0;
}
