/* care: what is done about app-servers that run, but of no use. */
#include "supervisor/care.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define AUTH_BASE_MS     5000
#define AUTH_MAX_MS      300000
/* One that has run for so long after its restart, and its step, works again. */
#define MENDED_MS        60000
#define UPSTREAM_BASE_MS 30000
#define UPSTREAM_MAX_MS  600000

struct patient {
	struct restart_spacing auth, upstream;
	bool refused; /* the last that was heard of its login */
};

struct care {
	uv_loop_t *loop;
	struct fleet *fleet;
	struct roll *roll;
	uint64_t drain_ms;
	struct patient *patients; /* by number of the app-server */
};

static void
make_patient(struct patient *p)
{
	*p = (struct patient){
		.auth = {.base_ms = AUTH_BASE_MS,     .max_ms = AUTH_MAX_MS    },
		.upstream = {.base_ms = UPSTREAM_BASE_MS, .max_ms = UPSTREAM_MAX_MS},
	};
}

struct care *
care_new(uv_loop_t *loop, struct fleet *fleet, struct roll *roll, uint64_t drain_ms)
{
	struct care *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	*c = (struct care){.loop = loop, .fleet = fleet, .roll = roll, .drain_ms = drain_ms};
	c->patients = calloc(BACKENDS_MAX, sizeof(*c->patients));
	if (c->patients == NULL) {
		free(c);
		return NULL;
	}
	for (size_t i = 0; i < BACKENDS_MAX; i++)
		make_patient(&c->patients[i]);
	return c;
}

void
care_free(struct care *c)
{
	if (c != NULL)
		free(c->patients);
	free(c);
}

void
care_forget(struct care *c, const struct instance *in)
{
	for (size_t i = 0; i < BACKENDS_MAX; i++)
		if (fleet_backend(c->fleet, i) == in)
			make_patient(&c->patients[i]);
}

/* Nothing that is asked of it now can work: it rests until it may be tried again. */
static void
rest(struct care *c, size_t i, const char *message)
{
	struct patient *patient = &c->patients[i];
	uint64_t now = uv_now(c->loop);
	uint64_t wait = restart_spacing_wait(&patient->auth, now);
	char why[APP_REASON_MAX];

	patient->refused = true;
	restart_spacing_take(&patient->auth, now + wait);
	(void)snprintf(why, sizeof(why), "the login is refused: %s", message);
	instance_pause(fleet_backend(c->fleet, i), why, wait, c->drain_ms);
}

void
care_backend_failed(struct care *c, size_t i, const char *kind, const char *message)
{
	struct restart_spacing *upstream = &c->patients[i].upstream;
	uint64_t now = uv_now(c->loop);
	char why[APP_REASON_MAX];

	if (strcmp(kind, "auth") == 0) {
		rest(c, i, message);
	} else if (strcmp(kind, "server") == 0) {
		instance_restart_now(fleet_backend(c->fleet, i), "it does not answer the proxy");
	} else if (strcmp(kind, "upstream") == 0 && restart_spacing_wait(upstream, now) == 0) {
		restart_spacing_take(upstream, now);
		(void)snprintf(why, sizeof(why), "the provider fails: %s", message);
		roll_one(c->roll, fleet_backend(c->fleet, i), why);
	}
}

static bool
is_refused(const struct care *c, size_t i)
{
	const struct restart_spacing *auth = &c->patients[i].auth;

	return c->patients[i].refused &&
	       uv_now(c->loop) < auth->last_ms + auth->step_ms + MENDED_MS;
}

static void
try_again(struct care *c, size_t i)
{
	struct instance *in = fleet_backend(c->fleet, i);

	c->patients[i].refused = false;
	restart_spacing_forgive(&c->patients[i].auth);
	switch (app_state(instance_current(in))) {
	case APP_STOPPED: /* by hand */
		break;
	case APP_WAITING:
	case APP_STARTING:
	case APP_READY:
	case APP_FAILED:
	case APP_BACKOFF:
		instance_replace(in, "there is a new login");
		break;
	case APP_STOPPING:
		instance_start(in, "there is a new login");
		break;
	}
}

void
care_login_changed(struct care *c, bool other_login, bool needed)
{
	for (size_t i = 0; i < BACKENDS_MAX; i++) {
		struct instance *in = fleet_backend(c->fleet, i);

		if (in == NULL)
			continue;
		if (is_refused(c, i))
			try_again(c, i);
		else if ((other_login || needed) && app_state(instance_current(in)) != APP_STOPPED)
			roll_one(c->roll, in, "there is another login");
	}
}

bool
care_login_refused(const struct care *c)
{
	for (size_t i = 0; i < BACKENDS_MAX; i++)
		if (fleet_backend(c->fleet, i) != NULL && is_refused(c, i))
			return true;
	return false;
}
