/* backend_drain: answers the supervisor when the turns of one backend have ended, or their time. */
#include "proxy/backend_drain.h"

#include <stdlib.h>
#include <utlist.h>

/* For the successor of one that is alone. */
#define SUCCESSOR_MS      1000
#define SUCCESSOR_LOOK_MS 10

struct backend_drain {
	struct backend_drain *prev, *next;
	struct control_request *req;
	int id;
	uint64_t deadline_ms;    /* loop time */
	uint64_t waits_until_ms; /* for a successor; loop time; 0: it has begun */
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

/* Would no new turn find a place, if this one took no more? */
static bool
is_alone(const struct backend_drains *d, int id)
{
	const struct backend *b = backend_pick(d->pool);

	return b != NULL && backend_id(b) == id && backend_pool_usable(d->pool) == 1;
}

/* Takes it out of use, unless a successor may come. True: it is out of use. */
static bool
begin(struct backend_drains *d, struct backend_drain *drain, uint64_t now)
{
	if (drain->waits_until_ms == 0)
		return true;
	if (now < drain->waits_until_ms && now < drain->deadline_ms && is_alone(d, drain->id))
		return false;
	drain->waits_until_ms = 0;
	backend_drain(d->pool, drain->id);
	return true;
}

static void
on_deadline(uv_timer_t *timer)
{
	backend_drains_look(timer->data);
}

static void
look_once(struct backend_drains *d)
{
	struct backend_drain *drain, *tmp;
	uint64_t now = uv_now(d->timer.loop), soonest = UINT64_MAX;

	DL_FOREACH_SAFE(d->list, drain, tmp) {
		if (!begin(d, drain, now))
			soonest = now + SUCCESSOR_LOOK_MS < soonest ? now + SUCCESSOR_LOOK_MS
			                                            : soonest;
		else if (turns_left(d, drain->id) == 0 || drain->deadline_ms <= now)
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
backend_drains_look(struct backend_drains *d)
{
	if (d->looking) {
		d->look_again = true;
		return;
	}
	if (d->list == NULL)
		return;
	d->looking = true;
	do {
		d->look_again = false;
		look_once(d);
	} while (d->look_again);
	d->looking = false;
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
	drain->waits_until_ms = d->closed ? 0 : uv_now(d->timer.loop) + SUCCESSOR_MS;
	DL_APPEND(d->list, drain);
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
