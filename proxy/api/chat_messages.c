/* chat_messages: chat messages become Responses items, each with its own role. */
#include "proxy/api/chat_messages.h"

#include <stdio.h>
#include <string.h>

#include "common/common.h"
#include "common/json.h"

struct message_reader {
	json_t *items;
	json_t *open_calls; /* call ids of the last assistant message without a result so far */
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
	api_error_set(r->error, 500, "server_error", "internal_error", "Out of memory.");
	return false;
}

/* The caller's string itself becomes part of the item: it is neither copied nor changed. */
static json_t *
text_part(const char *type, json_t *text)
{
	return json_pack("{s:s,s:O}", "type", type, "text", text);
}

/* Codex takes images as data URLs only. */
static json_t *
image_part(struct message_reader *r, size_t index, size_t part_index, const json_t *part)
{
	json_t *image = json_get_object(part, "image_url");
	const char *url = json_get_string(image, "url");
	const char *detail = json_get_string(image, "detail");
	char member[64];

	(void)snprintf(member, sizeof(member), "content[%zu].image_url.url", part_index);
	if (url == NULL) {
		(void)invalid(r, index, member, "a string is required.");
		return NULL;
	}
	if (strncmp(url, "data:image/", 11) != 0 || strstr(url, ";base64,") == NULL) {
		(void)invalid(r, index, member,
		              "only base64 data URLs (data:image/...;base64,...) are supported; "
		              "images are not fetched from other addresses.");
		return NULL;
	}
	return json_pack("{s:s,s:s,s:s*}", "type", "input_image", "image_url", url, "detail",
	                 detail);
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
		return text_part(text_type, json_object_get(part, "text"));
	/* Codex has no item for a refusal; what the model said is kept as its words. */
	if (strcmp(type, "refusal") == 0 && !from_user &&
	    json_is_string(json_object_get(part, "refusal")))
		return text_part(text_type, json_object_get(part, "refusal"));
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
	json_t *out = json_array();
	json_t *part;
	size_t i;

	if (json_is_string(content)) {
		if (json_array_append_new(out, text_part(text_type, content)) == 0)
			return out;
		json_decref(out);
		api_error_set(r->error, 500, "server_error", "internal_error", "Out of memory.");
		return NULL;
	}
	if (!json_is_array(content) || json_array_size(content) == 0) {
		json_decref(out);
		(void)invalid(r, index, "content",
		              "a string or a non-empty array of content parts "
		              "is required.");
		return NULL;
	}
	json_array_foreach(content, i, part) {
		json_t *made = content_part(r, index, i, part, text_type);

		if (made == NULL || json_array_append_new(out, made) != 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
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
	if (type != NULL && strcmp(type, "function") != 0)
		return invalid(r, index, member,
		               "only tool calls of type 'function' are supported.");
	if (id == NULL || id[0] == '\0' || name == NULL || !json_is_string(arguments))
		return invalid(
			r, index, member,
			"'id', 'function.name' and 'function.arguments' are required strings.");
	if (json_object_get(r->open_calls, id) != NULL)
		return invalid(r, index, member, "its 'id' is used twice.");
	(void)json_object_set_new(r->open_calls, id, json_true());
	return append(r, json_pack("{s:s,s:s,s:s,s:O}", "type", "function_call", "call_id", id,
	                           "name", name, "arguments", arguments));
}

static bool
assistant_message(struct message_reader *r, size_t index, const json_t *message)
{
	json_t *content = json_object_get(message, "content");
	json_t *calls = json_object_get(message, "tool_calls");
	json_t *refusal = json_object_get(message, "refusal");
	json_t *call;
	size_t i;
	bool has_calls = json_is_array(calls) && json_array_size(calls) > 0;
	bool empty = json_is_null(content) || content == NULL ||
	             (json_is_string(content) && json_string_length(content) == 0);

	if (calls != NULL && !json_is_null(calls) && !has_calls)
		return invalid(r, index, "tool_calls", "a non-empty array is required.");
	if (json_object_get(message, "function_call") != NULL &&
	    !json_is_null(json_object_get(message, "function_call")))
		return invalid(r, index, "function_call",
		               "the legacy form is not supported; use 'tool_calls'.");
	if (!empty && !plain_message(r, index, message, "assistant", "output_text"))
		return false;
	if (empty && json_is_string(refusal)) {
		if (!append(r, json_pack("{s:s,s:s,s:[o]}", "type", "message", "role", "assistant",
		                         "content", text_part("output_text", refusal))))
			return false;
	} else if (empty && !has_calls && !json_is_string(content)) {
		return invalid(r, index, "content",
		               "content is required unless 'tool_calls' are given.");
	}
	if (has_calls)
		json_array_foreach(calls, i, call)
			if (!tool_call(r, index, i, call))
				return false;
	return true;
}

/* The text of a tool result: a string, or parts that are text. */
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
	if (output == NULL)
		return false;
	return append(r, json_pack("{s:s,s:s,s:o}", "type", "function_call_output", "call_id", id,
	                           "output", output));
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
		"An assistant message with 'tool_calls' must be followed by tool "
		"messages responding to each 'tool_call_id'. No response for: %.64s",
		id);
}

static bool
message_to_items(struct message_reader *r, size_t index, const json_t *message)
{
	const char *role = json_get_string(message, "role");

	if (!json_is_object(message))
		return invalid(r, index, "", "an object is required.");
	if (role == NULL)
		return invalid(r, index, "role", "a string is required.");
	if (json_object_get(message, "name") != NULL && strcmp(role, "tool") != 0)
		r->names_seen = true;
	if (strcmp(role, "tool") == 0)
		return tool_message(r, index, message);
	if (!open_calls_answered(r, index))
		return false;
	/* Codex drops items of role "system" without a word; "developer" is its name for them. */
	if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0)
		return plain_message(r, index, message, "developer", "input_text");
	if (strcmp(role, "user") == 0)
		return plain_message(r, index, message, "user", "input_text");
	if (strcmp(role, "assistant") == 0)
		return assistant_message(r, index, message);
	return invalid(r, index, "role",
	               "supported roles are system, developer, user, assistant and tool.");
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
