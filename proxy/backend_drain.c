/* backend_drain: answers the supervisor when the turns of one backend have ended, or their time. */
#include "proxy/backend_drain.h"

#include <stdlib.h>
#include <utlist.h>

struct backend_drain {
	struct backend_drain *prev, *next;
	struct control_request *req;
	int id;
	uint64_t deadline_ms; /* loop time */
};

static unsigned
turns_left(const struct backend_drains *d, int id)
{
	const struct backend *b = backend_find(d->pool, id);

	return b != NULL ? backend_turns(b) : 0;
}

static void
end(struct backend_drains *d, struct backend_drain *drain)
{
	DL_DELETE(d->list, drain);
	control_reply(drain->req, json_pack("{s:i}", "in_flight", (int)turns_left(d, drain->id)));
	free(drain);
}

static void
on_deadline(uv_timer_t *timer)
{
	backend_drains_look(timer->data);
}

void
backend_drains_look(struct backend_drains *d)
{
	struct backend_drain *drain, *tmp;
	uint64_t now = uv_now(d->timer.loop), soonest = UINT64_MAX;

	if (d->list == NULL)
		return;
	DL_FOREACH_SAFE(d->list, drain, tmp) {
		if (turns_left(d, drain->id) == 0 || drain->deadline_ms <= now)
			end(d, drain);
		else if (drain->deadline_ms < soonest)
			soonest = drain->deadline_ms;
	}
	if (soonest == UINT64_MAX)
		(void)uv_timer_stop(&d->timer); /* cannot fail */
	else
		(void)uv_timer_start(&d->timer, on_deadline, soonest - now, 0);
}

void
backend_drains_init(struct backend_drains *d, uv_loop_t *loop, struct backend_pool *pool)
{
	*d = (struct backend_drains){.pool = pool};
	(void)uv_timer_init(loop, &d->timer); /* cannot fail */
	d->timer.data = d;
}

void
backend_drains_add(struct backend_drains *d, struct control_request *req, int id,
                   uint64_t deadline_ms)
{
	struct backend_drain *drain = calloc(1, sizeof(*drain));

	if (drain == NULL) {
		control_reply_error(req, CONTROL_INTERNAL_ERROR, "out of memory");
		return;
	}
	drain->req = req;
	drain->id = id;
	drain->deadline_ms = d->closed ? 0 : uv_now(d->timer.loop) + deadline_ms;
	DL_APPEND(d->list, drain);
	backend_drain(d->pool, id);
	backend_drains_look(d);
}

void
backend_drains_close(struct backend_drains *d)
{
	d->closed = true;
	while (d->list != NULL)
		end(d, d->list);
	uv_close((uv_handle_t *)&d->timer, NULL);
}
