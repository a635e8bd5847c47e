/* fleet_drain: apps let what runs in them end: before they are stopped, or because somebody asked.
 */
#include <stdlib.h>

#include "supervisor/fleet_members.h"

/* A drain that is part of an end. */
struct parting {
	struct member *member;
	int side;
	unsigned generation;
};

static void
on_parted(void *arg, int64_t left)
{
	struct parting *d = arg;
	struct app *a = instance_app(d->member->in, d->side);

	/* else it has ended meanwhile */
	if (app_info(a).generation == d->generation && app_info(a).phase == APP_PHASE_DRAIN) {
		if (d->member->backend >= 0)
			backends_parted(&d->member->fleet->backends, d->member->backend, d->side);
		app_drained(a);
	}
	free(d);
}

static uint64_t
delay_ms(const struct fleet *f)
{
	return (uint64_t)f->spec.settings->drain_delay_ms;
}

void
fleet_on_drain(void *arg, struct instance *in, int side, uint64_t deadline_ms)
{
	struct member *m = arg;
	struct fleet *f = m->fleet;
	struct parting *d = m->app->role != ECOSYSTEM_PLAIN ? malloc(sizeof(*d)) : NULL;

	if (d == NULL) {
		app_drained(instance_app(in, side)); /* there is no way to ask it */
		return;
	}
	*d = (struct parting){m, side, app_info(instance_app(in, side)).generation};
	if (fleet_member_is_proxy(m))
		/* a delay only where no other proxy of ours comes after it */
		proxy_link_drain(&f->link, side, deadline_ms, f->stopping ? delay_ms(f) : 0,
		                 on_parted, d);
	else
		backends_part(&f->backends, m->backend, side, deadline_ms, on_parted, d);
}

void
fleet_drain(struct fleet *f, struct instance *in, uint64_t deadline_ms, proxy_drained_fn fn,
            void *arg)
{
	struct member *m = fleet_member_of(f, in);

	if (deadline_ms == 0)
		deadline_ms = app_spec(instance_current(in))->drain_timeout_ms;
	if (app_state(instance_current(m->in)) != APP_READY || m->app->role == ECOSYSTEM_PLAIN) {
		fn(arg, 0);
	} else if (fleet_member_is_proxy(m)) {
		m->drained = true;
		/* nobody shall wait for one that accepts no more */
		listener_close(f->spec.listener);
		proxy_link_drain(&f->link, instance_current_side(in), deadline_ms, delay_ms(f), fn,
		                 arg);
	} else {
		backends_drain(&f->backends, m->backend, deadline_ms, fn, arg);
	}
}
