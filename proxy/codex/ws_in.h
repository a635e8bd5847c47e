/* ws_in: the messages in what a WebSocket server sends. Pure. */
#ifndef SIDECAR_PROXY_CODEX_WS_IN_H
#define SIDECAR_PROXY_CODEX_WS_IN_H

#include <stddef.h>

#include "common/common.h"

struct ws_in;

/* The bytes are valid during the call. None of them may free the ws_in. */
struct ws_in_handlers {
	/* Whole, never empty. Text or binary: who parses it will see. */
	void (*on_message)(void *arg, const char *bytes, size_t len);
	void (*on_ping)(void *arg, const char *bytes, size_t len);
	/* It wants to end. What follows is no concern of ours. */
	void (*on_goodbye)(void *arg);
};

/* NULL: no memory. */
struct ws_in *ws_in_new(size_t max_message_bytes, const struct ws_in_handlers *handlers, void *arg);
void ws_in_free(struct ws_in *in); /* NULL is fine */
/* NULL, or what is wrong with it: it cannot be fed any more then. */
const char *ws_in_feed(struct ws_in *in, const char *bytes, size_t len) MUST_CHECK;

#endif
