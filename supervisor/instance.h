/* instance: one app that can be replaced without a gap: two processes take turns in being it.
 *
 * The new one is started beside the old one; when it is ready, it is the current one, and the old
 * one is drained and stopped. A new one that does not become ready is stopped, and nothing else
 * happens. */
#ifndef SIDECAR_INSTANCE_H
#define SIDECAR_INSTANCE_H

#include "supervisor/app.h"
#include "supervisor/tend.h"

struct instance;

/* side: which of the two, 0 or 1. */
struct instance_hooks {
	bool (*may_start)(void *arg, struct instance *in, int side);
	int (*on_launch)(void *arg, struct instance *in, int side, struct app_launch *out,
	                 struct err *err);
	/* At each change of state of either; not the place to do something to the instance. */
	void (*on_state)(void *arg, struct instance *in, int side, enum app_state from);
	void (*on_drain)(void *arg, struct instance *in, int side, uint64_t deadline_ms);
};

int
instance_new(struct instance **out, uv_loop_t *loop, struct reaper *reaper,
             const struct app_spec *spec, const struct instance_hooks *hooks, void *arg) MUST_CHECK;
/* Only when both are stopped. fn when everything has been let go; in is freed. */
void instance_close(struct instance *in, void (*fn)(void *arg), void *arg);

/* What its next start goes by; its name and group stay. */
void instance_set_spec(struct instance *in, const struct app_spec *spec);
void instance_start(struct instance *in, const char *why);
void instance_stop(struct instance *in, const char *why);
/* Stops it, drained, and starts it again. */
void instance_restart(struct instance *in, const char *why);
/* The same, but without waiting for what runs there: it would wait in vain. */
void instance_restart_now(struct instance *in, const char *why);
/* The same with a pause in between, and less time for the drain. Only for one that runs. */
void instance_pause(struct instance *in, const char *why, uint64_t pause_ms, uint64_t drain_ms);
/* Without a gap. One that is not ready has nothing to lose, and is restarted. While it is being
 * replaced already: once more, after that. */
void instance_replace(struct instance *in, const char *why);
void instance_hurry(struct instance *in);
void instance_gate_changed(struct instance *in);
void instance_pause_deadline(struct instance *in, bool paused);

const char *instance_name(const struct instance *in);
struct app *instance_app(const struct instance *in, int side);
int instance_current_side(const struct instance *in);
struct app *instance_current(const struct instance *in);
/* The one that is to be the current one, or was; NULL: none. */
struct app *instance_other(const struct instance *in);
/* Nothing of it is on the way: no second process, no replacement waits. */
bool instance_is_steady(const struct instance *in);
bool instance_is_stopped(const struct instance *in);
/* Why the last replacement did not become ready; "": it did. */
const char *instance_failure(const struct instance *in);
/* What upkeep remembers of it. */
struct tend *instance_tend(struct instance *in);

#endif
