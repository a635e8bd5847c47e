/* configuration: what is to be run, and by which settings: the ecosystem file, or the built-in
 * pair.
 */
#include "supervisor/configuration.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/exit_code.h"
#include "common/file.h"
#include "common/log.h"
#include "common/paths.h"
#include "supervisor/ecosystem_builtin.h"

/* --- the file ------------------------------------------------------------------------------- */

static const struct ecosystem_app *
find(const struct ecosystem *e, enum ecosystem_role role)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->apps[i].role == role)
			return &e->apps[i];
	return NULL;
}

static bool
has_recipe(const struct ecosystem *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->apps[i].recipe)
			return true;
	return false;
}

/* path as seen from dir, in its place. False: no memory. */
static bool
make_absolute(char **path, const char *dir)
{
	char *whole;

	if (*path == NULL || (*path)[0] == '/' || strcmp(*path, "NULL") == 0)
		return true;
	whole = paths_join(dir, *path);
	if (whole == NULL)
		return false;
	free(*path);
	*path = whole;
	return true;
}

/* Relative paths begin in the folder of the file, an app's log files in its own folder. */
static bool
settle_paths(struct ecosystem *e, const char *dir)
{
	for (size_t i = 0; i < e->count; i++) {
		struct ecosystem_app *a = &e->apps[i];

		if (a->cwd == NULL)
			a->cwd = strdup(dir);
		if (a->cwd == NULL || !make_absolute(&a->cwd, dir) ||
		    !make_absolute(&a->out_file, a->cwd) || !make_absolute(&a->error_file, a->cwd))
			return false;
		if (a->role == ECOSYSTEM_APP_SERVER && a->script != NULL &&
		    strchr(a->script, '/') != NULL && !make_absolute(&a->script, a->cwd))
			return false; /* it may be CODEX_BIN */
	}
	return true;
}

static char *
folder_of(const char *file)
{
	const char *slash = strrchr(file, '/');
	AUTO_FREE char *dir = slash == NULL   ? strdup(".")
	                      : slash == file ? strdup("/")
	                                      : strndup(file, (size_t)(slash - file));

	return dir != NULL ? realpath(dir, NULL) : NULL;
}

static void
log_findings(const struct ecosystem *e, const char *file)
{
	static const enum log_level levels[] = {
		[ECOSYSTEM_NOTE] = LOG_LEVEL_DEBUG,
		[ECOSYSTEM_WARNING] = LOG_LEVEL_WARNING,
		[ECOSYSTEM_ERROR] = LOG_LEVEL_ERROR,
	};

	for (size_t i = 0; i < e->findings_count; i++) {
		const struct ecosystem_finding *f = &e->findings[i];

		log_fields(levels[f->level], NULL, 0, "%s: %s%s%s", file, f->path,
		           f->path[0] != '\0' ? ": " : "", f->text);
	}
}

static const struct ecosystem_finding *
first_error(const struct ecosystem *e)
{
	const struct ecosystem_finding *f = e->findings;

	while (f->level != ECOSYSTEM_ERROR)
		f++;
	return f;
}

static int
read_file(struct ecosystem **out, const char *file, struct err *err)
{
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *dir = NULL;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct ecosystem *e;
	size_t len;
	int r = file_read(&text, &len, file, ECOSYSTEM_FILE_MAX, err);

	if (r < 0) {
		log_error("%s", err->text);
		return r;
	}
	e = ecosystem_parse(text, len, cpus > 0 ? (unsigned)cpus : 1);
	dir = folder_of(file);
	if (e == NULL || dir == NULL || !settle_paths(e, dir)) {
		ecosystem_free(e);
		return err_set(err, -ENOMEM, "%s: out of memory", file);
	}
	log_findings(e, file);
	if (e->errors > 0) {
		const struct ecosystem_finding *f = first_error(e);

		(void)err_set(err, -EINVAL, "%s: %zu mistake%s: %s%s%s", file, e->errors,
		              e->errors == 1 ? "" : "s", f->path, f->path[0] != '\0' ? ": " : "",
		              f->text);
		ecosystem_free(e);
		return -EINVAL;
	}
	*out = e;
	return 0;
}

/* --- the settings --------------------------------------------------------------------------- */

static const char *
in_env(const struct ecosystem_app *a, const char *name)
{
	size_t len = strlen(name);

	for (char **v = a != NULL ? a->env : NULL; v != NULL && *v != NULL; v++)
		if (strncmp(*v, name, len) == 0 && (*v)[len] == '=')
			return *v + len + 1;
	return NULL;
}

/* What the apps will see: a settings_get_fn. */
static const char *
get_setting(void *arg, const char *name)
{
	const struct ecosystem *e = arg;
	const struct ecosystem_app *server = find(e, ECOSYSTEM_APP_SERVER);
	const char *value = in_env(find(e, ECOSYSTEM_PROXY), name);

	if (value == NULL)
		value = in_env(server, name);
	if (value == NULL)
		value = getenv(name);
	if (value == NULL && server != NULL && strcmp(name, "CODEX_BIN") == 0 &&
	    strcmp(server->script, "codex") != 0)
		value = server->script;
	return value;
}

static int
load_settings(struct configuration *c)
{
	bool own = c->apps == NULL; /* the built-in pair goes by them, and not they by it */
	unsigned owners = SETTING_SUPERVISOR | (c->has_proxy ? SETTING_PROXY : 0);
	int r = settings_load(&c->settings, owners, own ? NULL : get_setting, c->apps, stderr);

	if (r == 0)
		return EXIT_WELL;
	log_error("not started: %d wrong setting%s", r, r == 1 ? "" : "s");
	return r < 0 ? EXIT_GAVE_UP : EXIT_CONFIGURATION;
}

int
configuration_load(struct configuration *out, const char *file)
{
	struct err err = {.code = 0};
	int r = 0;

	*out = (struct configuration){.file = file, .has_proxy = true, .has_recipe = true};
	if (file != NULL) {
		r = read_file(&out->apps, file, &err);
		if (r < 0)
			return r == -ENOMEM ? EXIT_GAVE_UP : EXIT_CONFIGURATION;
		out->has_proxy = find(out->apps, ECOSYSTEM_PROXY) != NULL;
		out->has_recipe = has_recipe(out->apps);
	}
	r = load_settings(out);
	if (r != EXIT_WELL) {
		configuration_free(out);
		return r;
	}
	if (file == NULL)
		out->apps = ecosystem_builtin(&out->settings);
	if (out->apps != NULL)
		return EXIT_WELL;
	configuration_free(out);
	return EXIT_GAVE_UP;
}

struct ecosystem *
configuration_read_again(const struct configuration *c, struct err *err)
{
	struct ecosystem *e = NULL;
	const char *what = NULL;

	if (read_file(&e, c->file, err) < 0)
		return NULL;
	if (!c->has_proxy && find(e, ECOSYSTEM_PROXY) != NULL)
		what = "a codex-proxy";
	else if (!c->has_recipe && has_recipe(e))
		what = "the first codex app-server";
	if (what == NULL)
		return e;
	(void)err_set(err, -EINVAL, "%s: %s can only be added by a restart", c->file, what);
	log_error("%s", err->text);
	ecosystem_free(e);
	return NULL;
}

void
configuration_free(struct configuration *c)
{
	settings_free(&c->settings);
	ecosystem_free(c->apps);
	c->apps = NULL;
}
