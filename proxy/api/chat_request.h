/* chat_request: the body of POST /v1/chat/completions, checked and turned into a conversation.
 * Pure. */
#ifndef SIDECAR_PROXY_API_CHAT_REQUEST_H
#define SIDECAR_PROXY_API_CHAT_REQUEST_H

#include <stdbool.h>

#include "proxy/api/params.h"

struct chat_request {
	struct request base;
	bool include_usage;
	unsigned n;            /* choices: 1 to 8 */
	json_t *stop;          /* array of strings, for stop_scan_new; NULL: none */
	bool legacy_functions; /* asked for by functions, and answered as function_call */
};

/* False: *error says what is wrong where; *out then needs no fini. */
bool chat_request_parse(struct chat_request *out, const char *body, size_t len,
                        const char *default_effort, struct api_error *error);
void chat_request_fini(struct chat_request *r);

#endif
