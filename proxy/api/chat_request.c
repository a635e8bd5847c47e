/* chat_request: the body of POST /v1/chat/completions, checked and turned into a conversation. */
#include "proxy/api/chat_request.h"

#include <string.h>

#include "proxy/api/chat_messages.h"
#include "proxy/api/chat_params.h"
#include "proxy/api/chat_tools.h"
#include "proxy/api/stop_scan.h"

#define CHOICES_MAX 8

/* A history of 12,000 messages has 100,000 values. This many take 40 MB at most. */
#define VALUES_MAX 500000

/* Reads one parameter that is present and not null. False: *r->error is set. */
typedef bool (*param_fn)(struct param_reader *r, const char *name, json_t *value);

/* A short word such as an effort or a tier, kept in *out. */
static bool
word(struct param_reader *r, char **out, const char *name, json_t *value)
{
	const char *text = json_text(value); /* NULL where it holds a NUL */

	if (!json_is_string(value))
		return param_wrong_type(r, name, "a string is required");
	if (text == NULL || text[0] == '\0' || strlen(text) > 128)
		return api_error_invalid(
			r->error, "invalid_value", name,
			"Invalid value for '%s': 1 to 128 characters are required.", name);
	free(*out);
	*out = strdup(text);
	return *out != NULL || param_out_of_memory(r);
}

static bool
read_model(struct param_reader *r, const char *name, json_t *value)
{
	return word(r, &r->out->conversation->model, name, value);
}

static bool
read_messages(struct param_reader *r, const char *name, json_t *value)
{
	bool names_seen = false;

	if (!json_is_array(value))
		return param_wrong_type(r, name, "an array of messages is required");
	if (json_array_size(value) == 0)
		return api_error_invalid(r->error, "empty_array", name,
		                         "Invalid '%s': at least one message is required.", name);
	if (!chat_messages_to_items(r->out->conversation->items, value, &names_seen, r->error))
		return false;
	return !names_seen || param_ignored(r, "messages.name", value);
}

static bool
read_stream(struct param_reader *r, const char *name, json_t *value)
{
	return param_boolean(r, &r->out->stream, name, value);
}

static bool
read_stream_options(struct param_reader *r, const char *name, json_t *value)
{
	json_t *include = json_object_get(value, "include_usage");

	if (!json_is_object(value))
		return param_wrong_type(r, name, "an object is required");
	if (!json_is_true(json_object_get(r->root, "stream")))
		return api_error_invalid(r->error, NULL, name,
		                         "'%s' is only allowed when 'stream' is true.", name);
	if (include == NULL || json_is_null(include))
		return true;
	return param_boolean(r, &r->out->include_usage, "stream_options.include_usage", include);
}

static bool
read_effort(struct param_reader *r, const char *name, json_t *value)
{
	return word(r, &r->out->conversation->effort, name, value);
}

static bool
read_verbosity(struct param_reader *r, const char *name, json_t *value)
{
	const char *text = json_text(value);

	if (text == NULL ||
	    (strcmp(text, "low") != 0 && strcmp(text, "medium") != 0 && strcmp(text, "high") != 0))
		return param_unsupported_value(r, name, "must be 'low', 'medium' or 'high'");
	return word(r, &r->out->conversation->verbosity, name, value);
}

static bool
read_service_tier(struct param_reader *r, const char *name, json_t *value)
{
	const char *text = json_text(value);

	/* "auto" and "default" are what happens without the parameter. */
	if (text != NULL && (strcmp(text, "auto") == 0 || strcmp(text, "default") == 0))
		return true;
	return word(r, &r->out->conversation->service_tier, name, value);
}

/* Codex gives the schema a name of its own, has no place for a description, and is always strict.
 */
static bool
read_json_schema(struct param_reader *r, const json_t *wrapper)
{
	json_t *schema = json_get_object(wrapper, "schema");
	json_t *name = json_object_get(wrapper, "name");
	json_t *description = json_object_get(wrapper, "description");
	json_t *strict = json_object_get(wrapper, "strict");

	if (schema == NULL)
		return api_error_invalid(r->error, "missing_required_parameter",
		                         "response_format.json_schema.schema",
		                         "Missing required parameter: "
		                         "'response_format.json_schema.schema'.");
	if (name != NULL && !param_is_name(json_text(name)))
		return param_invalid_value(r, "response_format.json_schema.name",
		                           "1 to 64 characters of a-z, A-Z, 0-9, _ and - are "
		                           "required");
	if (description != NULL && !json_is_string(description) && !json_is_null(description))
		return param_wrong_type(r, "response_format.json_schema.description",
		                        "a string is required");
	if (strict != NULL && !json_is_boolean(strict) && !json_is_null(strict))
		return param_wrong_type(r, "response_format.json_schema.strict",
		                        "a boolean is required");
	if (json_is_string(description))
		(void)param_ignored(r, "response_format.json_schema.description", description);
	if (json_is_false(strict))
		(void)param_ignored(r, "response_format.json_schema.strict", strict);
	if (!param_schema_is_flat_enough(r, "response_format.json_schema.schema", schema))
		return false;
	r->out->conversation->output_schema = json_incref(schema);
	return true;
}

static bool
read_response_format(struct param_reader *r, const char *name, json_t *value)
{
	const char *type = json_get_string(value, "type");

	if (!json_is_object(value) || type == NULL)
		return param_wrong_type(r, name, "an object with a 'type' is required");
	if (strcmp(type, "text") == 0)
		return true;
	if (strcmp(type, "json_schema") == 0)
		return read_json_schema(r, json_get_object(value, "json_schema"));
	r->out->json_object = strcmp(type, "json_object") == 0;
	return r->out->json_object ||
	       param_unsupported_value(r, "response_format.type",
	                               "must be 'text', 'json_object' or 'json_schema'");
}

static bool
read_n(struct param_reader *r, const char *name, json_t *value)
{
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value))
		return param_wrong_type(r, name, "an integer is required");
	if (n < 1 || n > CHOICES_MAX)
		return param_unsupported_value(r, name, "must be from 1 to 8");
	r->out->n = (unsigned)n;
	return true;
}

static bool
read_stop(struct param_reader *r, const char *name, json_t *value)
{
	json_auto_t *list = json_is_string(value) ? json_pack("[O]", value) : json_incref(value);
	json_t *text;
	size_t i;

	if (!json_is_array(list))
		return param_wrong_type(r, name, "a string or an array of strings is required");
	if (json_array_size(list) > STOP_SEQUENCES_MAX)
		return param_invalid_value(r, name, "at most 4 sequences are allowed");
	json_array_foreach(list, i, text) {
		if (!json_is_string(text))
			return param_wrong_type(r, name,
			                        "a string or an array of strings is required");
		if (json_string_length(text) < 1 ||
		    json_string_length(text) > STOP_SEQUENCE_BYTES_MAX)
			return param_invalid_value(r, name,
			                           "1 to 256 bytes are required in a sequence");
	}
	if (json_array_size(list) > 0)
		r->out->stop = json_incref(list);
	return true;
}

static bool
only_false(struct param_reader *r, const char *name, json_t *value)
{
	return json_is_false(value) || param_unsupported_value(r, name, "must be false");
}

static bool
only_text(struct param_reader *r, const char *name, json_t *value)
{
	const char *first = json_text(json_array_get(value, 0));

	return (json_array_size(value) == 1 && first != NULL && strcmp(first, "text") == 0) ||
	       param_unsupported_value(r, name, "must be [\"text\"]");
}

static bool
refused(struct param_reader *r, const char *name, json_t *value)
{
	return param_unsupported(r, name, "is not available through Codex");
}

/* Every parameter there is; docs/chat-completions.md is this table for people. Codex has no place
 * for the ignored ones; clients send them by habit, and are told in x-codex-ignored-params. */
static const struct param {
	const char *name;
	param_fn read;
} params[] = {
	{"audio",		  refused                },
	{"frequency_penalty",      param_ignored          },
	{"function_call",          chat_read_function_call},
	{"functions",              chat_read_functions    },
	{"logit_bias",             param_ignored          },
	{"logprobs",               only_false             },
	{"max_completion_tokens",  param_ignored          },
	{"max_tokens",             param_ignored          },
	{"messages",               read_messages          },
	{"metadata",               param_ignored          },
	{"modalities",             only_text              },
	{"model",		  read_model             },
	{"n",		      read_n                 },
	{"parallel_tool_calls",    chat_read_parallel     },
	{"prediction",             param_ignored          },
	{"presence_penalty",       param_ignored          },
	{"prompt_cache_key",       param_ignored          },
	{"prompt_cache_retention", param_ignored          },
	{"reasoning_effort",       read_effort            },
	{"response_format",        read_response_format   },
	{"safety_identifier",      param_ignored          },
	{"seed",		   param_ignored          },
	{"service_tier",           read_service_tier      },
	{"stop",		   read_stop              },
	{"store",		  param_ignored          },
	{"stream",                 read_stream            },
	{"stream_options",         read_stream_options    },
	{"temperature",            param_ignored          },
	{"tool_choice",            chat_read_tool_choice  },
	{"tools",		  chat_read_tools        },
	{"top_logprobs",           refused                },
	{"top_p",		  param_ignored          },
	{"user",		   param_ignored          },
	{"verbosity",              read_verbosity         },
	{"web_search_options",     refused                },
};

static const struct param *
find_param(const char *name)
{
	for (size_t i = 0; i < NELEM(params); i++)
		if (strcmp(params[i].name, name) == 0)
			return &params[i];
	return NULL;
}

/* Not in Codex: asked for in words, and checked in the answer. Where a call is required there is no
 * text. */
static bool
apply_json_object(struct param_reader *r)
{
	if (!r->out->json_object || r->out->tool_call_required)
		return true;
	return param_ask(r, "Your answer must be one valid JSON object and nothing else: no "
	                    "Markdown, and no text before or after it.");
}

static bool
read_params(struct param_reader *r)
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
	return chat_apply_tool_choice(r) && apply_json_object(r);
}

bool
chat_request_parse(struct chat_request *out, const char *body, size_t len,
                   const char *default_effort, struct api_error *error)
{
	struct param_reader r = {
		.out = out, .error = error, .tool_choice = "auto", .choice_param = "tool_choice"};
	json_auto_t *root = NULL;
	struct err err;

	*out = (struct chat_request){.n = 1};
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
		return param_out_of_memory(&r);
	out->conversation->items = json_array();
	if (!read_params(&r)) {
		chat_request_fini(out);
		return false;
	}
	if (out->conversation->effort == NULL && default_effort != NULL) {
		out->conversation->effort = strdup(default_effort);
		if (out->conversation->effort == NULL) {
			chat_request_fini(out);
			return param_out_of_memory(&r);
		}
	}
	return true;
}

void
chat_request_fini(struct chat_request *r)
{
	conversation_free(r->conversation);
	r->conversation = NULL;
	json_decref(r->stop);
	r->stop = NULL;
	json_buf_free(&r->ignored);
}
