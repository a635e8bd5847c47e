/* libcurl: the functions of libcurl that are used, loaded when they are needed: linked, it and the
 * thirty libraries behind it would add 5 ms to every start of the proxy. */
#ifndef SIDECAR_PROXY_LIBCURL_H
#define SIDECAR_PROXY_LIBCURL_H

/* Its macros know functions by their names only. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#include "common/common.h"
#include "common/err.h"

#define LIBCURL_FUNCTIONS(f)                                                                       \
	f(global_init) f(easy_init) f(easy_setopt) f(easy_getinfo) f(easy_reset) f(easy_cleanup)   \
		f(multi_init) f(multi_setopt) f(multi_add_handle) f(multi_remove_handle)           \
			f(multi_socket_action) f(multi_info_read) f(multi_assign) f(multi_cleanup) \
				f(url) f(url_set) f(url_get) f(url_cleanup) f(free)

struct libcurl {
#define LIBCURL_MEMBER(name) __typeof__(curl_##name) *name;
	LIBCURL_FUNCTIONS(LIBCURL_MEMBER)
#undef LIBCURL_MEMBER
};

/* Loaded once, for as long as the process lives. */
int libcurl_load(const struct libcurl **out, struct err *err) MUST_CHECK;

#endif
