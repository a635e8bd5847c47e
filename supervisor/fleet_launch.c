/* fleet_launch: how each kind of app is executed. */
#include "supervisor/fleet_launch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/paths.h"
#include "supervisor/proxy_launch.h"

/* --- the environment ------------------------------------------------------------------------ */

static const char *
value_of(const struct environment *env, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < env->count; i++)
		if (strncmp(env->vars[i], name, len) == 0 && env->vars[i][len] == '=')
			return env->vars[i] + len + 1;
	return NULL;
}

/* What the file says of it. */
static void
add_environment(struct environment *env, const struct ecosystem_app *a)
{
	for (char **name = a->env_pass; *name != NULL; name++)
		environment_pass(env, *name);
	for (char **entry = a->env; *entry != NULL; entry++) {
		const char *equals = strchr(*entry, '=');
		AUTO_FREE char *name = strndup(*entry, (size_t)(equals - *entry));

		if (name == NULL)
			env->failed = true;
		else
			environment_set(env, name, equals + 1);
	}
}

/* --- the command ---------------------------------------------------------------------------- */

static size_t
count(char *const *list)
{
	size_t n = 0;

	while (list[n] != NULL)
		n++;
	return n;
}

/* first, and all of the lists; NULL: no memory. */
static char **
words(const char *first, char *const *const *lists, size_t list_count)
{
	size_t n = 1, at = 1;
	char **all;

	for (size_t i = 0; i < list_count; i++)
		n += count(lists[i]);
	all = calloc(n + 1, sizeof(*all));
	if (all == NULL)
		return NULL;
	all[0] = strdup(first);
	for (size_t i = 0; i < list_count; i++)
		for (char *const *w = lists[i]; *w != NULL; w++)
			all[at++] = strdup(*w);
	for (size_t i = 0; i < n; i++) {
		if (all[i] != NULL)
			continue;
		for (size_t k = 0; k < n; k++)
			free(all[k]);
		free(all);
		return NULL;
	}
	return all;
}

/* As PM2 looks for a script: in cwd, then on PATH. */
static int
find_program(char **out, const char *cwd, const char *path, const char *name, struct err *err)
{
	AUTO_FREE char *dirs = NULL;
	char *save = NULL;

	if (strchr(name, '/') != NULL) {
		*out = name[0] == '/' || cwd == NULL ? strdup(name) : paths_join(cwd, name);
		return *out != NULL ? 0 : err_set(err, -ENOMEM, "out of memory");
	}
	if (asprintf(&dirs, "%s:%s", cwd != NULL ? cwd : "", path != NULL ? path : "") < 0)
		return err_set(err, -ENOMEM, "out of memory");
	for (char *dir = strtok_r(dirs, ":", &save); dir != NULL;
	     dir = strtok_r(NULL, ":", &save)) {
		AUTO_FREE char *file = paths_join(dir, name);

		if (file == NULL || access(file, X_OK) < 0)
			continue;
		*out = file;
		file = NULL;
		return 0;
	}
	return err_set(err, -ENOENT, "%s: neither in %s nor on PATH", name,
	               cwd != NULL ? cwd : "the working directory");
}

static int
fill_command(const struct ecosystem_app *a, struct app_launch *out, struct err *err)
{
	char *script[] = {a->script, NULL};
	char *const *const interpreted[] = {a->interpreter_args, script, a->args};
	char *const *const direct[] = {a->args};
	const char *program = a->interpreter != NULL ? a->interpreter : a->script;

	out->argv = a->interpreter != NULL ? words(program, interpreted, NELEM(interpreted))
	                                   : words(program, direct, NELEM(direct));
	if (out->argv == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	return find_program(&out->file, out->cwd, value_of(&out->env, "PATH"), program, err);
}

/* --- each kind ------------------------------------------------------------------------------ */

/* A program of which nothing is known but what the file says. */
static int
fill_plain(const struct fleet_launcher *l, const struct fleet_launch *what, struct app_launch *out,
           struct err *err)
{
	const struct ecosystem_app *a = what->app;

	environment_pass_basics(&out->env);
	add_environment(&out->env, a);
	environment_set_int(&out->env, a->instance_var, what->number);
	if (a->readiness == ECOSYSTEM_READY_CONTROL || a->readiness == ECOSYSTEM_READY_TOLD)
		environment_set(&out->env, "CODEX_CONTROL_SOCKET", l->control_path);
	out->cwd = a->cwd != NULL ? strdup(a->cwd) : NULL;
	return fill_command(a, out, err);
}

static int
fill_proxy(const struct fleet_launcher *l, const struct fleet_launch *what, struct app_launch *out,
           struct err *err)
{
	const struct ecosystem_app *a = what->app;
	AUTO_FREE char *work = l->setup != NULL && l->settings->workspace == NULL
	                               ? codex_setup_work_dir(l->setup)
	                               : NULL;
	int r = listener_reopen(l->listener, err);

	if (r < 0)
		return r;
	proxy_launch_environment(&out->env);
	if (work != NULL)
		environment_set(&out->env, "CODEX_WORKSPACE", work);
	add_environment(&out->env, a);
	if (what->linked)
		proxy_launch_link(&out->env, l->control_path, what->generation);
	out->cwd = a->cwd != NULL ? strdup(a->cwd) : NULL;
	out->listen_fd = l->listener->fd;
	r = fill_command(a, out, err);
	if (strcmp(a->script, "codex-proxy") != 0 || a->interpreter != NULL)
		return r;
	/* ours is the one beside us */
	free(out->file);
	out->file = proxy_launch_find();
	return out->file != NULL
	               ? 0
	               : err_set(err, -ENOENT, "codex-proxy is neither beside %s nor on PATH",
	                         program_invocation_name);
}

char *
fleet_launch_url(const struct fleet_launcher *l, const struct ecosystem_app *app, int backend,
                 int side)
{
	AUTO_FREE char *socket = NULL;
	char *url;

	if (app->listen != NULL)
		return strdup(app->listen);
	socket = codex_setup_socket(l->setup, backend, side);
	return socket != NULL && asprintf(&url, "unix://%s", socket) >= 0 ? url : NULL;
}

static int
fill_app_server(const struct fleet_launcher *l, const struct fleet_launch *what,
                struct app_launch *out, struct err *err)
{
	int r;

	if (!what->app->recipe)
		return fill_plain(l, what, out, err);
	r = codex_setup_launch(l->setup, what->backend, what->url, out, err);
	if (r == 0)
		add_environment(&out->env, what->app);
	return r;
}

/* What readiness.h asks: a path, or HOST:PORT, with a path behind it where one is asked for. */
static const char *
target_of(const struct ecosystem_app *a, const char *url)
{
	switch (a->readiness) {
	case ECOSYSTEM_READY_CODEX:
		return strncmp(url, "unix://", 7) == 0 ? url + 7 : url + strlen("ws://");
	case ECOSYSTEM_READY_HTTP:
		return a->readiness_target + strlen("http://");
	case ECOSYSTEM_READY_TCP:
	case ECOSYSTEM_READY_UNIX:
		return a->readiness_target;
	case ECOSYSTEM_READY_NONE:
	case ECOSYSTEM_READY_TOLD:
	case ECOSYSTEM_READY_CONTROL:
	case ECOSYSTEM_READY_NOTIFY:
	case ECOSYSTEM_READY_IPC:
		break;
	}
	return NULL;
}

int
fleet_launch_fill(const struct fleet_launcher *l, const struct fleet_launch *what,
                  struct app_launch *out, struct err *err)
{
	const char *target;
	int r = 0;

	switch (what->app->role) {
	case ECOSYSTEM_PLAIN:
		r = fill_plain(l, what, out, err);
		break;
	case ECOSYSTEM_APP_SERVER:
		r = fill_app_server(l, what, out, err);
		break;
	case ECOSYSTEM_PROXY:
		r = fill_proxy(l, what, out, err);
		break;
	}
	target = target_of(what->app, what->url);
	if (r == 0 && target != NULL) {
		out->ready_target = strdup(target);
		if (out->ready_target == NULL)
			r = err_set(err, -ENOMEM, "out of memory");
	}
	return r;
}
