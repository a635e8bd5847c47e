/* chat_tools: tools and tool_choice of a chat completion, and their legacy form. */
#include "proxy/api/chat_tools.h"

#include <stdio.h>
#include <string.h>

#include "proxy/api/tools.h"

#define NAME_MAX_CHARACTERS 64

static struct chat_reader *
reader(struct param_reader *r)
{
	return (struct chat_reader *)r;
}

/* where: its path in the request. */
static bool
read_function(struct param_reader *r, const char *where, const json_t *function)
{
	const struct tool tool = {
		.where = where,
		.name = json_object_get(function, "name"),
		.description = json_object_get(function, "description"),
		.parameters = json_object_get(function, "parameters"),
		.name_max = NAME_MAX_CHARACTERS,
	};

	return tools_add(r, tools_list(r), &tool);
}

static bool
read_tool(struct param_reader *r, size_t index, const json_t *tool)
{
	const char *type = json_get_string(tool, "type");
	char where[40];

	(void)snprintf(where, sizeof(where), "tools[%zu]", index);
	if (type == NULL || strcmp(type, "function") != 0)
		return param_unsupported_value(r, where, "must be of type 'function'");
	(void)snprintf(where, sizeof(where), "tools[%zu].function", index);
	return read_function(r, where, json_get_object(tool, "function"));
}

bool
chat_read_tools(struct param_reader *r, const char *name, json_t *value)
{
	bool strict = false;
	json_t *tool;
	size_t i;

	reader(r)->has_tool_params = true;
	if (!json_is_array(value))
		return param_wrong_type(r, name, "an array is required");
	json_object_clear(r->tool_names); /* of functions, which is refused at the end */
	json_array_foreach(value, i, tool) {
		if (!read_tool(r, i, tool))
			return false;
		strict |= json_get_bool(json_get_object(tool, "function"), "strict", false);
	}
	/* Codex passes every function on without it. */
	return !strict || param_ignored(r, "tools.function.strict", value);
}

bool
chat_read_functions(struct param_reader *r, const char *name, json_t *value)
{
	json_t *function;
	char where[40];
	size_t i;

	reader(r)->legacy_param = name;
	if (!json_is_array(value))
		return param_wrong_type(r, name, "an array is required");
	if (json_array_size(value) == 0)
		return true;
	json_object_clear(r->tool_names); /* of tools, which is refused at the end */
	((struct chat_request *)r->out)->legacy_functions = true;
	r->out->single_tool_call = true; /* the form has room for one */
	json_array_foreach(value, i, function) {
		(void)snprintf(where, sizeof(where), "functions[%zu]", i);
		if (!read_function(r, where, function))
			return false;
	}
	return true;
}

bool
chat_read_tool_choice(struct param_reader *r, const char *name, json_t *value)
{
	static const char wanted[] = "must be none, auto, required or a function by name";
	const char *text = json_text(value);
	const char *type = json_get_string(value, "type");
	const char *forced = NULL;

	reader(r)->has_tool_params = true;
	r->choice_param = name;
	if (json_is_object(value)) {
		forced = json_get_string(json_get_object(value, "function"), "name");
		if (type == NULL || strcmp(type, "function") != 0 || forced == NULL)
			return param_unsupported_value(r, name, wanted);
		r->tool_choice = "required";
		return tools_allow(r, forced);
	}
	if (!tools_is_choice(text) && (text == NULL || strcmp(text, "required") != 0))
		return param_unsupported_value(r, name, wanted);
	r->tool_choice = text;
	return true;
}

bool
chat_read_function_call(struct param_reader *r, const char *name, json_t *value)
{
	const char *forced = json_get_string(value, "name");
	const char *text = json_text(value);

	if (reader(r)->legacy_param == NULL)
		reader(r)->legacy_param = name;
	r->choice_param = name;
	if (json_is_object(value) ? forced == NULL : !tools_is_choice(text))
		return param_unsupported_value(r, name, "must be none, auto or a function by name");
	r->tool_choice = forced != NULL ? "required" : text;
	return forced == NULL || tools_allow(r, forced);
}

bool
chat_apply_tool_choice(struct param_reader *r)
{
	if (reader(r)->legacy_param != NULL && reader(r)->has_tool_params)
		return param_invalid_value(
			r, reader(r)->legacy_param,
			"it is the legacy form, which does not go with 'tools' and 'tool_choice'");
	return tools_apply_choice(r);
}
