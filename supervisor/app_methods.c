/* app_methods: what operators may ask of apps: start, stop, restart, reload, drain, describe. */
#include "supervisor/app_methods.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "supervisor/params.h"
#include "supervisor/status.h"

#define DEADLINE_MAX_MS 86400000

/* What is asked for: checked. */
struct order {
	const char *app;
	bool wait;
	uint64_t deadline_ms; /* 0: not said */
};

typedef void (*order_fn)(const struct app_methods *m, struct control_request *req,
                         const struct order *order);

/* --- those that come true sometime ---------------------------------------------------------- */

static void
on_done(void *arg, int code, const char *why)
{
	struct control_request *req = arg;

	if (code == 0)
		control_reply(req, json_object());
	else
		control_reply_error(req, code == -ENOENT ? CONTROL_NO_SUCH_APP : CONTROL_FAILED,
		                    "%s", why);
}

static void
on_done_unheard(void *arg, int code, const char *why)
{
	if (code < 0)
		log_warning("%s: %s", (const char *)arg, why);
}

static bool
is_known(const struct app_methods *m, const char *name)
{
	for (size_t i = 0; i < fleet_count(m->fleet); i++)
		if (roll_matches(name, app_info(instance_current(fleet_instance(m->fleet, i)))))
			return true;
	return false;
}

/* Who does not wait is answered first: what follows may be done at once. */
static void
answer_early(const struct app_methods *m, struct control_request *req, const struct order *o)
{
	if (is_known(m, o->app))
		control_reply(req, json_object());
	else
		control_reply_error(req, CONTROL_NO_SUCH_APP, "no such app");
}

static void
roll(const struct app_methods *m, struct control_request *req, const struct order *o,
     enum roll_how how)
{
	static char name[] = "restart";

	if (o->wait) {
		roll_start(m->roll, o->app, how, on_done, req);
		return;
	}
	answer_early(m, req, o);
	roll_start(m->roll, o->app, how, on_done_unheard, name);
}

static void
do_restart(const struct app_methods *m, struct control_request *req, const struct order *o)
{
	roll(m, req, o, ROLL_RESTART);
}

static void
do_reload(const struct app_methods *m, struct control_request *req, const struct order *o)
{
	roll(m, req, o, ROLL_RELOAD);
}

static void
wish(const struct app_methods *m, struct control_request *req, const struct order *o,
     enum wish_kind kind)
{
	static char start[] = "start", stop[] = "stop";

	if (o->wait) {
		wishes_add(m->wishes, o->app, kind, on_done, req);
		return;
	}
	answer_early(m, req, o);
	wishes_add(m->wishes, o->app, kind, on_done_unheard, kind == WISH_START ? start : stop);
}

static void
do_start(const struct app_methods *m, struct control_request *req, const struct order *o)
{
	wish(m, req, o, WISH_START);
}

static void
do_stop(const struct app_methods *m, struct control_request *req, const struct order *o)
{
	wish(m, req, o, WISH_STOP);
}

/* --- drain ---------------------------------------------------------------------------------- */

struct drains {
	struct control_request *req; /* NULL: answered early */
	int64_t left;
	unsigned waiting; /* one more while it is being asked */
};

static void
on_drained(void *arg, int64_t left)
{
	struct drains *d = arg;

	d->left += left;
	if (--d->waiting > 0)
		return;
	if (d->req != NULL)
		control_reply(d->req, json_pack("{s:I}", "in_flight", (json_int_t)d->left));
	free(d);
}

static void
do_drain(const struct app_methods *m, struct control_request *req, const struct order *o)
{
	struct drains *d;

	if (!is_known(m, o->app)) {
		control_reply_error(req, CONTROL_NO_SUCH_APP, "no such app");
		return;
	}
	d = calloc(1, sizeof(*d));
	if (d == NULL) {
		control_reply_error(req, CONTROL_INTERNAL_ERROR, "out of memory");
		return;
	}
	d->waiting = 1;
	if (o->wait)
		d->req = req;
	else
		control_reply(req, json_object());
	for (size_t i = 0; i < fleet_count(m->fleet); i++) {
		struct instance *in = fleet_instance(m->fleet, i);

		if (!roll_matches(o->app, app_info(instance_current(in))))
			continue;
		d->waiting++;
		fleet_drain(m->fleet, in, o->deadline_ms, on_drained, d);
	}
	on_drained(d, 0);
}

/* --- describe ------------------------------------------------------------------------------- */

static void
do_describe(const struct app_methods *m, struct control_request *req, const struct order *o)
{
	json_t *list;

	if (!is_known(m, o->app)) {
		control_reply_error(req, CONTROL_NO_SUCH_APP, "no such app");
		return;
	}
	list = json_array();
	for (size_t i = 0; i < fleet_count(m->fleet); i++) {
		struct instance *in = fleet_instance(m->fleet, i);

		if (roll_matches(o->app, app_info(instance_current(in))))
			json_put_item(&list, status_describe(in));
	}
	control_reply(req, json_pack("{s:o}", "apps", list));
}

/* --- what is asked -------------------------------------------------------------------------- */

#define TAKES_WAIT     1u
#define TAKES_DEADLINE 2u

static const struct {
	const char *name;
	order_fn fn;
	unsigned takes;
} methods[] = {
	{"start",    do_start,    TAKES_WAIT                 },
	{"stop",     do_stop,     TAKES_WAIT                 },
	{"restart",  do_restart,  TAKES_WAIT                 },
	{"reload",   do_reload,   TAKES_WAIT                 },
	{"drain",    do_drain,    TAKES_WAIT | TAKES_DEADLINE},
	{"describe", do_describe, 0                          },
};

/* False: the request has been answered. */
static bool
read_order(struct order *o, struct control_request *req, json_t *params, unsigned takes)
{
	const char *allowed[4] = {"app"};
	json_t *wait = json_object_get(params, "wait");
	json_t *deadline = json_object_get(params, "deadline_ms");
	size_t n = 1;

	if (takes & TAKES_WAIT)
		allowed[n++] = "wait";
	if (takes & TAKES_DEADLINE)
		allowed[n] = "deadline_ms";
	if (!params_only(req, params, allowed))
		return false;
	*o = (struct order){.app = json_get_string(params, "app"), .wait = true};
	if (o->app == NULL) {
		control_reply_error(req, CONTROL_INVALID_PARAMS, "app: a name is needed");
		return false;
	}
	if (wait != NULL && !json_is_boolean(wait)) {
		control_reply_error(req, CONTROL_INVALID_PARAMS, "wait: not true or false");
		return false;
	}
	o->wait = wait == NULL || json_is_true(wait);
	if (deadline == NULL)
		return true;
	if (!json_is_integer(deadline) || json_integer_value(deadline) < 1 ||
	    json_integer_value(deadline) > DEADLINE_MAX_MS) {
		control_reply_error(req, CONTROL_INVALID_PARAMS,
		                    "deadline_ms: not a number from 1 to %d", DEADLINE_MAX_MS);
		return false;
	}
	o->deadline_ms = (uint64_t)json_integer_value(deadline);
	return true;
}

bool
app_methods_request(const struct app_methods *m, struct control_request *req, const char *method,
                    json_t *params)
{
	struct order order;

	for (size_t i = 0; i < NELEM(methods); i++) {
		if (strcmp(methods[i].name, method) != 0)
			continue;
		if (read_order(&order, req, params, methods[i].takes))
			methods[i].fn(m, req, &order);
		return true;
	}
	return false;
}
