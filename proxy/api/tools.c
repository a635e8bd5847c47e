/* tools: the caller's functions, and whether the model may, must or must not call them. */
#include "proxy/api/tools.h"

#include <stdio.h>
#include <string.h>

#define TOOL_KEY_MAX 300

void
tools_key(char *out, size_t size, const char *space, const char *name)
{
	/* '/' can be in neither. */
	(void)snprintf(out, size, "%s%s%s", space != NULL ? space : "", space != NULL ? "/" : "",
	               name);
}

static bool
check_name(struct param_reader *r, const struct tool *tool)
{
	const char *name = json_text(tool->name);
	char param[96], key[TOOL_KEY_MAX];

	(void)snprintf(param, sizeof(param), "%s.name", tool->where);
	if (!param_is_name(name, tool->name_max))
		return api_error_invalid(
			r->error, "invalid_value", param,
			"Invalid '%s': 1 to %zu characters of a-z, A-Z, 0-9, _ and - are required.",
			param, tool->name_max);
	/* What codex would refuse, in words that the caller can use. */
	if (strncmp(name, "mcp__", 5) == 0)
		return api_error_invalid(r->error, "invalid_value", param,
		                         "Invalid '%s': names that begin with mcp__ are reserved.",
		                         param);
	tools_key(key, sizeof(key), tool->space, name);
	if (json_object_get(r->tool_names, key) != NULL)
		return api_error_invalid(r->error, "invalid_value", param,
		                         "Invalid '%s': another tool has the same name.", param);
	return json_object_set_new(r->tool_names, key, json_true()) == 0 || param_out_of_memory(r);
}

/* NULL or null counts as not given. The caller's own values become part of the tool. */
static json_t *
make_function(const struct tool *tool)
{
	bool described = json_is_string(tool->description);
	json_t *made = json_pack("{s:O,s:O*,s:O*}", "name", tool->name, "description",
	                         described ? tool->description : NULL, "parameters",
	                         json_is_object(tool->parameters) ? tool->parameters : NULL);

	if (!described)
		json_put(&made, "description", json_string(""));
	if (!json_is_object(tool->parameters))
		json_put(&made, "parameters",
		         json_pack("{s:s,s:{}}", "type", "object", "properties"));
	return made;
}

json_t *
tools_list(struct param_reader *r)
{
	struct conversation *c = r->out->conversation;

	if (c->tools == NULL)
		c->tools = json_array();
	return c->tools;
}

bool
tools_add(struct param_reader *r, json_t *list, const struct tool *tool)
{
	const json_t *description = tool->description;
	const json_t *parameters = tool->parameters;
	char param[96];

	if (!check_name(r, tool))
		return false;
	(void)snprintf(param, sizeof(param), "%s.description", tool->where);
	if (description != NULL && !json_is_string(description) && !json_is_null(description))
		return param_wrong_type(r, param, "a string is required");
	(void)snprintf(param, sizeof(param), "%s.parameters", tool->where);
	if (parameters != NULL && !json_is_object(parameters) && !json_is_null(parameters))
		return param_wrong_type(r, param, "a JSON Schema object is required");
	if (!param_schema_is_flat_enough(r, param, parameters))
		return false;
	return json_array_append_new(list, make_function(tool)) == 0 || param_out_of_memory(r);
}

bool
tools_allow(struct param_reader *r, const char *name)
{
	if (r->allowed_tools == NULL)
		r->allowed_tools = json_array();
	return json_array_append_new(r->allowed_tools, json_string(name)) == 0 ||
	       param_out_of_memory(r);
}

bool
tools_is_choice(const char *text)
{
	return text != NULL && (strcmp(text, "none") == 0 || strcmp(text, "auto") == 0);
}

static bool
has_name(const json_t *tool, const json_t *names, bool *found)
{
	const char *name = json_get_string(tool, "name");
	bool allowed = false;
	json_t *wanted;
	size_t i;

	json_array_foreach(names, i, wanted) {
		if (name != NULL && strcmp(json_string_value(wanted), name) == 0)
			allowed = found[i] = true;
	}
	return allowed;
}

/* Those of a list, and of the namespaces in it, that are among the names; NULL: no memory. */
static json_t *
narrowed(const json_t *tools, const json_t *names, bool *found)
{
	json_auto_t *kept = json_array();
	json_t *tool;
	size_t i;

	json_array_foreach(tools, i, tool) {
		json_t *members = json_object_get(tool, "tools");
		json_t *some;
		int failed = 0;

		if (members == NULL) {
			if (has_name(tool, names, found))
				failed = json_array_append(kept, tool);
		} else {
			some = narrowed(members, names, found);
			if (some == NULL || json_array_size(some) > 0)
				failed = json_array_append_new(
					kept,
					json_pack("{s:O,s:O,s:o}", "name",
				                  json_object_get(tool, "name"), "description",
				                  json_object_get(tool, "description"), "tools",
				                  some));
			else
				json_decref(some);
		}
		if (failed != 0)
			return NULL;
	}
	return json_incref(kept);
}

static bool
narrow_to_allowed(struct param_reader *r)
{
	struct conversation *c = r->out->conversation;
	size_t count = json_array_size(r->allowed_tools);
	AUTO_FREE bool *found = calloc(count + 1, sizeof(*found));
	json_t *kept = found != NULL ? narrowed(c->tools, r->allowed_tools, found) : NULL;

	if (kept == NULL)
		return param_out_of_memory(r);
	json_decref(c->tools);
	c->tools = kept;
	for (size_t i = 0; i < count; i++)
		if (!found[i])
			return api_error_invalid(
				r->error, "invalid_value", r->choice_param,
				"Invalid value for '%s': the function '%.64s' is not offered.",
				r->choice_param,
				json_string_value(json_array_get(r->allowed_tools, i)));
	return true;
}

/* Codex always lets the model choose. So "none" offers nothing, and a required call is asked for in
 * one developer item at the end of the history, and checked in the answer. */
bool
tools_apply_choice(struct param_reader *r)
{
	static const char ask[] = "Answer by calling one of the available functions, without any "
				  "other text.";
	struct conversation *c = r->out->conversation;
	bool required = strcmp(r->tool_choice, "required") == 0;

	if (json_array_size(c->tools) == 0) {
		json_decref(c->tools);
		c->tools = NULL;
		return !required ||
		       param_invalid_value(r, r->choice_param, "it needs functions to choose from");
	}
	if (strcmp(r->tool_choice, "none") == 0) {
		json_decref(c->tools);
		c->tools = NULL;
		return true;
	}
	if (r->allowed_tools != NULL && !narrow_to_allowed(r))
		return false;
	if (!required)
		return true;
	r->out->tool_call_required = true;
	return param_ask(r, ask);
}
