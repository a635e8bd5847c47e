/* rpc_queue: messages on their way out, each in one allocation with room for lws in front. */
#ifndef SIDECAR_PROXY_CODEX_RPC_QUEUE_H
#define SIDECAR_PROXY_CODEX_RPC_QUEUE_H

#include <stddef.h>

struct rpc_message {
	struct rpc_message *next;
	size_t len;
	size_t sent;
	unsigned char room[]; /* LWS_PRE bytes for the frame header, then the text */
};

/* Zero-initialised is empty. */
struct rpc_queue {
	struct rpc_message *first, *last;
	size_t bytes; /* of all its messages */
};

/* The text that the pieces make up. free() it, unless it is queued. NULL: no memory. */
struct rpc_message *rpc_message_new(const char *const *pieces, const size_t *lens, size_t count);
/* Takes m over. */
void rpc_queue_push(struct rpc_queue *q, struct rpc_message *m);
/* Frees the first one. */
void rpc_queue_pop(struct rpc_queue *q);
/* Frees all. */
void rpc_queue_clear(struct rpc_queue *q);

#endif
