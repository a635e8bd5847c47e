/* ws_upgrade: the HTTP request that opens a WebSocket, and whether its answer is the right one.
 * Pure, but for the random key. */
#ifndef SIDECAR_PROXY_CODEX_WS_UPGRADE_H
#define SIDECAR_PROXY_CODEX_WS_UPGRADE_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/common.h"
#include "proxy/codex/ws_key.h"

enum ws_upgrade_state {
	WS_UPGRADE_WAITS,   /* for more of the answer */
	WS_UPGRADE_DONE,    /* what follows are frames */
	WS_UPGRADE_REFUSED, /* see problem */
};

struct ws_upgrade {
	enum ws_upgrade_state state;
	char problem[80]; /* for the log */
	/* The rest is its own. */
	char accept[WS_ACCEPT_SIZE]; /* what the server has to say to our key */
	bool accepted;
	http_parser parser;
	size_t head_bytes;
	char name[32]; /* of the header line that is being read */
	char value[64];
	size_t name_len, value_len; /* over the size: none that matters here */
	bool in_value;
};

/* Writes the request. The length, or -ENAMETOOLONG, or no key could be made: -EIO. */
int ws_upgrade_begin(struct ws_upgrade *u, char *request, size_t size, const char *host,
                     const char *path) MUST_CHECK;
/* Reads on in the answer. Returns how many bytes belong to it; look at state then. */
size_t ws_upgrade_feed(struct ws_upgrade *u, const char *bytes, size_t len);

#endif
