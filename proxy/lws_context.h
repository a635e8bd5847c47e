/* lws_context: the one libwebsockets context of the process, on our own libuv loop.
 *
 * proxy/http serves in it; the connections to app-servers are not of it (codex/websocket.h). */
#ifndef SIDECAR_PROXY_LWS_CONTEXT_H
#define SIDECAR_PROXY_LWS_CONTEXT_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <uv.h>

#include "common/common.h"
#include "common/err.h"

/* Longest time a peer may stall in the middle of a request body. */
#define LWS_STALL_SECS 30

int lws_context_open(struct lws_context **out, uv_loop_t *loop, struct err *err) MUST_CHECK;
/* The same, for vhosts that serve TLS. */
int lws_context_open_tls(struct lws_context **out, uv_loop_t *loop, struct err *err) MUST_CHECK;
/* libwebsockets had no memory for something. Called from within it. */
void lws_context_on_shortage(void (*fn)(void *arg), void *arg);
/* Closes every connection (their callbacks run) and drains the loop until nothing is alive, then
 * frees the context. Call it from main after uv_run has returned, with every other handle closed
 * or closing; never from a callback. False: libwebsockets holds on to a connection (one for which
 * it had no memory), the loop cannot be closed; nothing is left but to end. */
bool lws_context_shutdown(struct lws_context *ctx, uv_loop_t *loop) MUST_CHECK;

#endif
