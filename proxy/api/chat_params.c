/* chat_params: what the readers of a chat completion's parameters share. */
#include "proxy/api/chat_params.h"

#include <string.h>

/* codex reads 127 levels, of which it needs a few around a schema, and is silent about a call with
 * more. */
#define SCHEMA_LEVELS_MAX 100

bool
param_wrong_type(struct param_reader *r, const char *name, const char *wanted)
{
	return api_error_invalid(r->error, "invalid_type", name, "Invalid type for '%s': %s.", name,
	                         wanted);
}

bool
param_unsupported(struct param_reader *r, const char *name, const char *what)
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
param_out_of_memory(struct param_reader *r)
{
	api_error_set(r->error, 500, "server_error", "internal_error", "Out of memory.");
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
param_boolean(struct param_reader *r, bool *out, const char *name, json_t *value)
{
	if (!json_is_boolean(value))
		return param_wrong_type(r, name, "a boolean is required");
	*out = json_is_true(value);
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
param_is_name(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-";
	size_t len = text != NULL ? strlen(text) : 0;

	return len >= 1 && len <= 64 && strspn(text, allowed) == len;
}

bool
param_ask(struct param_reader *r, const char *text)
{
	json_t *item = json_pack("{s:s,s:s,s:[{s:s,s:s}]}", "type", "message", "role", "developer",
	                         "content", "type", "input_text", "text", text);

	return json_array_append_new(r->out->conversation->items, item) == 0 ||
	       param_out_of_memory(r);
}
