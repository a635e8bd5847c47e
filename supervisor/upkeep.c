/* upkeep: looks at all apps at regular times, and has those replaced that need it. */
#include "supervisor/upkeep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "common/log.h"
#include "supervisor/memory.h"
#include "supervisor/readiness.h"

/* One question to one process. It is remembered by what it was asked of, which may be gone. */
struct question {
	struct question *next;
	const struct instance *asked; /* to compare with, only */
	unsigned generation;
	struct readiness *readiness; /* NULL: answered */
};

struct upkeep {
	uv_timer_t timer;
	struct fleet *fleet;
	struct roll *roll;
	struct reload *reload;
	uint64_t interval_ms, catalog_interval_ms;
	uint64_t looked_ms, catalog_looked_ms; /* loop time */
	struct question *questions;
};

/* --- asking --------------------------------------------------------------------------------- */

static void
on_answer(void *arg)
{
	struct question *q = arg;

	readiness_close(q->readiness);
	q->readiness = NULL;
}

static void
ask(struct upkeep *u, const struct instance *in)
{
	const struct app *a = instance_current(in);
	const struct app_launch *launch = app_last_launch(a);
	struct question *q;

	if (app_state(a) != APP_READY || app_spec(a)->readiness != APP_READY_WEBSOCKET ||
	    launch == NULL)
		return;
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return; /* asked again at the next look */
	q->asked = in;
	q->generation = app_info(a).generation;
	if (readiness_new(&q->readiness, u->timer.loop, READINESS_WEBSOCKET, launch->ready_target,
	                  on_answer, q) < 0)
		free(q);
	else
		LL_PREPEND(u->questions, q);
}

static enum tend_probe
answer(const struct upkeep *u, const struct instance *in, unsigned generation)
{
	const struct question *q;

	LL_FOREACH(u->questions, q) {
		if (q->asked == in && q->generation == generation)
			return q->readiness == NULL ? TEND_ANSWERED : TEND_MISSED;
	}
	return TEND_NOT_ASKED;
}

static void
forget_questions(struct upkeep *u)
{
	struct question *q, *tmp;

	LL_FOREACH_SAFE(u->questions, q, tmp) {
		if (q->readiness != NULL)
			readiness_close(q->readiness);
		free(q);
	}
	u->questions = NULL;
}

/* --- looking -------------------------------------------------------------------------------- */

static void
look_at(struct upkeep *u, size_t i, bool closely, time_t clock)
{
	struct instance *in = fleet_instance(u->fleet, i);
	struct app_info info = app_info(instance_current(in));
	const struct app_spec *spec = app_spec(instance_current(in));
	char why[APP_REASON_MAX];
	struct tend_look look = {
		/* one that is being replaced already is not looked at */
		.ready = info.state == APP_READY && instance_is_steady(in),
		.generation = info.generation,
		.rss_bytes = closely && spec->max_memory_bytes > 0 ? memory_resident_bytes(info.pid)
	                                                           : -1,
		.max_bytes = spec->max_memory_bytes,
		.cron = spec->cron,
		.probe = closely ? answer(u, in, info.generation) : TEND_NOT_ASKED,
	};

	if (!tend_look_at(instance_tend(in), &look, uv_now(u->timer.loop), clock, why, sizeof(why)))
		return;
	log_info("%s is to be replaced: %s", info.name, why);
	roll_one(u->roll, in, why);
}

static void on_timer(uv_timer_t *timer);

static void
arm(struct upkeep *u)
{
	struct timespec now;
	uint64_t now_ms;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
	now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	uv_update_time(u->timer.loop);
	(void)uv_timer_start(&u->timer, on_timer, upkeep_wait_ms(now_ms, u->interval_ms),
	                     0); /* on_timer is not NULL */
}

static void
on_timer(uv_timer_t *timer)
{
	struct upkeep *u = timer->data;
	uint64_t now = uv_now(timer->loop);
	/* a clock that was set makes one look come soon after another */
	bool closely = now - u->looked_ms >= u->interval_ms / 2;
	time_t clock = time(NULL);

	for (size_t i = 0; i < fleet_count(u->fleet); i++)
		look_at(u, i, closely, clock);
	if (closely) {
		u->looked_ms = now;
		forget_questions(u);
		for (size_t i = 0; i < fleet_count(u->fleet); i++)
			ask(u, fleet_instance(u->fleet, i));
	}
	if (u->catalog_interval_ms > 0 && now - u->catalog_looked_ms >= u->catalog_interval_ms) {
		u->catalog_looked_ms = now;
		reload_look_at_codex(u->reload);
	}
	arm(u);
}

uint64_t
upkeep_wait_ms(uint64_t now_ms, uint64_t interval_ms)
{
	/* 1 ms more: never before the time */
	return interval_ms - now_ms % interval_ms + 1;
}

/* --- life ----------------------------------------------------------------------------------- */

int
upkeep_new(struct upkeep **out, struct reload *reload, uv_loop_t *loop,
           const struct settings *settings)
{
	struct upkeep *u = calloc(1, sizeof(*u));
	int r;

	if (u == NULL)
		return -ENOMEM;
	r = uv_timer_init(loop, &u->timer);
	if (r < 0) {
		free(u);
		return r;
	}
	u->timer.data = u;
	u->reload = reload;
	u->fleet = reload->fleet;
	u->roll = reload->roll;
	u->interval_ms = (uint64_t)settings->check_interval_ms;
	u->catalog_interval_ms = (uint64_t)settings->catalog_interval_ms;
	u->looked_ms = u->catalog_looked_ms = uv_now(loop);
	for (size_t i = 0; i < fleet_count(u->fleet); i++)
		look_at(u, i, false, time(NULL)); /* from now on their cron times count */
	arm(u);
	*out = u;
	return 0;
}

static void
on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
upkeep_close(struct upkeep *u)
{
	forget_questions(u);
	uv_close((uv_handle_t *)&u->timer, on_timer_closed);
}
