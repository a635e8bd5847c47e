/* chat_request: the body of POST /v1/chat/completions, checked and turned into a conversation.
 * Pure. */
#ifndef SIDECAR_PROXY_API_CHAT_REQUEST_H
#define SIDECAR_PROXY_API_CHAT_REQUEST_H

#include <stdbool.h>

#include "common/json.h"
#include "proxy/api/errors.h"
#include "proxy/conversation.h"

struct chat_request {
	struct conversation *conversation; /* model NULL when the caller named none */
	bool stream;
	bool include_usage;
	unsigned n;              /* choices: 1 to 8 */
	json_t *stop;            /* array of strings, for stop_scan_new; NULL: none */
	bool json_object;        /* the answer must be one */
	bool legacy_functions;   /* asked for by functions, and answered as function_call */
	bool single_tool_call;   /* parallel_tool_calls: false */
	bool tool_call_required; /* an answer without a call is an error */
	struct json_buf ignored; /* names of accepted parameters without effect, ", " between */
};

/* False: *error says what is wrong where; *out then needs no fini. */
bool chat_request_parse(struct chat_request *out, const char *body, size_t len,
                        const char *default_effort, struct api_error *error);
void chat_request_fini(struct chat_request *r);

#endif
