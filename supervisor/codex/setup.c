/* setup: all that an app-server needs before it can be started: binary, catalog, configuration. */
#include "supervisor/codex/setup.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "common/login.h"
#include "common/paths.h"
#include "supervisor/capture.h"
#include "supervisor/codex/binary.h"
#include "supervisor/codex/catalog.h"
#include "supervisor/codex/home.h"
#include "supervisor/codex/recipe.h"
#include "supervisor/codex/user_config.h"

#define ASK_DEADLINE_MS 20000 /* takes 60 to 200 ms; a cold disk under a 290 MB binary, seconds */
#define AUTH_MAX        ((size_t)1 << 20)  /* a few KB of tokens */
#define ANSWER_MAX      ((size_t)16 << 20) /* the catalog has 745 KB */

/* Something codex was asked, kept in the state folder under a key of what it depends on. */
struct question {
	struct codex_setup *owner;
	const char *what; /* for people */
	char *cache_path;
	char *key;
	struct capture *capture; /* not NULL: being asked */
};

struct codex_setup {
	uv_loop_t *loop;
	struct reaper *reaper;
	const struct settings *settings;
	char *runtime_dir;
	char *state_dir;
	char *user_home;
	char *user_toml; /* path of the user's config.toml */
	char *binary;
	char *catalog_path;
	struct question models, config;
	char *binary_key; /* at the last run */
	unsigned changes;
	json_t *user_config; /* the answer to config/read; NULL: not asked yet */
	struct err err;      /* first thing that went wrong in this run */
	char warning[ERR_TEXT_MAX];
	unsigned pending;
	void (*fn)(void *arg, int code, const struct err *err);
	void *arg;
	bool closing;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

typedef int (*use_fn)(struct codex_setup *s, const char *text, size_t len, struct err *err);

/* --- using the answers ---------------------------------------------------------------------- */

static bool
is_written(const char *path, const char *text, size_t len)
{
	AUTO_FREE char *there = NULL;
	size_t there_len;

	return file_read(&there, &there_len, path, ANSWER_MAX, NULL) == 0 && there_len == len &&
	       memcmp(there, text, len) == 0;
}

static int
use_models(struct codex_setup *s, const char *text, size_t len, struct err *err)
{
	AUTO_FREE char *slim = NULL;
	bool keep = s->settings->base_instructions != NULL &&
	            strcmp(s->settings->base_instructions, "codex") == 0;
	size_t slim_len;
	int r = catalog_transform(&slim, &slim_len, text, len, keep,
	                          s->settings->profile == PROFILE_AGENT, err);

	if (r < 0 || is_written(s->catalog_path, slim, slim_len))
		return r;
	s->changes++;
	return file_write_atomic(s->catalog_path, slim, slim_len, 0600, err);
}

/* The line of the answer to config/read among the lines of the app-server. */
static const char *
find_answer(const char *text, size_t *len)
{
	const char *line = text, *end;

	for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		json_auto_t *msg = json_load(line, (size_t)(end - line), 0, NULL, NULL);

		if (msg == NULL || json_get_int(msg, "id", -1) != 2)
			continue;
		*len = (size_t)(end - line);
		return line;
	}
	return NULL;
}

static bool
has_answer(const char *text, size_t len)
{
	return find_answer(text, &len) != NULL;
}

static int
use_config(struct codex_setup *s, const char *text, size_t len, struct err *err)
{
	const char *line = find_answer(text, &len);
	json_auto_t *msg = line != NULL ? json_load(line, len, 0, NULL, NULL) : NULL;
	json_t *result = json_object_get(msg, "result");

	if (!json_is_object(json_object_get(result, "config")))
		return err_set(err, -EBADMSG, "codex tells no configuration");
	if (!json_equal(s->user_config, result))
		s->changes++;
	json_decref(s->user_config);
	s->user_config = json_incref(result);
	return 0;
}

/* --- the state folder's copies -------------------------------------------------------------- */

/* *text points into *file, behind the line with the key. */
static int
read_cache(const struct question *q, char **file, const char **text, size_t *len, bool *fresh)
{
	char *end;
	size_t all;
	int r = file_read(file, &all, q->cache_path, ANSWER_MAX, NULL);

	if (r < 0)
		return r;
	end = strchr(*file, '\n');
	if (end == NULL)
		return -EBADMSG;
	*end = '\0';
	*fresh = q->key != NULL && strcmp(*file, q->key) == 0;
	*text = end + 1;
	*len = all - (size_t)(end + 1 - *file);
	return 0;
}

static void
write_cache(const struct question *q, const char *text, size_t len)
{
	size_t key_len = q->key != NULL ? strlen(q->key) : 0;
	AUTO_FREE char *all = malloc(key_len + 1 + len);
	struct err err = {.code = -ENOMEM, .text = "out of memory"};

	if (all == NULL || q->key == NULL)
		return;
	memcpy(all, q->key, key_len);
	all[key_len] = '\n';
	memcpy(all + key_len + 1, text, len);
	if (file_write_atomic(q->cache_path, all, key_len + 1 + len, 0600, &err) < 0)
		log_warning("%s; it will be asked for again at the next start", err.text);
}

static int
use_cache(struct codex_setup *s, const struct question *q, use_fn use, bool only_fresh)
{
	AUTO_FREE char *file = NULL;
	const char *text;
	size_t len;
	bool fresh;
	struct err err;
	int r = read_cache(q, &file, &text, &len, &fresh);

	if (r < 0 || (only_fresh && !fresh))
		return -ENOENT;
	return use(s, text, len, &err);
}

/* --- asking --------------------------------------------------------------------------------- */

static void
finish(struct codex_setup *s)
{
	void (*fn)(void *arg, int code, const struct err *err) = s->fn;

	if (--s->pending > 0)
		return;
	if (s->closing) {
		codex_setup_close(s, s->on_closed, s->on_closed_arg);
		return;
	}
	s->fn = NULL;
	(void)malloc_trim(0); /* the catalog as a tree takes a megabyte, and is gone */
	if (s->err.code < 0)
		(void)snprintf(s->warning, sizeof(s->warning), "%s", s->err.text);
	fn(s->arg, s->err.code, &s->err);
}

static void
on_asked(struct codex_setup *s, struct question *q, use_fn use, int code, const char *text,
         size_t len, const struct err *why, bool fallback)
{
	struct err err = *why;
	int r = code;

	q->capture = NULL;
	if (r == 0)
		r = use(s, text, len, &err);
	if (r == 0) {
		write_cache(q, text, len);
	} else if (code != -ECANCELED && fallback && use_cache(s, q, use, false) == 0) {
		(void)snprintf(s->warning, sizeof(s->warning), "using the last good %s: %.400s",
		               q->what, err.text);
		log_warning("%s", s->warning);
	} else if (s->err.code == 0) {
		err_set(&s->err, r, "%s: %s", q->what, err.text);
	}
	finish(s);
}

static void
on_models(void *arg, int code, const char *text, size_t len, const struct err *err)
{
	struct question *q = arg;

	on_asked(q->owner, q, use_models, code, text, len, err, true);
}

/* Codex names the link in the probe's home; its user knows the file by another name. */
static void
complain_of_config(struct codex_setup *s, const char *words)
{
	static const char link[] = "/home-probe/config.toml";
	const char *place = strstr(words, link);

	if (place != NULL)
		err_set(&s->err, -EINVAL, "%s%s", s->user_toml, place + strlen(link));
	else
		err_set(&s->err, -EINVAL, "%s: codex %s", s->user_toml, words);
}

static void
on_config(void *arg, int code, const char *text, size_t len, const struct err *err)
{
	struct question *q = arg;
	struct codex_setup *s = q->owner;

	/* it exits by itself only over a configuration that it cannot read */
	if (code == -ECHILD && s->err.code == 0)
		complain_of_config(s, err->text);
	on_asked(s, q, use_config, code, text, len, err, code != -ECHILD);
}

static void
ask(struct codex_setup *s, struct question *q, const struct capture_spec *spec, capture_fn fn)
{
	struct err err = {.code = 0};
	int r;

	s->pending++;
	r = capture_start(&q->capture, s->loop, s->reaper, spec, fn, q, &err);
	if (r < 0)
		fn(q, r, "", 0, &err);
}

static void
ask_both(struct codex_setup *s, bool models, bool config, const char *home)
{
	static const char *const models_argv[] = {"codex", "debug", "models", "--bundled", NULL};
	/* strict: a key with a typo must not pass as its default */
	static const char *const config_argv[] = {"codex",
	                                          "app-server",
	                                          "--strict-config",
	                                          "-c",
	                                          "features.plugins=false",
	                                          "-c",
	                                          "features.apps=false",
	                                          "-c",
	                                          "analytics.enabled=false",
	                                          NULL};
	struct environment env = {.vars = NULL};
	struct capture_spec spec = {.file = s->binary,
	                            .cwd = home,
	                            .deadline_ms = ASK_DEADLINE_MS,
	                            .max_bytes = ANSWER_MAX};

	codex_recipe_environment(&env, home, s->settings, NULL);
	spec.envp = env.vars;
	if (models) {
		spec.argv = models_argv;
		ask(s, &s->models, &spec, on_models);
	}
	if (config) {
		spec.argv = config_argv;
		spec.enough = has_answer;
		spec.input =
			"{\"id\":1,\"method\":\"initialize\",\"params\":{\"clientInfo\":"
			"{\"name\":\"codex-supervisor\",\"version\":\"" SIDECAR_VERSION "\"}}}\n"
			"{\"method\":\"initialized\"}\n"
			"{\"id\":2,\"method\":\"config/read\",\"params\":{}}\n";
		ask(s, &s->config, &spec, on_config);
	}
	environment_free(&env);
}

static char *
config_key(const struct codex_setup *s)
{
	AUTO_FREE char *binary = codex_file_key(s->binary);
	AUTO_FREE char *toml = codex_file_key(s->user_toml);
	char *key;

	if (binary == NULL ||
	    asprintf(&key, "%s; %s", binary, toml != NULL ? toml : "no config.toml") < 0)
		return NULL;
	return key;
}

/* Another codex at the same place is a change too. */
static void
note_binary(struct codex_setup *s)
{
	char *key = codex_file_key(s->binary);

	if (key == NULL)
		return; /* in the middle of its replacement */
	if (s->binary_key != NULL && strcmp(s->binary_key, key) != 0)
		s->changes++;
	free(s->binary_key);
	s->binary_key = key;
}

unsigned
codex_setup_changes(const struct codex_setup *s)
{
	return s->changes;
}

void
codex_setup_run(struct codex_setup *s, void (*fn)(void *arg, int code, const struct err *err),
                void *arg)
{
	AUTO_FREE char *home = paths_join(s->state_dir, "home-probe");
	bool models, config;

	s->fn = fn;
	s->arg = arg;
	s->err = (struct err){.code = 0};
	s->warning[0] = '\0';
	s->pending = 1; /* ours, until all is asked */
	free(s->models.key);
	free(s->config.key);
	s->models.key = codex_file_key(s->binary);
	s->config.key = config_key(s);
	note_binary(s);
	models = use_cache(s, &s->models, use_models, true) < 0;
	config = use_cache(s, &s->config, use_config, true) < 0;
	if (home == NULL)
		err_set(&s->err, -ENOMEM, "out of memory");
	else if ((models || config) && codex_home_make_probe(home, s->user_home, &s->err) == 0)
		ask_both(s, models, config, home);
	finish(s);
}

/* --- launching ------------------------------------------------------------------------------ */

char *
codex_setup_socket(const struct codex_setup *s, int instance, int side)
{
	char *path;

	return asprintf(&path, "%s/app-server-%d%s.sock", s->runtime_dir, instance,
	                side == 0 ? "" : ".b") < 0
	               ? NULL
	               : path;
}

char *
codex_setup_work_dir(const struct codex_setup *s)
{
	return paths_join(s->state_dir, "work");
}

/* With which base URL the built-in provider would be used goes by the login. */
static enum user_config_tuning
tuning(const struct codex_setup *s)
{
	AUTO_FREE char *path = paths_join(s->user_home, "auth.json");
	AUTO_FREE char *text = NULL;
	json_auto_t *auth = NULL;
	size_t len;

	if (s->settings->provider_mode != PROVIDER_TUNED || path == NULL)
		return USER_CONFIG_AS_IS;
	if (file_read(&text, &len, path, AUTH_MAX, NULL) == 0)
		auth = json_load(text, len, 0, NULL, NULL);
	return json_get_object(auth, "tokens") != NULL ? USER_CONFIG_TUNED_CHATGPT
	                                               : USER_CONFIG_TUNED;
}

/* The login that an app-server is given instead of a link to the user's; NULL: the link. An API key
 * is never refreshed, so a copy will do, and what is put in its place meanwhile is not read. */
static char *
own_login(const struct codex_setup *s)
{
	AUTO_FREE char *path = paths_join(s->user_home, "auth.json");
	struct login login = {.kind = LOGIN_NONE};
	struct err err;
	char *text = NULL;
	size_t len;

	if (!s->settings->require_api_key_login)
		return NULL;
	if (path != NULL && file_read(&text, &len, path, AUTH_MAX, NULL) == 0 &&
	    login_parse(&login, text, len, &err) == 0 && login.kind == LOGIN_API_KEY)
		return text;
	free(text);
	return strdup("");
}

int
codex_setup_launch(struct codex_setup *s, int instance, const char *listen, struct app_launch *out,
                   struct err *err)
{
	AUTO_FREE char *work = codex_setup_work_dir(s);
	AUTO_FREE char *home = NULL;
	AUTO_FREE char *auth = own_login(s);
	struct codex_recipe recipe = {.settings = s->settings};
	struct user_config config;
	int r;

	if (work == NULL || (auth == NULL && s->settings->require_api_key_login) ||
	    asprintf(&home, "%s/home-%d", s->state_dir, instance) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	r = user_config_derive(&config, s->user_config, tuning(s), err);
	if (r < 0)
		return r;
	r = file_make_dir(work, 0700, err);
	if (r == 0)
		r = codex_home_make(home, s->user_home, config.toml, auth, err);
	/* a killed one leaves its socket; nobody must connect to that */
	if (strncmp(listen, "unix://", 7) == 0)
		(void)unlink(listen + 7);
	recipe.binary = s->binary;
	recipe.home = home;
	recipe.listen = listen;
	recipe.catalog = s->catalog_path;
	recipe.work_dir = work;
	recipe.env_keys = config.env_keys;
	if (r == 0) {
		r = codex_recipe_fill(out, &recipe);
		if (r < 0)
			err_set(err, r, "%s", strerror(-r));
	}
	user_config_free(&config);
	return r;
}

const char *
codex_setup_warning(const struct codex_setup *s)
{
	return s->warning;
}

/* --- life ----------------------------------------------------------------------------------- */

static int
check_socket_path(const struct codex_setup *s, struct err *err)
{
	AUTO_FREE char *path = codex_setup_socket(s, 63, 1);

	if (path == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return err_set(err, -ENAMETOOLONG,
		               "CODEX_RUNTIME_DIR: %s is too long for a unix socket", path);
	return 0;
}

/* The folders that codex gets by -c and by its environment; it changes into another one. */
static char *
absolute(const char *dir)
{
	return realpath(dir, NULL);
}

int
codex_setup_new(struct codex_setup **out, uv_loop_t *loop, struct reaper *reaper,
                const struct settings *settings, const char *runtime_dir, const char *state_dir,
                struct err *err)
{
	struct codex_setup *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	s->loop = loop;
	s->reaper = reaper;
	s->settings = settings;
	s->models = (struct question){.owner = s, .what = "model catalog"};
	s->config = (struct question){.owner = s, .what = "configuration"};
	s->runtime_dir = absolute(runtime_dir);
	s->state_dir = absolute(state_dir);
	s->user_home = paths_codex_home(settings);
	if (s->runtime_dir != NULL && s->state_dir != NULL && s->user_home != NULL) {
		s->user_toml = paths_join(s->user_home, "config.toml");
		s->catalog_path = paths_join(s->runtime_dir, "models.json");
		s->models.cache_path = paths_join(s->state_dir, "models.cache");
		s->config.cache_path = paths_join(s->state_dir, "config.cache");
	}
	if (s->user_toml == NULL || s->catalog_path == NULL || s->models.cache_path == NULL ||
	    s->config.cache_path == NULL)
		r = err_set(err, -ENOMEM, "out of memory");
	else
		r = codex_binary_find(&s->binary,
		                      settings->codex_bin != NULL ? settings->codex_bin : "codex",
		                      err);
	if (r == 0)
		r = check_socket_path(s, err);
	if (r < 0) {
		codex_setup_close(s, NULL, NULL);
		return r;
	}
	*out = s;
	return 0;
}

void
codex_setup_close(struct codex_setup *s, void (*fn)(void *arg), void *arg)
{
	s->on_closed = fn;
	s->on_closed_arg = arg;
	if (s->pending > 0) {
		s->closing = true; /* comes back here when both have been cancelled */
		if (s->models.capture != NULL)
			capture_cancel(s->models.capture);
		if (s->config.capture != NULL)
			capture_cancel(s->config.capture);
		return;
	}
	free(s->runtime_dir);
	free(s->state_dir);
	free(s->user_home);
	free(s->user_toml);
	free(s->binary);
	free(s->binary_key);
	free(s->catalog_path);
	free(s->models.cache_path);
	free(s->models.key);
	free(s->config.cache_path);
	free(s->config.key);
	json_decref(s->user_config);
	free(s);
	if (fn != NULL)
		fn(arg);
}
