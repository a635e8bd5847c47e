/* played_apps: the instances of a fleet, played: they have states, and no processes. */
#ifndef SIDECAR_TESTS_PLAYED_APPS_H
#define SIDECAR_TESTS_PLAYED_APPS_H

#include <string.h>
#include <unistd.h>

#include "supervisor/fleet.h"
#include "supervisor/live.h"
#include "tests/fuzz/fuzz.h"

#define APPS_MAX 8

/* An instance and its current app are the same thing here. */
struct app {
	char name[48], group[48];
	struct app_spec spec;
	struct instance_hooks hooks;
	void *arg;
	enum app_state state;
	bool ran_ready, draining, steady, failed;
	bool seen; /* it has changed once: there may be lines of it */
	unsigned generation;
};

static struct app *apps[APPS_MAX];
static size_t app_count;
static bool peer_is_proxy;

static struct app *
as_app(const struct instance *in)
{
	return (struct app *)(uintptr_t)in;
}

static void
become(struct app *a, enum app_state to)
{
	struct live_change change = {.app = a->name,
	                             .from = a->state,
	                             .to = to,
	                             .reason = "a reason",
	                             .pid = 7,
	                             .generation = a->generation};

	a->state = to;
	a->seen = true;
	a->draining = false;
	a->generation += to == APP_STARTING;
	a->ran_ready = to == APP_READY || (a->ran_ready && to != APP_STARTING);
	a->steady = true;
	live_change(&change);
	a->hooks.on_state(a->arg, (struct instance *)a, 0, change.from);
}

int
instance_new(struct instance **out, uv_loop_t *on, struct reaper *reaper,
             const struct app_spec *spec, const struct instance_hooks *hooks, void *arg)
{
	struct app *a = calloc(1, sizeof(*a));

	HOLDS(a != NULL && app_count < APPS_MAX);
	(void)snprintf(a->name, sizeof(a->name), "%s", spec->name);
	(void)snprintf(a->group, sizeof(a->group), "%s", spec->group);
	a->spec = *spec;
	a->hooks = *hooks;
	a->arg = arg;
	a->steady = true;
	apps[app_count++] = a;
	*out = (struct instance *)a;
	return 0;
}

void
instance_close(struct instance *in, void (*fn)(void *arg), void *arg)
{
	HOLDS(as_app(in)->state == APP_STOPPED);
	free(in);
	if (fn != NULL)
		fn(arg);
}

void
instance_set_spec(struct instance *in, const struct app_spec *spec)
{
	as_app(in)->spec = *spec;
}

void
instance_gate_changed(struct instance *in)
{
	struct app *a = as_app(in);

	if (a->state == APP_WAITING && a->hooks.may_start(a->arg, in, 0))
		become(a, APP_STARTING);
}

void
instance_start(struct instance *in, const char *why)
{
	if (as_app(in)->state == APP_READY || as_app(in)->state == APP_STARTING)
		return;
	become(as_app(in), APP_WAITING);
	instance_gate_changed(in);
}

/* One that is ready is asked to finish its work first. */
static void
end_app(struct app *a)
{
	bool ready = a->state == APP_READY;

	become(a, APP_STOPPING);
	if (!ready || a->state != APP_STOPPING)
		return;
	a->draining = true;
	a->hooks.on_drain(a->arg, (struct instance *)a, 0, 30000);
}

void
instance_stop(struct instance *in, const char *why)
{
	struct app *a = as_app(in);

	if (a->state == APP_WAITING || a->state == APP_BACKOFF || a->state == APP_FAILED)
		become(a, APP_STOPPED);
	else if (a->state != APP_STOPPED && a->state != APP_STOPPING)
		end_app(a);
}

void
instance_restart(struct instance *in, const char *why)
{
	end_app(as_app(in));
}

void
instance_replace(struct instance *in, const char *why)
{
	struct app *a = as_app(in);

	a->failed = false;
	a->steady = false;
	a->hooks.on_state(a->arg, in, 0, a->state);
}

void
instance_hurry(struct instance *in)
{
}

void
instance_pause_deadline(struct instance *in, bool paused)
{
}

struct app *
instance_app(const struct instance *in, int side)
{
	static struct app other = {.state = APP_STOPPED};

	return side == 0 ? as_app(in) : &other;
}

struct app *
instance_current(const struct instance *in)
{
	return as_app(in);
}

struct app *
instance_other(const struct instance *in)
{
	return NULL;
}

int
instance_current_side(const struct instance *in)
{
	return 0;
}

const char *
instance_name(const struct instance *in)
{
	return as_app(in)->name;
}

const char *
instance_failure(const struct instance *in)
{
	return as_app(in)->failed ? "it failed" : "";
}

bool
instance_is_steady(const struct instance *in)
{
	return as_app(in)->steady;
}

bool
instance_is_stopped(const struct instance *in)
{
	return as_app(in)->state == APP_STOPPED;
}

/* The peer's own, of the one that it plays. */
static pid_t
pid_of(const struct app *a)
{
	bool runs = a->state == APP_STARTING || a->state == APP_READY || a->state == APP_STOPPING;
	bool is_peer = strcmp(a->name, peer_is_proxy ? "proxy" : "hook") == 0;

	return !runs ? 0 : is_peer ? getpid() : 1;
}

struct app_info
app_info(const struct app *a)
{
	return (struct app_info){.name = a->name,
	                         .group = a->group,
	                         .state = a->state,
	                         .phase = a->draining ? APP_PHASE_DRAIN : APP_PHASE_NONE,
	                         .pid = pid_of(a),
	                         .next_retry_ms = a->state == APP_BACKOFF ? 500 : -1,
	                         .ran_ready = a->ran_ready,
	                         .generation = a->generation,
	                         .reason = "a reason",
	                         .exit_reason = ""};
}

enum app_state
app_state(const struct app *a)
{
	return a->state;
}

const char *
app_name(const struct app *a)
{
	return a->name;
}

const struct app_spec *
app_spec(const struct app *a)
{
	return &a->spec;
}

const struct app_launch *
app_last_launch(const struct app *a)
{
	return NULL;
}

void
app_drained(struct app *a)
{
	if (a->draining)
		become(a, APP_STOPPED);
}

void
app_tell_ready(struct app *a)
{
	if (a->state == APP_STARTING)
		become(a, APP_READY);
}

#endif
