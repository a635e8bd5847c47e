/* pair: the apps we run: N app-servers and one codex-proxy, and how each is launched. */
#include "supervisor/pair.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "supervisor/codex/log_line.h"
#include "supervisor/sidecar_log_line.h"

#define READY_TIMEOUT_MS      60000
#define PROXY_KILL_EXTRA_MS   5000 /* beyond the drain, to say goodbye to its clients */
#define PROXY_TERM_AGAIN_MS   3000
/* codex drains without end on the first SIGTERM, and goes at once on the second. */
#define BACKEND_TERM_AGAIN_MS 2000
#define BACKEND_KILL_MS       5000

enum tier { TIER_NONE, TIER_PROXY, TIER_BACKENDS };

struct pair {
	struct pair_spec spec;
	struct proxy_link link;
	struct app *proxy;
	struct app **backends;
	size_t count; /* of backends */
	char *proxy_binary;
	bool setup_done;
	bool proxy_ready; /* its own last word */
	char proxy_why[256];
	enum tier stopping;
	void (*on_stopped)(void *arg);
	void *on_stopped_arg;
	size_t open; /* apps that are being closed */
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* --- launching the proxy -------------------------------------------------------------------- */

/* Beside our own executable, else on PATH. */
static char *
find_proxy(void)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *path = getenv("PATH");
	AUTO_FREE char *dirs = NULL;
	char *save = NULL;

	if (n < 0)
		return NULL;
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	if (asprintf(&dirs, "%s:%s", self, path != NULL ? path : "") < 0)
		return NULL;
	for (char *dir = strtok_r(dirs, ":", &save); dir != NULL;
	     dir = strtok_r(NULL, ":", &save)) {
		char *file;

		if (asprintf(&file, "%s/codex-proxy", dir) < 0)
			return NULL;
		if (access(file, X_OK) == 0)
			return file;
		free(file);
	}
	return NULL;
}

static void
proxy_environment(struct pair *p, struct environment *env)
{
	AUTO_FREE char *work = codex_setup_work_dir(p->spec.setup);

	environment_pass_basics(env);
	for (size_t i = 0; i < settings_count; i++)
		if (settings_table[i].owners & SETTING_PROXY)
			environment_pass(env, settings_table[i].name);
	environment_set(env, "CODEX_APP_SERVER_URL", NULL); /* we tell it where they are */
	environment_set(env, "CODEX_CONTROL_SOCKET", p->spec.control_path);
	environment_set_int(env, "CODEX_PROXY_GENERATION", app_info(p->proxy).generation);
	if (p->spec.settings->workspace == NULL)
		environment_set(env, "CODEX_WORKSPACE", work);
	/* we read its lines, and give them our own form */
	environment_set(env, "CODEX_LOG_FORMAT", "json");
	environment_set(env, "LISTEN_FDNAMES", "http");
}

static int
launch_proxy(struct pair *p, struct app_launch *out, struct err *err)
{
	int r = listener_reopen(p->spec.listener, err);

	if (r < 0)
		return r;
	proxy_environment(p, &out->env);
	out->file = strdup(p->proxy_binary);
	out->argv = calloc(2, sizeof(*out->argv));
	if (out->argv != NULL)
		out->argv[0] = strdup("codex-proxy");
	out->listen_fd = p->spec.listener->fd;
	p->proxy_ready = false;
	if (out->file == NULL || out->argv == NULL || out->argv[0] == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	return 0;
}

static int
on_launch(void *arg, struct app *a, struct app_launch *out, struct err *err)
{
	struct pair *p = arg;

	if (a == p->proxy)
		return launch_proxy(p, out, err);
	return codex_setup_launch(p->spec.setup, app_info(a).instance, out, err);
}

/* --- what an app's change means to the other ones ------------------------------------------- */

static bool
may_start(void *arg, struct app *a)
{
	const struct pair *p = arg;

	return a == p->proxy || p->setup_done;
}

static bool
any_backend_ready(const struct pair *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (app_state(p->backends[i]) == APP_READY)
			return true;
	return false;
}

static void
tell_proxy(struct pair *p, struct app *a, enum app_state from)
{
	struct app_info info = app_info(a);

	if (info.state == APP_READY) {
		AUTO_FREE char *path = codex_setup_socket(p->spec.setup, info.instance);
		AUTO_FREE char *url = NULL;

		if (path != NULL && asprintf(&url, "unix://%s", path) >= 0)
			proxy_link_backend_up(&p->link, info.instance, url, info.generation);
	} else if (from == APP_READY || info.state == APP_FAILED ||
	           (info.state == APP_BACKOFF && info.next_retry_ms > 0)) {
		proxy_link_backend_down(&p->link, info.instance, info.reason, info.next_retry_ms);
	}
}

static void
go_on_stopping(struct pair *p)
{
	void (*fn)(void *arg);

	if (p->stopping == TIER_PROXY && app_state(p->proxy) == APP_STOPPED) {
		p->stopping = TIER_BACKENDS;
		for (size_t i = 0; i < p->count; i++)
			app_stop(p->backends[i], "shutting down");
	}
	fn = p->on_stopped; /* NULL: the last app_stop above has come through here already */
	if (p->stopping != TIER_BACKENDS || fn == NULL)
		return;
	for (size_t i = 0; i < p->count; i++)
		if (app_state(p->backends[i]) != APP_STOPPED)
			return;
	p->on_stopped = NULL;
	fn(p->on_stopped_arg);
}

static void
on_state(void *arg, struct app *a, enum app_state from)
{
	struct pair *p = arg;
	enum app_state now = app_state(a);

	if (a != p->proxy) {
		tell_proxy(p, a, from);
		if (now == APP_READY || from == APP_READY)
			app_pause_deadline(p->proxy, !any_backend_ready(p));
	} else {
		if (now != APP_READY)
			p->proxy_ready = false;
		/* callers are refused rather than left waiting for a proxy that does not come */
		if (now == APP_FAILED || (now == APP_BACKOFF && !app_info(a).ran_ready))
			listener_shut(p->spec.listener);
	}
	p->spec.on_change(p->spec.arg, a);
	if (now == APP_STOPPED)
		go_on_stopping(p);
}

static void
on_proxy_drained(void *arg)
{
	struct pair *p = arg;

	app_drained(p->proxy);
}

static void
on_drain(void *arg, struct app *a, uint64_t deadline_ms)
{
	struct pair *p = arg;

	proxy_link_drain(&p->link, deadline_ms, on_proxy_drained, p);
}

/* --- what the proxy says -------------------------------------------------------------------- */

static bool
is_proxy(void *arg, pid_t pid)
{
	const struct pair *p = arg;

	return pid > 0 && app_info(p->proxy).pid == pid;
}

static json_t *
backends_to_json(void *arg)
{
	const struct pair *p = arg;
	json_t *list = json_array();

	for (size_t i = 0; i < p->count; i++) {
		struct app_info info = app_info(p->backends[i]);
		AUTO_FREE char *path = codex_setup_socket(p->spec.setup, info.instance);
		AUTO_FREE char *url = NULL;

		if (path == NULL || asprintf(&url, "unix://%s", path) < 0)
			continue;
		(void)json_array_append_new(
			list, json_pack("{s:i, s:s, s:i, s:s, s:o}", "id", info.instance, "url",
		                        url, "generation", (int)info.generation, "state",
		                        info.state == APP_READY ? "up" : "down", "next_retry_ms",
		                        info.next_retry_ms < 0 ? json_null()
		                                               : json_integer(info.next_retry_ms)));
	}
	return list;
}

static void
on_proxy_ready(void *arg, bool ready, const char *why)
{
	struct pair *p = arg;

	if (ready != p->proxy_ready && app_state(p->proxy) == APP_READY)
		log_fields(ready ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
		           (struct log_field[]){LOG_STR("app", app_name(p->proxy))}, 1, "%s",
		           ready ? "the proxy can serve again" : why);
	p->proxy_ready = ready;
	(void)snprintf(p->proxy_why, sizeof(p->proxy_why), "%s", why != NULL ? why : "");
	if (ready)
		app_tell_ready(p->proxy);
	p->spec.on_change(p->spec.arg, p->proxy);
}

static void
on_backend_failed(void *arg, int id, unsigned generation, const char *kind, const char *message)
{
	struct pair *p = arg;

	if (id < 0 || (size_t)id >= p->count || kind == NULL ||
	    app_info(p->backends[id]).generation != generation)
		return; /* of a run that has ended meanwhile */
	log_warning("%s: the proxy reports failures of kind %s: %s", app_name(p->backends[id]),
	            kind, message != NULL ? message : "");
	if (strcmp(kind, "server") == 0)
		app_restart(p->backends[id], "it does not answer the proxy");
}

/* --- life ----------------------------------------------------------------------------------- */

static const struct app_hooks app_hooks = {
	.may_start = may_start,
	.on_launch = on_launch,
	.on_state = on_state,
	.on_drain = on_drain,
};

static const struct proxy_link_hooks link_hooks = {
	.is_proxy = is_proxy,
	.backends = backends_to_json,
	.on_ready = on_proxy_ready,
	.on_backend_failed = on_backend_failed,
};

static int
new_backend(struct pair *p, size_t i)
{
	char name[32];
	struct app_spec spec = {
		.name = name,
		.group = "app-server",
		.instance = (int)i,
		.readiness = APP_READY_WEBSOCKET,
		.listen_timeout_ms = READY_TIMEOUT_MS,
		.term_again_ms = BACKEND_TERM_AGAIN_MS,
		.kill_timeout_ms = BACKEND_KILL_MS,
		.restart = restart_policy_default(),
		.lift = codex_log_line_lift,
	};

	(void)snprintf(name, sizeof(name), "app-server-%zu", i);
	return app_new(&p->backends[i], p->spec.loop, p->spec.reaper, &spec, &app_hooks, p);
}

static int
new_proxy(struct pair *p)
{
	uint64_t drain_ms = (uint64_t)p->spec.settings->drain_timeout_ms;
	struct app_spec spec = {
		.name = "proxy",
		.group = "proxy",
		.readiness = APP_READY_TOLD,
		.listen_timeout_ms = READY_TIMEOUT_MS,
		.drain_timeout_ms = drain_ms,
		/* it drains by itself on a SIGTERM that comes without our asking */
		.term_again_ms = drain_ms + PROXY_TERM_AGAIN_MS,
		.kill_timeout_ms = drain_ms + PROXY_KILL_EXTRA_MS,
		.restart = restart_policy_default(),
		.lift = sidecar_log_line_lift,
	};

	return app_new(&p->proxy, p->spec.loop, p->spec.reaper, &spec, &app_hooks, p);
}

int
pair_new(struct pair **out, const struct pair_spec *spec, struct err *err)
{
	struct pair *p = calloc(1, sizeof(*p));
	int r = 0;

	if (p == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	p->spec = *spec;
	p->proxy_binary = find_proxy();
	if (p->proxy_binary == NULL) {
		free(p);
		return err_set(err, -ENOENT, "codex-proxy is neither beside %s nor on PATH",
		               program_invocation_name);
	}
	proxy_link_init(&p->link, &link_hooks, p);
	p->backends = calloc((size_t)spec->settings->instances, sizeof(struct app *));
	if (p->backends == NULL)
		r = -ENOMEM;
	if (r == 0)
		r = new_proxy(p);
	for (int64_t i = 0; r == 0 && i < spec->settings->instances; i++) {
		r = new_backend(p, (size_t)i);
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
pair_start(struct pair *p)
{
	app_pause_deadline(p->proxy, true); /* until an app-server is ready */
	for (size_t i = 0; i < p->count; i++)
		app_start(p->backends[i], "preparing the launch of codex");
	app_start(p->proxy, "started");
}

void
pair_setup_done(struct pair *p)
{
	p->setup_done = true;
	for (size_t i = 0; i < p->count; i++)
		app_gate_changed(p->backends[i]);
}

void
pair_stop(struct pair *p, void (*fn)(void *arg), void *arg)
{
	if (p->stopping != TIER_NONE) {
		app_hurry(p->proxy);
		for (size_t i = 0; i < p->count && p->stopping == TIER_BACKENDS; i++)
			app_hurry(p->backends[i]);
		return;
	}
	p->on_stopped = fn;
	p->on_stopped_arg = arg;
	p->stopping = TIER_PROXY;
	listener_shut(p->spec.listener); /* nobody shall queue for a proxy that is going */
	app_stop(p->proxy, "shutting down");
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
		app_close(p->backends[i], on_app_closed, p);
	}
	if (p->proxy != NULL) {
		p->open++;
		app_close(p->proxy, on_app_closed, p);
	}
	on_app_closed(p);
}

bool
pair_is_ready(const struct pair *p, const char **why)
{
	const char *missing = "";

	if (app_state(p->proxy) != APP_READY)
		missing = "the proxy is not ready";
	else if (!any_backend_ready(p))
		missing = "no app-server is ready";
	else if (!p->proxy_ready)
		missing = p->proxy_why;
	if (why != NULL)
		*why = missing;
	return missing[0] == '\0';
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

struct app *
pair_app(const struct pair *p, size_t i)
{
	assert(i <= p->count);
	return i < p->count ? p->backends[i] : p->proxy;
}
