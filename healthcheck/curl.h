/* curl: libcurl, loaded when it is needed. With the thirty libraries that it stands on it takes
 * longer to load (6 ms) than a question on the control socket takes from start to end (2 ms). */
#ifndef SIDECAR_HEALTHCHECK_CURL_H
#define SIDECAR_HEALTHCHECK_CURL_H

#include <curl/curl.h>

#include "common/err.h"

#define CURL_FUNCTIONS(X)                                                                          \
	X(global_init)                                                                             \
	X(global_cleanup)                                                                          \
	X(easy_init)                                                                               \
	X(easy_setopt)                                                                             \
	X(easy_perform)                                                                            \
	X(easy_getinfo)                                                                            \
	X(easy_strerror)                                                                           \
	X(easy_cleanup)                                                                            \
	X(slist_append)                                                                            \
	X(slist_free_all)                                                                          \
	X(url)                                                                                     \
	X(url_cleanup)                                                                             \
	X(url_get)                                                                                 \
	X(url_set)                                                                                 \
	X(free)

struct curl {
#define X(name) __typeof__(curl_##name) *name;
	CURL_FUNCTIONS(X)
#undef X
};

/* The same each time; it stays until the end. NULL: it cannot be loaded, err says why. */
const struct curl *curl_load(struct err *err);

#endif
