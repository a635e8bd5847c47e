/* policy_path: paths as text, and globs on them. */
#include "proxy/codex/policy_path.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "common/common.h"

/* out[0..used) is a resolved path ("" for the root); one name more. New length, 0 is the root. */
static int
push(char *out, size_t *used, const char *name, size_t len)
{
	if (len == 0 || (len == 1 && name[0] == '.'))
		return 0;
	if (len == 2 && memcmp(name, "..", 2) == 0) {
		while (*used > 0 && out[--*used] != '/')
			;
		return 0;
	}
	if (*used + 1 + len >= POLICY_PATH_MAX)
		return -ENAMETOOLONG;
	out[(*used)++] = '/';
	memcpy(out + *used, name, len);
	*used += len;
	return 0;
}

static int
push_all(char *out, size_t *used, const char *path, size_t len)
{
	for (size_t i = 0; i <= len;) {
		const char *slash = memchr(path + i, '/', len - i);
		size_t n = slash != NULL ? (size_t)(slash - path) - i : len - i;
		int r = push(out, used, path + i, n);

		if (r < 0)
			return r;
		i += n + 1;
	}
	return 0;
}

int
policy_path_resolve(char out[POLICY_PATH_MAX], const char *path, size_t len, const char *cwd,
                    const char *home)
{
	const char *base = NULL;
	size_t used = 0;
	int r;

	if (len == 0)
		return -EINVAL;
	if (path[0] == '~') {
		if (home == NULL || (len > 1 && path[1] != '/'))
			return -EINVAL;
		base = home;
		path++;
		len--;
	} else if (path[0] != '/') {
		if (cwd == NULL)
			return -EINVAL;
		base = cwd;
	}
	if (base != NULL && base[0] != '/')
		return -EINVAL;
	r = base != NULL ? push_all(out, &used, base, strlen(base)) : 0;
	if (r == 0)
		r = push_all(out, &used, path, len);
	if (r < 0)
		return r;
	if (used == 0)
		out[used++] = '/';
	out[used] = '\0';
	return 0;
}

/* Names in a resolved path: none in the root. */
static size_t
depth(const char *path)
{
	size_t n = 0;

	if (path[1] == '\0')
		return 0;
	for (; *path != '\0'; path++)
		n += *path == '/';
	return n;
}

/* The first n names of from. */
static void
cut(char out[POLICY_PATH_MAX], const char *from, size_t n)
{
	size_t i = 0;

	for (; i < POLICY_PATH_MAX - 1 && from[i] != '\0'; i++) {
		if (from[i] == '/' && n-- == 0)
			break;
		out[i] = from[i];
	}
	out[i] = '\0';
}

enum policy_path_match
policy_path_match(const char *glob, const char *path)
{
	size_t glob_depth = depth(glob), path_depth = depth(path);
	char part[POLICY_PATH_MAX];

	if (glob_depth == 0)
		return POLICY_PATH_INSIDE;
	if (path_depth == 0)
		return POLICY_PATH_ABOVE;
	if (path_depth >= glob_depth) {
		cut(part, path, glob_depth);
		return fnmatch(glob, part, FNM_PATHNAME) == 0 ? POLICY_PATH_INSIDE
		                                              : POLICY_PATH_OUTSIDE;
	}
	cut(part, glob, path_depth);
	return fnmatch(part, path, FNM_PATHNAME) == 0 ? POLICY_PATH_ABOVE : POLICY_PATH_OUTSIDE;
}

bool
policy_path_has_name(const char *glob, const char *path)
{
	char name[POLICY_PATH_MAX];

	while (*path == '/') {
		size_t len = strcspn(path + 1, "/");

		memcpy(name, path + 1, len);
		name[len] = '\0';
		if (fnmatch(glob, name, 0) == 0)
			return true;
		path += 1 + len;
	}
	return false;
}
