/* policy_path: paths as text, and globs on them. Pure: nothing is looked up. */
#ifndef SIDECAR_PROXY_CODEX_POLICY_PATH_H
#define SIDECAR_PROXY_CODEX_POLICY_PATH_H

#include <stdbool.h>
#include <stddef.h>

#define POLICY_PATH_MAX 4096 /* PATH_MAX of Linux, with its NUL */

/* len bytes of path, absolute and without ".", ".." and "//", into out. A leading "~" is home. 0;
 * -EINVAL: relative without cwd, "~" without home, "~user", or empty; -ENAMETOOLONG. */
int policy_path_resolve(char out[POLICY_PATH_MAX], const char *path, size_t len, const char *cwd,
                        const char *home);

enum policy_path_match {
	POLICY_PATH_OUTSIDE,
	POLICY_PATH_INSIDE, /* it matches, or is below what matches */
	POLICY_PATH_ABOVE,  /* something that matches may be below it */
};

/* glob and path: both resolved. "*", "?" and "[...]" match within one name. */
enum policy_path_match policy_path_match(const char *glob, const char *path);
/* Does the name of the file, or of a folder on the way to it, match? */
bool policy_path_has_name(const char *glob, const char *path);

#endif
