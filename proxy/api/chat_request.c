/* chat_request: the body of POST /v1/chat/completions, checked and turned into a conversation. */
#include "proxy/api/chat_request.h"

#include <stdio.h>
#include <string.h>

#include "proxy/api/chat_messages.h"

/* codex reads 127 levels, of which it needs a few around a schema, and is silent about a call with
 * more. */
#define SCHEMA_LEVELS_MAX 100

/* A history of 12,000 messages has 100,000 values. This many take 40 MB at most. */
#define VALUES_MAX 500000

struct request_reader {
	struct chat_request *out;
	const json_t *root;
	struct api_error *error;
	const char *tool_choice; /* "auto" when absent */
	const char *forced_tool; /* the name, for a named choice */
};

/* Reads one parameter that is present and not null. False: *r->error is set. */
typedef bool (*param_fn)(struct request_reader *r, const char *name, json_t *value);

static bool
ignored(struct request_reader *r, const char *name, json_t *value)
{
	struct json_buf *list = &r->out->ignored;

	if (list->len > 0)
		json_buf_append(list, ", ", 2);
	json_buf_append(list, name, strlen(name));
	return true;
}

static bool
wrong_type(struct request_reader *r, const char *name, const char *wanted)
{
	return api_error_invalid(r->error, "invalid_type", name, "Invalid type for '%s': %s.", name,
	                         wanted);
}

static bool
unsupported(struct request_reader *r, const char *name, const char *what)
{
	return api_error_invalid(r->error, "unsupported_parameter", name,
	                         "Unsupported parameter: '%s' %s.", name, what);
}

static bool
unsupported_value(struct request_reader *r, const char *name, const char *what)
{
	return api_error_invalid(r->error, "unsupported_value", name, "Unsupported value: '%s' %s.",
	                         name, what);
}

static bool
out_of_memory(struct request_reader *r)
{
	api_error_set(r->error, 500, "server_error", "internal_error", "Out of memory.");
	return false;
}

/* A short word such as an effort or a tier, kept in *out. */
static bool
word(struct request_reader *r, char **out, const char *name, json_t *value)
{
	const char *text = json_text(value); /* NULL where it holds a NUL */

	if (!json_is_string(value))
		return wrong_type(r, name, "a string is required");
	if (text == NULL || text[0] == '\0' || strlen(text) > 128)
		return api_error_invalid(
			r->error, "invalid_value", name,
			"Invalid value for '%s': 1 to 128 characters are required.", name);
	free(*out);
	*out = strdup(text);
	return *out != NULL || out_of_memory(r);
}

static bool
boolean(struct request_reader *r, bool *out, const char *name, json_t *value)
{
	if (!json_is_boolean(value))
		return wrong_type(r, name, "a boolean is required");
	*out = json_is_true(value);
	return true;
}

static bool
schema_is_flat_enough(struct request_reader *r, const char *name, const json_t *schema)
{
	return !json_deeper_than(schema, SCHEMA_LEVELS_MAX) ||
	       api_error_invalid(r->error, "invalid_value", name,
	                         "Invalid value for '%s': it has more than %d levels of nesting.",
	                         name, SCHEMA_LEVELS_MAX);
}

static bool
read_model(struct request_reader *r, const char *name, json_t *value)
{
	return word(r, &r->out->conversation->model, name, value);
}

static bool
read_messages(struct request_reader *r, const char *name, json_t *value)
{
	bool names_seen = false;

	if (!json_is_array(value))
		return wrong_type(r, name, "an array of messages is required");
	if (json_array_size(value) == 0)
		return api_error_invalid(r->error, "empty_array", name,
		                         "Invalid '%s': at least one message is required.", name);
	if (!chat_messages_to_items(r->out->conversation->items, value, &names_seen, r->error))
		return false;
	return !names_seen || ignored(r, "messages.name", value);
}

static bool
read_stream(struct request_reader *r, const char *name, json_t *value)
{
	return boolean(r, &r->out->stream, name, value);
}

static bool
read_stream_options(struct request_reader *r, const char *name, json_t *value)
{
	json_t *include = json_object_get(value, "include_usage");

	if (!json_is_object(value))
		return wrong_type(r, name, "an object is required");
	if (!json_is_true(json_object_get(r->root, "stream")))
		return api_error_invalid(r->error, NULL, name,
		                         "'%s' is only allowed when 'stream' is true.", name);
	if (include == NULL || json_is_null(include))
		return true;
	return boolean(r, &r->out->include_usage, "stream_options.include_usage", include);
}

static bool
read_effort(struct request_reader *r, const char *name, json_t *value)
{
	return word(r, &r->out->conversation->effort, name, value);
}

static bool
read_verbosity(struct request_reader *r, const char *name, json_t *value)
{
	const char *text = json_text(value);

	if (text == NULL ||
	    (strcmp(text, "low") != 0 && strcmp(text, "medium") != 0 && strcmp(text, "high") != 0))
		return unsupported_value(r, name, "must be 'low', 'medium' or 'high'");
	return word(r, &r->out->conversation->verbosity, name, value);
}

static bool
read_service_tier(struct request_reader *r, const char *name, json_t *value)
{
	const char *text = json_text(value);

	/* "auto" and "default" are what happens without the parameter. */
	if (text != NULL && (strcmp(text, "auto") == 0 || strcmp(text, "default") == 0))
		return true;
	return word(r, &r->out->conversation->service_tier, name, value);
}

static bool
read_response_format(struct request_reader *r, const char *name, json_t *value)
{
	const char *type = json_get_string(value, "type");
	json_t *schema = json_get_object(json_get_object(value, "json_schema"), "schema");

	if (!json_is_object(value) || type == NULL)
		return wrong_type(r, name, "an object with a 'type' is required");
	if (strcmp(type, "text") == 0)
		return true;
	if (strcmp(type, "json_schema") != 0)
		return unsupported_value(r, "response_format.type",
		                         "must be 'text' or 'json_schema'");
	if (schema == NULL)
		return api_error_invalid(r->error, "missing_required_parameter",
		                         "response_format.json_schema.schema",
		                         "Missing required parameter: "
		                         "'response_format.json_schema.schema'.");
	if (!schema_is_flat_enough(r, "response_format.json_schema.schema", schema))
		return false;
	r->out->conversation->output_schema = json_incref(schema);
	return true;
}

static bool
name_is_valid(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-";
	size_t len = name != NULL ? strlen(name) : 0;

	return len >= 1 && len <= 64 && strspn(name, allowed) == len;
}

/* names: of the tools so far. */
static bool
read_tool_name(struct request_reader *r, size_t index, const char *name, json_t *names)
{
	char param[64];

	(void)snprintf(param, sizeof(param), "tools[%zu].function.name", index);
	if (!name_is_valid(name))
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
	return json_object_set_new(names, name, json_true()) == 0 || out_of_memory(r);
}

/* NULL or null counts as not given. The caller's own values become part of the tool. */
static bool
add_tool(struct request_reader *r, const char *name, json_t *description, json_t *parameters)
{
	json_t *made = json_pack("{s:s,s:O*,s:O*}", "name", name, "description",
	                         json_is_string(description) ? description : NULL, "parameters",
	                         json_is_object(parameters) ? parameters : NULL);

	if (!json_is_string(description))
		(void)json_object_set_new(made, "description", json_string(""));
	if (!json_is_object(parameters))
		(void)json_object_set_new(made, "parameters",
		                          json_pack("{s:s,s:{}}", "type", "object", "properties"));
	return json_array_append_new(r->out->conversation->tools, made) == 0 || out_of_memory(r);
}

static bool
read_tool(struct request_reader *r, size_t index, const json_t *tool, json_t *names)
{
	json_t *function = json_get_object(tool, "function");
	json_t *description = json_object_get(function, "description");
	json_t *parameters = json_object_get(function, "parameters");
	const char *type = json_get_string(tool, "type");
	const char *name = json_get_string(function, "name");
	char param[64];

	(void)snprintf(param, sizeof(param), "tools[%zu]", index);
	if (type == NULL || strcmp(type, "function") != 0)
		return unsupported_value(r, param, "must be of type 'function'");
	if (!read_tool_name(r, index, name, names))
		return false;
	(void)snprintf(param, sizeof(param), "tools[%zu].function.description", index);
	if (description != NULL && !json_is_string(description) && !json_is_null(description))
		return wrong_type(r, param, "a string is required");
	(void)snprintf(param, sizeof(param), "tools[%zu].function.parameters", index);
	if (parameters != NULL && !json_is_object(parameters) && !json_is_null(parameters))
		return wrong_type(r, param, "a JSON Schema object is required");
	return schema_is_flat_enough(r, param, parameters) &&
	       add_tool(r, name, description, parameters);
}

static bool
read_tools(struct request_reader *r, const char *name, json_t *value)
{
	json_auto_t *names = json_object();
	bool strict = false;
	json_t *tool;
	size_t i;

	if (!json_is_array(value))
		return wrong_type(r, name, "an array is required");
	if (json_array_size(value) == 0)
		return true;
	r->out->conversation->tools = json_array();
	json_array_foreach(value, i, tool) {
		if (!read_tool(r, i, tool, names))
			return false;
		strict |= json_get_bool(json_get_object(tool, "function"), "strict", false);
	}
	/* Codex passes every function on without it. */
	return !strict || ignored(r, "tools.function.strict", value);
}

static bool
read_tool_choice(struct request_reader *r, const char *name, json_t *value)
{
	const char *text = json_text(value);

	if (json_is_object(value)) {
		const char *type = json_get_string(value, "type");

		r->forced_tool = json_get_string(json_get_object(value, "function"), "name");
		if (type == NULL || strcmp(type, "function") != 0 || r->forced_tool == NULL)
			return unsupported_value(
				r, name, "must be none, auto, required or a function by name");
		r->tool_choice = "required";
		return true;
	}
	if (text == NULL || (strcmp(text, "none") != 0 && strcmp(text, "auto") != 0 &&
	                     strcmp(text, "required") != 0))
		return unsupported_value(r, name,
		                         "must be none, auto, required or a function by name");
	r->tool_choice = text;
	return true;
}

static bool
read_parallel(struct request_reader *r, const char *name, json_t *value)
{
	bool parallel = true;

	if (!boolean(r, &parallel, name, value))
		return false;
	r->out->single_tool_call = !parallel;
	return true;
}

static bool
only_one(struct request_reader *r, const char *name, json_t *value)
{
	if (!json_is_integer(value))
		return wrong_type(r, name, "an integer is required");
	return json_integer_value(value) == 1 || unsupported_value(r, name, "must be 1");
}

static bool
only_false(struct request_reader *r, const char *name, json_t *value)
{
	return json_is_false(value) || unsupported_value(r, name, "must be false");
}

static bool
only_text(struct request_reader *r, const char *name, json_t *value)
{
	const char *first = json_text(json_array_get(value, 0));

	return (json_array_size(value) == 1 && first != NULL && strcmp(first, "text") == 0) ||
	       unsupported_value(r, name, "must be [\"text\"]");
}

static bool
refused(struct request_reader *r, const char *name, json_t *value)
{
	return unsupported(r, name, "is not available through Codex");
}

static bool
refused_legacy(struct request_reader *r, const char *name, json_t *value)
{
	return unsupported(r, name, "is the legacy form; use 'tools' and 'tool_choice'");
}

/* Every parameter there is; docs/chat-completions.md is this table for people. Codex has no place
 * for the ignored ones; clients send them by habit, and are told in x-codex-ignored-params. */
static const struct param {
	const char *name;
	param_fn read;
} params[] = {
	{"audio",		  refused             },
	{"frequency_penalty",      ignored             },
	{"function_call",          refused_legacy      },
	{"functions",              refused_legacy      },
	{"logit_bias",             ignored             },
	{"logprobs",               only_false          },
	{"max_completion_tokens",  ignored             },
	{"max_tokens",             ignored             },
	{"messages",               read_messages       },
	{"metadata",               ignored             },
	{"modalities",             only_text           },
	{"model",		  read_model          },
	{"n",		      only_one            },
	{"parallel_tool_calls",    read_parallel       },
	{"prediction",             ignored             },
	{"presence_penalty",       ignored             },
	{"prompt_cache_key",       ignored             },
	{"prompt_cache_retention", ignored             },
	{"reasoning_effort",       read_effort         },
	{"response_format",        read_response_format},
	{"safety_identifier",      ignored             },
	{"seed",		   ignored             },
	{"service_tier",           read_service_tier   },
	{"stop",		   refused             },
	{"store",		  ignored             },
	{"stream",                 read_stream         },
	{"stream_options",         read_stream_options },
	{"temperature",            ignored             },
	{"tool_choice",            read_tool_choice    },
	{"tools",		  read_tools          },
	{"top_logprobs",           refused             },
	{"top_p",		  ignored             },
	{"user",		   ignored             },
	{"verbosity",              read_verbosity      },
	{"web_search_options",     refused             },
};

static const struct param *
find_param(const char *name)
{
	for (size_t i = 0; i < NELEM(params); i++)
		if (strcmp(params[i].name, name) == 0)
			return &params[i];
	return NULL;
}

static bool
narrow_to_forced_tool(struct request_reader *r)
{
	json_t *tools = r->out->conversation->tools;
	json_t *tool;
	size_t i;

	json_array_foreach(tools, i, tool) {
		if (strcmp(json_get_string(tool, "name"), r->forced_tool) == 0) {
			r->out->conversation->tools = json_pack("[O]", tool);
			json_decref(tools);
			return r->out->conversation->tools != NULL || out_of_memory(r);
		}
	}
	return api_error_invalid(
		r->error, "invalid_value", "tool_choice",
		"Invalid value for 'tool_choice': the function '%.64s' is not among "
		"the 'tools'.",
		r->forced_tool);
}

/* Codex always lets the model choose. So "none" offers nothing, and a required call is asked for in
 * one developer item at the end of the history, and checked in the answer. */
static bool
apply_tool_choice(struct request_reader *r)
{
	static const char ask[] = "Answer by calling one of the available functions, without any "
				  "other text.";
	struct conversation *c = r->out->conversation;

	if (c->tools == NULL)
		return strcmp(r->tool_choice, "required") != 0 ||
		       api_error_invalid(r->error, "invalid_value", "tool_choice",
		                         "'tool_choice' is only allowed when 'tools' are given.");
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
	if (json_array_append_new(c->items, json_pack("{s:s,s:s,s:[{s:s,s:s}]}", "type", "message",
	                                              "role", "developer", "content", "type",
	                                              "input_text", "text", ask)) != 0)
		return out_of_memory(r);
	return true;
}

static bool
read_params(struct request_reader *r)
{
	const char *name;
	json_t *value;

	/* jansson's iterator takes no const object; nothing is changed. */
	json_object_foreach((json_t *)(uintptr_t)r->root, name, value) {
		const struct param *param = find_param(name);

		if (param == NULL)
			return api_error_invalid(r->error, "unknown_parameter", name,
			                         "Unrecognized request argument supplied: %.128s",
			                         name);
		if (!json_is_null(value) && !param->read(r, name, value))
			return false;
	}
	if (!json_is_array(json_object_get(r->root, "messages")))
		return api_error_invalid(r->error, "missing_required_parameter", "messages",
		                         "Missing required parameter: 'messages'.");
	return apply_tool_choice(r);
}

bool
chat_request_parse(struct chat_request *out, const char *body, size_t len,
                   const char *default_effort, struct api_error *error)
{
	struct request_reader r = {.out = out, .error = error, .tool_choice = "auto"};
	json_auto_t *root = NULL;
	struct err err;

	*out = (struct chat_request){0};
	if (json_count_values(body, len) > VALUES_MAX)
		return api_error_invalid(error, "invalid_json", NULL,
		                         "The request body holds more than %d JSON values.",
		                         VALUES_MAX);
	root = json_parse(body, len, &err);
	if (root == NULL)
		return api_error_invalid(error, "invalid_json", NULL,
		                         "The request body is not valid JSON: %s", err.text);
	if (!json_is_object(root))
		return api_error_invalid(error, "invalid_json", NULL,
		                         "The request body must be a JSON object.");
	r.root = root;
	out->conversation = conversation_new();
	if (out->conversation == NULL)
		return out_of_memory(&r);
	out->conversation->items = json_array();
	if (!read_params(&r)) {
		chat_request_fini(out);
		return false;
	}
	if (out->conversation->effort == NULL && default_effort != NULL) {
		out->conversation->effort = strdup(default_effort);
		if (out->conversation->effort == NULL) {
			chat_request_fini(out);
			return out_of_memory(&r);
		}
	}
	return true;
}

void
chat_request_fini(struct chat_request *r)
{
	conversation_free(r->conversation);
	r->conversation = NULL;
	json_buf_free(&r->ignored);
}
