/* log_ring: the last lines of one app, within bounds. Pure. */
#ifndef SIDECAR_LOG_RING_H
#define SIDECAR_LOG_RING_H

#include <stdint.h>

#include "common/log.h"
#include "supervisor/output.h"

#define LOG_RING_LINES 1000
#define LOG_RING_BYTES ((size_t)256 << 10) /* of text; a line is at most OUTPUT_LINE_MAX */

struct log_ring_line {
	uint64_t number;  /* grows with every line of every app: puts them in order */
	uint64_t time_ms; /* since 1970 */
	enum output_stream stream;
	enum log_level level;
	const char *text;
	size_t len;
};

struct log_ring;

struct log_ring *log_ring_new(void);    /* NULL: no memory */
void log_ring_free(struct log_ring *r); /* NULL is fine */
/* The text is copied; the oldest lines go. Without memory the line is not kept. */
void log_ring_push(struct log_ring *r, const struct log_ring_line *line);
/* 0 is the newest. Valid until the next push; NULL beyond the oldest. */
const struct log_ring_line *log_ring_at(const struct log_ring *r, size_t back);

#endif
