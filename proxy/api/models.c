/* models: what /v1/models shows, and which model a request means. */
#include "proxy/api/models.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "proxy/api/answer.h"
#include "proxy/api/errors.h"

struct models {
	json_t *aliases;     /* name -> model */
	char *default_model; /* NULL: the catalog's own */
	json_t *known;       /* id -> app-server model object, in its order; NULL: not known */
	char *catalog_default;
};

struct models *
models_new(const char *aliases, const char *default_model)
{
	struct models *m = calloc(1, sizeof(*m));
	AUTO_FREE char *copy = NULL;
	char *rest = NULL;

	if (m == NULL)
		return NULL;
	m->aliases = json_object();
	if (default_model != NULL)
		m->default_model = strdup(default_model);
	copy = strdup(aliases != NULL ? aliases : "");
	if (m->aliases == NULL || copy == NULL ||
	    (default_model != NULL && m->default_model == NULL)) {
		models_free(m);
		return NULL;
	}
	/* The settings have checked the form. */
	for (char *pair = strtok_r(copy, ",", &rest); pair != NULL;
	     pair = strtok_r(NULL, ",", &rest)) {
		char *equals = strchr(pair, '=');

		if (equals == NULL)
			continue;
		*equals = '\0';
		json_put(&m->aliases, pair, json_string(equals + 1));
	}
	if (m->aliases == NULL) {
		models_free(m);
		return NULL;
	}
	return m;
}

void
models_free(struct models *m)
{
	if (m == NULL)
		return;
	json_decref(m->aliases);
	json_decref(m->known);
	free(m->default_model);
	free(m->catalog_default);
	free(m);
}

/* It is no mistake for sure: another codex may have them. */
static void
warn_of_unknown(const struct models *m)
{
	const char *alias;
	json_t *model;

	if (m->default_model != NULL && json_object_get(m->known, m->default_model) == NULL &&
	    json_object_get(m->aliases, m->default_model) == NULL)
		log_warning("CODEX_DEFAULT_MODEL: Codex has no model %s: requests that name no "
		            "model are refused",
		            m->default_model);
	json_object_foreach(m->aliases, alias, model) {
		if (json_object_get(m->known, json_string_value(model)) == NULL)
			log_warning("CODEX_MODEL_ALIASES: Codex has no model %s: requests for %s "
			            "are refused",
			            json_string_value(model), alias);
	}
}

bool
models_update(struct models *m, json_t *list)
{
	json_auto_t *known = NULL;
	AUTO_FREE char *catalog_default = NULL;
	const char *first = NULL;
	json_t *model;
	bool changed;
	size_t i;

	if (list == NULL)
		return true; /* what was known before is better than nothing */
	known = json_object();
	json_array_foreach(list, i, model) {
		const char *id = json_get_string(model, "id");

		if (id == NULL)
			continue;
		if (json_object_set(known, id, model) != 0)
			return false;
		if (first == NULL || json_get_bool(model, "isDefault", false))
			first = id;
	}
	if (first != NULL)
		catalog_default = strdup(first);
	if (known == NULL || (first != NULL && catalog_default == NULL))
		return false;
	changed = m->known == NULL || !json_equal(m->known, known);
	free(m->catalog_default);
	m->catalog_default = catalog_default;
	catalog_default = NULL;
	json_decref(m->known);
	m->known = json_incref(known);
	if (changed)
		warn_of_unknown(m);
	return true;
}

bool
models_known(const struct models *m)
{
	return m->known != NULL;
}

enum model_answer
models_resolve(const struct models *m, struct conversation *c)
{
	const char *name = c->model;
	const char *alias;

	if (name == NULL)
		name = m->default_model;
	if (name == NULL)
		name = m->catalog_default;
	if (m->known == NULL || name == NULL)
		return MODEL_NOT_YET;
	alias = json_get_string(m->aliases, name);
	if (alias != NULL)
		name = alias;
	if (name != c->model) {
		char *copy = strdup(name);

		if (copy == NULL)
			return MODEL_NOT_YET;
		free(c->model);
		c->model = copy;
	}
	return json_object_get(m->known, c->model) != NULL ? MODEL_FOUND : MODEL_UNKNOWN;
}

/* The efforts by their names, if any are told. */
static void
put_efforts(json_t **to, const json_t *known)
{
	json_t *efforts = json_array();
	json_t *effort;
	size_t i, told = 0;

	json_array_foreach(json_get_array(known, "supportedReasoningEfforts"), i, effort) {
		json_t *name = json_object_get(effort, "reasoningEffort");

		if (!json_is_string(name))
			continue;
		told++;
		json_put_item(&efforts, json_incref(name));
	}
	if (told > 0)
		json_put(to, "supported_reasoning_efforts", efforts);
	else
		json_decref(efforts);
}

/* id: the name it is asked for; known: what codex says of it. Codex does not say when a model was
 * made. What is not OpenAI's are the members that user interfaces look for. */
static json_t *
model_object(const char *id, const json_t *known)
{
	static const char *const members[][2] = {
		{"name",                     "displayName"           },
		{"description",              "description"           },
		{"default_reasoning_effort", "defaultReasoningEffort"},
	};
	json_t *model = json_pack("{s:s,s:s,s:i,s:s}", "id", id, "object", "model", "created", 0,
	                          "owned_by", "openai");
	json_t *modalities = json_get_array(known, "inputModalities");

	for (size_t i = 0; i < NELEM(members); i++) {
		json_t *value = json_object_get(known, members[i][1]);

		if (json_is_string(value))
			json_put(&model, members[i][0], json_incref(value));
	}
	put_efforts(&model, known);
	if (modalities != NULL)
		json_put(&model, "input_modalities", json_incref(modalities));
	return model;
}

static bool
replied_unknown_list(const struct models *m, struct http_exchange *x)
{
	struct api_error error;

	if (m->known != NULL)
		return false;
	api_error_set(&error, 503, "server_error", "backend_unavailable",
	              "The model list is not known yet: no Codex app-server has answered.");
	error.retry_after_sec = 5;
	api_error_reply(x, &error);
	return true;
}

void
models_reply_list(const struct models *m, struct http_exchange *x)
{
	json_t *data = NULL;
	const char *id;
	json_t *value;

	if (replied_unknown_list(m, x))
		return;
	data = json_array();
	json_object_foreach(m->known, id, value)
		json_put_item(&data, model_object(id, value));
	json_object_foreach(m->aliases, id, value) {
		const json_t *real = json_object_get(m->known, json_string_value(value));

		if (real != NULL && json_object_get(m->known, id) == NULL)
			json_put_item(&data, model_object(id, real));
	}
	answer_json(x, json_pack("{s:s,s:o}", "object", "list", "data", data));
}

void
models_reply_one(const struct models *m, struct http_exchange *x, const char *id)
{
	struct failure failure;
	struct api_error error;
	const char *real;
	const json_t *known;

	if (replied_unknown_list(m, x))
		return;
	real = json_get_string(m->aliases, id);
	known = json_object_get(m->known, real != NULL ? real : id);
	if (known != NULL) {
		answer_json(x, model_object(id, known));
		return;
	}
	failure_set(&failure, FAILURE_MODEL_NOT_FOUND, "The model '%.128s' does not exist.", id);
	api_error_from_failure(&error, &failure);
	api_error_reply(x, &error);
}
