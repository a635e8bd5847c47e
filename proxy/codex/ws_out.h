/* ws_out: messages on their way to a WebSocket server: framed, masked, and queued. */
#ifndef SIDECAR_PROXY_CODEX_WS_OUT_H
#define SIDECAR_PROXY_CODEX_WS_OUT_H

#include <stddef.h>
#include <uv.h>
#include <wslay/wslay.h>

#include "common/common.h"

/* Larger messages leave in frames of this size: codex takes 16 MiB in one. */
#define WS_FRAME_MAX ((size_t)128 << 10)

/* One message in the form in which it leaves. free() it, unless it is queued. */
struct ws_message {
	struct ws_message *next;
	size_t len;
	uint8_t wire[];
};

struct ws_out {
	struct ws_message *first, *last;
	size_t bytes; /* of all of them */
	size_t sent;  /* of the first one */
	wslay_frame_context_ptr framer;
	uint8_t *wire; /* where the framer puts the next byte */
};

/* 0 or -ENOMEM. */
int ws_out_init(struct ws_out *q) MUST_CHECK;
/* Frees all messages. */
void ws_out_fini(struct ws_out *q);

/* The text that the pieces make up, at least a byte; not queued yet. NULL: no memory. */
struct ws_message *
ws_out_text(struct ws_out *q, const char *const *pieces, const size_t *lens, size_t count);
/* A ping, a pong or a goodbye; len: at most 125. NULL: no memory. */
struct ws_message *
ws_out_control(struct ws_out *q, enum wslay_opcode opcode, const void *bytes, size_t len);
/* Takes m over. */
void ws_out_push(struct ws_out *q, struct ws_message *m);
/* Points at what leaves next, in at most max buffers. Returns how many. */
unsigned ws_out_peek(const struct ws_out *q, uv_buf_t *bufs, unsigned max);
/* So many bytes have left. */
void ws_out_consume(struct ws_out *q, size_t len);

#endif
