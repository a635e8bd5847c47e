/* curl: libcurl, loaded when it is needed. */
#include "healthcheck/curl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define LIBRARY "libcurl.so.4" /* its interface has had this number since 2006 */

static bool
find_all(struct curl *out, void *library)
{
	void *found;

#define X(name)                                                                                    \
	found = dlsym(library, "curl_" #name);                                                     \
	if (found == NULL)                                                                         \
		return false;                                                                      \
	memcpy(&out->name, &found, sizeof(found)); /* as POSIX promises: they are alike */
	CURL_FUNCTIONS(X)
#undef X
	return true;
}

const struct curl *
curl_load(struct err *err)
{
	static struct curl curl;
	static void *library;

	if (library != NULL)
		return &curl;
	library = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
	if (library != NULL && find_all(&curl, library))
		return &curl;
	(void)err_set(err, -ENOENT, "HTTP needs libcurl: %s", dlerror());
	if (library != NULL)
		(void)dlclose(library); /* nothing in it has been used */
	library = NULL;
	return NULL;
}
