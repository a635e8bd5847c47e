/* chat_params: what the readers of a chat completion's parameters share: where they are, and the
 * ways in which a parameter can be wrong. Pure. */
#ifndef SIDECAR_PROXY_API_CHAT_PARAMS_H
#define SIDECAR_PROXY_API_CHAT_PARAMS_H

#include <stdbool.h>

#include "proxy/api/chat_request.h"

struct param_reader {
	struct chat_request *out;
	const json_t *root;
	struct api_error *error;
	const char *tool_choice;  /* "auto" when absent */
	const char *choice_param; /* where it came from: tool_choice or function_call */
	const char *forced_tool;  /* the name, for a named choice */
	const char *legacy_param; /* the first of functions, function_call; NULL: none */
	bool has_tool_params;     /* tools or tool_choice */
};

/* Each of these says what is wrong in *r->error, and returns false. */
bool param_wrong_type(struct param_reader *r, const char *name, const char *wanted);
bool param_unsupported(struct param_reader *r, const char *name, const char *what);
bool param_unsupported_value(struct param_reader *r, const char *name, const char *what);
bool param_invalid_value(struct param_reader *r, const char *name, const char *what);
bool param_out_of_memory(struct param_reader *r);

/* The parameter is taken, has no effect, and is named in the answer. */
bool param_ignored(struct param_reader *r, const char *name, json_t *value);
bool param_boolean(struct param_reader *r, bool *out, const char *name, json_t *value);
/* schema: NULL is fine. */
bool param_schema_is_flat_enough(struct param_reader *r, const char *name, const json_t *schema);
/* 1 to 64 characters of a-z, A-Z, 0-9, _ and -. */
bool param_is_name(const char *text);
/* One developer message at the end of the history: what Codex has no parameter for. */
bool param_ask(struct param_reader *r, const char *text);

#endif
