/* chat_messages: chat messages become Responses items, each with its own role. */
#include "proxy/api/chat_messages.h"

#include <stdio.h>
#include <string.h>

#include "common/common.h"
#include "common/json.h"
#include "proxy/api/parts.h"

struct message_reader {
	json_t *items;
	json_t *open_calls; /* call ids of the last assistant message without a result so far */
	/* The legacy form has no ids: at most one call is open, and its name finds it. */
	const char *open_function; /* borrowed from the message; NULL: none */
	char function_call_id[40];
	bool names_seen;
	struct api_error *error;
};

static bool
invalid(struct message_reader *r, size_t index, const char *member, const char *what)
{
	char param[96];

	(void)snprintf(param, sizeof(param), "messages[%zu]%s%s", index, member[0] ? "." : "",
	               member);
	return api_error_invalid(r->error, NULL, param, "Invalid '%s': %s", param, what);
}

/* Takes item over. */
static bool
append(struct message_reader *r, json_t *item)
{
	if (json_array_append_new(r->items, item) == 0)
		return true;
	api_error_out_of_memory(r->error);
	return false;
}

static json_t *
image_part(struct message_reader *r, size_t index, size_t part_index, const json_t *part)
{
	json_t *image = json_get_object(part, "image_url");
	char url[96], detail[96];

	(void)snprintf(url, sizeof(url), "messages[%zu].content[%zu].image_url.url", index,
	               part_index);
	(void)snprintf(detail, sizeof(detail), "messages[%zu].content[%zu].image_url.detail", index,
	               part_index);
	return part_image(json_object_get(image, "url"), url, json_object_get(image, "detail"),
	                  detail, r->error);
}

static json_t *
content_part(struct message_reader *r, size_t index, size_t part_index, const json_t *part,
             const char *text_type)
{
	const char *type = json_get_string(part, "type");
	bool from_user = strcmp(text_type, "input_text") == 0;
	char member[64];

	(void)snprintf(member, sizeof(member), "content[%zu]", part_index);
	if (type == NULL) {
		(void)invalid(r, index, member, "an object with a 'type' is required.");
		return NULL;
	}
	if (strcmp(type, "text") == 0 && json_is_string(json_object_get(part, "text")))
		return part_text(text_type, json_object_get(part, "text"), r->error);
	/* Codex has no item for a refusal; what the model said is kept as its words. */
	if (strcmp(type, "refusal") == 0 && !from_user &&
	    json_is_string(json_object_get(part, "refusal")))
		return part_text(text_type, json_object_get(part, "refusal"), r->error);
	if (strcmp(type, "image_url") == 0 && from_user)
		return image_part(r, index, part_index, part);
	(void)invalid(r, index, member,
	              from_user ? "supported content parts are 'text' and 'image_url'."
	                        : "supported content parts of this role are 'text' and 'refusal'.");
	return NULL;
}

/* A string or an array of parts as the content array of an item. NULL: *r->error is set. */
static json_t *
content_array(struct message_reader *r, size_t index, json_t *content, const char *text_type)
{
	json_auto_t *out = json_array();
	json_t *part;
	size_t i;

	if (json_is_string(content))
		return part_append(out, part_text(text_type, content, r->error), r->error)
		               ? json_incref(out)
		               : NULL;
	if (!json_is_array(content) || json_array_size(content) == 0) {
		(void)invalid(r, index, "content",
		              "a string or a non-empty array of content parts is required.");
		return NULL;
	}
	json_array_foreach(content, i, part) {
		if (!part_append(out, content_part(r, index, i, part, text_type), r->error))
			return NULL;
	}
	return json_incref(out);
}

static bool
plain_message(struct message_reader *r, size_t index, const json_t *message, const char *role,
              const char *text_type)
{
	json_t *content = content_array(r, index, json_object_get(message, "content"), text_type);

	if (content == NULL)
		return false;
	return append(
		r, json_pack("{s:s,s:s,s:o}", "type", "message", "role", role, "content", content));
}

/* Takes over neither; arguments is the model's string as it was. */
static bool
append_call(struct message_reader *r, const char *id, const char *name, json_t *arguments)
{
	if (json_object_set_new(r->open_calls, id, json_true()) != 0) {
		api_error_out_of_memory(r->error);
		return false;
	}
	return append(r, json_pack("{s:s,s:s,s:s,s:O}", "type", "function_call", "call_id", id,
	                           "name", name, "arguments", arguments));
}

static bool
tool_call(struct message_reader *r, size_t index, size_t call_index, const json_t *call)
{
	json_t *function = json_get_object(call, "function");
	const char *id = json_get_string(call, "id");
	const char *type = json_get_string(call, "type");
	const char *name = json_get_string(function, "name");
	json_t *arguments = json_object_get(function, "arguments");
	char member[64];

	(void)snprintf(member, sizeof(member), "tool_calls[%zu]", call_index);
	if (json_object_get(call, "type") != NULL &&
	    (type == NULL || strcmp(type, "function") != 0))
		return invalid(r, index, member,
		               "only tool calls of type 'function' are supported.");
	if (id == NULL || id[0] == '\0' || name == NULL || name[0] == '\0' ||
	    !json_is_string(arguments))
		return invalid(
			r, index, member,
			"'id', 'function.name' and 'function.arguments' are required strings.");
	if (json_object_get(r->open_calls, id) != NULL)
		return invalid(r, index, member, "its 'id' is used twice.");
	return append_call(r, id, name, arguments);
}

/* The legacy form, one call without an id: it is given one for its result to name. */
static bool
function_call(struct message_reader *r, size_t index, const json_t *call)
{
	const char *name = json_get_string(call, "name");
	json_t *arguments = json_object_get(call, "arguments");

	if (name == NULL || name[0] == '\0' || !json_is_string(arguments))
		return invalid(r, index, "function_call",
		               "'name' and 'arguments' are required strings.");
	(void)snprintf(r->function_call_id, sizeof(r->function_call_id), "call_legacy_%zu", index);
	r->open_function = name;
	return append_call(r, r->function_call_id, name, arguments);
}

/* What an assistant message says, apart from its calls. */
static bool
assistant_content(struct message_reader *r, size_t index, const json_t *message, bool has_calls)
{
	json_t *content = json_object_get(message, "content");
	json_t *refusal = json_object_get(message, "refusal");
	json_t *part;

	if (content != NULL && !json_is_null(content)) {
		/* An empty text beside calls is how some clients write "none". */
		if (has_calls && json_is_string(content) && json_string_length(content) == 0)
			return true;
		return plain_message(r, index, message, "assistant", "output_text");
	}
	if (json_is_string(refusal)) {
		part = part_text("output_text", refusal, r->error);
		return part != NULL && append(r, json_pack("{s:s,s:s,s:[o]}", "type", "message",
		                                           "role", "assistant", "content", part));
	}
	return has_calls ||
	       invalid(r, index, "content",
	               "content is required unless 'tool_calls' or 'function_call' are given.");
}

static bool
assistant_message(struct message_reader *r, size_t index, const json_t *message)
{
	json_t *calls = json_object_get(message, "tool_calls");
	json_t *legacy = json_object_get(message, "function_call");
	json_t *call;
	size_t i;

	/* An empty list is how some clients write "none". */
	if (json_is_null(calls) || (json_is_array(calls) && json_array_size(calls) == 0))
		calls = NULL;
	if (json_is_null(legacy))
		legacy = NULL;
	if (calls != NULL && !json_is_array(calls))
		return invalid(r, index, "tool_calls", "an array is required.");
	if (calls != NULL && legacy != NULL)
		return invalid(r, index, "function_call", "'tool_calls' are given as well.");
	if (!assistant_content(r, index, message, calls != NULL || legacy != NULL))
		return false;
	json_array_foreach(calls, i, call) {
		if (!tool_call(r, index, i, call))
			return false;
	}
	return legacy == NULL || function_call(r, index, legacy);
}

/* Takes output over. */
static bool
append_output(struct message_reader *r, const char *id, json_t *output)
{
	return append(r, json_pack("{s:s,s:s,s:o}", "type", "function_call_output", "call_id", id,
	                           "output", output));
}

/* A result is a string, or parts. */
static bool
tool_message(struct message_reader *r, size_t index, const json_t *message)
{
	const char *id = json_get_string(message, "tool_call_id");
	json_t *content = json_object_get(message, "content");
	json_t *output;

	if (id == NULL)
		return invalid(r, index, "tool_call_id", "a string is required.");
	if (json_object_del(r->open_calls, id) != 0)
		return invalid(r, index, "tool_call_id",
		               "it matches no tool call of the assistant message before it.");
	if (json_is_string(content))
		output = json_incref(content);
	else
		output = content_array(r, index, content, "input_text");
	return output != NULL && append_output(r, id, output);
}

/* The legacy form of a result; null is the same as nothing to say. */
static bool
function_message(struct message_reader *r, size_t index, const json_t *message)
{
	const char *name = json_get_string(message, "name");
	json_t *content = json_object_get(message, "content");

	if (name == NULL || r->open_function == NULL || strcmp(name, r->open_function) != 0)
		return invalid(r, index, "name",
		               "it matches no 'function_call' of the assistant message before it.");
	if (!json_is_string(content) && !json_is_null(content))
		return invalid(r, index, "content", "a string is required.");
	r->open_function = NULL;
	(void)json_object_del(r->open_calls, r->function_call_id);
	return append_output(r, r->function_call_id,
	                     json_is_string(content) ? json_incref(content) : json_string(""));
}

static bool
open_calls_answered(struct message_reader *r, size_t index)
{
	const char *id = json_object_iter_key(json_object_iter(r->open_calls));
	char param[32];

	if (id == NULL)
		return true;
	(void)snprintf(param, sizeof(param), "messages[%zu]", index);
	return api_error_invalid(
		r->error, NULL, param,
		"An assistant message with 'tool_calls' (or 'function_call') must be followed by "
		"messages of role 'tool' (or 'function') with the result of each call. No result "
		"for: %.64s",
		r->open_function != NULL ? r->open_function : id);
}

static bool
message_to_items(struct message_reader *r, size_t index, const json_t *message)
{
	const char *role = json_get_string(message, "role");

	if (!json_is_object(message))
		return invalid(r, index, "", "an object is required.");
	if (role == NULL)
		return invalid(r, index, "role", "a string is required.");
	if (strcmp(role, "tool") == 0)
		return tool_message(r, index, message);
	if (strcmp(role, "function") == 0)
		return function_message(r, index, message);
	if (json_object_get(message, "name") != NULL)
		r->names_seen = true;
	if (!open_calls_answered(r, index))
		return false;
	/* Codex drops items of role "system" without a word; "developer" is its name for them. */
	if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
		return plain_message(r, index, message, "developer", "input_text");
	if (strcmp(role, "user") == 0)
		return plain_message(r, index, message, "user", "input_text");
	if (strcmp(role, "assistant") == 0)
		return assistant_message(r, index, message);
	return invalid(
		r, index, "role",
		"supported roles are system, developer, user, assistant, tool and function.");
}

bool
chat_messages_to_items(json_t *items, const json_t *messages, bool *names_seen,
                       struct api_error *error)
{
	struct message_reader r = {.items = items, .open_calls = json_object(), .error = error};
	json_t *message;
	size_t i;
	bool ok = true;

	json_array_foreach(messages, i, message) {
		ok = message_to_items(&r, i, message);
		if (!ok)
			break;
	}
	if (ok)
		ok = open_calls_answered(&r, json_array_size(messages) - 1);
	json_decref(r.open_calls);
	*names_seen = r.names_seen;
	return ok;
}
