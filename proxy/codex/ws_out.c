/* ws_out: messages on their way to a WebSocket server: framed, masked, and queued. */
#include "proxy/codex/ws_out.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/random.h"

/* The longest head of a frame: two bytes, a length of eight, a mask of four. */
#define FRAME_HEAD_MAX 14

static ssize_t
on_bytes(const uint8_t *bytes, size_t len, int flags, void *arg)
{
	struct ws_out *q = arg;

	memcpy(q->wire, bytes, len);
	q->wire += len;
	return (ssize_t)len;
}

static int
on_mask(uint8_t *to, size_t len, void *arg)
{
	return random_bytes(to, len) ? 0 : -1;
}

int
ws_out_init(struct ws_out *q)
{
	static const struct wslay_frame_callbacks callbacks = {.send_callback = on_bytes,
	                                                       .genmask_callback = on_mask};

	memset(q, 0, sizeof(*q));
	return wslay_frame_context_init(&q->framer, &callbacks, q) == 0 ? 0 : -ENOMEM;
}

void
ws_out_fini(struct ws_out *q)
{
	while (q->first != NULL) {
		struct ws_message *m = q->first;

		q->first = m->next;
		free(m);
	}
	wslay_frame_context_free(q->framer);
	q->framer = NULL;
}

static struct ws_message *
message_new(struct ws_out *q, size_t len)
{
	size_t frames = len / WS_FRAME_MAX + 1;
	struct ws_message *m = malloc(sizeof(*m) + len + frames * FRAME_HEAD_MAX);

	if (m == NULL)
		return NULL;
	m->next = NULL;
	q->wire = m->wire;
	return m;
}

static struct ws_message *
message_done(const struct ws_out *q, struct ws_message *m, bool well)
{
	if (!well) {
		free(m);
		return NULL;
	}
	m->len = (size_t)(q->wire - m->wire);
	return m;
}

struct ws_message *
ws_out_text(struct ws_out *q, const char *const *pieces, const size_t *lens, size_t count)
{
	struct wslay_frame_iocb f = {.opcode = WSLAY_TEXT_FRAME, .mask = 1};
	size_t left = 0, frame_left = 0;
	struct ws_message *m;

	for (size_t i = 0; i < count; i++)
		left += lens[i];
	m = message_new(q, left);
	if (m == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *at = (const uint8_t *)pieces[i];
		size_t piece_left = lens[i];

		while (piece_left > 0) {
			if (frame_left == 0) {
				frame_left = left < WS_FRAME_MAX ? left : WS_FRAME_MAX;
				f.payload_length = frame_left;
				f.fin = frame_left == left;
			}
			f.data = at;
			f.data_length = piece_left < frame_left ? piece_left : frame_left;
			if (wslay_frame_send(q->framer, &f) != (ssize_t)f.data_length)
				return message_done(q, m, false);
			at += f.data_length;
			piece_left -= f.data_length;
			frame_left -= f.data_length;
			left -= f.data_length;
			if (frame_left == 0)
				f.opcode = WSLAY_CONTINUATION_FRAME;
		}
	}
	return message_done(q, m, true);
}

struct ws_message *
ws_out_control(struct ws_out *q, enum wslay_opcode opcode, const void *bytes, size_t len)
{
	struct wslay_frame_iocb f = {.fin = 1,
	                             .opcode = (uint8_t)opcode,
	                             .mask = 1,
	                             .payload_length = len,
	                             .data = bytes,
	                             .data_length = len};
	struct ws_message *m = message_new(q, len);

	if (m == NULL)
		return NULL;
	return message_done(q, m, wslay_frame_send(q->framer, &f) == (ssize_t)len);
}

void
ws_out_push(struct ws_out *q, struct ws_message *m)
{
	if (q->first == NULL)
		q->first = m;
	else
		q->last->next = m;
	q->last = m;
	q->bytes += m->len;
}

unsigned
ws_out_peek(const struct ws_out *q, uv_buf_t *bufs, unsigned max)
{
	size_t sent = q->sent;
	unsigned n = 0;

	for (struct ws_message *m = q->first; m != NULL && n < max; m = m->next) {
		bufs[n++] = uv_buf_init((char *)m->wire + sent, (unsigned)(m->len - sent));
		sent = 0;
	}
	return n;
}

void
ws_out_consume(struct ws_out *q, size_t len)
{
	q->sent += len;
	while (q->first != NULL && q->sent >= q->first->len) {
		struct ws_message *m = q->first;

		q->first = m->next;
		q->sent -= m->len;
		q->bytes -= m->len;
		free(m);
	}
}
