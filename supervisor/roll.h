/* roll: planned restarts, one app after the other, each well again before the next one goes.
 *
 * Those that can be are replaced without a gap (app.h: enum app_surge). What is asked for while a
 * roll is under way waits. */
#ifndef SIDECAR_ROLL_H
#define SIDECAR_ROLL_H

#include <stdbool.h>

#include "common/err.h"
#include "supervisor/fleet.h"

enum roll_how {
	ROLL_RESTART, /* without a gap where its spec has it so for a restart */
	ROLL_RELOAD,  /* and where it has it so for a reload */
};

/* code 0: all are ready again. Else why not. */
typedef void (*roll_fn)(void *arg, int code, const char *why);

struct roll_job;

struct roll {
	struct fleet *fleet;
	struct roll_job *jobs; /* the first one is under way */
	bool busy;             /* deep inside of it */
	bool cancelled;
};

void roll_init(struct roll *r, struct fleet *fleet);
/* name: an app, a group, or "all". fn once, now or later; -ENOENT: no such app. */
void roll_start(struct roll *r, const char *name, enum roll_how how, roll_fn fn, void *arg);
/* Replaces one instance for a reason of ours, unless that waits already. */
void roll_one(struct roll *r, struct instance *in, const char *why);
/* Replaces them one after the other for a reason of ours; those that are stopped are left so. */
void roll_these(struct roll *r, struct instance *const *list, size_t count, const char *why);
/* It will be no more. */
void roll_forget(struct roll *r, const struct instance *in);
/* To be called after each change of an app. */
void roll_on_change(struct roll *r, struct instance *in);
/* Is something under way, or waits? */
bool roll_is_busy(const struct roll *r);
/* For good. Every fn that waits hears of it. */
void roll_cancel(struct roll *r);

/* Is it meant by this name? */
bool roll_matches(const char *name, struct app_info info);

#endif
