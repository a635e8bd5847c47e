/* fleet: the apps we run, in the order of their list, started and stopped as they depend on each
 * other. */
#include "supervisor/fleet.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "supervisor/fleet_members.h"
#include "supervisor/live.h"

static struct app_info
current(const struct member *m)
{
	return app_info(instance_current(m->in));
}

/* --- what has to come first ----------------------------------------------------------------- */

/* Has it been ready, and not lost that by itself? What was stopped, or has done its work, is no
 * obstacle. */
static bool
has_come(const struct member *m)
{
	struct app_info info = current(m);

	return info.state == APP_READY || (info.state == APP_STOPPED && info.ran_ready);
}

/* The first app that has to come before this one and has not; NULL: none. */
static const char *
comes_after(const struct member *m)
{
	const struct fleet *f = m->fleet;

	for (char **name = m->app->after; *name != NULL; name++)
		for (size_t i = 0; i < f->count; i++)
			if (!f->members[i]->leaving &&
			    strcmp(f->members[i]->app->name, *name) == 0 &&
			    !has_come(f->members[i]))
				return *name;
	return NULL;
}

/* One that is leaving has its name, and maybe its address, until it is gone; so has a program of
 * which we know nothing, when it gets another number of instances. */
static bool
place_is_taken(const struct member *m)
{
	const struct fleet *f = m->fleet;
	bool is_new = m->app->role == ECOSYSTEM_PLAIN && current(m).generation == 0;

	for (size_t i = 0; i < f->count; i++) {
		struct app_info other = current(f->members[i]);

		if (f->members[i] != m && f->members[i]->leaving &&
		    (strcmp(other.name, current(m).name) == 0 ||
		     (is_new && strcmp(other.group, current(m).group) == 0)))
			return true;
	}
	return false;
}

static bool
may_start(void *arg, struct instance *in, int side)
{
	const struct member *m = arg;
	const struct fleet *f = m->fleet;

	if (m->leaving || place_is_taken(m))
		return false;
	/* while the proxy drains, its app-servers are still needed */
	if (f->stopping && m->backend < 0)
		return false;
	if (m->backend >= 0 &&
	    ((m->app->recipe && !f->setup_done) || (f->first_alone && m != fleet_first_backend(f))))
		return false;
	return comes_after(m) == NULL;
}

void
fleet_gates_changed(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++)
		instance_gate_changed(f->members[i]->in);
}

/* Has the one that goes first had its chance? */
static void
look_at_first(struct fleet *f)
{
	enum app_state first = current(fleet_first_backend(f)).state;

	if (f->first_alone && first != APP_WAITING && first != APP_STARTING)
		f->first_alone = false;
}

/* --- launching ------------------------------------------------------------------------------ */

static int
on_launch(void *arg, struct instance *in, int side, struct app_launch *out, struct err *err)
{
	struct member *m = arg;
	struct fleet *f = m->fleet;
	struct fleet_launch what = {.app = m->app,
	                            .number = m->number,
	                            .backend = m->backend,
	                            .side = side,
	                            .generation = app_info(instance_app(in, side)).generation,
	                            .linked = fleet_member_is_linked(m)};
	m->says[side].ready = m->says[side].needs_login = m->drained = false;
	if (m->backend >= 0 && fleet_member_set_url(m, side) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	if (m->backend >= 0)
		what.url = f->backends.list[m->backend].url[side];
	return fleet_launch_fill(&f->launcher, &what, out, err);
}

/* --- stopping ------------------------------------------------------------------------------- */

static bool
tier_is_stopped(const struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->members[i]->app->tier == f->tier && !instance_is_stopped(f->members[i]->in))
			return false;
	return true;
}

static void
stop_tier(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->members[i]->app->tier == f->tier)
			instance_stop(f->members[i]->in, "shutting down");
}

static void
go_on_stopping(struct fleet *f)
{
	void (*fn)(void *arg) = f->on_stopped;

	/* fn NULL: the last change has come through here already, from inside of stop_tier */
	while (fn != NULL && tier_is_stopped(f) && f->tier > 0) {
		f->tier--;
		stop_tier(f);
		fn = f->on_stopped;
	}
	if (fn == NULL || !tier_is_stopped(f))
		return;
	f->on_stopped = NULL;
	fn(f->on_stopped_arg);
}

void
fleet_stop(struct fleet *f, void (*fn)(void *arg), void *arg)
{
	if (f->stopping) {
		for (size_t i = 0; i < f->count; i++)
			if (f->members[i]->app->tier >= f->tier)
				instance_hurry(f->members[i]->in);
		return;
	}
	f->stopping = true;
	f->on_stopped = fn;
	f->on_stopped_arg = arg;
	for (size_t i = 0; i < f->count; i++)
		if (f->members[i]->app->tier > f->tier)
			f->tier = f->members[i]->app->tier;
	/* nobody shall queue for a proxy that is going: it has the socket too, as long as it
	 * accepts */
	listener_leave(f->spec.listener);
	stop_tier(f);
	go_on_stopping(f); /* they may have been stopped already */
}

/* --- those that leave ----------------------------------------------------------------------- */

static void on_member_closed(void *arg);

/* Unless another app has its name by now. */
static void
forget_lines(const struct member *m)
{
	const struct fleet *f = m->fleet;

	for (size_t i = 0; i < f->count; i++)
		if (strcmp(instance_name(f->members[i]->in), instance_name(m->in)) == 0)
			return;
	live_forget(instance_name(m->in));
}

static void
on_sweep(uv_timer_t *timer)
{
	struct fleet *f = timer->data;

	for (size_t i = f->count; i-- > 0;) {
		struct member *m = f->members[i];

		if (!m->leaving)
			continue;
		if (!instance_is_stopped(m->in)) {
			/* somebody may have asked for another start meanwhile */
			instance_stop(m->in, "not in the list any more");
			continue;
		}
		log_info("%s: gone from the list", instance_name(m->in));
		memmove(&f->members[i], &f->members[i + 1],
		        (--f->count - i) * sizeof(struct member *));
		f->spec.on_gone(f->spec.arg, m->in);
		if (m->backend >= 0)
			backends_remove(&f->backends, m->backend);
		forget_lines(m);
		f->open++;
		instance_close(m->in, on_member_closed, m);
	}
	fleet_gates_changed(f);
}

void
fleet_sweep(struct fleet *f)
{
	(void)uv_timer_start(&f->sweep, on_sweep, 0, 0); /* on_sweep is not NULL */
}

/* --- changes -------------------------------------------------------------------------------- */

static void
on_proxy_state(struct member *m, int side, struct app_info info)
{
	if (info.state != APP_READY)
		m->says[side].ready = m->says[side].needs_login = false;
	/* callers are refused rather than left waiting for a proxy that does not come */
	if (info.state == APP_FAILED || (info.state == APP_BACKOFF && !info.ran_ready) ||
	    instance_is_stopped(m->in))
		listener_shut(m->fleet->spec.listener, m->fleet->spec.loop);
}

static void
on_backend_state(struct member *m, int side, struct app_info info, enum app_state from)
{
	struct fleet *f = m->fleet;
	struct member *proxy = fleet_proxy(f);

	backends_on_state(&f->backends, m->backend, side);
	if (proxy != NULL && (info.state == APP_READY || from == APP_READY))
		instance_pause_deadline(proxy->in, !backends_any_ready(&f->backends));
	look_at_first(f);
}

static void
on_state(void *arg, struct instance *in, int side, enum app_state from)
{
	struct member *m = arg;
	struct fleet *f = m->fleet;
	struct app_info info = app_info(instance_app(in, side));

	if (m->backend >= 0)
		on_backend_state(m, side, info, from);
	else if (fleet_member_is_proxy(m))
		on_proxy_state(m, side, info);
	f->spec.on_change(f->spec.arg, in);
	if (info.state == APP_READY || info.state == APP_STOPPED || m->backend >= 0)
		fleet_gates_changed(f);
	if (info.state == APP_STOPPED && f->stopping)
		go_on_stopping(f);
	else if (info.state != APP_STOPPING && m->leaving && !f->stopping)
		fleet_sweep(f);
}

/* --- what the proxy and other apps say ------------------------------------------------------ */

static int
side_of_pid(const struct member *m, pid_t pid)
{
	for (int side = 0; m != NULL && pid > 0 && side < 2; side++)
		if (app_info(instance_app(m->in, side)).pid == pid)
			return side;
	return -1;
}

static int
side_of_proxy(void *arg, pid_t pid)
{
	return side_of_pid(fleet_proxy(arg), pid);
}

static json_t *
list_backends(void *arg)
{
	const struct fleet *f = arg;

	return backends_to_json(&f->backends);
}

static void
on_proxy_ready(void *arg, int side, bool ready, const char *why, bool needs_login)
{
	struct fleet *f = arg;
	struct member *m = fleet_proxy(f); /* whose side it is */
	struct app *a = instance_app(m->in, side);

	if (ready != m->says[side].ready && app_state(a) == APP_READY)
		log_fields(ready ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
		           (struct log_field[]){LOG_STR("app", app_name(a))}, 1, "%s",
		           ready ? "the proxy can serve again" : why);
	m->says[side].ready = ready;
	m->says[side].needs_login = needs_login;
	(void)snprintf(m->says[side].why, sizeof(m->says[side].why), "%s", why != NULL ? why : "");
	if (ready || needs_login)
		app_tell_ready(a); /* no restart of it would help */
	f->spec.on_change(f->spec.arg, m->in);
}

static void
on_backend_failed(void *arg, int id, unsigned generation, const char *kind, const char *message)
{
	struct fleet *f = arg;
	int i = backends_find(&f->backends, id, generation);

	if (i < 0 || kind == NULL)
		return;
	log_warning("%s: the proxy reports failures of kind %s: %s",
	            instance_name(f->backends.list[i].in), kind, message != NULL ? message : "");
	f->spec.on_backend_failed(f->spec.arg, (size_t)i, kind,
	                          message != NULL ? message : "no reason");
}

bool
fleet_notification(struct fleet *f, struct control_conn *conn, const char *method, json_t *params)
{
	pid_t pid = control_conn_peer_pid(conn);

	if (proxy_link_notification(&f->link, conn, method, params))
		return true;
	if (strcmp(method, "app/ready") != 0)
		return false;
	for (size_t i = 0; i < f->count; i++) {
		struct member *m = f->members[i];
		int side = fleet_member_is_proxy(m) ? -1 : side_of_pid(m, pid);
		enum app_readiness how = app_spec(instance_current(m->in))->readiness;

		if (side < 0)
			continue;
		if (how == APP_READY_CONTROL || how == APP_READY_TOLD)
			app_tell_ready(instance_app(m->in, side));
		return true;
	}
	log_warning("%s from pid %d, which is no app of ours: ignored", method, (int)pid);
	return true;
}

/* --- starting ------------------------------------------------------------------------------- */

void
fleet_start_member(struct member *m)
{
	const char *first = comes_after(m);
	char why[APP_REASON_MAX] = "started";

	if (!m->app->autostart) {
		if (fleet_member_is_proxy(
			    m)) /* nobody shall wait for one that comes when it is told to */
			listener_shut(m->fleet->spec.listener, m->fleet->spec.loop);
		return;
	}
	if (first != NULL)
		(void)snprintf(why, sizeof(why), "waits for %s", first);
	else if (m->backend >= 0 && m->app->recipe)
		(void)snprintf(why, sizeof(why), "preparing the launch of codex");
	instance_start(m->in, why);
}

void
fleet_start(struct fleet *f, bool first_alone)
{
	struct member *proxy = fleet_proxy(f);

	f->first_alone = first_alone;
	if (proxy != NULL && backends_any(&f->backends))
		instance_pause_deadline(proxy->in, true); /* until an app-server is ready */
	for (size_t i = 0; i < f->count; i++)
		fleet_start_member(f->members[i]);
	f->started = true;
	f->spec.on_change(f->spec.arg, f->members[0]->in); /* nobody may be left to change */
}

void
fleet_setup_done(struct fleet *f)
{
	f->setup_done = true;
	fleet_gates_changed(f);
}

void
fleet_start_one(struct fleet *f, struct instance *in, const char *why)
{
	struct member *m = fleet_member_of(f, in);
	struct backend *b = m->backend >= 0 ? &f->backends.list[m->backend] : NULL;
	bool drained = (b != NULL ? b->drained : m->drained) && current(m).state == APP_READY;

	if (f->stopping || m->leaving)
		return;
	if (!drained)
		instance_start(in, why);
	else if (b == NULL)
		instance_restart(in, why); /* it cannot be called back */
	else
		backends_take_back(&f->backends, m->backend);
	m->drained = false;
	if (b != NULL)
		b->drained = false;
}

/* --- life ----------------------------------------------------------------------------------- */

const struct instance_hooks fleet_instance_hooks = {
	.may_start = may_start,
	.on_launch = on_launch,
	.on_state = on_state,
	.on_drain = fleet_on_drain,
};

static const struct proxy_link_hooks link_hooks = {
	.side_of = side_of_proxy,
	.backends = list_backends,
	.on_ready = on_proxy_ready,
	.on_backend_failed = on_backend_failed,
};

static int
add_members(struct fleet *f, struct app_list *list)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < list->e->count; i++)
		n += list->e->apps[i].instances;
	if (n == 0)
		return -EINVAL;
	f->members = calloc(n, sizeof(struct member *));
	if (f->members == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < list->e->count; i++) {
		const struct ecosystem_app *app = &list->e->apps[i];

		for (unsigned k = 0; k < app->instances && r == 0; k++) {
			r = fleet_member_new(&f->members[f->count], f, list, app, k,
			                     &fleet_instance_hooks);
			f->count += r == 0;
		}
	}
	return r;
}

int
fleet_new(struct fleet **out, const struct fleet_spec *spec, struct ecosystem *e, struct err *err)
{
	struct app_list *list = fleet_list_new(e);
	struct fleet *f = calloc(1, sizeof(*f));
	int r = f != NULL && list != NULL ? uv_timer_init(spec->loop, &f->sweep) : -ENOMEM;

	if (r < 0) {
		fleet_list_release(list);
		free(f);
		return err_set(err, r, "%s", strerror(-r));
	}
	f->spec = *spec;
	f->sweep.data = f;
	f->open = 1; /* that handle */
	f->launcher = (struct fleet_launcher){.setup = spec->setup,
	                                      .settings = spec->settings,
	                                      .listener = spec->listener,
	                                      .control_path = spec->control_path};
	f->backends.link = &f->link;
	proxy_link_init(&f->link, &link_hooks, f);
	r = add_members(f, list);
	fleet_list_release(list); /* the members have it */
	if (r < 0) {
		fleet_close(f, NULL, NULL);
		return err_set(err, r, "%s", strerror(-r));
	}
	*out = f;
	return 0;
}

static void
let_go(struct fleet *f)
{
	void (*fn)(void *arg) = f->on_closed;
	void *fn_arg = f->on_closed_arg;

	if (--f->open > 0)
		return;
	free(f->members);
	free(f);
	if (fn != NULL)
		fn(fn_arg);
}

static void
on_member_closed(void *arg)
{
	struct member *m = arg;
	struct fleet *f = m->fleet;

	fleet_member_free(m);
	let_go(f);
}

static void
on_sweep_closed(uv_handle_t *handle)
{
	let_go(handle->data);
}

void
fleet_close(struct fleet *f, void (*fn)(void *arg), void *arg)
{
	f->on_closed = fn;
	f->on_closed_arg = arg;
	f->open += f->count;
	for (int i = 0; i < BACKENDS_MAX; i++)
		if (f->backends.list[i].in != NULL)
			backends_remove(&f->backends, i);
	for (size_t i = 0; i < f->count; i++)
		instance_close(f->members[i]->in, on_member_closed, f->members[i]);
	uv_close((uv_handle_t *)&f->sweep, on_sweep_closed);
}
