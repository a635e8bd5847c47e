/* recipe: how an app-server is started, so that it adds nothing to what its caller says. */
#include "supervisor/codex/recipe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* For both profiles: nothing calls home, nothing hangs for ever, threads go when we let go. */
static const char *const always[] = {
	"thread_unload_delay_secs=0",
	"analytics.enabled=false",
	"feedback.enabled=false",
	"check_for_update_on_startup=false",
	"features.plugins=false",
	"features.apps=false",
	"features.unbounded_connection_retries=false",
	"features.remote_plugin=false",
};

/* No word but the caller's. Where Codex has tools, none that runs, reads or asks past the policy:
 * no page of the web, no picture from anywhere, no agents that nobody hears, no file of the
 * workspace that becomes a prompt or a command. */
static const char *const bare[] = {
	"web_search=\"disabled\"",
	"include_permissions_instructions=false",
	"include_environment_context=false",
	"include_apps_instructions=false",
	"include_collaboration_mode_instructions=false",
	"skills.include_instructions=false",
	"skills.bundled.enabled=false",
	"project_doc_max_bytes=0",
	"agents.enabled=false",
	"features.shell_snapshot=false",
	"features.goals=false",
	"features.image_generation=false",
	"features.hooks=false",
	"features.memories=false",
	"features.view_image=false",
	"features.incremental_tools=false",
	"features.tool_suggest=false",
	"tools.experimental_request_user_input.enabled=false",
};

/* For chat: no tool but the caller's. */
static const char *const chat_only[] = {
	"features.unified_exec=false",
	"features.shell_tool=false",
};

/* For agent: no terminal, which could be typed into unseen. */
static const char *const agent_only[] = {
	"features.unified_exec_tty=false",
	"allow_login_shell=false",
};

struct args {
	char **v;
	size_t count;
	bool failed;
};

static void
add(struct args *a, const char *text)
{
	char **more = realloc(a->v, (a->count + 2) * sizeof(*more));
	char *copy = strdup(text);

	if (more != NULL)
		a->v = more;
	if (more == NULL || copy == NULL) {
		free(copy);
		a->failed = true;
		return;
	}
	a->v[a->count++] = copy;
	a->v[a->count] = NULL;
}

static void
add_override(struct args *a, const char *override)
{
	add(a, "-c");
	add(a, override);
}

static void
add_overrides(struct args *a, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_override(a, list[i]);
}

/* Our folders' names come from the environment: a quote in one must not end the TOML string. */
static void
add_path_override(struct args *a, const char *key, const char *path)
{
	char *text, *p;
	size_t len = strlen(key) + 2 * strlen(path) + 4;

	text = malloc(len);
	if (text == NULL) {
		a->failed = true;
		return;
	}
	p = text + sprintf(text, "%s=\"", key);
	for (; *path != '\0'; path++) {
		if (*path == '"' || *path == '\\')
			*p++ = '\\';
		*p++ = *path;
	}
	strcpy(p, "\"");
	add_override(a, text);
	free(text);
}

void
codex_recipe_environment(struct environment *env, const char *home, const struct settings *settings,
                         char *const *env_keys)
{
	static const char *const names[] = {
		"CODEX_CA_CERTIFICATE", "http_proxy",  "https_proxy", "all_proxy", "no_proxy",
		"HTTP_PROXY",           "HTTPS_PROXY", "ALL_PROXY",   "NO_PROXY",
	};

	environment_pass_basics(env);
	for (size_t i = 0; i < NELEM(names); i++)
		environment_pass(env, names[i]);
	for (char *const *k = env_keys; k != NULL && *k != NULL; k++)
		environment_pass(env, *k);
	environment_set(env, "CODEX_HOME", home);
	environment_set(env, "LOG_FORMAT", "json");
	environment_set(env, "RUST_LOG", "warn");
	/* gives memory of finished threads back to the system after a second */
	environment_set(env, "_RJEM_MALLOC_CONF", "dirty_decay_ms:1000,muzzy_decay_ms:0");
	if (settings->ca_file != NULL)
		environment_set(env, "SSL_CERT_FILE", settings->ca_file);
}

int
codex_recipe_fill(struct app_launch *out, const struct codex_recipe *r)
{
	struct args a = {.v = NULL};

	add(&a, "codex");
	add(&a, "app-server");
	add(&a, "--strict-config");
	add(&a, "--listen");
	add(&a, r->listen);
	add_overrides(&a, always, NELEM(always));
	add_overrides(&a, bare, NELEM(bare));
	if (r->settings->profile == PROFILE_CHAT)
		add_overrides(&a, chat_only, NELEM(chat_only));
	else
		add_overrides(&a, agent_only, NELEM(agent_only));
	if (r->catalog != NULL)
		add_path_override(&a, "model_catalog_json", r->catalog);

	out->argv = a.v;
	out->file = strdup(r->binary);
	out->cwd = strdup(r->work_dir);
	codex_recipe_environment(&out->env, r->home, r->settings, r->env_keys);
	if (a.failed || out->env.failed || out->file == NULL || out->cwd == NULL)
		return -ENOMEM; /* what is there is freed with *out */
	return 0;
}
