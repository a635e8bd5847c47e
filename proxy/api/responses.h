/* responses: POST /v1/responses, and what becomes of responses later. */
#ifndef SIDECAR_PROXY_API_RESPONSES_H
#define SIDECAR_PROXY_API_RESPONSES_H

#include "proxy/api/api.h"

/* The body is complete. Takes care of the exchange to its end. */
void responses_handle(struct api *api, struct http_exchange *x);

/* path: what follows /v1/responses/ in it. */
void responses_get(struct api *api, struct http_exchange *x, const char *path);
void responses_delete(struct api *api, struct http_exchange *x, const char *path);
void responses_post(struct api *api, struct http_exchange *x, const char *path);

#endif
