/* readiness: ask a server whether it is there yet. */
#ifndef SIDECAR_READINESS_H
#define SIDECAR_READINESS_H

#include <uv.h>

#include "common/err.h"

struct readiness;

enum readiness_kind {
	READINESS_CONNECT,   /* a connection is accepted */
	READINESS_WEBSOCKET, /* an upgrade is answered with 101 */
	READINESS_HTTP,      /* GET is answered with 2xx or 3xx */
};

/* Asks target, "/PATH" of a unix socket or "HOST:PORT" ("[::1]:80"), for HTTP with or without a
 * "/PATH" behind it, again and again until the answer is right; then fn, once. Nothing else of the
 * protocol is spoken but a goodbye: the proof is that somebody answers. target is copied; -EINVAL:
 * it is none. */
int readiness_new(struct readiness **out, uv_loop_t *loop, enum readiness_kind kind,
                  const char *target, void (*fn)(void *arg), void *arg) MUST_CHECK;
/* Idempotent by the caller's pointer: fn is not called any more, r is freed later. */
void readiness_close(struct readiness *r);

#endif
