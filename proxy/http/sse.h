/* sse: a stream of server-sent events as the answer to an exchange.
 *
 * Its headers wait until there is something to say, so that an early failure can still be an HTTP
 * status; from then on it is never silent for longer than the keep-alive interval. */
#ifndef SIDECAR_PROXY_HTTP_SSE_H
#define SIDECAR_PROXY_HTTP_SSE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "proxy/http/http.h"

struct sse;

/* on_open: the headers are about to go out because the delay is over; write the first event. */
struct sse *sse_new(uv_loop_t *loop, struct http_exchange *x, uint64_t header_delay_ms,
                    uint64_t keepalive_ms, void (*on_open)(void *arg), void *arg);
/* The delay until the headers go out by themselves starts now. */
void sse_start_delay(struct sse *s);
/* Sends the headers, if they have not gone yet. Does not call on_open. */
void sse_open(struct sse *s);
bool sse_is_open(const struct sse *s);
/* One event with data as its only line; data must hold no newline. false: the client is too slow
 * and is being cut off; the exchange's on_done follows. */
bool sse_event(struct sse *s, const char *data, size_t len);
/* The hot path: up to three pieces that together are whole events, framing included. */
bool sse_write(struct sse *s, const char *a, size_t alen, const char *b, size_t blen, const char *c,
               size_t clen);
/* Ends the answer. */
void sse_end(struct sse *s);
/* Frees; the exchange may be gone already. Exactly once. */
void sse_free(struct sse *s);

#endif
