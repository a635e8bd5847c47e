/* roll: restart one app after the other, each ready again before the next one goes. */
#ifndef SIDECAR_ROLL_H
#define SIDECAR_ROLL_H

#include <stdbool.h>

#include "common/err.h"
#include "supervisor/pair.h"

struct roll {
	struct pair *pair;
	bool running;
	bool *todo; /* by app number */
	size_t current;
	unsigned old_generation;
	void (*fn)(void *arg, int code, const char *why);
	void *arg;
};

void roll_init(struct roll *r, struct pair *pair);
/* name: an app, a group, or "all". fn once: code 0 when all are ready again, now or later. -ENOENT:
 * no such app; -EBUSY: another roll is under way. */
void roll_start(struct roll *r, const char *name, void (*fn)(void *arg, int code, const char *why),
                void *arg);
/* To be called after each change of an app. */
void roll_on_change(struct roll *r, struct app *a);
void roll_cancel(struct roll *r);

#endif
