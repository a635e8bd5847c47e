/* readiness: ask a unix socket whether a server there takes WebSocket connections yet. */
#ifndef SIDECAR_READINESS_H
#define SIDECAR_READINESS_H

#include <uv.h>

#include "common/common.h"

struct readiness;

/* Connects and asks for a WebSocket upgrade again and again until the answer is 101; then fn, once.
 * Nothing else of WebSocket is spoken but the closing frame: the proof is that somebody answers.
 * path is copied. */
int readiness_new(struct readiness **out, uv_loop_t *loop, const char *path, void (*fn)(void *arg),
                  void *arg) MUST_CHECK;
/* Idempotent by the caller's pointer: fn is not called any more, r is freed later. */
void readiness_close(struct readiness *r);

#endif
