/* chat_request: the body of POST /v1/chat/completions, checked and turned into a conversation. */
#include "proxy/api/chat_request.h"

#include <string.h>

#include "proxy/api/chat_messages.h"
#include "proxy/api/chat_tools.h"
#include "proxy/api/stop_scan.h"

#define CHOICES_MAX 8

static struct chat_request *
chat(struct param_reader *r)
{
	return (struct chat_request *)r->out;
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
read_stream_options(struct param_reader *r, const char *name, json_t *value)
{
	return param_stream_option(r, &chat(r)->include_usage, name, value, "include_usage");
}

static bool
read_response_format(struct param_reader *r, const char *name, json_t *value)
{
	return param_format(r, "response_format", value, "response_format.json_schema",
	                    json_get_object(value, "json_schema"));
}

static bool
read_n(struct param_reader *r, const char *name, json_t *value)
{
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value))
		return param_wrong_type(r, name, "an integer is required");
	if (n < 1 || n > CHOICES_MAX)
		return param_unsupported_value(r, name, "must be from 1 to 8");
	chat(r)->n = (unsigned)n;
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
		chat(r)->stop = json_incref(list);
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

/* Every parameter there is; docs/chat-completions.md is this table for people. Codex has no place
 * for the ignored ones; clients send them by habit, and are told in x-codex-ignored-params. */
static const struct param params[] = {
	{"audio",		  param_refused          },
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
	{"model",		  param_model            },
	{"n",		      read_n                 },
	{"parallel_tool_calls",    param_parallel         },
	{"prediction",             param_ignored          },
	{"presence_penalty",       param_ignored          },
	{"prompt_cache_key",       param_ignored          },
	{"prompt_cache_retention", param_ignored          },
	{"reasoning_effort",       param_effort           },
	{"response_format",        read_response_format   },
	{"safety_identifier",      param_ignored          },
	{"seed",		   param_ignored          },
	{"service_tier",           param_service_tier     },
	{"stop",		   read_stop              },
	{"store",		  param_ignored          },
	{"stream",                 param_stream           },
	{"stream_options",         read_stream_options    },
	{"temperature",            param_ignored          },
	{"tool_choice",            chat_read_tool_choice  },
	{"tools",		  chat_read_tools        },
	{"top_logprobs",           param_refused          },
	{"top_p",		  param_ignored          },
	{"user",		   param_ignored          },
	{"verbosity",              param_verbosity        },
	{"web_search_options",     param_refused          },
};

static bool
read_all(struct param_reader *r, const char *default_effort)
{
	if (!params_read(r, params, NELEM(params)))
		return false;
	if (!json_is_array(json_object_get(r->root, "messages")))
		return param_missing(r, "messages");
	return chat_apply_tool_choice(r) && params_end(r, default_effort);
}

bool
chat_request_parse(struct chat_request *out, const char *body, size_t len,
                   const char *default_effort, struct api_error *error)
{
	json_auto_t *root = params_parse(body, len, error);
	struct chat_reader r = {.legacy_param = NULL};
	bool ok;

	*out = (struct chat_request){.n = 1};
	if (root == NULL)
		return false;
	ok = params_begin(&r.base, &out->base, root, error) && read_all(&r.base, default_effort);
	params_fini(&r.base);
	if (!ok)
		chat_request_fini(out);
	return ok;
}

void
chat_request_fini(struct chat_request *r)
{
	request_fini(&r->base);
	json_decref(r->stop);
	r->stop = NULL;
}
