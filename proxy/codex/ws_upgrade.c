/* ws_upgrade: the HTTP request that opens a WebSocket, and whether its answer is the right one. */
#include "proxy/codex/ws_upgrade.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* An answer has a few hundred bytes. */
#define HEAD_MAX ((size_t)16384)

static void
refuse(struct ws_upgrade *u, const char *problem)
{
	u->state = WS_UPGRADE_REFUSED;
	(void)snprintf(u->problem, sizeof(u->problem), "%s", problem);
}

int
ws_upgrade_begin(struct ws_upgrade *u, char *request, size_t size, const char *host,
                 const char *path)
{
	char key[WS_KEY_SIZE];
	int n;

	memset(u, 0, sizeof(*u));
	http_parser_init(&u->parser, HTTP_RESPONSE);
	u->parser.data = u;
	n = ws_key_make(key, u->accept);
	if (n < 0)
		return n;
	n = snprintf(request, size,
	             "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	             "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
	             path, host, key);
	return n > 0 && (size_t)n < size ? n : -ENAMETOOLONG;
}

/* --- the answer ------------------------------------------------------------------------------ */

static void
end_line(struct ws_upgrade *u)
{
	if (u->name_len < sizeof(u->name) && u->value_len < sizeof(u->value)) {
		u->name[u->name_len] = u->value[u->value_len] = '\0';
		if (strcasecmp(u->name, "sec-websocket-accept") == 0)
			u->accepted = strcmp(u->value, u->accept) == 0;
	}
	/* We ask for neither, and would not understand what comes then. */
	if (u->name_len < sizeof(u->name) &&
	    (strcasecmp(u->name, "sec-websocket-extensions") == 0 ||
	     strcasecmp(u->name, "sec-websocket-protocol") == 0))
		refuse(u, "the handshake was answered with an extension nobody asked for");
	u->name_len = u->value_len = 0;
	u->in_value = false;
}

static void
add(char *to, size_t *to_len, size_t size, const char *at, size_t len)
{
	if (*to_len + len < size)
		memcpy(to + *to_len, at, len);
	*to_len += len;
}

static int
on_name(http_parser *parser, const char *at, size_t len)
{
	struct ws_upgrade *u = parser->data;

	if (u->in_value)
		end_line(u);
	add(u->name, &u->name_len, sizeof(u->name) - 1, at, len);
	return 0;
}

static int
on_value(http_parser *parser, const char *at, size_t len)
{
	struct ws_upgrade *u = parser->data;

	u->in_value = true;
	add(u->value, &u->value_len, sizeof(u->value) - 1, at, len);
	return 0;
}

static int
on_head(http_parser *parser)
{
	struct ws_upgrade *u = parser->data;
	char problem[64];

	end_line(u);
	if (u->state == WS_UPGRADE_REFUSED)
		return 0;
	if (parser->upgrade && u->accepted) { /* 101, and both headers of an upgrade */
		u->state = WS_UPGRADE_DONE;
		return 2; /* it has no body, whatever it says */
	}
	(void)snprintf(problem, sizeof(problem), "the handshake was answered with %u%s",
	               parser->status_code, parser->status_code == 101 ? ", but not rightly" : "");
	refuse(u, problem);
	return 0;
}

size_t
ws_upgrade_feed(struct ws_upgrade *u, const char *bytes, size_t len)
{
	static const http_parser_settings settings = {
		.on_header_field = on_name,
		.on_header_value = on_value,
		.on_headers_complete = on_head,
	};
	size_t used;

	if (u->state != WS_UPGRADE_WAITS)
		return 0;
	used = http_parser_execute(&u->parser, &settings, bytes, len);
	u->head_bytes += used;
	if (u->state == WS_UPGRADE_WAITS && HTTP_PARSER_ERRNO(&u->parser) != HPE_OK)
		refuse(u, "the handshake was answered with something that is no HTTP");
	else if (u->state == WS_UPGRADE_WAITS && u->head_bytes > HEAD_MAX)
		refuse(u, "the handshake was answered with too much");
	return used;
}
