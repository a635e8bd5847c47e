/* codex_error: what codex says of a turn that went wrong, in the words of proxy/failure.h. Pure. */
#ifndef SIDECAR_PROXY_CODEX_ERROR_H
#define SIDECAR_PROXY_CODEX_ERROR_H

#include <jansson.h>
#include <stdbool.h>

#include "proxy/codex/rpc.h"
#include "proxy/event.h"
#include "proxy/failure.h"

/* error: the object of a failed turn ({"message", "codexErrorInfo", ...}); NULL is fine. */
void codex_error_to_failure(struct failure *f, const json_t *error);
/* The same for an error that codex will get over by asking the provider again: why it has to. */
void codex_retry_to_failure(struct failure *f, const json_t *error);
/* Codex reports an answer that the provider cut off as a failed turn: true, and why it was cut. */
bool codex_error_is_finish(const json_t *error, enum finish_reason *out);
/* A call that was refused, or had no answer. what: its method, for the message. */
void codex_rpc_error_to_failure(struct failure *f, const char *what, const struct rpc_error *error);

#endif
