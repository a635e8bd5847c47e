/* user_config: what of the user's Codex configuration our app-servers take over. Pure. */
#include "supervisor/codex/user_config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

static const char *const kept[] = {
	"model",
	"model_provider",
	"model_providers",
	"chatgpt_base_url",
	"openai_base_url",
	"forced_login_method",
	"forced_chatgpt_workspace_id",
	"service_tier",
};

/* --- JSON to TOML ---------------------------------------------------------------------------
 * A TOML value on one line is JSON with '=' for ':', quoted keys and no null; strings escape alike
 * but for DEL, which TOML wants escaped too. */

static void
put(struct json_buf *out, const char *text)
{
	json_buf_append(out, text, strlen(text));
}

static void
put_string(struct json_buf *out, const char *text)
{
	put(out, "\"");
	for (const char *del; (del = strchr(text, 0x7f)) != NULL; text = del + 1) {
		json_print_escaped(out, text, (size_t)(del - text));
		put(out, "\\u007F");
	}
	json_print_escaped(out, text, strlen(text));
	put(out, "\"");
}

static void put_value(struct json_buf *out, const json_t *v);

static void
put_table(struct json_buf *out, const json_t *v)
{
	const char *key, *between = "";
	const json_t *member;

	put(out, "{");
	json_object_foreach((json_t *)(uintptr_t)v, key, member) {
		if (json_is_null(member))
			continue;
		put(out, between);
		put_string(out, key);
		put(out, " = ");
		put_value(out, member);
		between = ", ";
	}
	put(out, "}");
}

static void
put_array(struct json_buf *out, const json_t *v)
{
	const char *between = "";
	const json_t *item;
	size_t i;

	put(out, "[");
	json_array_foreach(v, i, item) {
		if (json_is_null(item))
			continue;
		put(out, between);
		put_value(out, item);
		between = ", ";
	}
	put(out, "]");
}

static void
put_value(struct json_buf *out, const json_t *v)
{
	char number[64];

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		put_table(out, v);
		return;
	case JSON_ARRAY:
		put_array(out, v);
		return;
	case JSON_STRING:
		put_string(out, json_string_value(v));
		return;
	case JSON_INTEGER:
		(void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
		put(out, number);
		return;
	case JSON_REAL:
		/* %e always has the exponent that makes it a float in TOML too */
		(void)snprintf(number, sizeof(number), "%.17e", json_real_value(v));
		put(out, number);
		return;
	case JSON_TRUE:
		put(out, "true");
		return;
	case JSON_FALSE:
		put(out, "false");
		return;
	case JSON_NULL:
		return; /* left out by put_table and put_array */
	}
}

/* --- environment variables ------------------------------------------------------------------ */

static int
add_name(struct user_config *c, size_t *count, const char *name)
{
	char **more;

	if (name == NULL || name[0] == '\0' || strchr(name, '=') != NULL)
		return 0;
	more = realloc(c->env_keys, (*count + 2) * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	c->env_keys = more;
	more[*count + 1] = NULL;
	more[*count] = strdup(name);
	if (more[*count] == NULL)
		return -ENOMEM;
	(*count)++;
	return 0;
}

static int
collect_env_keys(struct user_config *c, const json_t *providers)
{
	const char *id, *header;
	json_t *provider, *value;
	size_t count = 0;
	int r = 0;

	c->env_keys = calloc(1, sizeof(*c->env_keys));
	if (c->env_keys == NULL)
		return -ENOMEM;
	json_object_foreach((json_t *)(uintptr_t)providers, id, provider) {
		if (r == 0)
			r = add_name(c, &count, json_get_string(provider, "env_key"));
		json_object_foreach(json_object_get(provider, "env_http_headers"), header, value)
			if (r == 0)
				r = add_name(c, &count, json_string_value(value));
	}
	return r;
}

/* --- the provider --------------------------------------------------------------------------- */

static const char *
base_url(const json_t *config, enum user_config_tuning tuning)
{
	const char *own = json_get_string(config, "openai_base_url");

	if (own != NULL)
		return own;
	return tuning == USER_CONFIG_TUNED_CHATGPT ? "https://chatgpt.com/backend-api/codex"
	                                           : "https://api.openai.com/v1";
}

/* Changes config, which is a copy. */
static int
tune(json_t *config, enum user_config_tuning tuning)
{
	const char *id = json_get_string(config, "model_provider");
	json_t *providers = json_get_object(config, "model_providers"), *provider;
	int r = 0;

	if (providers == NULL) {
		providers = json_object();
		r |= json_object_set_new(config, "model_providers", providers);
	}
	if (id == NULL || strcmp(id, "openai") == 0) {
		provider = json_pack("{s:s, s:s, s:s, s:b}", "name", "OpenAI over HTTP", "base_url",
		                     base_url(config, tuning), "wire_api", "responses",
		                     "requires_openai_auth", 1);
		r |= json_object_set_new(providers, "sidecar", provider);
		r |= json_object_set_new(config, "model_provider", json_string("sidecar"));
	} else {
		provider = json_get_object(providers, id);
	}
	if (provider == NULL)
		return r; /* another built-in one: has no knobs */
	r |= json_object_set_new(provider, "request_max_retries", json_integer(1));
	r |= json_object_set_new(provider, "stream_max_retries", json_integer(0));
	r |= json_object_set_new(provider, "supports_websockets", json_false());
	return r;
}

int
user_config_derive(struct user_config *out, const json_t *read, enum user_config_tuning tuning,
                   struct err *err)
{
	const json_t *told = json_object_get(read, "config");
	json_auto_t *config = json_deep_copy_whole(told);
	struct user_config c = {.toml = NULL};
	struct json_buf toml = {.data = NULL};

	if (!json_is_object(told))
		return err_set(err, -EBADMSG, "codex tells no configuration");
	if (config == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	if (tuning != USER_CONFIG_AS_IS && tune(config, tuning) != 0)
		return err_set(err, -ENOMEM, "out of memory");
	put(&toml, "# Derived from the user's config.toml at each change of it; edit that one.\n");
	for (size_t i = 0; i < NELEM(kept); i++) {
		const json_t *v = json_object_get(config, kept[i]);

		if (v == NULL || json_is_null(v) || (json_is_object(v) && json_object_size(v) == 0))
			continue;
		put(&toml, kept[i]);
		put(&toml, " = ");
		put_value(&toml, v);
		put(&toml, "\n");
	}
	json_buf_append(&toml, "", 1);
	c.toml = toml.data;
	if (toml.failed || collect_env_keys(&c, json_object_get(config, "model_providers")) < 0) {
		user_config_free(&c);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*out = c;
	return 0;
}

void
user_config_free(struct user_config *c)
{
	free(c->toml);
	for (char **k = c->env_keys; k != NULL && *k != NULL; k++)
		free(*k);
	free(c->env_keys);
	*c = (struct user_config){.toml = NULL};
}
