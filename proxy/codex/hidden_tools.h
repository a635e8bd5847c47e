/* hidden_tools: functions that codex takes from a caller and does not offer to the model.
 *
 * Codex 0.169 keeps the names of its own shell tools to itself, also where it does not have these
 * tools, and says nothing. In a namespace they are offered: so they go into one, in the tools and
 * in the history, and their calls come back as if there was none. */
#ifndef SIDECAR_PROXY_CODEX_HIDDEN_TOOLS_H
#define SIDECAR_PROXY_CODEX_HIDDEN_TOOLS_H

#include <jansson.h>
#include <stdbool.h>

/* The namespace, as the model sees it. */
#define HIDDEN_TOOLS_NAMESPACE "client_tools"

/* name: NULL is fine. */
bool hidden_tools_has(const char *name);
/* The items with the namespace where a call needs it: the array itself where none does. The
 * caller's to decref; NULL: no memory. */
json_t *hidden_tools_items(json_t *items);
/* The namespace of a call as the caller knows it; NULL: none. */
const char *hidden_tools_namespace(const char *space);

#endif
