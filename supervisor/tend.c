/* tend: whether an app that runs is to be replaced by and by. */
#include "supervisor/tend.h"

#include <stdio.h>
#include <string.h>

#define SPACING_BASE_MS 30000
#define SPACING_MAX_MS  600000

static bool
has_cron(const struct cron *c)
{
	return c->minutes != 0;
}

static bool
same_cron(const struct cron *a, const struct cron *b)
{
	return a->minutes == b->minutes && a->hours == b->hours && a->days == b->days &&
	       a->months == b->months && a->weekdays == b->weekdays && a->any_day == b->any_day &&
	       a->any_weekday == b->any_weekday;
}

/* Looked at always: a time that passes while the app is down must not come when it is up. */
static bool
its_time_has_come(struct tend *t, const struct tend_look *look, time_t clock)
{
	if (!same_cron(&t->plan.cron, &look->cron))
		t->plan = (struct cron_plan){.cron = look->cron};
	return has_cron(&t->plan.cron) && cron_is_due(&t->plan, clock);
}

static bool
may_be(struct restart_spacing *s, uint64_t now_ms)
{
	s->base_ms = SPACING_BASE_MS;
	s->max_ms = SPACING_MAX_MS;
	if (restart_spacing_wait(s, now_ms) > 0)
		return false;
	restart_spacing_take(s, now_ms);
	return true;
}

static void
count_probe(struct tend *t, const struct tend_look *look)
{
	if (t->generation != look->generation)
		t->missed = 0;
	t->generation = look->generation;
	switch (look->probe) {
	case TEND_NOT_ASKED:
		break;
	case TEND_ANSWERED:
		t->missed = 0;
		break;
	case TEND_MISSED:
		t->missed++;
		break;
	}
}

bool
tend_look_at(struct tend *t, const struct tend_look *look, uint64_t now_ms, time_t clock, char *why,
             size_t size)
{
	bool due = its_time_has_come(t, look, clock);

	count_probe(t, look);
	if (!look->ready)
		return false;
	if (due) {
		(void)snprintf(why, size, "cron_restart");
		return true;
	}
	if (look->max_bytes > 0 && look->rss_bytes > 0 &&
	    (uint64_t)look->rss_bytes > look->max_bytes && may_be(&t->memory, now_ms)) {
		(void)snprintf(why, size, "it uses %.1f MB of memory, its limit is %.1f MB",
		               (double)look->rss_bytes / 1e6, (double)look->max_bytes / 1e6);
		return true;
	}
	if (t->missed >= TEND_MISSED_MAX && may_be(&t->socket, now_ms)) {
		(void)snprintf(why, size, "its socket takes no connection any more");
		return true;
	}
	return false;
}
