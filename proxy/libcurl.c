/* libcurl: its functions, found in the library at run time. */
#include "proxy/libcurl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>

#define SONAME "libcurl.so.4"

/* POSIX has no other way to make a function of what dlsym gives. */
static bool
find(void *library, const char *name, void *function)
{
	*(void **)function = dlsym(library, name);
	return *(void **)function != NULL;
}

int
libcurl_load(const struct libcurl **out, struct err *err)
{
	static struct libcurl loaded;
	static bool done;
	struct libcurl lib;
	void *library = NULL;

	*out = &loaded;
	if (done)
		return 0;
	library = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		return err_set(err, -ENOENT, "libcurl is needed: %s", dlerror());
#define LIBCURL_FIND(name)                                                                         \
	if (!find(library, "curl_" #name, &lib.name))                                              \
		return err_set(err, -ENOENT, "libcurl is not as it should be: %s", dlerror());
	LIBCURL_FUNCTIONS(LIBCURL_FIND)
#undef LIBCURL_FIND
	if (lib.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, -ENOMEM, "libcurl cannot be initialized");
	loaded = lib;
	done = true;
	return 0;
}
