/* tools: the caller's functions, and whether the model may, must or must not call them, as all
 * dialects mean it. Pure. */
#ifndef SIDECAR_PROXY_API_TOOLS_H
#define SIDECAR_PROXY_API_TOOLS_H

#include "proxy/api/params.h"

/* What a dialect's tool comes to. */
struct tool {
	const char *where;   /* its path in the request, for errors */
	const char *space;   /* the namespace that it is in; NULL: none */
	json_t *name;        /* as the caller sent it, checked here */
	json_t *description; /* NULL or null: none */
	json_t *parameters;  /* JSON Schema; NULL or null: none */
	size_t name_max;
};

/* Adds a function to those of the namespace, which is in list, or to all of them. False: *r->error
 * is set. */
bool tools_add(struct param_reader *r, json_t *list, const struct tool *tool);
/* The list of all tools; NULL: no memory. Borrowed. */
json_t *tools_list(struct param_reader *r);
/* The name of a tool as r->tool_names has it: all are different. */
void tools_key(char *out, size_t size, const char *space, const char *name);
/* One more name that the choice is among. */
bool tools_allow(struct param_reader *r, const char *name);
/* Does this word say none or auto? */
bool tools_is_choice(const char *text);
/* When all tools and the choice have been read. */
bool tools_apply_choice(struct param_reader *r);

#endif
