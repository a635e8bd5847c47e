/* responses_items: the input of a Responses request becomes the items that Codex takes. */
#include "proxy/api/responses_items.h"

#include <stdio.h>
#include <string.h>

#include "proxy/api/parts.h"
#include "proxy/api/responses_reader.h"
#include "proxy/api/responses_tools.h"

/* Paths in the request: of an item, of a part of it, of a member of that. */
#define ITEM_MAX  64
#define PART_MAX  112
#define PARAM_MAX 128

static bool
invalid(struct param_reader *r, const char *where, const char *member, const char *what)
{
	char param[PARAM_MAX];

	(void)snprintf(param, sizeof(param), "%s%s%s", where, member[0] ? "." : "", member);
	return api_error_invalid(r->error, NULL, param, "Invalid '%s': %s", param, what);
}

/* Takes item over. */
static bool
append(struct param_reader *r, json_t *item)
{
	return json_array_append_new(r->out->conversation->items, item) == 0 ||
	       param_out_of_memory(r);
}

/* --- content --------------------------------------------------------------------------------- */

static bool
is_text_type(const char *type)
{
	return strcmp(type, "input_text") == 0 || strcmp(type, "output_text") == 0;
}

static json_t *
image_part(struct param_reader *r, const char *where, const json_t *part)
{
	char url[PARAM_MAX], detail[PARAM_MAX];

	(void)snprintf(url, sizeof(url), "%s.image_url", where);
	(void)snprintf(detail, sizeof(detail), "%s.detail", where);
	return part_image(json_object_get(part, "image_url"), url, json_object_get(part, "detail"),
	                  detail, r->error);
}

/* text_type: what texts of this role are called, whatever the caller calls them. */
static json_t *
content_part(struct param_reader *r, const char *where, const json_t *part, const char *text_type)
{
	const char *type = json_get_string(part, "type");
	bool from_model = strcmp(text_type, "output_text") == 0;

	if (type == NULL) {
		(void)invalid(r, where, "", "an object with a 'type' is required.");
		return NULL;
	}
	if (is_text_type(type) && json_is_string(json_object_get(part, "text")))
		return part_text(text_type, json_object_get(part, "text"), r->error);
	/* Codex has no item for a refusal; what the model said is kept as its words. */
	if (strcmp(type, "refusal") == 0 && from_model &&
	    json_is_string(json_object_get(part, "refusal")))
		return part_text(text_type, json_object_get(part, "refusal"), r->error);
	if (strcmp(type, "input_image") == 0 && !from_model)
		return image_part(r, where, part);
	if (is_text_type(type))
		(void)invalid(r, where, "text", "a string is required.");
	else
		(void)invalid(r, where, "type",
		              from_model ? "supported content parts of the assistant are "
		                           "'output_text' and 'refusal'."
		                         : "supported content parts are 'input_text' and "
		                           "'input_image'.");
	return NULL;
}

/* A string or an array of parts as the content array of an item. NULL: *r->error is set. */
static json_t *
content_array(struct param_reader *r, const char *where, const char *member, json_t *content,
              const char *text_type)
{
	json_auto_t *out = json_array();
	char path[PART_MAX];
	json_t *part;
	size_t i;

	if (json_is_string(content))
		return part_append(out, part_text(text_type, content, r->error), r->error)
		               ? json_incref(out)
		               : NULL;
	if (!json_is_array(content)) {
		(void)invalid(r, where, member, "a string or an array of parts is required.");
		return NULL;
	}
	json_array_foreach(content, i, part) {
		(void)snprintf(path, sizeof(path), "%s.%s[%zu]", where, member, i);
		if (!part_append(out, content_part(r, path, part, text_type), r->error))
			return NULL;
	}
	return json_incref(out);
}

/* --- items ----------------------------------------------------------------------------------- */

static bool
read_message(struct param_reader *r, const char *where, const json_t *item)
{
	static const char *const roles[][3] = {
		{"user",      "user",      "input_text" },
		{"assistant", "assistant", "output_text"},
		{"developer", "developer", "input_text" },
 /* Codex drops "system" without a word. */
		{"system",    "developer", "input_text" },
	};
	const char *role = json_get_string(item, "role");
	json_t *phase = json_object_get(item, "phase");
	json_t *content;

	for (size_t i = 0; role != NULL && i < NELEM(roles); i++) {
		if (strcmp(role, roles[i][0]) != 0)
			continue;
		content = content_array(r, where, "content", json_object_get(item, "content"),
		                        roles[i][2]);
		return content != NULL &&
		       append(r, json_pack("{s:s,s:s,s:o,s:O*}", "type", "message", "role",
		                           roles[i][1], "content", content, "phase",
		                           json_is_string(phase) ? phase : NULL));
	}
	return invalid(r, where, "role",
	               "supported roles are user, assistant, system and developer.");
}

/* Takes arguments over. */
static bool
append_call(struct param_reader *r, const char *where, const json_t *item, json_t *arguments)
{
	json_t *open = responses_reader(r)->open_calls;
	const char *id = json_get_string(item, "call_id");
	const char *name = json_get_string(item, "name");
	const char *space = json_get_string(item, "namespace");
	const char *wrong = NULL;

	if (responses_is_plain(space))
		space = NULL;
	if (id == NULL || id[0] == '\0')
		wrong = "call_id";
	else if (name == NULL || name[0] == '\0')
		wrong = "name";
	if (wrong != NULL || json_object_get(open, id) != NULL) {
		json_decref(arguments);
		return wrong != NULL ? invalid(r, where, wrong, "a string is required.")
		                     : invalid(r, where, "call_id", "it is used twice.");
	}
	if (json_object_set_new(open, id, json_true()) != 0) {
		json_decref(arguments);
		return param_out_of_memory(r);
	}
	return append(r, json_pack("{s:s,s:s,s:s*,s:s,s:o}", "type", "function_call", "call_id", id,
	                           "namespace", space, "name", name, "arguments", arguments));
}

static bool
read_call(struct param_reader *r, const char *where, const json_t *item)
{
	json_t *arguments = json_object_get(item, "arguments");

	if (!json_is_string(arguments))
		return invalid(r, where, "arguments", "a string is required.");
	return append_call(r, where, item, json_incref(arguments));
}

/* The model has seen it as a function, and sees it so again. */
static bool
read_custom_call(struct param_reader *r, const char *where, const json_t *item)
{
	json_t *input = json_object_get(item, "input");

	if (!json_is_string(input))
		return invalid(r, where, "input", "a string is required.");
	return append_call(r, where, item, responses_custom_arguments(input));
}

static bool
read_output(struct param_reader *r, const char *where, const json_t *item)
{
	json_t *open = responses_reader(r)->open_calls;
	const char *id = json_get_string(item, "call_id");
	json_t *given = json_object_get(item, "output");
	json_t *output;

	if (id == NULL)
		return invalid(r, where, "call_id", "a string is required.");
	if (!json_is_true(json_object_get(open, id)))
		return invalid(r, where, "call_id",
		               json_is_false(json_object_get(open, id))
		                       ? "this call has an output already."
		                       : "it matches no call before it.");
	output = json_is_string(given) ? json_incref(given)
	                               : content_array(r, where, "output", given, "input_text");
	if (output == NULL)
		return false;
	(void)json_object_set_new(open, id, json_false()); /* it is there: no memory is needed */
	return append(r, json_pack("{s:s,s:s,s:o}", "type", "function_call_output", "call_id", id,
	                           "output", output));
}

/* Only its provider can read it; what has nothing to read is nothing to it. */
static bool
read_reasoning(struct param_reader *r, const char *where, const json_t *item)
{
	json_t *encrypted = json_object_get(item, "encrypted_content");
	json_t *summary = json_object_get(item, "summary");
	json_auto_t *parts = json_array();
	char path[PART_MAX];
	json_t *part;
	size_t i;

	if (encrypted != NULL && !json_is_string(encrypted) && !json_is_null(encrypted))
		return invalid(r, where, "encrypted_content", "a string is required.");
	if (summary != NULL && !json_is_array(summary))
		return invalid(r, where, "summary", "an array is required.");
	json_array_foreach(summary, i, part) {
		json_t *text = json_object_get(part, "text");

		(void)snprintf(path, sizeof(path), "summary[%zu].text", i);
		if (!json_is_string(text))
			return invalid(r, where, path, "a string is required.");
		if (!part_append(parts, part_text("summary_text", text, r->error), r->error))
			return false;
	}
	return !json_is_string(encrypted) ||
	       append(r, json_pack("{s:s,s:O,s:O}", "type", "reasoning", "summary", parts,
	                           "encrypted_content", encrypted));
}

static bool
read_additional_tools(struct param_reader *r, const char *where, const json_t *item)
{
	char path[PART_MAX];

	(void)snprintf(path, sizeof(path), "%s.tools", where);
	return responses_add_tools(r, path, json_object_get(item, "tools"));
}

static const struct item_kind {
	const char *type;
	bool (*read)(struct param_reader *r, const char *where, const json_t *item);
	bool of_request; /* what it says is said to this request only */
} kinds[] = {
	{"message",                 read_message,          false},
	{"function_call",           read_call,             false},
	{"function_call_output",    read_output,           false},
	{"custom_tool_call",        read_custom_call,      false},
	{"custom_tool_call_output", read_output,           false},
	{"reasoning",               read_reasoning,        false},
	{"additional_tools",        read_additional_tools, true },
};

static bool
add_item(struct param_reader *r, const char *where, json_t *item)
{
	const char *type = json_get_string(item, "type");

	if (type == NULL && json_get_string(item, "role") != NULL)
		type = "message"; /* the short form */
	for (size_t i = 0; type != NULL && i < NELEM(kinds); i++) {
		if (strcmp(kinds[i].type, type) != 0)
			continue;
		if (!kinds[i].read(r, where, item))
			return false;
		return kinds[i].of_request ||
		       json_array_append(responses_out(r)->history, item) == 0 ||
		       param_out_of_memory(r);
	}
	if (type == NULL)
		return invalid(r, where, "type", "a string is required.");
	return api_error_invalid(r->error, "unsupported_value", where,
	                         "Unsupported value: '%s' is an item of type '%.64s', which is not "
	                         "available through Codex.",
	                         where, type);
}

/* An item of an earlier response, by its id. NULL: there is none. Borrowed. */
static json_t *
find_referred(struct responses_reader *reader, const char *id)
{
	char response[sizeof(reader->referred_id)];
	json_t *item;
	size_t i;

	if (!response_store_id_of_item(id, response, sizeof(response)))
		return NULL;
	if (strcmp(response, reader->referred_id) != 0) {
		json_decref(reader->referred);
		reader->referred = response_store_items(reader->store, reader->caller, response);
		strcpy(reader->referred_id, response); /* of the same size */
	}
	json_array_foreach(reader->referred, i, item) {
		const char *its_id = json_get_string(item, "id");

		if (its_id != NULL && strcmp(its_id, id) == 0)
			return item;
	}
	return NULL;
}

static bool
add_reference(struct param_reader *r, const char *where, const char *id)
{
	json_t *item = find_referred(responses_reader(r), id);

	if (item != NULL)
		return add_item(r, where, item);
	api_error_set(
		r->error, 404, "invalid_request_error", "item_not_found",
		"Item with id '%.128s' not found: this server keeps items in its memory only, "
		"and only those of the latest responses. Send the item itself.",
		id);
	(void)snprintf(r->error->param, sizeof(r->error->param), "%s.id", where);
	return false;
}

bool
responses_add_items(struct param_reader *r, const char *where, const json_t *items)
{
	char path[ITEM_MAX];
	json_t *item;
	size_t i;

	json_array_foreach(items, i, item) {
		const char *type = json_get_string(item, "type");
		const char *id = json_get_string(item, "id");
		bool reference = type != NULL && strcmp(type, "item_reference") == 0;

		(void)snprintf(path, sizeof(path), "%s[%zu]", where, i);
		if (type == NULL && id != NULL && json_object_size(item) == 1)
			reference = true;
		if (reference && id == NULL)
			return invalid(r, path, "id", "a string is required.");
		if (reference ? !add_reference(r, path, id) : !add_item(r, path, item))
			return false;
	}
	return true;
}

bool
responses_add_text(struct param_reader *r, const char *role, json_t *text)
{
	return append(r, json_pack("{s:s,s:s,s:[{s:s,s:O}]}", "type", "message", "role", role,
	                           "content", "type", "input_text", "text", text));
}

bool
responses_check_calls(struct param_reader *r)
{
	const char *id;
	json_t *open;

	json_object_foreach(responses_reader(r)->open_calls, id, open) {
		if (json_is_true(open))
			return api_error_invalid(r->error, NULL, "input",
			                         "No tool output found for the call %.64s.", id);
	}
	return true;
}
