/* responses_items: the input of a Responses request becomes the items that Codex takes. Pure. */
#ifndef SIDECAR_PROXY_API_RESPONSES_ITEMS_H
#define SIDECAR_PROXY_API_RESPONSES_ITEMS_H

#include "proxy/api/params.h"

/* Of a struct responses_reader: adds each item of the array to the conversation, and as the caller
 * said it to the history. where: the array's path, for errors. */
bool responses_add_items(struct param_reader *r, const char *where, const json_t *items);
/* A text as a message of this role. It is no part of the history. */
bool responses_add_text(struct param_reader *r, const char *role, json_t *text);
/* When all have been added: every call needs its output. */
bool responses_check_calls(struct param_reader *r);

#endif
