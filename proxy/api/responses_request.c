/* responses_request: the body of POST /v1/responses, checked and turned into a conversation. */
#include "proxy/api/responses_request.h"

#include <stdio.h>
#include <string.h>

#include "proxy/api/responses_items.h"
#include "proxy/api/responses_reader.h"
#include "proxy/api/responses_tools.h"

#define METADATA_MAX       16
#define METADATA_KEY_MAX   64
#define METADATA_VALUE_MAX 512

static bool
only_false(struct param_reader *r, const char *name, json_t *value)
{
	return json_is_false(value) ||
	       param_unsupported_value(r, name, "must be false: responses are made at once");
}

static bool
read_include(struct param_reader *r, const char *name, json_t *value)
{
	static const char *const without_effect[] = {
		"file_search_call.results",
		"web_search_call.results",
		"web_search_call.action.sources",
		"message.input_image.image_url",
		"computer_call_output.output.image_url",
		"code_interpreter_call.outputs",
	};
	bool ignored = false;
	json_t *element;
	size_t i;

	if (!json_is_array(value))
		return param_wrong_type(r, name, "an array is required");
	json_array_foreach(value, i, element) {
		const char *text = json_text(element);
		bool known = false;

		if (text == NULL)
			return param_wrong_type(r, name, "an array of strings is required");
		if (strcmp(text, "reasoning.encrypted_content") == 0) {
			responses_out(r)->encrypted = true;
			continue;
		}
		for (size_t k = 0; k < NELEM(without_effect); k++)
			known |= strcmp(text, without_effect[k]) == 0;
		if (!known)
			return param_unsupported_value(
				r, name, "has an element that is not available through Codex");
		ignored = true;
	}
	return !ignored || param_ignored(r, name, value);
}

static bool
read_input(struct param_reader *r, const char *name, json_t *value)
{
	return json_is_string(value) || json_is_array(value) ||
	       param_wrong_type(r, name, "a string or an array of items is required");
}

static bool
read_string(struct param_reader *r, const char *name, json_t *value)
{
	return json_is_string(value) || param_wrong_type(r, name, "a string is required");
}

static bool
ignored_string(struct param_reader *r, const char *name, json_t *value)
{
	return read_string(r, name, value) && param_ignored(r, name, value);
}

static bool
read_metadata(struct param_reader *r, const char *name, json_t *value)
{
	const char *key;
	json_t *element;

	if (!json_is_object(value))
		return param_wrong_type(r, name, "an object is required");
	if (json_object_size(value) > METADATA_MAX)
		return param_invalid_value(r, name, "at most 16 pairs are allowed");
	json_object_foreach(value, key, element) {
		if (!json_is_string(element))
			return param_wrong_type(r, name, "its values must be strings");
		if (strlen(key) > METADATA_KEY_MAX ||
		    json_string_length(element) > METADATA_VALUE_MAX)
			return param_invalid_value(
				r, name,
				"keys of at most 64 and values of at most 512 bytes are allowed");
	}
	return true;
}

static bool
read_summary(struct param_reader *r, const char *name, json_t *value)
{
	const char *text = json_text(value);

	if (json_is_null(value) || value == NULL)
		return true;
	if (text == NULL || (strcmp(text, "auto") != 0 && strcmp(text, "concise") != 0 &&
	                     strcmp(text, "detailed") != 0))
		return param_unsupported_value(r, name, "must be auto, concise or detailed");
	return param_word(r, &r->out->conversation->summary, name, value);
}

static bool
read_reasoning(struct param_reader *r, const char *name, json_t *value)
{
	json_t *effort = json_object_get(value, "effort");
	json_t *context = json_object_get(value, "context");
	json_t *mode = json_object_get(value, "mode");

	if (!json_is_object(value))
		return param_wrong_type(r, name, "an object is required");
	if (effort != NULL && !json_is_null(effort) && !param_effort(r, "reasoning.effort", effort))
		return false;
	/* Codex decides both. */
	if (context != NULL && !json_is_null(context))
		(void)param_ignored(r, "reasoning.context", context);
	if (mode != NULL && !json_is_null(mode))
		(void)param_ignored(r, "reasoning.mode", mode);
	return read_summary(r, "reasoning.generate_summary",
	                    json_object_get(value, "generate_summary")) &&
	       read_summary(r, "reasoning.summary", json_object_get(value, "summary"));
}

static bool
read_store(struct param_reader *r, const char *name, json_t *value)
{
	return param_boolean(r, &responses_out(r)->store, name, value);
}

static bool
read_stream_options(struct param_reader *r, const char *name, json_t *value)
{
	bool obfuscate = false;

	if (!param_stream_option(r, &obfuscate, name, value, "include_obfuscation"))
		return false;
	return !obfuscate || param_ignored(r, "stream_options.include_obfuscation", value);
}

static bool
read_text(struct param_reader *r, const char *name, json_t *value)
{
	json_t *format = json_object_get(value, "format");
	json_t *verbosity = json_object_get(value, "verbosity");

	if (!json_is_object(value))
		return param_wrong_type(r, name, "an object is required");
	if (verbosity != NULL && !json_is_null(verbosity) &&
	    !param_verbosity(r, "text.verbosity", verbosity))
		return false;
	return format == NULL || json_is_null(format) ||
	       param_format(r, "text.format", format, "text.format", format);
}

static bool
read_top_logprobs(struct param_reader *r, const char *name, json_t *value)
{
	return (json_is_integer(value) && json_integer_value(value) == 0) ||
	       param_unsupported_value(r, name, "must be 0");
}

static bool
read_truncation(struct param_reader *r, const char *name, json_t *value)
{
	const char *text = json_text(value);

	if (text != NULL && strcmp(text, "disabled") == 0)
		return true;
	/* Nothing is ever dropped: too much is an error. */
	if (text != NULL && strcmp(text, "auto") == 0)
		return param_ignored(r, name, value);
	return param_unsupported_value(r, name, "must be 'auto' or 'disabled'");
}

/* Every parameter there is; docs/responses.md is this table for people. */
static const struct param params[] = {
	{"background",             only_false                },
	{"client_metadata",        param_ignored             },
	{"context_management",     param_refused             },
	{"conversation",           param_refused             },
	{"include",                read_include              },
	{"input",		  read_input                },
	{"instructions",           read_string               },
	{"max_output_tokens",      param_ignored             },
	{"max_tool_calls",         param_ignored             },
	{"metadata",               read_metadata             },
	{"model",		  param_model               },
	{"moderation",             param_refused             },
	{"parallel_tool_calls",    param_parallel            },
	{"previous_response_id",   read_string               },
	{"prompt",                 param_refused             },
	{"prompt_cache_key",       ignored_string            },
	{"prompt_cache_options",   param_ignored             },
	{"prompt_cache_retention", param_ignored             },
	{"reasoning",              read_reasoning            },
	{"safety_identifier",      ignored_string            },
	{"service_tier",           param_service_tier        },
	{"store",		  read_store                },
	{"stream",                 param_stream              },
	{"stream_options",         read_stream_options       },
	{"temperature",            param_ignored             },
	{"text",		   read_text                 },
	{"tool_choice",            responses_read_tool_choice},
	{"tools",		  responses_read_tools      },
	{"top_logprobs",           read_top_logprobs         },
	{"top_p",		  param_ignored             },
	{"truncation",             read_truncation           },
	{"user",		   ignored_string            },
};

/* What the earlier response leads on from comes first; its instructions do not. */
static bool
add_previous(struct param_reader *r)
{
	const struct responses_reader *reader = responses_reader(r);
	json_t *id = json_object_get(r->root, "previous_response_id");
	const char *text = json_text(id);
	json_auto_t *items = NULL;

	if (!json_is_string(id))
		return true;
	if (text != NULL)
		items = response_store_items(reader->store, reader->caller, text);
	if (items != NULL)
		return responses_add_items(r, "previous_response_id", items);
	api_error_set(r->error, 404, "invalid_request_error", "previous_response_not_found",
	              "Previous response with id '%.128s' not found: this server keeps the latest "
	              "responses in its memory only. Send their items as 'input'.",
	              text != NULL ? text : "");
	(void)snprintf(r->error->param, sizeof(r->error->param), "previous_response_id");
	return false;
}

static bool
add_input(struct param_reader *r)
{
	json_t *input = json_object_get(r->root, "input");
	json_auto_t *message = NULL;

	if (input == NULL || json_is_null(input))
		return json_is_string(json_object_get(r->root, "previous_response_id")) ||
		       param_missing(r, "input");
	if (json_is_array(input))
		return responses_add_items(r, "input", input);
	message = json_pack("[{s:s,s:s,s:[{s:s,s:O}]}]", "type", "message", "role", "user",
	                    "content", "type", "input_text", "text", input);
	return message != NULL ? responses_add_items(r, "input", message) : param_out_of_memory(r);
}

static bool
read_all(struct param_reader *r, const char *default_effort)
{
	json_t *instructions = json_object_get(r->root, "instructions");

	if (!params_read(r, params, NELEM(params)))
		return false;
	if (json_string_length(instructions) > 0 &&
	    !responses_add_text(r, "developer", instructions))
		return false;
	return add_previous(r) && add_input(r) && responses_check_calls(r) &&
	       responses_end_tools(r) && params_end(r, default_effort);
}

bool
responses_request_parse(struct responses_request *out, const char *body, size_t len,
                        const char *default_effort, const struct response_store *store, int caller,
                        struct api_error *error)
{
	json_auto_t *root = params_parse(body, len, error);
	struct responses_reader r = {.store = store, .caller = caller, .open_calls = json_object()};
	bool ok = false;

	*out = (struct responses_request){
		.history = json_array(), .tools = json_object(), .store = true};
	if (root != NULL)
		ok = params_begin(&r.base, &out->base, root, error) &&
		     read_all(&r.base, default_effort);
	if (root != NULL)
		params_fini(&r.base);
	json_decref(r.open_calls);
	json_decref(r.referred);
	if (!ok) {
		responses_request_fini(out);
		return false;
	}
	(void)json_object_del(root, "input"); /* it may be absent */
	out->echo = json_incref(root);
	return true;
}

void
responses_request_fini(struct responses_request *r)
{
	request_fini(&r->base);
	json_decref(r->echo);
	json_decref(r->history);
	json_decref(r->tools);
	*r = (struct responses_request){.echo = NULL};
}
