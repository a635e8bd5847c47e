/* ws_key: the key of a WebSocket handshake, and what a server makes of it (RFC 6455, 4.2.2). */
#ifndef SIDECAR_PROXY_CODEX_WS_KEY_H
#define SIDECAR_PROXY_CODEX_WS_KEY_H

#include "common/common.h"

/* 24 and 28 characters of base64, a NUL, and a byte that libwebsockets wants to see. */
#define WS_KEY_SIZE    26
#define WS_ACCEPT_SIZE 30

/* A random one. 0 or a negative errno. */
int ws_key_make(char key[WS_KEY_SIZE], char accept[WS_ACCEPT_SIZE]) MUST_CHECK;

#endif
