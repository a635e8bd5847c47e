/* chat_tools: the caller's functions, and whether the model may, must or must not call them. */
#include "proxy/api/chat_tools.h"

#include <stdio.h>
#include <string.h>

/* names: of the functions so far. */
static bool
read_name(struct param_reader *r, const char *where, const char *name, json_t *names)
{
	char param[64];

	(void)snprintf(param, sizeof(param), "%s.name", where);
	if (!param_is_name(name))
		return api_error_invalid(
			r->error, "invalid_value", param,
			"Invalid '%s': 1 to 64 characters of a-z, A-Z, 0-9, _ and - are required.",
			param);
	/* What codex would refuse, in words that the caller can use. */
	if (strncmp(name, "mcp__", 5) == 0)
		return api_error_invalid(r->error, "invalid_value", param,
		                         "Invalid '%s': names that begin with mcp__ are reserved.",
		                         param);
	if (json_object_get(names, name) != NULL)
		return api_error_invalid(r->error, "invalid_value", param,
		                         "Invalid '%s': another tool has the same name.", param);
	return json_object_set_new(names, name, json_true()) == 0 || param_out_of_memory(r);
}

/* NULL or null counts as not given. The caller's own values become part of the tool. */
static bool
add_tool(struct param_reader *r, const char *name, json_t *description, json_t *parameters)
{
	json_t *made = json_pack("{s:s,s:O*,s:O*}", "name", name, "description",
	                         json_is_string(description) ? description : NULL, "parameters",
	                         json_is_object(parameters) ? parameters : NULL);

	if (!json_is_string(description))
		(void)json_object_set_new(made, "description", json_string(""));
	if (!json_is_object(parameters))
		(void)json_object_set_new(made, "parameters",
		                          json_pack("{s:s,s:{}}", "type", "object", "properties"));
	return json_array_append_new(r->out->conversation->tools, made) == 0 ||
	       param_out_of_memory(r);
}

/* where: its path in the request. */
static bool
read_function(struct param_reader *r, const char *where, const json_t *function, json_t *names)
{
	json_t *description = json_object_get(function, "description");
	json_t *parameters = json_object_get(function, "parameters");
	const char *name = json_get_string(function, "name");
	char param[64];

	if (!read_name(r, where, name, names))
		return false;
	(void)snprintf(param, sizeof(param), "%s.description", where);
	if (description != NULL && !json_is_string(description) && !json_is_null(description))
		return param_wrong_type(r, param, "a string is required");
	(void)snprintf(param, sizeof(param), "%s.parameters", where);
	if (parameters != NULL && !json_is_object(parameters) && !json_is_null(parameters))
		return param_wrong_type(r, param, "a JSON Schema object is required");
	return param_schema_is_flat_enough(r, param, parameters) &&
	       add_tool(r, name, description, parameters);
}

static bool
read_tool(struct param_reader *r, size_t index, const json_t *tool, json_t *names)
{
	const char *type = json_get_string(tool, "type");
	char where[40];

	(void)snprintf(where, sizeof(where), "tools[%zu]", index);
	if (type == NULL || strcmp(type, "function") != 0)
		return param_unsupported_value(r, where, "must be of type 'function'");
	(void)snprintf(where, sizeof(where), "tools[%zu].function", index);
	return read_function(r, where, json_get_object(tool, "function"), names);
}

bool
chat_read_tools(struct param_reader *r, const char *name, json_t *value)
{
	json_auto_t *names = json_object();
	bool strict = false;
	json_t *tool;
	size_t i;

	r->has_tool_params = true;
	if (!json_is_array(value))
		return param_wrong_type(r, name, "an array is required");
	if (json_array_size(value) == 0)
		return true;
	json_decref(r->out->conversation->tools); /* functions, which is refused at the end */
	r->out->conversation->tools = json_array();
	json_array_foreach(value, i, tool) {
		if (!read_tool(r, i, tool, names))
			return false;
		strict |= json_get_bool(json_get_object(tool, "function"), "strict", false);
	}
	/* Codex passes every function on without it. */
	return !strict || param_ignored(r, "tools.function.strict", value);
}

bool
chat_read_functions(struct param_reader *r, const char *name, json_t *value)
{
	json_auto_t *names = json_object();
	json_t *function;
	char where[40];
	size_t i;

	r->legacy_param = name;
	if (!json_is_array(value))
		return param_wrong_type(r, name, "an array is required");
	if (json_array_size(value) == 0)
		return true;
	json_decref(r->out->conversation->tools); /* tools, which is refused at the end */
	r->out->conversation->tools = json_array();
	r->out->legacy_functions = true;
	r->out->single_tool_call = true; /* the form has room for one */
	json_array_foreach(value, i, function) {
		(void)snprintf(where, sizeof(where), "functions[%zu]", i);
		if (!read_function(r, where, function, names))
			return false;
	}
	return true;
}

static bool
is_choice(const char *text)
{
	return text != NULL && (strcmp(text, "none") == 0 || strcmp(text, "auto") == 0);
}

bool
chat_read_tool_choice(struct param_reader *r, const char *name, json_t *value)
{
	static const char wanted[] = "must be none, auto, required or a function by name";
	const char *text = json_text(value);
	const char *type = json_get_string(value, "type");

	r->has_tool_params = true;
	r->choice_param = name;
	if (json_is_object(value)) {
		r->forced_tool = json_get_string(json_get_object(value, "function"), "name");
		if (type == NULL || strcmp(type, "function") != 0 || r->forced_tool == NULL)
			return param_unsupported_value(r, name, wanted);
		r->tool_choice = "required";
		return true;
	}
	if (!is_choice(text) && (text == NULL || strcmp(text, "required") != 0))
		return param_unsupported_value(r, name, wanted);
	r->tool_choice = text;
	return true;
}

bool
chat_read_function_call(struct param_reader *r, const char *name, json_t *value)
{
	const char *text = json_text(value);

	if (r->legacy_param == NULL)
		r->legacy_param = name;
	r->choice_param = name;
	if (json_is_object(value)) {
		r->forced_tool = json_get_string(value, "name");
		text = r->forced_tool != NULL ? "required" : NULL;
	} else if (!is_choice(text)) {
		text = NULL;
	}
	if (text == NULL)
		return param_unsupported_value(r, name, "must be none, auto or a function by name");
	r->tool_choice = text;
	return true;
}

bool
chat_read_parallel(struct param_reader *r, const char *name, json_t *value)
{
	bool parallel = true;

	if (!param_boolean(r, &parallel, name, value))
		return false;
	r->out->single_tool_call |= !parallel;
	return true;
}

static bool
narrow_to_forced_tool(struct param_reader *r)
{
	json_t *tools = r->out->conversation->tools;
	json_t *tool;
	size_t i;

	json_array_foreach(tools, i, tool) {
		if (strcmp(json_get_string(tool, "name"), r->forced_tool) == 0) {
			r->out->conversation->tools = json_pack("[O]", tool);
			json_decref(tools);
			return r->out->conversation->tools != NULL || param_out_of_memory(r);
		}
	}
	return api_error_invalid(r->error, "invalid_value", r->choice_param,
	                         "Invalid value for '%s': the function '%.64s' is not offered.",
	                         r->choice_param, r->forced_tool);
}

/* Codex always lets the model choose. So "none" offers nothing, and a required call is asked for in
 * one developer item at the end of the history, and checked in the answer. */
bool
chat_apply_tool_choice(struct param_reader *r)
{
	static const char ask[] = "Answer by calling one of the available functions, without any "
				  "other text.";
	struct conversation *c = r->out->conversation;

	if (r->legacy_param != NULL && r->has_tool_params)
		return param_invalid_value(
			r, r->legacy_param,
			"it is the legacy form, which does not go with 'tools' and 'tool_choice'");
	if (c->tools == NULL)
		return strcmp(r->tool_choice, "required") != 0 ||
		       param_invalid_value(r, r->choice_param, "it needs functions to choose from");
	if (strcmp(r->tool_choice, "none") == 0) {
		json_decref(c->tools);
		c->tools = NULL;
		return true;
	}
	if (strcmp(r->tool_choice, "required") != 0)
		return true;
	if (r->forced_tool != NULL && !narrow_to_forced_tool(r))
		return false;
	r->out->tool_call_required = true;
	return param_ask(r, ask);
}
