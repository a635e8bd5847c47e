/* cors: which web pages a browser may let call us (CODEX_CORS_ORIGINS).
 *
 * origins: the setting, a list with commas between its elements or "*"; NULL: no page may. */
#ifndef SIDECAR_PROXY_API_CORS_H
#define SIDECAR_PROXY_API_CORS_H

#include <stdbool.h>

#include "proxy/http/http.h"

bool cors_allows(const char *origins, const char *origin);
/* What every answer needs, errors included, for the page to read it; nothing for other pages. */
void cors_add_headers(const char *origins, struct http_exchange *x);
/* Is it a browser's question whether it may call, by a page that may? Then it is answered here,
 * with the status returned: without a key, since the browser sends none. 0: no. */
int cors_preflight(const char *origins, struct http_exchange *x);

#endif
