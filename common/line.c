/* line: cut a byte stream into newline-terminated messages. */
#include "common/line.h"

#include <errno.h>
#include <string.h>

#define FIRST_CAP ((size_t)1 << 10)
#define KEEP_CAP  ((size_t)64 << 10) /* a bigger buffer is given back once it is empty */

struct line_buf {
	char *data; /* cap + 1 bytes: a line is handed out with a NUL behind it */
	size_t len;
	size_t cap;
	size_t max;
};

struct line_buf *
line_buf_new(size_t max_bytes)
{
	struct line_buf *lb = calloc(1, sizeof(*lb));

	if (lb != NULL)
		lb->max = max_bytes;
	return lb;
}

void
line_buf_free(struct line_buf *lb)
{
	if (lb == NULL)
		return;
	free(lb->data);
	free(lb);
}

static int
append(struct line_buf *lb, const char *data, size_t len)
{
	size_t cap = lb->cap > 0 ? lb->cap : FIRST_CAP;
	char *grown;

	if (len > lb->max - lb->len)
		return -EMSGSIZE;
	while (cap < lb->len + len)
		cap *= 2;
	if (cap > lb->cap) {
		if (cap > lb->max)
			cap = lb->max;
		grown = realloc(lb->data, cap + 1);
		if (grown == NULL)
			return -ENOMEM;
		lb->data = grown;
		lb->cap = cap;
	}
	if (len > 0)
		memcpy(lb->data + lb->len, data, len);
	lb->len += len;
	return 0;
}

static int
hand_out(struct line_buf *lb, line_fn fn, void *arg)
{
	size_t len = lb->len;

	lb->data[len] = '\0';
	lb->len = 0;
	return fn(arg, lb->data, len);
}

static void
give_back(struct line_buf *lb)
{
	if (lb->len > 0 || lb->cap <= KEEP_CAP)
		return;
	free(lb->data);
	lb->data = NULL;
	lb->cap = 0;
}

int
line_buf_feed(struct line_buf *lb, const void *data, size_t len, line_fn fn, void *arg)
{
	const char *at = data;
	int r = 0;

	while (len > 0 && r >= 0) {
		const char *newline = memchr(at, '\n', len);
		size_t piece = newline != NULL ? (size_t)(newline - at) : len;

		r = append(lb, at, piece);
		if (r < 0 || newline == NULL)
			break;
		at += piece + 1;
		len -= piece + 1;
		r = hand_out(lb, fn, arg);
	}
	give_back(lb);
	return r < 0 ? r : 0;
}
