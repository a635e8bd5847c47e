/* restart_policy: when a process that ended by itself is started again, and when not. Pure. */
#include "supervisor/restart_policy.h"

/* The window must hold the whole series of delays, or slow failures would never fill it: that is
 * how a restart delay silently switches PM2's limit off. */
static uint64_t
window_ms(const struct restart_policy *p)
{
	uint64_t sum = 0, delay = p->base_ms;

	for (unsigned i = 0; i < p->limit; i++) {
		sum += delay;
		delay = delay > p->max_ms / 2 ? p->max_ms : delay * 2;
	}
	return 2 * sum > p->window_ms ? 2 * sum : p->window_ms;
}

bool
restart_decide(struct restart_record *rec, const struct restart_policy *p, uint64_t now_ms,
               uint64_t ready_ms, uint64_t random, uint64_t *delay_ms)
{
	unsigned limit = p->limit;

	rec->ends_ms[rec->ends % RESTART_LIMIT_MAX] = now_ms;
	rec->ends++;
	if (rec->ends >= limit && limit <= RESTART_LIMIT_MAX &&
	    (limit == 0 ||
	     now_ms - rec->ends_ms[(rec->ends - limit) % RESTART_LIMIT_MAX] <= window_ms(p)))
		return false;

	rec->backoff.base_ms = p->base_ms;
	rec->backoff.max_ms = p->max_ms;
	if (ready_ms >= p->min_uptime_ms && ready_ms > 0) {
		backoff_reset(&rec->backoff);
		*delay_ms = 0;
		return true;
	}
	*delay_ms = backoff_next_ms(&rec->backoff, random);
	return true;
}

void
restart_forgive(struct restart_record *rec)
{
	*rec = (struct restart_record){.ends = 0};
}

uint64_t
restart_spacing_wait(const struct restart_spacing *s, uint64_t now_ms)
{
	uint64_t due_ms = s->last_ms + s->step_ms;

	return s->step_ms > 0 && due_ms > now_ms ? due_ms - now_ms : 0;
}

void
restart_spacing_take(struct restart_spacing *s, uint64_t at_ms)
{
	bool first = s->step_ms == 0 || at_ms - s->last_ms >= 2 * s->max_ms;

	if (first)
		s->step_ms = s->base_ms;
	else
		s->step_ms = s->step_ms > s->max_ms / 2 ? s->max_ms : s->step_ms * 2;
	s->last_ms = at_ms;
}

void
restart_spacing_forgive(struct restart_spacing *s)
{
	s->step_ms = 0;
}
