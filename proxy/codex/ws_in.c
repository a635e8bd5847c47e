/* ws_in: the messages in what a WebSocket server sends. wslay takes the frames apart; what makes
 * messages of them is here. */
#include "proxy/codex/ws_in.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wslay/wslay.h>

#define CONTROL_MAX 125 /* RFC 6455, 5.5 */

/* A message in pieces may leave so much memory behind for the next one. */
#define KEEP_BYTES ((size_t)256 << 10)

struct ws_in {
	wslay_frame_context_ptr frames;
	const struct ws_in_handlers *handlers;
	void *arg;
	const char *next; /* of the bytes that are being fed */
	size_t left;
	uint64_t frame_left; /* of the frame that has begun */
	bool open;           /* a message has begun */
	char *message;       /* one that does not lie in one piece */
	size_t len, cap, max;
	char control[CONTROL_MAX];
	size_t control_len;
	char problem[80];
};

static ssize_t
on_want(uint8_t *to, size_t max, int flags, void *arg)
{
	struct ws_in *in = arg;
	size_t n = in->left < max ? in->left : max;

	if (n == 0)
		return -1; /* no more for now */
	memcpy(to, in->next, n);
	in->next += n;
	in->left -= n;
	return (ssize_t)n;
}

struct ws_in *
ws_in_new(size_t max_message_bytes, const struct ws_in_handlers *handlers, void *arg)
{
	static const struct wslay_frame_callbacks callbacks = {.recv_callback = on_want};
	struct ws_in *in = calloc(1, sizeof(*in));

	if (in == NULL || wslay_frame_context_init(&in->frames, &callbacks, in) != 0) {
		free(in);
		return NULL;
	}
	in->handlers = handlers;
	in->arg = arg;
	in->max = max_message_bytes;
	return in;
}

void
ws_in_free(struct ws_in *in)
{
	if (in == NULL)
		return;
	wslay_frame_context_free(in->frames);
	free(in->message);
	free(in);
}

static const char *
too_long(struct ws_in *in)
{
	(void)snprintf(in->problem, sizeof(in->problem),
	               "the app-server sent a message over %zu bytes", in->max);
	return in->problem;
}

/* Is it one that may come now? Finds the room for it. */
static const char *
begin_frame(struct ws_in *in, const struct wslay_frame_iocb *f)
{
	if (f->rsv != 0 || f->mask != 0)
		return "the app-server sent a frame that is masked, or of an unknown extension";
	if (wslay_is_ctrl_frame(f->opcode)) {
		if (f->opcode > WSLAY_PONG)
			return "the app-server sent a frame of an unknown kind";
		in->control_len = 0;
		return NULL; /* wslay sees to it that they are short */
	}
	if (f->opcode > WSLAY_BINARY_FRAME)
		return "the app-server sent a frame of an unknown kind";
	if ((f->opcode == WSLAY_CONTINUATION_FRAME) != in->open)
		return "the app-server sent a frame out of order";
	if (f->payload_length > in->max - in->len)
		return too_long(in);
	in->open = true;
	return NULL;
}

static void
end_control(struct ws_in *in, unsigned opcode)
{
	if (opcode == WSLAY_PING)
		in->handlers->on_ping(in->arg, in->control, in->control_len);
	else if (opcode == WSLAY_CONNECTION_CLOSE)
		in->handlers->on_goodbye(in->arg);
}

/* more: what the frame has in all. */
static const char *
append(struct ws_in *in, const struct wslay_frame_iocb *f, size_t more)
{
	size_t need = in->len + more;

	if (need > in->cap) {
		size_t cap = need > in->cap * 2 ? need : in->cap * 2;
		char *grown = realloc(in->message, cap);

		if (grown == NULL)
			return "no memory for a message of the app-server";
		in->message = grown;
		in->cap = cap;
	}
	/* An empty frame has no bytes to point to, and may be all there is. */
	if (f->data_length > 0 && in->message != NULL)
		memcpy(in->message + in->len, f->data, f->data_length);
	in->len += f->data_length;
	return NULL;
}

static void
end_message(struct ws_in *in)
{
	in->open = false;
	if (in->len > 0)
		in->handlers->on_message(in->arg, in->message, in->len);
	in->len = 0;
	if (in->cap > KEEP_BYTES) { /* large ones are rare: give the memory back */
		free(in->message);
		in->message = NULL;
		in->cap = 0;
	}
}

/* A piece of a frame: all of it, or what there is of it. */
static const char *
on_piece(struct ws_in *in, const struct wslay_frame_iocb *f)
{
	bool begins = in->frame_left == 0;
	const char *problem = begins ? begin_frame(in, f) : NULL;

	if (problem != NULL)
		return problem;
	if (begins)
		in->frame_left = f->payload_length;
	if (wslay_is_ctrl_frame(f->opcode)) {
		memcpy(in->control + in->control_len, f->data, f->data_length);
		in->control_len += f->data_length;
	} else if (begins && f->fin && f->data_length == f->payload_length && in->len == 0 &&
	           f->data_length > 0) {
		in->open = false; /* nearly every message: handled where it lies */
		in->frame_left = 0;
		in->handlers->on_message(in->arg, (const char *)f->data, f->data_length);
		return NULL;
	} else {
		problem = append(in, f, (size_t)in->frame_left);
		if (problem != NULL)
			return problem;
	}
	in->frame_left -= f->data_length;
	if (in->frame_left > 0)
		return NULL;
	if (wslay_is_ctrl_frame(f->opcode))
		end_control(in, f->opcode);
	else if (f->fin)
		end_message(in);
	return NULL;
}

const char *
ws_in_feed(struct ws_in *in, const char *bytes, size_t len)
{
	struct wslay_frame_iocb frame;
	const char *problem = NULL;
	ssize_t n = 0;

	in->next = bytes;
	in->left = len;
	while (problem == NULL) {
		n = wslay_frame_recv(in->frames, &frame);
		if (n < 0)
			break;
		problem = on_piece(in, &frame);
	}
	if (problem == NULL && n != WSLAY_ERR_WANT_READ)
		problem = "the app-server sent what is no WebSocket frame";
	return problem;
}
