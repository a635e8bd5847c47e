/* wish: start and stop as asked for by an operator, until they have come true. */
#include "supervisor/wish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "supervisor/roll.h"

struct wish {
	struct wish *prev, *next;
	bool *todo; /* by number of the instance */
	enum wish_kind kind;
	wish_fn fn;
	void *arg;
};

void
wishes_init(struct wishes *w, struct pair *pair)
{
	*w = (struct wishes){.pair = pair};
}

static void
end(struct wishes *w, struct wish *wish, int code, const char *why)
{
	DL_DELETE(w->list, wish);
	wish->fn(wish->arg, code, why);
	free(wish->todo);
	free(wish);
}

/* 1: as wished for; 0: on its way; else it will not be. */
static int
outcome(const struct instance *in, enum wish_kind kind)
{
	enum app_state now = app_state(instance_current(in));

	if (kind == WISH_STOP && instance_is_stopped(in))
		return 1;
	switch (now) {
	case APP_READY:
		return kind == WISH_START ? 1 : -ECANCELED;
	case APP_WAITING:
	case APP_STARTING:
		return kind == WISH_START ? 0 : -ECANCELED;
	case APP_BACKOFF:
	case APP_FAILED:
		return -EIO;
	case APP_STOPPED:
		return kind == WISH_START ? -ECANCELED : 0; /* its other process still goes */
	case APP_STOPPING:
		break;
	}
	return 0;
}

static void
look(struct wishes *w, struct wish *wish)
{
	bool all = true;

	for (size_t i = 0; i < pair_count(w->pair); i++) {
		const struct instance *in = pair_instance(w->pair, i);
		int r = wish->todo[i] ? outcome(in, wish->kind) : 1;
		char text[2 * APP_REASON_MAX];

		if (r < 0) {
			(void)snprintf(text, sizeof(text), "%s: not %s: %s", instance_name(in),
			               wish->kind == WISH_START ? "ready" : "stopped",
			               r == -EIO ? app_info(instance_current(in)).reason
			                         : "something else was asked for meanwhile");
			end(w, wish, r, text);
			return;
		}
		all &= r == 1;
	}
	if (all)
		end(w, wish, 0, NULL);
}

void
wishes_add(struct wishes *w, const char *name, enum wish_kind kind, wish_fn fn, void *arg)
{
	size_t n = pair_count(w->pair), found = 0;
	struct wish *wish = calloc(1, sizeof(*wish));
	bool *todo = calloc(n, sizeof(*todo));

	for (size_t i = 0; todo != NULL && i < n; i++) {
		todo[i] = roll_matches(name, app_info(instance_current(pair_instance(w->pair, i))));
		found += todo[i];
	}
	if (wish == NULL || todo == NULL || found == 0 || w->cancelled) {
		free(wish);
		free(todo);
		if (w->cancelled)
			fn(arg, -ECANCELED, "shutting down");
		else
			fn(arg, found == 0 ? -ENOENT : -ENOMEM,
			   found == 0 ? "no such app" : "out of memory");
		return;
	}
	*wish = (struct wish){.todo = todo, .kind = kind, .fn = fn, .arg = arg};
	for (size_t i = 0; i < n; i++) {
		if (todo[i] && kind == WISH_START)
			pair_start_one(w->pair, i, "start asked for");
		else if (todo[i])
			instance_stop(pair_instance(w->pair, i), "stop asked for");
	}
	DL_APPEND(w->list, wish); /* not before: the changes above are no news */
	look(w, wish);
}

void
wishes_on_change(struct wishes *w)
{
	struct wish *wish, *tmp;

	DL_FOREACH_SAFE(w->list, wish, tmp)
		look(w, wish);
}

void
wishes_cancel(struct wishes *w)
{
	w->cancelled = true;
	while (w->list != NULL)
		end(w, w->list, -ECANCELED, "shutting down");
}
