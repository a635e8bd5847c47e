/* fleet_members: the list itself, for fleet.c and what belongs to it. */
#include "supervisor/fleet_members.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "supervisor/codex/log_line.h"
#include "supervisor/ecosystem_spec.h"
#include "supervisor/sidecar_log_line.h"

/* --- lists ---------------------------------------------------------------------------------- */

struct app_list *
fleet_list_new(struct ecosystem *e)
{
	struct app_list *list = calloc(1, sizeof(*list));

	if (list == NULL) {
		ecosystem_free(e);
		return NULL;
	}
	*list = (struct app_list){.e = e, .users = 1};
	return list;
}

void
fleet_list_release(struct app_list *list)
{
	if (list == NULL || --list->users > 0)
		return;
	ecosystem_free(list->e);
	free(list);
}

/* --- members -------------------------------------------------------------------------------- */

static output_lift_fn
lift_of(enum ecosystem_role role)
{
	switch (role) {
	case ECOSYSTEM_PLAIN:
		return NULL;
	case ECOSYSTEM_APP_SERVER:
		return codex_log_line_lift;
	case ECOSYSTEM_PROXY:
		return sidecar_log_line_lift;
	}
	return NULL;
}

static bool
has_app_servers(const struct app_list *list)
{
	for (size_t i = 0; i < list->e->count; i++)
		if (list->e->apps[i].role == ECOSYSTEM_APP_SERVER)
			return true;
	return false;
}

bool
fleet_member_is_proxy(const struct member *m)
{
	return m->app->role == ECOSYSTEM_PROXY;
}

bool
fleet_member_is_linked(const struct member *m)
{
	return fleet_member_is_proxy(m) && has_app_servers(m->list);
}

/* name and logs are filled. */
static struct app_spec
spec_of(const struct member *m, char name[ECOSYSTEM_SPEC_NAME_MAX], struct log_sink_spec *logs)
{
	struct app_spec spec = ecosystem_spec(m->app, m->number, name);

	spec.lift = lift_of(m->app->role);
	spec.channel_dir = m->fleet->spec.runtime_dir;
	if (ecosystem_spec_logs(logs, m->app))
		spec.logs = logs;
	/* one that we do not talk to says it by the other ways */
	if (fleet_member_is_proxy(m) && spec.readiness == APP_READY_CONTROL &&
	    !fleet_member_is_linked(m))
		spec.readiness = APP_READY_TOLD;
	return spec;
}

int
fleet_member_set_url(struct member *m, int side)
{
	AUTO_FREE char *url = fleet_launch_url(&m->fleet->launcher, m->app, m->backend, side);

	return url != NULL ? backends_set_url(&m->fleet->backends, m->backend, side, url) : -ENOMEM;
}

int
fleet_member_new(struct member **out, struct fleet *f, struct app_list *list,
                 const struct ecosystem_app *app, unsigned number,
                 const struct instance_hooks *hooks)
{
	char name[ECOSYSTEM_SPEC_NAME_MAX];
	struct log_sink_spec logs;
	struct member *m = calloc(1, sizeof(*m));
	struct app_spec spec;
	int r;

	if (m == NULL)
		return -ENOMEM;
	*m = (struct member){.fleet = f, .list = list, .app = app, .number = number, .backend = -1};
	list->users++;
	spec = spec_of(m, name, &logs);
	r = instance_new(&m->in, f->spec.loop, f->spec.reaper, &spec, hooks, m);
	if (r == 0 && app->role == ECOSYSTEM_APP_SERVER) {
		m->backend = r = backends_add(&f->backends, m->in);
		if (r >= 0)
			r = fleet_member_set_url(m, 0); /* known before its first start */
		if (r < 0 && m->backend >= 0)
			backends_remove(&f->backends, m->backend);
		if (r < 0)
			instance_close(m->in, NULL, NULL);
	}
	if (r < 0) {
		fleet_member_free(m);
		return r;
	}
	*out = m;
	return 0;
}

void
fleet_member_free(struct member *m)
{
	fleet_list_release(m->list);
	free(m);
}

void
fleet_member_follow(struct member *m, struct app_list *list, const struct ecosystem_app *app)
{
	char name[ECOSYSTEM_SPEC_NAME_MAX];
	struct log_sink_spec logs;
	struct app_spec spec;

	list->users++;
	fleet_list_release(m->list);
	m->list = list;
	m->app = app;
	spec = spec_of(m, name, &logs);
	instance_set_spec(m->in, &spec);
}

struct member *
fleet_member_of(const struct fleet *f, const struct instance *in)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->members[i]->in == in)
			return f->members[i];
	return NULL;
}

struct member *
fleet_proxy(const struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (fleet_member_is_proxy(f->members[i]) && !f->members[i]->leaving)
			return f->members[i];
	return NULL;
}

struct member *
fleet_first_backend(const struct fleet *f)
{
	struct member *first = NULL;

	for (size_t i = 0; i < f->count; i++)
		if (f->members[i]->backend >= 0 &&
		    (first == NULL || f->members[i]->backend < first->backend))
			first = f->members[i];
	return first;
}

/* --- how they are --------------------------------------------------------------------------- */

size_t
fleet_count(const struct fleet *f)
{
	return f->count;
}

struct instance *
fleet_instance(const struct fleet *f, size_t i)
{
	return f->members[i]->in;
}

struct instance *
fleet_backend(const struct fleet *f, size_t i)
{
	return f->backends.list[i].in;
}

struct proxy_link *
fleet_link(struct fleet *f)
{
	return &f->link;
}

static enum app_state
state_of(const struct member *m)
{
	return app_state(instance_current(m->in));
}

/* Is one instance of its app ready, or is none wanted? */
static bool
app_is_ready(const struct fleet *f, const struct ecosystem_app *app)
{
	bool wanted = false;

	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = f->members[i];

		if (m->app != app || m->leaving)
			continue;
		if (state_of(m) == APP_READY)
			return true;
		wanted = wanted || state_of(m) != APP_STOPPED;
	}
	return !wanted;
}

/* What callers of the API need: one that is stopped is missing too, but for those that are there
 * only to be started by hand. */
static const char *
what_the_api_misses(const struct fleet *f, bool *login)
{
	const struct member *proxy = fleet_proxy(f), *first = fleet_first_backend(f);
	int side = proxy != NULL ? instance_current_side(proxy->in) : 0;
	bool needs_proxy =
		proxy != NULL && (proxy->app->autostart || state_of(proxy) != APP_STOPPED);

	*login = false;
	if (needs_proxy && state_of(proxy) != APP_READY)
		return "the proxy is not ready";
	if (first != NULL && first->app->autostart && !backends_any_ready(&f->backends))
		return "no app-server is ready";
	if (needs_proxy && fleet_member_is_linked(proxy) && !proxy->says[side].ready) {
		*login = proxy->says[side].needs_login;
		return proxy->says[side].why;
	}
	return "";
}

/* Of those that are no part of it. */
static const char *
what_else_is_missing(const struct fleet *f)
{
	static char text[ECOSYSTEM_NAME_MAX + 32]; /* until the next call */

	for (size_t i = 0; i < f->count; i++) {
		const struct ecosystem_app *app = f->members[i]->app;

		if (app->role != ECOSYSTEM_PLAIN || app_is_ready(f, app))
			continue;
		(void)snprintf(text, sizeof(text), "%s is not ready", app->name);
		return text;
	}
	return "";
}

bool
fleet_needs_login(const struct fleet *f)
{
	bool login;

	(void)what_the_api_misses(f, &login);
	return login && what_else_is_missing(f)[0] == '\0' && f->started;
}

bool
fleet_is_ready(const struct fleet *f, const char **why)
{
	bool login;
	const char *missing = f->started ? what_the_api_misses(f, &login) : "starting";

	if (missing[0] == '\0')
		missing = what_else_is_missing(f);
	if (why != NULL)
		*why = missing;
	return missing[0] == '\0';
}

bool
fleet_is_failed(const struct fleet *f)
{
	const struct member *proxy = fleet_proxy(f);

	return (proxy != NULL && state_of(proxy) == APP_FAILED) ||
	       backends_all_failed(&f->backends);
}

uint64_t
fleet_stop_max_ms(const struct fleet *f)
{
	uint64_t sum = 0;

	for (unsigned tier = 0; tier <= ECOSYSTEM_APPS_MAX; tier++) {
		uint64_t longest = 0;

		for (size_t i = 0; i < f->count; i++) {
			const struct app_spec *s = app_spec(instance_current(f->members[i]->in));
			/* with nobody left to send it work, one with such a limit has nothing to
			 * drain */
			uint64_t ms = s->term_kill_ms > 0 ? s->term_kill_ms : s->kill_timeout_ms;

			if (f->members[i]->app->tier == tier && ms > longest)
				longest = ms;
		}
		sum += longest;
	}
	return sum;
}
