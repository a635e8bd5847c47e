/* log_ring: the last lines of one app, within bounds. Pure. */
#include "supervisor/log_ring.h"

#include <string.h>

struct log_ring {
	struct log_ring_line lines[LOG_RING_LINES];
	size_t first, count;
	size_t bytes;
};

struct log_ring *
log_ring_new(void)
{
	return calloc(1, sizeof(struct log_ring));
}

static void
drop_oldest(struct log_ring *r)
{
	struct log_ring_line *oldest = &r->lines[r->first];

	r->bytes -= oldest->len;
	free((char *)(uintptr_t)oldest->text);
	r->first = (r->first + 1) % LOG_RING_LINES;
	r->count--;
}

void
log_ring_free(struct log_ring *r)
{
	while (r != NULL && r->count > 0)
		drop_oldest(r);
	free(r);
}

void
log_ring_push(struct log_ring *r, const struct log_ring_line *line)
{
	char *text = strndup(line->text, line->len);
	struct log_ring_line *at;

	if (text == NULL)
		return;
	while (r->count > 0 &&
	       (r->count == LOG_RING_LINES || r->bytes + line->len > LOG_RING_BYTES))
		drop_oldest(r);
	at = &r->lines[(r->first + r->count) % LOG_RING_LINES];
	*at = *line;
	at->text = text;
	r->count++;
	r->bytes += line->len;
}

const struct log_ring_line *
log_ring_at(const struct log_ring *r, size_t back)
{
	return back < r->count ? &r->lines[(r->first + r->count - 1 - back) % LOG_RING_LINES]
	                       : NULL;
}
