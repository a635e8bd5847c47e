/* wish: start and stop as asked for by an operator, until they have come true. */
#ifndef SIDECAR_WISH_H
#define SIDECAR_WISH_H

#include "supervisor/fleet.h"

struct wish;

enum wish_kind { WISH_START, WISH_STOP };

struct wishes {
	struct fleet *fleet;
	struct wish *list;
	bool cancelled;
};

/* code 0: they are all ready, or stopped. Else why not. */
typedef void (*wish_fn)(void *arg, int code, const char *why);

void wishes_init(struct wishes *w, struct fleet *fleet);
/* name: an app, a group, or "all": all at the same time. fn once, now or later; -ENOENT: no such
 * app. */
void wishes_add(struct wishes *w, const char *name, enum wish_kind kind, wish_fn fn, void *arg);
/* To be called after each change of an app. */
void wishes_on_change(struct wishes *w);
/* It will be no more. */
void wishes_forget(struct wishes *w, const struct instance *in);
/* For good. Every fn that waits hears of it. */
void wishes_cancel(struct wishes *w);

#endif
