/* server_requests: what the app-server asks of us, and what it is told. Pure.
 *
 * Nobody sits at this client: whatever asks for a permission is declined, in the words that the
 * method has for it, but for what the agent profile's policy allows; and what only a person or a
 * desktop could know is refused. Every method of codex 0.169.0 is known here; another is refused as
 * JSON-RPC does. */
#ifndef SIDECAR_PROXY_CODEX_SERVER_REQUESTS_H
#define SIDECAR_PROXY_CODEX_SERVER_REQUESTS_H

#include <jansson.h>
#include <stdbool.h>

struct server_reply {
	bool none;       /* no answer: the turn that waits for it is ended otherwise */
	json_t *result;  /* the caller's to decref; NULL: an error, or none */
	int code;        /* of the error */
	const char *why; /* the error's message */
};

/* ours: the thread that params name is one of this connection. approved: what is asked for may be.
 * now: seconds since the epoch. */
struct server_reply
server_request_reply(const char *method, bool ours, bool approved, json_int_t now);

#endif
