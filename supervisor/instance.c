/* instance: one app that can be replaced without a gap: two processes take turns in being it. */
#include "supervisor/instance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

enum mode {
	STEADY,   /* the other one is stopped */
	SURGING,  /* the other one is on its way to be ready */
	RETIRING, /* the other one was the current one, and is on its way out */
};

struct side {
	struct instance *owner;
	int number;
	struct app *app;
};

struct sinks {
	struct log_sink *sink;
	struct sinks *older;
};

struct instance {
	struct side sides[2];
	int current;
	enum mode mode;
	bool again;        /* replace it once more, when that is possible */
	bool abrupt;       /* this end is not worth a drain */
	uint64_t drain_ms; /* and this one not more than that; 0: all that its spec gives */
	char failure[APP_REASON_MAX];
	struct app_history history;
	/* Of both: they take turns in the same files; and those of earlier settings, which an old
	 * process may still write into. */
	struct sinks *sinks;
	struct tend tend;
	struct instance_hooks hooks;
	void *arg;
	unsigned open;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

static struct app *
other(const struct instance *in)
{
	return in->sides[1 - in->current].app;
}

/* --- what happens to the two ---------------------------------------------------------------- */

/* An end that is on its way already is only told that nothing shall come after it; so this may be
 * said from inside the change of state that began it. */
static void
let_end(struct app *a)
{
	app_stop(a, NULL);
}

/* The other one takes over, ready or not. */
static void
swap(struct instance *in)
{
	in->current = 1 - in->current;
	in->mode = RETIRING;
}

static void
on_other_state(struct instance *in, enum app_state now)
{
	switch (now) {
	case APP_READY:
		swap(in); /* on_state lets the old one go, when all have been told of the new one */
		break;
	case APP_STOPPING:
		if (in->mode == SURGING)
			let_end(other(in));
		break;
	case APP_STOPPED:
		if (in->mode == SURGING)
			(void)snprintf(in->failure, sizeof(in->failure), "%s",
			               app_info(other(in)).reason);
		in->mode = STEADY;
		break;
	case APP_WAITING:
	case APP_STARTING:
	case APP_BACKOFF:
	case APP_FAILED:
		break;
	}
}

static void
on_state(void *arg, struct app *a, enum app_state from)
{
	struct side *s = arg;
	struct instance *in = s->owner;
	enum app_state now = app_state(a);
	bool takes_over = s->number != in->current && now == APP_READY;

	if (s->number != in->current) {
		on_other_state(in, now);
	} else if (in->mode == SURGING && now == APP_STOPPING) {
		swap(in); /* the one that was to be replaced has ended before */
		let_end(a);
	}
	if (now == APP_STARTING && s->number == in->current)
		in->abrupt = in->again = false, in->drain_ms = 0; /* it is a new one */
	in->hooks.on_state(in->arg, in, s->number, from);
	if (takes_over)
		app_stop(other(in), "replaced");
	if (in->mode == STEADY && in->again && app_state(instance_current(in)) == APP_READY)
		instance_replace(in, "replaced once more");
}

static bool
may_start(void *arg, struct app *a)
{
	struct side *s = arg;

	return s->owner->hooks.may_start(s->owner->arg, s->owner, s->number);
}

static int
on_launch(void *arg, struct app *a, struct app_launch *out, struct err *err)
{
	struct side *s = arg;

	return s->owner->hooks.on_launch(s->owner->arg, s->owner, s->number, out, err);
}

static void
on_drain(void *arg, struct app *a, uint64_t deadline_ms)
{
	struct side *s = arg;
	struct instance *in = s->owner;
	bool is_current = s->number == in->current;

	if (is_current && in->drain_ms > 0 && in->drain_ms < deadline_ms)
		deadline_ms = in->drain_ms;
	if (is_current && in->abrupt)
		app_drained(a);
	else
		in->hooks.on_drain(in->arg, in, s->number, deadline_ms);
}

/* --- what is wanted ------------------------------------------------------------------------- */

/* The current one ends by our will: nothing is to be replaced any more. */
static void
forget_replacement(struct instance *in)
{
	in->again = false;
	if (in->mode != SURGING)
		return;
	in->mode = RETIRING;
	app_stop(other(in), "not needed any more");
}

void
instance_start(struct instance *in, const char *why)
{
	app_start(instance_current(in), why);
}

void
instance_stop(struct instance *in, const char *why)
{
	forget_replacement(in);
	app_stop(instance_current(in), why);
}

void
instance_restart(struct instance *in, const char *why)
{
	forget_replacement(in);
	app_restart(instance_current(in), why);
}

void
instance_restart_now(struct instance *in, const char *why)
{
	forget_replacement(in);
	in->abrupt = true;
	app_restart(instance_current(in), why);
	if (app_info(instance_current(in)).phase == APP_PHASE_DRAIN)
		app_drained(instance_current(in)); /* it was draining already */
}

void
instance_pause(struct instance *in, const char *why, uint64_t pause_ms, uint64_t drain_ms)
{
	forget_replacement(in);
	in->drain_ms = drain_ms;
	app_pause(instance_current(in), why, pause_ms);
}

void
instance_replace(struct instance *in, const char *why)
{
	in->again = false;
	in->failure[0] = '\0';
	if (app_state(instance_current(in)) != APP_READY) {
		app_restart(instance_current(in), why);
	} else if (in->mode != STEADY) {
		in->again = true;
	} else {
		in->mode = SURGING;
		app_start(other(in), why);
	}
}

void
instance_hurry(struct instance *in)
{
	app_hurry(in->sides[0].app);
	app_hurry(in->sides[1].app);
}

void
instance_gate_changed(struct instance *in)
{
	app_gate_changed(in->sides[0].app);
	app_gate_changed(in->sides[1].app);
}

void
instance_pause_deadline(struct instance *in, bool paused)
{
	app_pause_deadline(in->sides[0].app, paused);
	app_pause_deadline(in->sides[1].app, paused);
}

/* --- how it is ------------------------------------------------------------------------------ */

const char *
instance_name(const struct instance *in)
{
	return app_name(in->sides[0].app);
}

struct app *
instance_app(const struct instance *in, int side)
{
	return in->sides[side].app;
}

int
instance_current_side(const struct instance *in)
{
	return in->current;
}

struct app *
instance_current(const struct instance *in)
{
	return in->sides[in->current].app;
}

struct app *
instance_other(const struct instance *in)
{
	return app_state(other(in)) != APP_STOPPED ? other(in) : NULL;
}

bool
instance_is_steady(const struct instance *in)
{
	return in->mode == STEADY && !in->again;
}

bool
instance_is_stopped(const struct instance *in)
{
	return app_state(in->sides[0].app) == APP_STOPPED &&
	       app_state(in->sides[1].app) == APP_STOPPED;
}

const char *
instance_failure(const struct instance *in)
{
	return in->failure;
}

struct tend *
instance_tend(struct instance *in)
{
	return &in->tend;
}

/* --- life ----------------------------------------------------------------------------------- */

static void
free_newest(struct instance *in)
{
	struct sinks *newest = in->sinks;

	in->sinks = newest->older;
	log_sink_free(newest->sink);
	free(newest);
}

/* The spec's log files, in the place of any earlier ones. False: no memory. */
static bool
take_logs(struct instance *in, struct app_spec *spec)
{
	struct sinks *newest = spec->logs != NULL ? calloc(1, sizeof(*newest)) : NULL;

	spec->sink = NULL;
	if (spec->logs == NULL)
		return true;
	if (newest != NULL)
		newest->sink = log_sink_new(spec->logs, spec->group, spec->instance);
	spec->logs = NULL; /* the caller's, and not kept */
	if (newest == NULL || newest->sink == NULL) {
		free(newest);
		return false;
	}
	newest->older = in->sinks;
	in->sinks = newest;
	spec->sink = newest->sink;
	return true;
}

void
instance_set_spec(struct instance *in, const struct app_spec *spec)
{
	struct app_spec side_spec = *spec;

	while (in->sinks != NULL && instance_is_stopped(in))
		free_newest(in);
	if (!take_logs(in, &side_spec))
		log_error("out of memory: %s writes into no files", instance_name(in));
	for (int i = 0; i < 2; i++)
		app_set_spec(in->sides[i].app, &side_spec);
}

int
instance_new(struct instance **out, uv_loop_t *loop, struct reaper *reaper,
             const struct app_spec *spec, const struct instance_hooks *hooks, void *arg)
{
	static const struct app_hooks app_hooks = {
		.may_start = may_start,
		.on_launch = on_launch,
		.on_state = on_state,
		.on_drain = on_drain,
	};
	struct instance *in = calloc(1, sizeof(*in));
	struct app_spec side_spec = *spec;

	if (in == NULL)
		return -ENOMEM;
	in->hooks = *hooks;
	in->arg = arg;
	side_spec.history = &in->history;
	if (!take_logs(in, &side_spec)) {
		free(in);
		return -ENOMEM;
	}
	for (int i = 0; i < 2; i++) {
		int r;

		in->sides[i].owner = in;
		in->sides[i].number = i;
		r = app_new(&in->sides[i].app, loop, reaper, &side_spec, &app_hooks, &in->sides[i]);
		if (r < 0) {
			instance_close(in, NULL, NULL);
			return r;
		}
	}
	*out = in;
	return 0;
}

static void
let_go(void *arg)
{
	struct instance *in = arg;
	void (*fn)(void *arg) = in->on_closed;
	void *fn_arg = in->on_closed_arg;

	if (--in->open > 0)
		return;
	while (in->sinks != NULL)
		free_newest(in);
	free(in);
	if (fn != NULL)
		fn(fn_arg);
}

void
instance_close(struct instance *in, void (*fn)(void *arg), void *arg)
{
	in->on_closed = fn;
	in->on_closed_arg = arg;
	in->open = 1;
	for (int i = 0; i < 2; i++) {
		if (in->sides[i].app == NULL)
			continue;
		in->open++;
		app_close(in->sides[i].app, let_go, in);
	}
	let_go(in);
}
