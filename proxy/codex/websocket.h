/* websocket: one connection to a WebSocket server at unix://PATH or ws://HOST:PORT.
 *
 * It opens once and closes once. libuv has the socket, http-parser reads the answer to the upgrade
 * (ws_upgrade), wslay the frames (ws_in, ws_out): libwebsockets' client looks at each byte that
 * comes in a state machine, which was half of the work of the proxy. */
#ifndef SIDECAR_PROXY_CODEX_WEBSOCKET_H
#define SIDECAR_PROXY_CODEX_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/common.h"
#include "common/err.h"

struct websocket;
struct ws_message;

struct websocket_handlers {
	void (*on_open)(void *arg);
	/* A whole message, never empty; only while it is open. bytes are valid during the call. */
	void (*on_message)(void *arg, const char *bytes, size_t len);
	/* Failed to open, or ended. Last call; the websocket is freed after it. Never from inside
	 * a function of this header. reason: for the log. */
	void (*on_closed)(void *arg, const char *reason);
};

/* max_message_bytes: longer ones of the server end the connection. */
int
websocket_open(struct websocket **out, uv_loop_t *loop, const char *url, size_t max_message_bytes,
               const struct websocket_handlers *handlers, void *arg, struct err *err) MUST_CHECK;
/* Sends what is queued, for half a second at most, and says goodbye. Idempotent; on_closed follows.
 */
void websocket_close(struct websocket *ws);
/* Is it open, and not about to close? */
bool websocket_is_open(const struct websocket *ws);

/* The text that the pieces make up, ready to be sent: later, or never. It does not belong to the
 * connection before it is sent: free() it. NULL: no memory. */
struct ws_message *
websocket_text(struct websocket *ws, const char *const *pieces, const size_t *lens, size_t count);
/* Takes m over. It leaves before the loop waits again, together with the others. */
void websocket_send(struct websocket *ws, struct ws_message *m);
/* What has not been taken by the socket. */
size_t websocket_unsent_bytes(const struct websocket *ws);

#endif
