/* ws_key: the key of a WebSocket handshake. A file of its own, since the headers of libwebsockets
 * and of http-parser do not go together. */
#include "proxy/codex/ws_key.h"

#include <errno.h>
#include <libwebsockets.h> /* SHA-1 and base64 */
#include <stdio.h>

#include "common/random.h"

int
ws_key_make(char key[WS_KEY_SIZE], char accept[WS_ACCEPT_SIZE])
{
	unsigned char text[64], digest[20];
	char random[16];
	int n;

	if (!random_bytes(random, sizeof(random)) ||
	    lws_b64_encode_string(random, sizeof(random), key, WS_KEY_SIZE) < 0)
		return -EIO;
	n = snprintf((char *)text, sizeof(text), "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	(void)lws_SHA1(text, (size_t)n, digest); /* returns its argument */
	if (lws_b64_encode_string((char *)digest, sizeof(digest), accept, WS_ACCEPT_SIZE) < 0)
		return -EIO;
	return 0;
}
