/* wish: start and stop as asked for by an operator, until they have come true. */
#include "supervisor/wish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "supervisor/roll.h"

struct wish {
	struct wish *prev, *next;
	struct instance **todo; /* NULL: gone */
	size_t count;
	enum wish_kind kind;
	wish_fn fn;
	void *arg;
};

void
wishes_init(struct wishes *w, struct fleet *fleet)
{
	*w = (struct wishes){.fleet = fleet};
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

	for (size_t i = 0; i < wish->count; i++) {
		const struct instance *in = wish->todo[i];
		int r = in != NULL ? outcome(in, wish->kind) : 1;
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
	size_t n = fleet_count(w->fleet), found = 0;
	struct wish *wish = calloc(1, sizeof(*wish));
	struct instance **todo = calloc(n, sizeof(struct instance *));

	for (size_t i = 0; todo != NULL && i < n; i++) {
		struct instance *in = fleet_instance(w->fleet, i);

		if (roll_matches(name, app_info(instance_current(in))))
			todo[found++] = in;
	}
	if (wish == NULL || todo == NULL || found == 0 || w->cancelled) {
		bool unknown = todo != NULL && found == 0;

		free(wish);
		free(todo);
		if (w->cancelled)
			fn(arg, -ECANCELED, "shutting down");
		else
			fn(arg, unknown ? -ENOENT : -ENOMEM,
			   unknown ? "no such app" : "out of memory");
		return;
	}
	*wish = (struct wish){.todo = todo, .count = found, .kind = kind, .fn = fn, .arg = arg};
	for (size_t i = 0; i < found; i++) {
		if (kind == WISH_START)
			fleet_start_one(w->fleet, todo[i], "start asked for");
		else
			instance_stop(todo[i], "stop asked for");
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
wishes_forget(struct wishes *w, const struct instance *in)
{
	struct wish *wish;

	DL_FOREACH(w->list, wish)
		for (size_t i = 0; i < wish->count; i++)
			if (wish->todo[i] == in)
				wish->todo[i] = NULL;
	wishes_on_change(w);
}

void
wishes_cancel(struct wishes *w)
{
	w->cancelled = true;
	while (w->list != NULL)
		end(w, w->list, -ECANCELED, "shutting down");
}
