/* out_queue: the bytes of an answer on their way to the socket. */
#include "proxy/http/out_queue.h"

#include <libwebsockets.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The size of a chunk is known when it is closed, so its place is kept: eight digits and CRLF.
 * Leading zeros are allowed (RFC 9112, 7.1). */
#define CHUNK_SIZE_DIGITS 8
#define CHUNK_HEAD        (CHUNK_SIZE_DIGITS + 2)
#define CHUNK_TAIL        2
#define CHUNK_MAX         ((size_t)UINT32_MAX)

#define SMALLEST ((size_t)1024) /* a few deltas of a stream */

/* Small ones grow to the double; of a large one, whose reader is slow, half would be waste. */
#define STEP_MAX ((size_t)65536)

void
out_queue_fini(struct out_queue *q)
{
	free(q->buf);
	memset(q, 0, sizeof(*q));
}

size_t
out_queue_size(const struct out_queue *q)
{
	return q->end - q->start + (q->open != 0 ? CHUNK_TAIL : 0);
}

/* Moves what waits to the front, where LWS_PRE bytes stay free. */
static void
compact(struct out_queue *q)
{
	size_t by = q->start - LWS_PRE;

	memmove(q->buf + LWS_PRE, q->buf + q->start, q->end - q->start);
	q->start -= by;
	q->end -= by;
	if (q->open != 0)
		q->open -= by;
}

unsigned char *
out_queue_reserve(struct out_queue *q, size_t len)
{
	/* The open chunk can always be closed: its tail has its place. */
	size_t need = len + CHUNK_TAIL;
	size_t cap = q->cap;
	unsigned char *buf;

	if (q->buf == NULL)
		q->start = q->end = LWS_PRE;
	if (cap - q->end >= need && q->buf != NULL)
		return q->buf + q->end;
	if (q->buf != NULL && q->start - LWS_PRE >= q->cap / 2) {
		compact(q);
		if (cap - q->end >= need)
			return q->buf + q->end;
	}
	if (need > SIZE_MAX / 4 || q->end > SIZE_MAX / 4)
		return NULL;
	cap = cap < SMALLEST ? SMALLEST : cap;
	while (cap - q->end < need || cap < q->end)
		cap += cap < STEP_MAX ? cap : STEP_MAX;
	buf = realloc(q->buf, cap);
	if (buf == NULL)
		return NULL;
	q->buf = buf;
	q->cap = cap;
	return q->buf + q->end;
}

void
out_queue_commit(struct out_queue *q, size_t len)
{
	q->end += len;
}

void
out_queue_shorten(struct out_queue *q, size_t len)
{
	if (q->open >= q->start + len)
		q->open = 0;
	q->end = q->start + len;
}

bool
out_queue_append(struct out_queue *q, const void *data, size_t len)
{
	unsigned char *at;

	if (len == 0)
		return true;
	at = out_queue_reserve(q, len);
	if (at == NULL)
		return false;
	memcpy(at, data, len);
	out_queue_commit(q, len);
	return true;
}

static void
close_chunk(struct out_queue *q)
{
	char head[CHUNK_HEAD + 1];

	if (q->open == 0)
		return;
	(void)snprintf(head, sizeof(head), "%0*x\r\n", CHUNK_SIZE_DIGITS,
	               (unsigned)(q->end - q->open - CHUNK_HEAD));
	memcpy(q->buf + q->open, head, CHUNK_HEAD);
	memcpy(q->buf + q->end, "\r\n", CHUNK_TAIL);
	q->end += CHUNK_TAIL;
	q->open = 0;
}

bool
out_queue_append_chunked(struct out_queue *q, const void *data, size_t len)
{
	unsigned char *at;

	if (len == 0)
		return true; /* a chunk of nothing would be the end */
	if (len > CHUNK_MAX)
		return false;
	if (q->open != 0 && q->end - q->open + len > CHUNK_MAX)
		close_chunk(q);
	at = out_queue_reserve(q, len + CHUNK_HEAD);
	if (at == NULL)
		return false;
	if (q->open == 0) {
		q->open = q->end;
		out_queue_commit(q, CHUNK_HEAD);
		at += CHUNK_HEAD;
	}
	memcpy(at, data, len);
	out_queue_commit(q, len);
	return true;
}

bool
out_queue_end_chunked(struct out_queue *q)
{
	static const char last[] = "0\r\n\r\n";

	close_chunk(q);
	return out_queue_append(q, last, sizeof(last) - 1);
}

unsigned char *
out_queue_peek(struct out_queue *q, size_t max, size_t *len)
{
	close_chunk(q);
	*len = q->end - q->start;
	if (*len > max)
		*len = max;
	return q->buf + q->start;
}

void
out_queue_consume(struct out_queue *q, size_t len)
{
	q->start += len;
	if (q->start == q->end)
		out_queue_fini(q);
}
