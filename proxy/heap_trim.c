/* heap_trim: the heap of an idle proxy is as small as it can be. */
#include "proxy/heap_trim.h"

#include <malloc.h>

/* One who asks again and again does not pay for memory that goes and comes back each time. */
#define IDLE_MS 1000

static void
on_idle(uv_timer_t *timer)
{
	(void)timer;
	(void)malloc_trim(0); /* whether there was anything to give back */
}

void
heap_trim_init(struct heap_trim *t, uv_loop_t *loop)
{
	(void)uv_timer_init(loop, &t->timer); /* cannot fail */
	t->busy = false;
}

void
heap_trim_look(struct heap_trim *t, bool busy)
{
	if (busy == t->busy)
		return;
	t->busy = busy;
	/* neither can fail with a live handle */
	if (busy)
		(void)uv_timer_stop(&t->timer);
	else
		(void)uv_timer_start(&t->timer, on_idle, IDLE_MS, 0);
}

void
heap_trim_close(struct heap_trim *t)
{
	uv_close((uv_handle_t *)&t->timer, NULL);
}
