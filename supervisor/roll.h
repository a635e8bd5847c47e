/* roll: planned restarts, one app after the other, each well again before the next one goes.
 *
 * App-servers are replaced without a gap. What is asked for while a roll is under way waits. */
#ifndef SIDECAR_ROLL_H
#define SIDECAR_ROLL_H

#include <stdbool.h>

#include "common/err.h"
#include "supervisor/pair.h"

enum roll_how {
	ROLL_RESTART, /* the proxy ends before the new one begins */
	ROLL_RELOAD,  /* the proxy is replaced without a gap too */
};

/* code 0: all are ready again. Else why not. */
typedef void (*roll_fn)(void *arg, int code, const char *why);

struct roll_job;

struct roll {
	struct pair *pair;
	struct roll_job *jobs; /* the first one is under way */
	bool busy;             /* deep inside of it */
	bool cancelled;
};

void roll_init(struct roll *r, struct pair *pair);
/* name: an app, a group, or "all". fn once, now or later; -ENOENT: no such app. */
void roll_start(struct roll *r, const char *name, enum roll_how how, roll_fn fn, void *arg);
/* Replaces one instance for a reason of ours, unless that waits already. */
void roll_one(struct roll *r, size_t i, const char *why);
/* To be called after each change of an app. */
void roll_on_change(struct roll *r, struct instance *in);
/* For good. Every fn that waits hears of it. */
void roll_cancel(struct roll *r);

/* Is it meant by this name? */
bool roll_matches(const char *name, struct app_info info);

#endif
