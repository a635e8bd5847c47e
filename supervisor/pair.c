/* pair: the apps we run: N app-servers and one codex-proxy, and how each is launched. */
#include "supervisor/pair.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "supervisor/codex/log_line.h"
#include "supervisor/pair_policy.h"
#include "supervisor/proxy_launch.h"
#include "supervisor/sidecar_log_line.h"

enum tier { TIER_NONE, TIER_PROXY, TIER_BACKENDS };

struct pair {
	struct pair_spec spec;
	struct proxy_link link;
	struct instance *proxy;
	struct {
		bool ready; /* its own last word */
		char why[256];
	} proxy_says[2]; /* by side */
	struct {
		struct instance *in;
		bool told_up[2]; /* is that side up as far as the proxy knows? */
	} * backends;
	size_t count;  /* of backends */
	bool *drained; /* by number of the instance: by hand */
	char *proxy_binary;
	bool setup_done;
	bool first_alone;
	enum tier stopping;
	void (*on_stopped)(void *arg);
	void *on_stopped_arg;
	size_t open; /* apps that are being closed */
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* --- who is who ----------------------------------------------------------------------------- */

/* Each process has an id of its own for the proxy, so that the old one and the new one of an
 * instance are two app-servers to it. */
static int
backend_id(const struct pair *p, size_t i, int side)
{
	return (int)(i + (size_t)side * p->count);
}

static size_t
number_of(const struct pair *p, const struct instance *in)
{
	return in == p->proxy ? p->count : (size_t)app_spec(instance_current(in))->instance;
}

static struct app_info
current(const struct instance *in)
{
	return app_info(instance_current(in));
}

/* --- launching ------------------------------------------------------------------------------ */

static int
launch_proxy(struct pair *p, int side, struct app_launch *out, struct err *err)
{
	AUTO_FREE char *work = codex_setup_work_dir(p->spec.setup);
	struct proxy_launch launch = {
		.binary = p->proxy_binary,
		.control_path = p->spec.control_path,
		.work_dir = p->spec.settings->workspace == NULL ? work : NULL,
		.generation = app_info(instance_app(p->proxy, side)).generation,
	};
	int r = listener_reopen(p->spec.listener, err);

	if (r < 0)
		return r;
	launch.listen_fd = p->spec.listener->fd;
	p->proxy_says[side].ready = false;
	p->drained[p->count] = false;
	r = proxy_launch_fill(out, &launch);
	return r < 0 ? err_set(err, r, "%s", strerror(-r)) : 0;
}

static int
on_launch(void *arg, struct instance *in, int side, struct app_launch *out, struct err *err)
{
	struct pair *p = arg;

	if (in == p->proxy)
		return launch_proxy(p, side, out, err);
	return codex_setup_launch(p->spec.setup, (int)number_of(p, in), side, out, err);
}

static bool
may_start(void *arg, struct instance *in, int side)
{
	const struct pair *p = arg;

	if (in == p->proxy)
		return true;
	return p->setup_done && (!p->first_alone || in == p->backends[0].in);
}

/* --- what the proxy is told of the app-servers ---------------------------------------------- */

static char *
url_of(const struct pair *p, size_t i, int side)
{
	AUTO_FREE char *path = codex_setup_socket(p->spec.setup, (int)i, side);
	char *url;

	return path == NULL || asprintf(&url, "unix://%s", path) < 0 ? NULL : url;
}

static void
tell_up(struct pair *p, size_t i, int side)
{
	AUTO_FREE char *url = url_of(p, i, side);

	if (url == NULL)
		return; /* out of memory: the proxy does without it */
	p->backends[i].told_up[side] = true;
	proxy_link_backend_up(&p->link, backend_id(p, i, side), url,
	                      app_info(instance_app(p->backends[i].in, side)).generation);
}

static void
tell_down(struct pair *p, size_t i, int side)
{
	struct app_info info = app_info(instance_app(p->backends[i].in, side));

	p->backends[i].told_up[side] = false;
	proxy_link_backend_down(&p->link, backend_id(p, i, side), info.reason, info.next_retry_ms);
}

static void
tell_proxy(struct pair *p, size_t i, int side)
{
	struct instance *in = p->backends[i].in;
	struct app_info info = app_info(instance_app(in, side));
	bool up = p->backends[i].told_up[side];

	if (info.state == APP_READY) {
		p->drained[i] = false;
		tell_up(p, i, side);
	} else if (up ? info.phase != APP_PHASE_DRAIN
	              : info.state == APP_FAILED ||
	                           (info.state == APP_BACKOFF && info.next_retry_ms > 0)) {
		tell_down(p, i, side);
	}
	if (info.state == APP_STOPPED && side != instance_current_side(in))
		proxy_link_backend_gone(&p->link, backend_id(p, i, side));
}

static json_t *
backends_to_json(void *arg)
{
	const struct pair *p = arg;
	json_t *list = json_array();

	for (size_t i = 0; i < p->count; i++) {
		struct app_info info = current(p->backends[i].in);
		int side = instance_current_side(p->backends[i].in);
		AUTO_FREE char *url = url_of(p, i, side);
		bool up = info.state == APP_READY && !p->drained[i];

		if (url == NULL)
			continue;
		(void)json_array_append_new(
			list, json_pack("{s:i, s:s, s:i, s:s, s:o}", "id", backend_id(p, i, side),
		                        "url", url, "generation", (int)info.generation, "state",
		                        up ? "up" : "down", "next_retry_ms",
		                        info.next_retry_ms < 0 ? json_null()
		                                               : json_integer(info.next_retry_ms)));
	}
	return list;
}

/* --- what an app's change means to the other ones ------------------------------------------- */

static bool
any_backend_ready(const struct pair *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (current(p->backends[i].in).state == APP_READY)
			return true;
	return false;
}

static void
go_on_stopping(struct pair *p)
{
	void (*fn)(void *arg);

	if (p->stopping == TIER_PROXY && instance_is_stopped(p->proxy)) {
		p->stopping = TIER_BACKENDS;
		for (size_t i = 0; i < p->count; i++)
			instance_stop(p->backends[i].in, "shutting down");
	}
	fn = p->on_stopped; /* NULL: the last one above has come through here already */
	if (p->stopping != TIER_BACKENDS || fn == NULL)
		return;
	for (size_t i = 0; i < p->count; i++)
		if (!instance_is_stopped(p->backends[i].in))
			return;
	p->on_stopped = NULL;
	fn(p->on_stopped_arg);
}

/* Has the one that goes first had its chance? */
static void
look_at_first(struct pair *p)
{
	enum app_state first = current(p->backends[0].in).state;

	if (!p->first_alone || first == APP_WAITING || first == APP_STARTING)
		return;
	p->first_alone = false;
	for (size_t i = 1; i < p->count; i++)
		instance_gate_changed(p->backends[i].in);
}

static void
on_state(void *arg, struct instance *in, int side, enum app_state from)
{
	struct pair *p = arg;
	struct app_info info = app_info(instance_app(in, side));

	if (in != p->proxy) {
		tell_proxy(p, number_of(p, in), side);
		if (info.state == APP_READY || from == APP_READY)
			instance_pause_deadline(p->proxy, !any_backend_ready(p));
		look_at_first(p);
	} else {
		if (info.state != APP_READY)
			p->proxy_says[side].ready = false;
		/* callers are refused rather than left waiting for a proxy that does not come */
		if (info.state == APP_FAILED || (info.state == APP_BACKOFF && !info.ran_ready))
			listener_shut(p->spec.listener);
	}
	p->spec.on_change(p->spec.arg, in);
	if (info.state == APP_STOPPED)
		go_on_stopping(p);
}

/* --- draining ------------------------------------------------------------------------------- */

/* A drain that is part of an end. */
struct parting {
	struct pair *pair;
	struct instance *in;
	int side;
	unsigned generation;
};

static void
on_parted(void *arg, int64_t left)
{
	struct parting *d = arg;
	struct app_info info = app_info(instance_app(d->in, d->side));

	/* else it has ended meanwhile */
	if (info.generation == d->generation && info.phase == APP_PHASE_DRAIN) {
		if (d->in != d->pair->proxy)
			tell_down(d->pair, number_of(d->pair, d->in), d->side);
		app_drained(instance_app(d->in, d->side));
	}
	free(d);
}

static void
on_drain(void *arg, struct instance *in, int side, uint64_t deadline_ms)
{
	struct pair *p = arg;
	struct parting *d = malloc(sizeof(*d));

	if (d == NULL) {
		app_drained(instance_app(in, side));
		return;
	}
	*d = (struct parting){p, in, side, app_info(instance_app(in, side)).generation};
	if (in == p->proxy)
		proxy_link_drain(&p->link, side, deadline_ms, on_parted, d);
	else
		proxy_link_backend_drain(&p->link, backend_id(p, number_of(p, in), side),
		                         deadline_ms, on_parted, d);
}

void
pair_drain(struct pair *p, size_t i, uint64_t deadline_ms, proxy_drained_fn fn, void *arg)
{
	struct instance *in = pair_instance(p, i);
	int side = instance_current_side(in);

	if (deadline_ms == 0)
		deadline_ms = app_spec(instance_current(in))->drain_timeout_ms;
	if (current(in).state != APP_READY) {
		fn(arg, 0);
		return;
	}
	p->drained[i] = true;
	if (in != p->proxy) {
		proxy_link_backend_drain(&p->link, backend_id(p, i, side), deadline_ms, fn, arg);
		return;
	}
	listener_shut(p->spec.listener); /* nobody shall wait for one that accepts no more */
	proxy_link_drain(&p->link, side, deadline_ms, fn, arg);
}

void
pair_start_one(struct pair *p, size_t i, const char *why)
{
	struct instance *in = pair_instance(p, i);
	bool drained = p->drained[i] && current(in).state == APP_READY;

	if (p->stopping != TIER_NONE)
		return;
	p->drained[i] = false;
	if (!drained)
		instance_start(in, why);
	else if (in == p->proxy)
		instance_restart(in, why); /* it cannot be called back */
	else
		tell_up(p, i, instance_current_side(in));
}

/* --- what the proxy says -------------------------------------------------------------------- */

static int
side_of(void *arg, pid_t pid)
{
	const struct pair *p = arg;

	for (int side = 0; pid > 0 && side < 2; side++)
		if (app_info(instance_app(p->proxy, side)).pid == pid)
			return side;
	return -1;
}

static void
on_proxy_ready(void *arg, int side, bool ready, const char *why)
{
	struct pair *p = arg;
	struct app *a = instance_app(p->proxy, side);

	if (ready != p->proxy_says[side].ready && app_state(a) == APP_READY)
		log_fields(ready ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
		           (struct log_field[]){LOG_STR("app", app_name(a))}, 1, "%s",
		           ready ? "the proxy can serve again" : why);
	p->proxy_says[side].ready = ready;
	(void)snprintf(p->proxy_says[side].why, sizeof(p->proxy_says[side].why), "%s",
	               why != NULL ? why : "");
	if (ready)
		app_tell_ready(a);
	p->spec.on_change(p->spec.arg, p->proxy);
}

static void
on_backend_failed(void *arg, int id, unsigned generation, const char *kind, const char *message)
{
	struct pair *p = arg;
	size_t i = id >= 0 ? (size_t)id % p->count : 0;
	struct app_info info = current(p->backends[i].in);

	if (id < 0 || id != backend_id(p, i, instance_current_side(p->backends[i].in)) ||
	    kind == NULL || info.generation != generation || info.state != APP_READY)
		return; /* of a run that has ended meanwhile, or is about to */
	log_warning("%s: the proxy reports failures of kind %s: %s", info.name, kind,
	            message != NULL ? message : "");
	p->spec.on_backend_failed(p->spec.arg, i, kind, message != NULL ? message : "no reason");
}

/* --- life ----------------------------------------------------------------------------------- */

static const struct instance_hooks instance_hooks = {
	.may_start = may_start,
	.on_launch = on_launch,
	.on_state = on_state,
	.on_drain = on_drain,
};

static const struct proxy_link_hooks link_hooks = {
	.side_of = side_of,
	.backends = backends_to_json,
	.on_ready = on_proxy_ready,
	.on_backend_failed = on_backend_failed,
};

static int
new_instance(struct pair *p, struct instance **out, struct app_spec spec, output_lift_fn lift)
{
	spec.lift = lift;
	return instance_new(out, p->spec.loop, p->spec.reaper, &spec, &instance_hooks, p);
}

int
pair_new(struct pair **out, const struct pair_spec *spec, struct err *err)
{
	size_t n = (size_t)spec->settings->instances;
	char name[PAIR_NAME_MAX];
	struct pair *p = calloc(1, sizeof(*p));
	int r = 0;

	if (p == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	p->spec = *spec;
	p->proxy_binary = proxy_launch_find();
	if (p->proxy_binary == NULL) {
		free(p);
		return err_set(err, -ENOENT, "codex-proxy is neither beside %s nor on PATH",
		               program_invocation_name);
	}
	proxy_link_init(&p->link, &link_hooks, p);
	p->backends = calloc(n, sizeof(*p->backends));
	p->drained = calloc(n + 1, sizeof(*p->drained));
	if (p->backends == NULL || p->drained == NULL)
		r = -ENOMEM;
	if (r == 0)
		r = new_instance(p, &p->proxy, pair_policy_proxy(spec->settings),
		                 sidecar_log_line_lift);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = new_instance(p, &p->backends[i].in,
		                 pair_policy_backend(spec->settings, i, name), codex_log_line_lift);
		if (r == 0)
			p->count++;
	}
	if (r < 0) {
		pair_close(p, NULL, NULL);
		return err_set(err, r, "%s", strerror(-r));
	}
	*out = p;
	return 0;
}

void
pair_start(struct pair *p, bool first_alone)
{
	p->first_alone = first_alone;
	instance_pause_deadline(p->proxy, true); /* until an app-server is ready */
	for (size_t i = 0; i < p->count; i++)
		instance_start(p->backends[i].in, "preparing the launch of codex");
	instance_start(p->proxy, "started");
}

void
pair_setup_done(struct pair *p)
{
	p->setup_done = true;
	for (size_t i = 0; i < p->count; i++)
		instance_gate_changed(p->backends[i].in);
}

void
pair_stop(struct pair *p, void (*fn)(void *arg), void *arg)
{
	if (p->stopping != TIER_NONE) {
		instance_hurry(p->proxy);
		for (size_t i = 0; i < p->count && p->stopping == TIER_BACKENDS; i++)
			instance_hurry(p->backends[i].in);
		return;
	}
	p->on_stopped = fn;
	p->on_stopped_arg = arg;
	p->stopping = TIER_PROXY;
	listener_shut(p->spec.listener); /* nobody shall queue for a proxy that is going */
	instance_stop(p->proxy, "shutting down");
	if (p->stopping == TIER_PROXY)
		go_on_stopping(p); /* it was stopped already */
}

static void
on_app_closed(void *arg)
{
	struct pair *p = arg;
	void (*fn)(void *arg) = p->on_closed;
	void *fn_arg = p->on_closed_arg;

	if (--p->open > 0)
		return;
	free(p->backends);
	free(p->drained);
	free(p->proxy_binary);
	free(p);
	if (fn != NULL)
		fn(fn_arg);
}

void
pair_close(struct pair *p, void (*fn)(void *arg), void *arg)
{
	p->on_closed = fn;
	p->on_closed_arg = arg;
	p->open = 1;
	for (size_t i = 0; i < p->count; i++) {
		p->open++;
		instance_close(p->backends[i].in, on_app_closed, p);
	}
	if (p->proxy != NULL) {
		p->open++;
		instance_close(p->proxy, on_app_closed, p);
	}
	on_app_closed(p);
}

/* --- how it is ------------------------------------------------------------------------------ */

bool
pair_is_ready(const struct pair *p, const char **why)
{
	int side = instance_current_side(p->proxy);
	const char *missing = "";

	if (current(p->proxy).state != APP_READY)
		missing = "the proxy is not ready";
	else if (!any_backend_ready(p))
		missing = "no app-server is ready";
	else if (!p->proxy_says[side].ready)
		missing = p->proxy_says[side].why;
	if (why != NULL)
		*why = missing;
	return missing[0] == '\0';
}

bool
pair_is_failed(const struct pair *p)
{
	if (current(p->proxy).state == APP_FAILED)
		return true;
	for (size_t i = 0; i < p->count; i++)
		if (current(p->backends[i].in).state != APP_FAILED)
			return false;
	return true;
}

struct proxy_link *
pair_link(struct pair *p)
{
	return &p->link;
}

size_t
pair_count(const struct pair *p)
{
	return p->count + 1;
}

size_t
pair_backends(const struct pair *p)
{
	return p->count;
}

struct instance *
pair_instance(const struct pair *p, size_t i)
{
	assert(i <= p->count);
	return i < p->count ? p->backends[i].in : p->proxy;
}
