/* errors: failures in OpenAI's words: HTTP status, error object, headers. */
#ifndef SIDECAR_PROXY_API_ERRORS_H
#define SIDECAR_PROXY_API_ERRORS_H

#include <stddef.h>
#include <stdint.h>

#include "common/common.h"
#include "proxy/failure.h"
#include "proxy/http/http.h"

/* An error as the caller will see it. Strings are "" where OpenAI's object has null. */
struct api_error {
	int status;
	char type[64];
	char code[64];
	char param[128];
	char message[FAILURE_MESSAGE_MAX];
	int64_t retry_after_sec; /* -1: no such header */
	bool do_not_retry;       /* x-should-retry: false, which the SDKs obey */
};

/* A 400 of type invalid_request_error; code and param may be NULL. Returns false, so that a parser
 * can `return api_error_invalid(...)`. */
bool api_error_invalid(struct api_error *e, const char *code, const char *param, const char *fmt,
                       ...) PRINTF_LIKE(4, 5);
void api_error_set(struct api_error *e, int status, const char *type, const char *code,
                   const char *fmt, ...) PRINTF_LIKE(5, 6);
void api_error_out_of_memory(struct api_error *e);
void api_error_from_failure(struct api_error *e, const struct failure *failure);
/* The error object: {"error":{...}}. Caller frees; NULL: no memory. */
char *api_error_text(const struct api_error *e, size_t *len);
/* What to say where that is NULL. */
extern const char api_no_memory_text[];
/* Answers the exchange with it. */
void api_error_reply(struct http_exchange *x, const struct api_error *e);

#endif
