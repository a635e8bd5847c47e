/* chat_tools: tools and tool_choice of a chat completion, and their legacy form functions and
 * function_call. Pure. */
#ifndef SIDECAR_PROXY_API_CHAT_TOOLS_H
#define SIDECAR_PROXY_API_CHAT_TOOLS_H

#include "proxy/api/chat_request.h"

/* What the readers of a chat completion know more. */
struct chat_reader {
	struct param_reader base;
	const char *legacy_param; /* the first of functions, function_call; NULL: none */
	bool has_tool_params;     /* tools or tool_choice */
};

/* Readers of one parameter each, of a struct chat_reader; false: *r->error is set. */
bool chat_read_tools(struct param_reader *r, const char *name, json_t *value);
bool chat_read_tool_choice(struct param_reader *r, const char *name, json_t *value);
bool chat_read_functions(struct param_reader *r, const char *name, json_t *value);
bool chat_read_function_call(struct param_reader *r, const char *name, json_t *value);
/* When all have been read. */
bool chat_apply_tool_choice(struct param_reader *r);

#endif
