/* params: what the readers of the parameters of every dialect share. */
#include "proxy/api/params.h"

#include <stdio.h>
#include <string.h>

/* A history of 12,000 messages has 100,000 values. This many take 40 MB at most. */
#define VALUES_MAX 500000

/* codex reads 127 levels, of which it needs a few around a schema, and is silent about a call with
 * more. */
#define SCHEMA_LEVELS_MAX 100

#define PATH_MAX_BYTES 128 /* of a parameter, as api_error has room for */

bool
param_wrong_type(struct param_reader *r, const char *name, const char *wanted)
{
	return api_error_invalid(r->error, "invalid_type", name, "Invalid type for '%s': %s.", name,
	                         wanted);
}

static bool
unsupported(struct param_reader *r, const char *name, const char *what)
{
	return api_error_invalid(r->error, "unsupported_parameter", name,
	                         "Unsupported parameter: '%s' %s.", name, what);
}

bool
param_unsupported_value(struct param_reader *r, const char *name, const char *what)
{
	return api_error_invalid(r->error, "unsupported_value", name, "Unsupported value: '%s' %s.",
	                         name, what);
}

bool
param_invalid_value(struct param_reader *r, const char *name, const char *what)
{
	return api_error_invalid(r->error, "invalid_value", name, "Invalid value for '%s': %s.",
	                         name, what);
}

bool
param_missing(struct param_reader *r, const char *name)
{
	return api_error_invalid(r->error, "missing_required_parameter", name,
	                         "Missing required parameter: '%s'.", name);
}

bool
param_out_of_memory(struct param_reader *r)
{
	api_error_out_of_memory(r->error);
	return false;
}

bool
param_ignored(struct param_reader *r, const char *name, json_t *value)
{
	struct json_buf *list = &r->out->ignored;

	if (list->len > 0)
		json_buf_append(list, ", ", 2);
	json_buf_append(list, name, strlen(name));
	return true;
}

bool
param_refused(struct param_reader *r, const char *name, json_t *value)
{
	return unsupported(r, name, "is not available through Codex");
}

bool
param_boolean(struct param_reader *r, bool *out, const char *name, json_t *value)
{
	if (!json_is_boolean(value))
		return param_wrong_type(r, name, "a boolean is required");
	*out = json_is_true(value);
	return true;
}

bool
param_word(struct param_reader *r, char **out, const char *name, json_t *value)
{
	const char *text = json_text(value); /* NULL where it holds a NUL */

	if (!json_is_string(value))
		return param_wrong_type(r, name, "a string is required");
	if (text == NULL || text[0] == '\0' || strlen(text) > 128)
		return api_error_invalid(
			r->error, "invalid_value", name,
			"Invalid value for '%s': 1 to 128 characters are required.", name);
	free(*out);
	*out = strdup(text);
	return *out != NULL || param_out_of_memory(r);
}

bool
param_model(struct param_reader *r, const char *name, json_t *value)
{
	return param_word(r, &r->out->conversation->model, name, value);
}

bool
param_stream(struct param_reader *r, const char *name, json_t *value)
{
	return param_boolean(r, &r->out->stream, name, value);
}

bool
param_stream_option(struct param_reader *r, bool *out, const char *name, const json_t *value,
                    const char *option)
{
	json_t *given = json_object_get(value, option);
	char path[PATH_MAX_BYTES];

	if (!json_is_object(value))
		return param_wrong_type(r, name, "an object is required");
	if (!json_is_true(json_object_get(r->root, "stream")))
		return api_error_invalid(r->error, NULL, name,
		                         "'%s' is only allowed when 'stream' is true.", name);
	(void)snprintf(path, sizeof(path), "%s.%s", name, option);
	return given == NULL || json_is_null(given) || param_boolean(r, out, path, given);
}

bool
param_effort(struct param_reader *r, const char *name, json_t *value)
{
	return param_word(r, &r->out->conversation->effort, name, value);
}

bool
param_verbosity(struct param_reader *r, const char *name, json_t *value)
{
	const char *text = json_text(value);

	if (text == NULL ||
	    (strcmp(text, "low") != 0 && strcmp(text, "medium") != 0 && strcmp(text, "high") != 0))
		return param_unsupported_value(r, name, "must be 'low', 'medium' or 'high'");
	return param_word(r, &r->out->conversation->verbosity, name, value);
}

bool
param_service_tier(struct param_reader *r, const char *name, json_t *value)
{
	const char *text = json_text(value);

	/* "auto" and "default" are what happens without the parameter. */
	if (text != NULL && (strcmp(text, "auto") == 0 || strcmp(text, "default") == 0))
		return true;
	return param_word(r, &r->out->conversation->service_tier, name, value);
}

bool
param_parallel(struct param_reader *r, const char *name, json_t *value)
{
	bool parallel = true;

	if (!param_boolean(r, &parallel, name, value))
		return false;
	r->out->single_tool_call |= !parallel;
	return true;
}

bool
param_schema_is_flat_enough(struct param_reader *r, const char *name, const json_t *schema)
{
	return !json_deeper_than(schema, SCHEMA_LEVELS_MAX) ||
	       api_error_invalid(r->error, "invalid_value", name,
	                         "Invalid value for '%s': it has more than %d levels of nesting.",
	                         name, SCHEMA_LEVELS_MAX);
}

bool
param_is_name(const char *text, size_t max)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-";
	size_t len = text != NULL ? strlen(text) : 0;

	return len >= 1 && len <= max && strspn(text, allowed) == len;
}

/* Codex gives the schema a name of its own, has no place for a description, and is always strict.
 */
static bool
read_json_schema(struct param_reader *r, const char *name, const json_t *wrapper)
{
	json_t *schema = json_get_object(wrapper, "schema");
	json_t *label = json_object_get(wrapper, "name");
	json_t *description = json_object_get(wrapper, "description");
	json_t *strict = json_object_get(wrapper, "strict");
	char path[PATH_MAX_BYTES];

	(void)snprintf(path, sizeof(path), "%s.schema", name);
	if (schema == NULL)
		return param_missing(r, path);
	if (!param_schema_is_flat_enough(r, path, schema))
		return false;
	(void)snprintf(path, sizeof(path), "%s.name", name);
	if (label != NULL && !param_is_name(json_text(label), 64))
		return param_invalid_value(r, path,
		                           "1 to 64 characters of a-z, A-Z, 0-9, _ and - are "
		                           "required");
	(void)snprintf(path, sizeof(path), "%s.description", name);
	if (description != NULL && !json_is_string(description) && !json_is_null(description))
		return param_wrong_type(r, path, "a string is required");
	if (json_is_string(description))
		(void)param_ignored(r, path, description);
	(void)snprintf(path, sizeof(path), "%s.strict", name);
	if (strict != NULL && !json_is_boolean(strict) && !json_is_null(strict))
		return param_wrong_type(r, path, "a boolean is required");
	if (json_is_false(strict))
		(void)param_ignored(r, path, strict);
	r->out->conversation->output_schema = json_incref(schema);
	return true;
}

bool
param_format(struct param_reader *r, const char *name, const json_t *value, const char *schema_name,
             const json_t *schema_wrapper)
{
	const char *type = json_get_string(value, "type");
	char path[PATH_MAX_BYTES];

	if (!json_is_object(value) || type == NULL)
		return param_wrong_type(r, name, "an object with a 'type' is required");
	if (strcmp(type, "text") == 0)
		return true;
	if (strcmp(type, "json_schema") == 0)
		return read_json_schema(r, schema_name, schema_wrapper);
	if (strcmp(type, "json_object") == 0)
		r->out->json_object = name;
	(void)snprintf(path, sizeof(path), "%s.type", name);
	return r->out->json_object != NULL ||
	       param_unsupported_value(r, path, "must be 'text', 'json_object' or 'json_schema'");
}

bool
param_ask(struct param_reader *r, const char *text)
{
	json_t *item = json_pack("{s:s,s:s,s:[{s:s,s:s}]}", "type", "message", "role", "developer",
	                         "content", "type", "input_text", "text", text);

	return json_array_append_new(r->out->conversation->items, item) == 0 ||
	       param_out_of_memory(r);
}

json_t *
params_parse(const char *body, size_t len, struct api_error *error)
{
	json_t *root;
	struct err err;

	if (json_count_values(body, len) > VALUES_MAX) {
		(void)api_error_invalid(error, "invalid_json", NULL,
		                        "The request body holds more than %d JSON values.",
		                        VALUES_MAX);
		return NULL;
	}
	root = json_parse(body, len, &err);
	if (root == NULL && err.code == -ENOMEM) {
		api_error_out_of_memory(error);
	} else if (root == NULL) {
		(void)api_error_invalid(error, "invalid_json", NULL,
		                        "The request body is not valid JSON: %s", err.text);
	} else if (!json_is_object(root)) {
		(void)api_error_invalid(error, "invalid_json", NULL,
		                        "The request body must be a JSON object.");
		json_decref(root);
		root = NULL;
	}
	return root;
}

bool
params_begin(struct param_reader *r, struct request *out, const json_t *root,
             struct api_error *error)
{
	*r = (struct param_reader){.out = out,
	                           .root = root,
	                           .error = error,
	                           .tool_names = json_object(),
	                           .tool_choice = "auto",
	                           .choice_param = "tool_choice"};
	out->conversation = conversation_new();
	if (out->conversation == NULL)
		return param_out_of_memory(r);
	out->conversation->items = json_array();
	return (out->conversation->items != NULL && r->tool_names != NULL) ||
	       param_out_of_memory(r);
}

static param_fn
find_reader(const struct param *table, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(table[i].name, name) == 0)
			return table[i].read;
	return NULL;
}

bool
params_read(struct param_reader *r, const struct param *table, size_t count)
{
	const char *name;
	json_t *value;

	/* jansson's iterator takes no const object; nothing is changed. */
	json_object_foreach((json_t *)(uintptr_t)r->root, name, value) {
		param_fn read = find_reader(table, count, name);

		if (read == NULL)
			return api_error_invalid(r->error, "unknown_parameter", name,
			                         "Unrecognized request argument supplied: %.128s",
			                         name);
		if (!json_is_null(value) && !read(r, name, value))
			return false;
	}
	return true;
}

/* A JSON object is asked for in words, and checked in the answer. Where a call is required there is
 * no text. */
bool
params_end(struct param_reader *r, const char *default_effort)
{
	struct conversation *c = r->out->conversation;

	if (r->out->json_object != NULL && !r->out->tool_call_required &&
	    !param_ask(r, "Your answer must be one valid JSON object and nothing else: no "
	                  "Markdown, and no text before or after it."))
		return false;
	if (c->effort != NULL || default_effort == NULL)
		return true;
	c->effort = strdup(default_effort);
	return c->effort != NULL || param_out_of_memory(r);
}

void
params_fini(struct param_reader *r)
{
	json_decref(r->tool_names);
	json_decref(r->allowed_tools);
}

void
request_fini(struct request *r)
{
	conversation_free(r->conversation);
	r->conversation = NULL;
	json_buf_free(&r->ignored);
}
