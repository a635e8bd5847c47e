/* responses_tools: tools and tool_choice of a Responses request. */
#include "proxy/api/responses_tools.h"

#include <stdio.h>
#include <string.h>

#include "proxy/api/responses_reader.h"
#include "proxy/api/tools.h"

#define NAME_MAX_CHARACTERS 128
#define WHERE_MAX           96
#define KEY_MAX             300

/* Codex puts the functions that are in no namespace into this one, for the models that have it. */
bool
responses_is_plain(const char *space)
{
	return space == NULL || strcmp(space, "functions") == 0;
}

/* Where the functions of a list go, and what is said of them. */
struct place {
	const char *where; /* the list's path in the request */
	const char *space; /* the caller's namespace; NULL: none */
	json_t *list;      /* of the conversation */
	bool skip_known;
};

/* --- one tool -------------------------------------------------------------------------------- */

/* Remembers what the caller calls it. */
static bool
note_tool(struct param_reader *r, const struct place *place, const char *name, const char *type)
{
	struct responses_request *out = responses_out(r);
	char key[KEY_MAX];

	tools_key(key, sizeof(key), responses_is_plain(place->space) ? NULL : place->space, name);
	return json_object_set_new(out->tools, key,
	                           json_pack("{s:s,s:s*}", "type", type, "space", place->space)) ==
	               0 ||
	       param_out_of_memory(r);
}

static bool
add(struct param_reader *r, const struct place *place, struct tool *tool, const char *type)
{
	const char *name = json_text(tool->name);
	char key[KEY_MAX];

	tool->space = responses_is_plain(place->space) ? NULL : place->space;
	tool->name_max = NAME_MAX_CHARACTERS;
	if (place->skip_known && name != NULL && strlen(name) <= NAME_MAX_CHARACTERS) {
		tools_key(key, sizeof(key), tool->space, name);
		if (json_object_get(r->tool_names, key) != NULL)
			return true;
	}
	return tools_add(r, place->list, tool) && note_tool(r, place, json_text(tool->name), type);
}

static bool
read_function(struct param_reader *r, const struct place *place, const char *where,
              const json_t *function)
{
	struct tool tool = {
		.where = where,
		.name = json_object_get(function, "name"),
		.description = json_object_get(function, "description"),
		.parameters = json_object_get(function, "parameters"),
	};

	return add(r, place, &tool, "function");
}

/* What the model has to know of a custom tool, since it sees a function. */
static json_t *
custom_description(const json_t *custom)
{
	const char *description = json_get_string(custom, "description");
	const json_t *format = json_object_get(custom, "format");
	const char *grammar = json_get_string(format, "definition");
	const char *syntax = json_get_string(format, "syntax");

	if (description == NULL)
		description = "";
	if (grammar == NULL)
		return json_string(description);
	return json_sprintf("%s%sThe '" CUSTOM_TOOL_INPUT "' must follow this grammar (%s):\n%s",
	                    description, description[0] != '\0' ? "\n\n" : "",
	                    syntax != NULL ? syntax : "lark", grammar);
}

static bool
check_format(struct param_reader *r, const char *where, const json_t *format)
{
	const char *type = json_get_string(format, "type");
	char param[WHERE_MAX + 16];

	if (format == NULL || json_is_null(format) || (type != NULL && strcmp(type, "text") == 0))
		return true;
	(void)snprintf(param, sizeof(param), "%s.format", where);
	if (type == NULL || strcmp(type, "grammar") != 0)
		return param_unsupported_value(r, param, "must be of type 'text' or 'grammar'");
	return json_get_string(format, "definition") != NULL ||
	       param_wrong_type(r, param, "a grammar needs its 'definition', a string");
}

static bool
read_custom(struct param_reader *r, const struct place *place, const char *where,
            const json_t *custom)
{
	json_t *given = json_object_get(custom, "description");
	json_auto_t *description = json_is_string(given) || given == NULL
	                                   ? custom_description(custom)
	                                   : json_incref(given); /* tools_add says what is wrong */
	json_auto_t *parameters = json_pack("{s:s,s:{s:{s:s,s:s}},s:[s],s:b}", "type", "object",
	                                    "properties", CUSTOM_TOOL_INPUT, "type", "string",
	                                    "description", "Free text: not JSON.", "required",
	                                    CUSTOM_TOOL_INPUT, "additionalProperties", 0);
	struct tool tool = {
		.where = where,
		.name = json_object_get(custom, "name"),
		.description = description,
		.parameters = parameters,
	};

	if (description == NULL || parameters == NULL)
		return param_out_of_memory(r);
	return check_format(r, where, json_object_get(custom, "format")) &&
	       add(r, place, &tool, "custom");
}

/* --- lists ----------------------------------------------------------------------------------- */

static bool add_list(struct param_reader *r, const struct place *place, const json_t *tools);

/* The functions of a namespace in the conversation, which may be there already. NULL: no memory. */
static json_t *
namespace_list(struct param_reader *r, json_t *name, json_t *description)
{
	json_t *list = tools_list(r);
	json_t *tool, *made;
	size_t i;

	json_array_foreach(list, i, tool) {
		if (json_object_get(tool, "tools") != NULL &&
		    json_equal(json_object_get(tool, "name"), name))
			return json_object_get(tool, "tools");
	}
	made = json_pack("{s:O,s:O*,s:[]}", "name", name, "description",
	                 json_is_string(description) ? description : NULL, "tools");
	if (!json_is_string(description))
		json_put(&made, "description", json_string(""));
	if (json_array_append_new(list, made) != 0)
		return NULL;
	return json_object_get(made, "tools");
}

static bool
read_namespace(struct param_reader *r, const struct place *outer, const char *where,
               const json_t *value)
{
	const char *name = json_get_string(value, "name");
	const json_t *tools = json_object_get(value, "tools");
	char param[WHERE_MAX + 16];
	struct place place = {.where = param, .space = name, .skip_known = outer->skip_known};

	(void)snprintf(param, sizeof(param), "%s.name", where);
	if (!param_is_name(name, NAME_MAX_CHARACTERS))
		return param_invalid_value(r, param,
		                           "1 to 128 characters of a-z, A-Z, 0-9, _ and - are "
		                           "required");
	(void)snprintf(param, sizeof(param), "%s.tools", where);
	if (!json_is_array(tools) || json_array_size(tools) == 0)
		return param_wrong_type(r, param, "a non-empty array is required");
	place.list = responses_is_plain(name)
	                     ? tools_list(r)
	                     : namespace_list(r, json_object_get(value, "name"),
	                                      json_object_get(value, "description"));
	if (place.list == NULL)
		return param_out_of_memory(r);
	return add_list(r, &place, tools);
}

static bool
read_tool(struct param_reader *r, const struct place *place, const char *where, const json_t *tool)
{
	const char *type = json_get_string(tool, "type");
	char param[WHERE_MAX + 16];

	(void)snprintf(param, sizeof(param), "%s.type", where);
	if (type == NULL)
		return param_wrong_type(r, param, "a string is required");
	if (strcmp(type, "function") == 0)
		return read_function(r, place, where, tool);
	if (strcmp(type, "custom") == 0)
		return read_custom(r, place, where, tool);
	if (strcmp(type, "namespace") == 0 && place->space == NULL)
		return read_namespace(r, place, where, tool);
	if (strcmp(type, "tool_search") == 0 && place->space == NULL)
		return responses_reader(r)->search_seen = true;
	return api_error_invalid(r->error, "unsupported_value", param,
	                         "Unsupported value: '%s' is '%.64s', a tool that is not available "
	                         "through Codex. Those of type 'function', 'custom' and "
	                         "'namespace' are.",
	                         param, type);
}

static bool
add_list(struct param_reader *r, const struct place *place, const json_t *tools)
{
	struct responses_reader *reader = responses_reader(r);
	char where[WHERE_MAX];
	json_t *tool;
	size_t i;

	json_array_foreach(tools, i, tool) {
		(void)snprintf(where, sizeof(where), "%s[%zu]", place->where, i);
		if (!read_tool(r, place, where, tool))
			return false;
		reader->strict_seen |= json_get_bool(tool, "strict", false);
		reader->deferred_seen |= json_get_bool(tool, "defer_loading", false);
	}
	return true;
}

bool
responses_read_tools(struct param_reader *r, const char *name, json_t *value)
{
	const struct place place = {.where = name, .list = tools_list(r)};

	if (!json_is_array(value))
		return param_wrong_type(r, name, "an array is required");
	return place.list != NULL ? add_list(r, &place, value) : param_out_of_memory(r);
}

bool
responses_add_tools(struct param_reader *r, const char *where, const json_t *tools)
{
	const struct place place = {.where = where, .list = tools_list(r), .skip_known = true};

	if (!json_is_array(tools))
		return param_wrong_type(r, where, "an array is required");
	return place.list != NULL ? add_list(r, &place, tools) : param_out_of_memory(r);
}

bool
responses_end_tools(struct param_reader *r)
{
	const struct responses_reader *reader = responses_reader(r);

	/* Codex passes every function on without it. */
	if (reader->strict_seen)
		(void)param_ignored(r, "tools.strict", NULL);
	/* All functions are offered at once: there is nothing to search for. */
	if (reader->deferred_seen)
		(void)param_ignored(r, "tools.defer_loading", NULL);
	if (reader->search_seen)
		(void)param_ignored(r, "tools.tool_search", NULL);
	return tools_apply_choice(r);
}

/* --- the choice ------------------------------------------------------------------------------ */

static bool
allow(struct param_reader *r, const char *name, const json_t *tool)
{
	const char *type = json_get_string(tool, "type");
	const char *tool_name = json_get_string(tool, "name");

	if (type == NULL || (strcmp(type, "function") != 0 && strcmp(type, "custom") != 0))
		return param_unsupported_value(
			r, name, "can name tools of type 'function' and 'custom' only");
	if (tool_name == NULL)
		return param_wrong_type(r, name, "a tool needs its 'name', a string");
	return tools_allow(r, tool_name);
}

static bool
read_allowed(struct param_reader *r, const char *name, const json_t *value)
{
	const json_t *tools = json_object_get(value, "tools");
	const char *mode = json_get_string(value, "mode");
	json_t *tool;
	size_t i;

	if (mode == NULL || (strcmp(mode, "auto") != 0 && strcmp(mode, "required") != 0))
		return param_unsupported_value(r, "tool_choice.mode",
		                               "must be 'auto' or 'required'");
	if (!json_is_array(tools) || json_array_size(tools) == 0)
		return param_wrong_type(r, "tool_choice.tools", "a non-empty array is required");
	json_array_foreach(tools, i, tool) {
		if (!allow(r, name, tool))
			return false;
	}
	r->tool_choice = mode;
	return true;
}

bool
responses_read_tool_choice(struct param_reader *r, const char *name, json_t *value)
{
	const char *text = json_text(value);
	const char *type = json_get_string(value, "type");

	if (json_is_object(value)) {
		if (type != NULL && strcmp(type, "allowed_tools") == 0)
			return read_allowed(r, name, value);
		r->tool_choice = "required";
		return allow(r, name, value);
	}
	if (!tools_is_choice(text) && (text == NULL || strcmp(text, "required") != 0))
		return param_unsupported_value(
			r, name, "must be none, auto, required or a tool by type and name");
	r->tool_choice = text;
	return true;
}

/* --- calls ----------------------------------------------------------------------------------- */

json_t *
responses_custom_arguments(json_t *input)
{
	json_auto_t *arguments = json_pack("{s:O}", CUSTOM_TOOL_INPUT, input);
	size_t len = 0;
	AUTO_FREE char *text = arguments != NULL ? json_to_text(arguments, &len) : NULL;

	return text != NULL ? json_stringn(text, len) : NULL;
}

/* The input that stands in the arguments; what is something else is the input itself. */
static json_t *
custom_input(const struct event *event)
{
	const char *text = event->tool_call.arguments;
	size_t len = event->tool_call.arguments_len;
	bool no_memory;
	json_auto_t *arguments = json_load(text, len, JSON_ALLOW_NUL, NULL, &no_memory);
	json_t *input = json_object_get(arguments, CUSTOM_TOOL_INPUT);

	if (no_memory)
		return NULL;
	return json_is_string(input) ? json_incref(input) : json_stringn(text, len);
}

json_t *
responses_call_item(const json_t *tools, const struct event *event)
{
	const char *space =
		responses_is_plain(event->tool_call.space) ? NULL : event->tool_call.space;
	const char *name = event->tool_call.name;
	const char *type = NULL;
	const json_t *tool;
	char key[KEY_MAX];
	bool custom;

	tools_key(key, sizeof(key), space, name);
	tool = json_object_get(tools, key);
	type = json_get_string(tool, "type");
	if (tool != NULL)
		space = json_get_string(tool, "space");
	custom = type != NULL && strcmp(type, "custom") == 0;
	return json_pack(
		"{s:s,s:s,s:s*,s:s,s:o}", "type", custom ? "custom_tool_call" : "function_call",
		"call_id", event->tool_call.call_id, "namespace", space, "name", name,
		custom ? "input" : "arguments",
		custom ? custom_input(event)
		       : json_stringn(event->tool_call.arguments, event->tool_call.arguments_len));
}
