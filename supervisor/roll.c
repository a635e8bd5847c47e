/* roll: restart one app after the other, each ready again before the next one goes. */
#include "supervisor/roll.h"

#include <errno.h>
#include <string.h>

void
roll_init(struct roll *r, struct pair *pair)
{
	*r = (struct roll){.pair = pair};
}

static void
finish(struct roll *r, int code, const char *why)
{
	r->running = false;
	free(r->todo);
	r->todo = NULL;
	r->fn(r->arg, code, why);
}

static void
restart_next(struct roll *r)
{
	while (r->current < pair_count(r->pair) && !r->todo[r->current])
		r->current++;
	if (r->current == pair_count(r->pair)) {
		finish(r, 0, NULL);
		return;
	}
	r->old_generation = app_info(pair_app(r->pair, r->current)).generation;
	app_restart(pair_app(r->pair, r->current), "restart asked for");
}

static bool
matches(const char *wanted, struct app_info info)
{
	return strcmp(wanted, "all") == 0 || strcmp(wanted, info.name) == 0 ||
	       strcmp(wanted, info.group) == 0;
}

void
roll_start(struct roll *r, const char *name, void (*fn)(void *arg, int code, const char *why),
           void *arg)
{
	size_t n = pair_count(r->pair), found = 0;
	bool *todo;

	if (r->running) {
		fn(arg, -EBUSY, "another restart is under way");
		return;
	}
	todo = calloc(n, sizeof(*todo));
	if (todo == NULL) {
		fn(arg, -ENOMEM, "out of memory");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		todo[i] = matches(name, app_info(pair_app(r->pair, i)));
		found += todo[i];
	}
	if (found == 0) {
		free(todo);
		fn(arg, -ENOENT, "no such app");
		return;
	}
	r->running = true;
	r->todo = todo;
	r->current = 0;
	r->fn = fn;
	r->arg = arg;
	restart_next(r);
}

void
roll_on_change(struct roll *r, struct app *a)
{
	struct app_info info = app_info(a);

	if (!r->running || a != pair_app(r->pair, r->current) ||
	    info.generation == r->old_generation)
		return;
	if (info.state == APP_READY) {
		r->current++;
		restart_next(r);
	} else if (info.state == APP_BACKOFF || info.state == APP_FAILED ||
	           info.state == APP_STOPPED) {
		finish(r, -EIO, info.reason);
	}
}

void
roll_cancel(struct roll *r)
{
	if (r->running)
		finish(r, -ECANCELED, "shutting down");
}
