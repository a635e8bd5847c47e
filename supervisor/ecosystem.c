/* ecosystem: the ecosystem file, PM2's JSON form, as a list of apps to run. Pure. */
#include "supervisor/ecosystem.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "common/json.h"
#include "supervisor/ecosystem_keys.h"

/* --- what a draft comes to ------------------------------------------------------------------ */

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static void
set(struct ecosystem_reader *r, char **out, const char *text)
{
	free(*out);
	*out = strdup(text);
	r->failed = r->failed || *out == NULL;
}

static void
complain(struct ecosystem_draft *d, const char *key, const char *what)
{
	ecosystem_report(d->reader, ECOSYSTEM_ERROR, d->path, key, "%s", what);
}

static void
note(struct ecosystem_draft *d, const char *key, const char *what)
{
	ecosystem_report(d->reader, ECOSYSTEM_NOTE, d->path, key, "%s", what);
}

/* PM2 gives a script with a space in it to a shell. We cut it at the spaces, as long as that is the
 * same. */
static void
cut_script(struct ecosystem_draft *d)
{
	struct ecosystem_app *a = d->app;
	const char *why;
	char **words, **all;
	size_t n = 0, k = 0;
	int r;

	if (strpbrk(a->script, " \t") == NULL)
		return;
	if (strpbrk(a->script, "|&;<>()$`*?[]#~!\n\\") != NULL) {
		complain(d, "script",
		         "needs a shell, and there is none: \"script\": \"/bin/sh\", \"args\": "
		         "[\"-c\", \"exec ...\"]");
		return;
	}
	r = ecosystem_value_cut(&words, a->script, &why);
	if (r == -EINVAL) {
		complain(d, "script", why);
		return;
	}
	while (r == 0 && words[n] != NULL)
		n++;
	while (a->args[k] != NULL)
		k++;
	all = r == 0 ? ecosystem_list_new(n + k) : NULL;
	if (all == NULL) {
		d->reader->failed = true;
		if (r == 0)
			ecosystem_list_free(words);
		return;
	}
	if (n == 0) {
		complain(d, "script", "empty");
		free(all);
		ecosystem_list_free(words);
		return;
	}
	free(a->script);
	a->script = words[0];
	memcpy(all, words + 1, (n - 1) * sizeof(*all));
	memcpy(all + n - 1, a->args, k * sizeof(*all));
	free(words);
	free(a->args);
	a->args = all;
	note(d, "script", "executed directly, cut at its spaces; PM2 gives it to a shell");
}

/* As PM2 chooses it, but for programs without one of these endings: those are executed. */
static void
choose_interpreter(struct ecosystem_draft *d)
{
	static const char *const endings[][2] = {
		{".js",  "node"   },
                {".cjs", "node"   },
                {".mjs", "node"   },
                {".ts",  "bun"    },
		{".tsx", "bun"    },
                {".py",  "python3"},
                {".sh",  "bash"   },
                {".rb",  "ruby"   },
		{".pl",  "perl"   },
                {".php", "php"    },
	};
	struct ecosystem_app *a = d->app;
	const char *ending = strrchr(base_name(a->script), '.');

	if (a->interpreter != NULL && strcmp(a->interpreter, "none") == 0) {
		free(a->interpreter);
		a->interpreter = NULL;
		return;
	}
	if (a->interpreter != NULL && strchr(a->interpreter, '@') != NULL)
		complain(d, "interpreter", "a version cannot be chosen: give the path of one");
	for (size_t i = 0; a->interpreter == NULL && ending != NULL && i < NELEM(endings); i++)
		if (strcmp(endings[i][0], ending) == 0)
			set(d->reader, &a->interpreter, endings[i][1]);
	if (a->interpreter == NULL && a->interpreter_args[0] != NULL)
		complain(d, "interpreter_args", "there is no interpreter");
}

/* More than "app-server" and where it listens? */
static bool
has_more_args(const struct ecosystem_app *a)
{
	for (char **arg = a->args; *arg != NULL; arg++) {
		if (strcmp(*arg, "--listen") == 0 && arg[1] != NULL)
			arg++;
		else if (strcmp(*arg, "app-server") != 0 && strncmp(*arg, "--listen=", 9) != 0)
			return true;
	}
	return false;
}

static void
choose_role(struct ecosystem_draft *d)
{
	struct ecosystem_app *a = d->app;
	const char *program = base_name(a->script);
	bool app_server = false;

	for (char **arg = a->args; *arg != NULL; arg++) {
		app_server = app_server || strcmp(*arg, "app-server") == 0;
		if (strcmp(*arg, "--listen") == 0 && arg[1] != NULL)
			set(d->reader, &a->listen, arg[1]);
		else if (strncmp(*arg, "--listen=", 9) == 0)
			set(d->reader, &a->listen, *arg + 9);
	}
	if (d->role == NULL) {
		if (strcmp(program, "codex") == 0 && app_server)
			a->role = ECOSYSTEM_APP_SERVER;
		else if (strcmp(program, "codex-proxy") == 0)
			a->role = ECOSYSTEM_PROXY;
	} else if (strcmp(d->role, "codex-app-server") == 0) {
		a->role = ECOSYSTEM_APP_SERVER;
	} else if (strcmp(d->role, "codex-proxy") == 0) {
		a->role = ECOSYSTEM_PROXY;
	} else if (strcmp(d->role, "none") != 0) {
		complain(d, "role", "none of codex-app-server, codex-proxy, none");
	}
	if (a->role != ECOSYSTEM_APP_SERVER) {
		a->recipe = false;
		free(a->listen);
		a->listen = NULL;
	}
	if (a->listen != NULL && strncmp(a->listen, "unix:///", 8) != 0 &&
	    strncmp(a->listen, "ws://", 5) != 0)
		complain(d, "args", "--listen is neither unix:///PATH nor ws://HOST:PORT");
	if (a->recipe && has_more_args(a))
		note(d, "args", "but for --listen they are the recipe's own here (recipe)");
	if (a->role == ECOSYSTEM_APP_SERVER && !a->recipe && a->listen == NULL)
		complain(d, "args", "without the recipe --listen is needed");
	if (a->role == ECOSYSTEM_PROXY && a->instances > 1)
		complain(d, "instances", "there is one codex-proxy");
	if (a->listen != NULL && a->instances > 1)
		complain(d, "instances", "they cannot all listen on the address in args");
}

static void
choose_readiness(struct ecosystem_draft *d)
{
	struct ecosystem_app *a = d->app;
	const char *why = "";
	int r = 0;

	if (d->readiness != NULL)
		r = ecosystem_value_readiness(&a->readiness, &a->readiness_target, d->readiness,
		                              &why);
	else if (a->role == ECOSYSTEM_APP_SERVER)
		a->readiness = ECOSYSTEM_READY_CODEX;
	else if (d->wait_ready)
		a->readiness = ECOSYSTEM_READY_TOLD;
	else if (a->role == ECOSYSTEM_PROXY)
		a->readiness = ECOSYSTEM_READY_CONTROL;
	if (r == -EINVAL)
		complain(d, "readiness", why);
	if (a->readiness == ECOSYSTEM_READY_CODEX && a->role != ECOSYSTEM_APP_SERVER)
		complain(d, "readiness", "codex is for an app of role codex-app-server");
	d->reader->failed = d->reader->failed || r == -ENOMEM;
	if (a->listen_timeout_ms < 0)
		a->listen_timeout_ms = a->role == ECOSYSTEM_PLAIN ? 15000 : 60000;
}

/* What remains of kill_timeout after the drain of one that has a role. */
#define ENDING_MS 5000

static const int64_t kill_timeout_of[] = {
	[ECOSYSTEM_PLAIN] = 10000,
	[ECOSYSTEM_APP_SERVER] = 905000, /* the longest request, and ENDING_MS */
	[ECOSYSTEM_PROXY] = 35000,
};

static void
choose_ending(struct ecosystem_draft *d)
{
	struct ecosystem_app *a = d->app;
	int64_t after_drain_ms = a->role != ECOSYSTEM_PLAIN ? ENDING_MS : INT64_MAX;

	a->stop_signal = SIGTERM;
	if (d->stop_signal == NULL)
		note(d, NULL, "stopped with SIGTERM (stop_signal); PM2 sends SIGINT");
	else if (ecosystem_value_signal(&a->stop_signal, d->stop_signal) < 0)
		complain(d, "stop_signal",
		         "none of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGABRT, "
		         "SIGKILL");
	if (a->kill_timeout_ms < 0)
		a->kill_timeout_ms = kill_timeout_of[a->role];
	if (a->drain_timeout_ms < 0)
		a->drain_timeout_ms = a->kill_timeout_ms > after_drain_ms
		                              ? a->kill_timeout_ms - after_drain_ms
		                              : 0;
	if (a->drain_timeout_ms > a->kill_timeout_ms)
		a->drain_timeout_ms = a->kill_timeout_ms; /* which covers the drain too */
	a->backoff_ms = d->exp_backoff_ms > 0 ? d->exp_backoff_ms : d->restart_delay_ms;
	if (a->backoff_max_ms < a->backoff_ms)
		a->backoff_max_ms = a->backoff_ms;
}

static void
choose_logs(struct ecosystem_draft *d)
{
	struct ecosystem_app *a = d->app;

	if (d->log_type != NULL && strcmp(d->log_type, "json") == 0) {
		a->log_json = true;
		note(d, "log_type", "one object a line; PM2 writes one for whatever it read");
	} else if (d->log_type != NULL && strcmp(d->log_type, "raw") != 0) {
		complain(d, "log_type", "neither raw nor json");
	}
	if (d->time && a->log_date_format == NULL)
		set(d->reader, &a->log_date_format, "YYYY-MM-DDTHH:mm:ss");
	if (d->exec_mode == NULL || strncmp(d->exec_mode, "fork", 4) == 0)
		return;
	if (strcmp(d->exec_mode, "cluster") == 0 || strcmp(d->exec_mode, "cluster_mode") == 0)
		note(d, "exec_mode",
		     "each instance is a process of its own, with a socket of its own");
	else
		complain(d, "exec_mode", "neither fork nor cluster");
}

/* An app is named like its script, without the ending, when it says nothing else. */
static void
choose_name(struct ecosystem_draft *d)
{
	struct ecosystem_app *a = d->app;
	const char *program, *dot;
	char reserved[] = "all";
	size_t n;

	if (a->name == NULL && a->script != NULL) {
		program = base_name(a->script);
		dot = strrchr(program, '.');
		a->name = strndup(program, dot != NULL && dot != program ? (size_t)(dot - program)
		                                                         : strlen(program));
		d->reader->failed = d->reader->failed || a->name == NULL;
	}
	if (a->name == NULL)
		return;
	n = strspn(a->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
	if (a->name[n] != '\0' || n > ECOSYSTEM_NAME_MAX || !isalnum((unsigned char)a->name[0]))
		complain(d, "name",
		         "not 1 to 32 letters, digits, '_', '-' and '.' that begin with a letter "
		         "or digit");
	if (strcmp(a->name, reserved) == 0)
		complain(d, "name", "means every app");
}

static void
add_port(struct ecosystem_draft *d)
{
	struct ecosystem_app *a = d->app;
	size_t n = 0;
	char **list;

	if (d->port < 0)
		return;
	while (a->env[n] != NULL)
		n++;
	list = ecosystem_list_new(n + 1);
	if (list == NULL || asprintf(&list[n], "PORT=%d", (int)d->port) < 0) {
		free(list);
		d->reader->failed = true;
		return;
	}
	memcpy(list, a->env, n * sizeof(*list));
	free(a->env);
	a->env = list;
}

static void
take_app(struct ecosystem_reader *r, struct ecosystem_app *a, size_t index, json_t *object)
{
	struct ecosystem_draft d = {.reader = r, .app = a};

	(void)snprintf(d.path, sizeof(d.path), "apps[%zu]", index);
	ecosystem_keys_defaults(&d);
	if (a->args == NULL || a->interpreter_args == NULL || a->env == NULL ||
	    a->env_pass == NULL || a->after == NULL) {
		r->failed = true;
		return;
	}
	if (!json_is_object(object)) {
		complain(&d, NULL, "not an object");
		return;
	}
	a->source = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);
	r->failed = r->failed || a->source == NULL;
	ecosystem_keys_take(&d, object);
	if (a->instance_var == NULL)
		set(r, &a->instance_var, "NODE_APP_INSTANCE");
	if (json_object_size(object) > 0 && a->script == NULL && !r->failed)
		complain(&d, "script", "is needed");
	else if (a->script == NULL)
		complain(&d, NULL, "empty");
	if (a->script != NULL && !r->failed) {
		cut_script(&d);
		choose_name(&d);
		choose_interpreter(&d);
		choose_role(&d);
	}
	choose_readiness(&d);
	choose_ending(&d);
	choose_logs(&d);
	add_port(&d);
	ecosystem_draft_fini(&d);
}

/* --- the file ------------------------------------------------------------------------------- */

static void
take_apps(struct ecosystem_reader *r, json_t *apps)
{
	size_t n = json_is_array(apps) ? json_array_size(apps) : 1;

	if ((!json_is_array(apps) && !json_is_object(apps)) || n == 0 || n > ECOSYSTEM_APPS_MAX) {
		ecosystem_report(r, ECOSYSTEM_ERROR, "apps", NULL, "not a list of 1 to %d apps",
		                 ECOSYSTEM_APPS_MAX);
		return;
	}
	r->e->apps = calloc(n, sizeof(*r->e->apps));
	if (r->e->apps == NULL) {
		r->failed = true;
		return;
	}
	r->e->count = n;
	for (size_t i = 0; i < n && !r->failed; i++)
		take_app(r, &r->e->apps[i], i,
		         json_is_array(apps) ? json_array_get(apps, i) : apps);
	if (r->failed)
		return;
	ecosystem_relate(r);
}

static void
take_root(struct ecosystem_reader *r, json_t *root)
{
	static const char *const names[] = {"apps", "deploy", NULL};
	const char *name;
	json_t *value;

	if (!json_is_object(root) || json_object_get(root, "apps") == NULL)
		ecosystem_report(r, ECOSYSTEM_ERROR, "", NULL, "not {\"apps\": [...]}");
	json_object_foreach(root, name, value) {
		const char *near = ecosystem_nearest(name, names);

		if (strcmp(name, "apps") == 0)
			take_apps(r, value);
		else if (strcmp(name, "deploy") == 0)
			ecosystem_report(r, ECOSYSTEM_WARNING, "", name,
			                 "no use here: nothing is deployed");
		else
			ecosystem_report(r, ECOSYSTEM_ERROR, "", name, "no such key%s%s%s",
			                 near != NULL ? "; is " : "", near != NULL ? near : "",
			                 near != NULL ? " meant?" : "");
	}
}

struct ecosystem *
ecosystem_parse(const char *text, size_t len, unsigned cpus)
{
	struct ecosystem_reader r = {.e = calloc(1, sizeof(*r.e)), .cpus = cpus > 0 ? cpus : 1};
	struct err err = {.code = 0};
	json_auto_t *root = NULL;

	if (r.e == NULL)
		return NULL;
	if (len > ECOSYSTEM_FILE_MAX) {
		ecosystem_report(&r, ECOSYSTEM_ERROR, "", NULL, "over 1 MiB");
	} else {
		root = json_parse(text, len, &err);
		if (root == NULL && err.code == -ENOMEM)
			r.failed = true; /* that is no mistake in the file */
		else if (root == NULL)
			ecosystem_report(&r, ECOSYSTEM_ERROR, "", NULL, "%s", err.text);
		else
			take_root(&r, root);
	}
	if (r.failed) {
		ecosystem_free(r.e);
		return NULL;
	}
	return r.e;
}

static void
free_app(struct ecosystem_app *a)
{
	free(a->name);
	free(a->listen);
	free(a->script);
	ecosystem_list_free(a->args);
	free(a->interpreter);
	ecosystem_list_free(a->interpreter_args);
	free(a->cwd);
	ecosystem_list_free(a->env);
	ecosystem_list_free(a->env_pass);
	free(a->instance_var);
	free(a->readiness_target);
	free(a->cron_restart);
	ecosystem_list_free(a->after);
	free(a->out_file);
	free(a->error_file);
	free(a->log_date_format);
	free(a->source);
}

void
ecosystem_free(struct ecosystem *e)
{
	if (e == NULL)
		return;
	for (size_t i = 0; i < e->count; i++)
		free_app(&e->apps[i]);
	for (size_t i = 0; i < e->findings_count; i++) {
		free(e->findings[i].path);
		free(e->findings[i].text);
	}
	free(e->apps);
	free(e->findings);
	free(e);
}

void
ecosystem_print(const struct ecosystem *e, const char *file, FILE *out)
{
	static const char *const levels[] = {"note", "warning", "error"};

	/* nobody is there to be told that a terminal cannot be written to */
	for (size_t i = 0; i < e->findings_count; i++) {
		const struct ecosystem_finding *f = &e->findings[i];

		(void)fprintf(out, "%s: %s: %s%s%s\n", file, levels[f->level], f->path,
		              f->path[0] != '\0' ? ": " : "", f->text);
	}
	(void)fprintf(out, "%s: %zu app%s, %zu error%s, %zu warning%s, %zu note%s\n", file,
	              e->count, e->count == 1 ? "" : "s", e->errors, e->errors == 1 ? "" : "s",
	              e->warnings, e->warnings == 1 ? "" : "s", e->notes, e->notes == 1 ? "" : "s");
}
