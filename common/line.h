/* line: cut a byte stream into newline-terminated messages. */
#ifndef SIDECAR_LINE_H
#define SIDECAR_LINE_H

#include "common/common.h"

struct line_buf; /* opaque; the layout lives in line.c */

/* One complete line, newline removed. The bytes are valid only during the call and may be changed
 * by it. < 0 stops feeding. */
typedef int (*line_fn)(void *arg, char *line, size_t len);

struct line_buf *line_buf_new(size_t max_bytes); /* NULL: no memory. Grows on demand up to max. */
void line_buf_free(struct line_buf *lb);         /* NULL is fine */
/* 0, -EMSGSIZE when a line outgrows max_bytes, -ENOMEM, or what fn returned. */
int
line_buf_feed(struct line_buf *lb, const void *data, size_t len, line_fn fn, void *arg) MUST_CHECK;

#endif
