/* thread_params: a conversation as the params of the three calls that begin its turn. Pure. */
#ifndef SIDECAR_PROXY_CODEX_THREAD_PARAMS_H
#define SIDECAR_PROXY_CODEX_THREAD_PARAMS_H

#include "common/err.h"
#include "common/json.h"
#include "proxy/codex/thread.h"

/* Each appends the text of a JSON object; out->failed: no memory. */
void thread_params_start(struct json_buf *out, const struct thread_config *config,
                         const struct conversation *c);
void
thread_params_inject(struct json_buf *out, const char *thread_id, const struct conversation *c);
void thread_params_turn(struct json_buf *out, const char *thread_id, const struct conversation *c);
/* The same with the whole history as the turn's input, in one text. 0, or what transcript_build
 * says: nothing has been appended then. */
int thread_params_turn_as_text(struct json_buf *out, const char *thread_id,
                               const struct conversation *c, struct err *err) MUST_CHECK;

#endif
