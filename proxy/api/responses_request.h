/* responses_request: the body of POST /v1/responses, checked and turned into a conversation. Pure.
 */
#ifndef SIDECAR_PROXY_API_RESPONSES_REQUEST_H
#define SIDECAR_PROXY_API_RESPONSES_REQUEST_H

#include <stdbool.h>

#include "proxy/api/params.h"
#include "proxy/api/response_store.h"

struct responses_request {
	struct request base;
	json_t *echo;    /* the body without its input: what a response repeats */
	json_t *history; /* array: all items that the model gets, in the caller's words */
	json_t *tools;   /* object: what the caller calls the functions, for responses_tools.h */
	bool store;      /* the response may be asked for later */
	bool encrypted;  /* reasoning with its encrypted content */
};

/* store, caller: where earlier responses are found, and whose. False: *error says what is wrong
 * where; *out then needs no fini. */
bool responses_request_parse(struct responses_request *out, const char *body, size_t len,
                             const char *default_effort, const struct response_store *store,
                             int caller, struct api_error *error);
void responses_request_fini(struct responses_request *r);

#endif
