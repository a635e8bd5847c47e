/* chat: POST /v1/chat/completions, from the request's body to the last byte of its answer. */
#ifndef SIDECAR_PROXY_API_CHAT_H
#define SIDECAR_PROXY_API_CHAT_H

#include "proxy/api/api.h"

void chat_handle(struct api *api, struct http_exchange *x);

#endif
