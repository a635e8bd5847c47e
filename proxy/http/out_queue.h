/* out_queue: the bytes of an answer on their way to the socket. Pure.
 *
 * What is appended in chunked form between two looks at the queue becomes one chunk, so that many
 * small writes cost one chunk header and one send. */
#ifndef SIDECAR_PROXY_HTTP_OUT_QUEUE_H
#define SIDECAR_PROXY_HTTP_OUT_QUEUE_H

#include <stdbool.h>

#include "common/common.h"

/* Zero-initialised is empty. */
struct out_queue {
	unsigned char *buf;
	size_t start;
	size_t end;
	size_t cap;
	size_t open; /* where the size of the chunk still being filled goes; 0: none */
};

void out_queue_fini(struct out_queue *q);
/* Bytes that wait, framing included. */
size_t out_queue_size(const struct out_queue *q);

/* Room for len bytes at the end, to be written by the caller and confirmed with commit.
 * NULL: no memory. */
unsigned char *out_queue_reserve(struct out_queue *q, size_t len);
void out_queue_commit(struct out_queue *q, size_t len);

/* Only the first len bytes were any; the others have not been looked at yet. */
void out_queue_shorten(struct out_queue *q, size_t len);

/* As it is. false: no memory. */
bool out_queue_append(struct out_queue *q, const void *data, size_t len) MUST_CHECK;
/* As content of a chunk of a chunked body. false: no memory. */
bool out_queue_append_chunked(struct out_queue *q, const void *data, size_t len) MUST_CHECK;
/* The end of a chunked body. false: no memory. */
bool out_queue_end_chunked(struct out_queue *q) MUST_CHECK;

/* The first *len bytes, at most max; closes the open chunk. LWS_PRE bytes before them may be
 * written over. Valid until the next call. */
unsigned char *out_queue_peek(struct out_queue *q, size_t max, size_t *len);
/* They have been taken. An empty queue holds no memory. */
void out_queue_consume(struct out_queue *q, size_t len);

#endif
