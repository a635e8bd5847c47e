/* chat_tools: the caller's functions, and whether the model may, must or must not call them: tools
 * and tool_choice, and their legacy form functions and function_call. Pure. */
#ifndef SIDECAR_PROXY_API_CHAT_TOOLS_H
#define SIDECAR_PROXY_API_CHAT_TOOLS_H

#include "proxy/api/chat_params.h"

/* Readers of one parameter each; false: *r->error is set. */
bool chat_read_tools(struct param_reader *r, const char *name, json_t *value);
bool chat_read_tool_choice(struct param_reader *r, const char *name, json_t *value);
bool chat_read_parallel(struct param_reader *r, const char *name, json_t *value);
bool chat_read_functions(struct param_reader *r, const char *name, json_t *value);
bool chat_read_function_call(struct param_reader *r, const char *name, json_t *value);
/* When all have been read. */
bool chat_apply_tool_choice(struct param_reader *r);

#endif
