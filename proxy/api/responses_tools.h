/* responses_tools: tools and tool_choice of a Responses request, and what the caller calls the
 * functions that the model calls. Pure. */
#ifndef SIDECAR_PROXY_API_RESPONSES_TOOLS_H
#define SIDECAR_PROXY_API_RESPONSES_TOOLS_H

#include "proxy/api/params.h"
#include "proxy/event.h"

/* Readers of one parameter each, of a struct responses_reader; false: *r->error is set. */
bool responses_read_tools(struct param_reader *r, const char *name, json_t *value);
bool responses_read_tool_choice(struct param_reader *r, const char *name, json_t *value);
/* More of them, from an item of the input; one that is known by its name already is passed over.
 * where: the path of the array. */
bool responses_add_tools(struct param_reader *r, const char *where, const json_t *tools);

/* When all tools and the choice have been read. */
bool responses_end_tools(struct param_reader *r);

/* Is it the namespace of functions that are in none? NULL: it is. */
bool responses_is_plain(const char *space);

/* Codex has functions only: a custom tool is offered as one with this parameter, a string. */
#define CUSTOM_TOOL_INPUT "input"

/* A call of the model as the caller knows it: an item without id and status. tools: of the request.
 * NULL: no memory. */
json_t *responses_call_item(const json_t *tools, const struct event *event);
/* The arguments of a call of a custom tool that has this input; NULL: no memory. */
json_t *responses_custom_arguments(json_t *input);

#endif
