/* heap_trim: what a burst of requests needed goes back to the kernel when nothing has been under
 * way for a moment. */
#ifndef SIDECAR_PROXY_HEAP_TRIM_H
#define SIDECAR_PROXY_HEAP_TRIM_H

#include <stdbool.h>
#include <uv.h>

struct heap_trim {
	uv_timer_t timer;
	bool busy;
};

void heap_trim_init(struct heap_trim *t, uv_loop_t *loop);
/* Whether a request is under way. Cheap: it may be told again and again. */
void heap_trim_look(struct heap_trim *t, bool busy);
/* What is told after it changes nothing. */
void heap_trim_close(struct heap_trim *t);

#endif
