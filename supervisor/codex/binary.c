/* binary: where the native codex is, also behind npm's Node shim. */
#include "supervisor/codex/binary.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool
is_executable_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static char *
search_path(const char *name)
{
	const char *path = getenv("PATH");
	AUTO_FREE char *dirs = strdup(path != NULL ? path : "/usr/local/bin:/usr/bin:/bin");
	char *save = NULL;

	if (dirs == NULL)
		return NULL;
	for (char *dir = strtok_r(dirs, ":", &save); dir != NULL;
	     dir = strtok_r(NULL, ":", &save)) {
		char *candidate;

		if (asprintf(&candidate, "%s/%s", dir, name) < 0)
			return NULL;
		if (is_executable_file(candidate))
			return candidate;
		free(candidate);
	}
	errno = ENOENT;
	return NULL;
}

static bool
starts_with(const char *path, const char *magic, size_t len)
{
	char head[4];
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, head, sizeof(head)) == (ssize_t)sizeof(head) &&
	       memcmp(head, magic, len) == 0;
}

static const char *
npm_arch(void)
{
#if defined(__aarch64__)
	return "arm64";
#else
	return "x64";
#endif
}

/* The shim is .../node_modules/@openai/codex/bin/codex.js. The package with the program is beside
 * it (npm hoists), or in a node_modules of its own; from each folder above, as Node looks. */
static char *
behind_shim(const char *shim)
{
	AUTO_FREE char *dir = strdup(shim);
	char *slash;

	while (dir != NULL && (slash = strrchr(dir, '/')) != NULL) {
		AUTO_FREE char *pattern = NULL;
		glob_t found;
		char *path = NULL;

		*slash = '\0';
		if (asprintf(&pattern, "%s/node_modules/@openai/codex-linux-%s/vendor/*/bin/codex",
		             dir, npm_arch()) < 0)
			return NULL;
		if (glob(pattern, 0, NULL, &found) == 0) {
			for (size_t i = 0; i < found.gl_pathc && path == NULL; i++)
				if (starts_with(found.gl_pathv[i], "\177ELF", 4) &&
				    is_executable_file(found.gl_pathv[i]))
					path = strdup(found.gl_pathv[i]);
			globfree(&found);
		}
		if (path != NULL)
			return path;
	}
	return NULL;
}

int
codex_binary_find(char **out, const char *wanted, struct err *err)
{
	AUTO_FREE char *found = strchr(wanted, '/') != NULL ? strdup(wanted) : search_path(wanted);
	char *real, *native;

	if (found == NULL && errno == ENOMEM)
		return err_set(err, -ENOMEM, "out of memory");
	if (found == NULL)
		return err_set(
			err, -ENOENT,
			"CODEX_BIN: %s is not on PATH (npm install -g @openai/codex brings it)",
			wanted);
	if (!is_executable_file(found))
		return err_set(err, -ENOENT, "CODEX_BIN: %s is not an executable file", found);
	real = realpath(found, NULL);
	if (real == NULL)
		return err_set(err, -errno, "CODEX_BIN: %s: %s", found, strerror(errno));
	if (starts_with(real, "\177ELF", 4) || !starts_with(real, "#!", 2)) {
		*out = real;
		return 0;
	}
	native = behind_shim(real);
	if (native == NULL) {
		*out = real; /* somebody's own wrapper */
		return 0;
	}
	free(real);
	*out = native;
	return 0;
}

char *
codex_file_key(const char *path)
{
	struct stat st;
	char *key;

	if (stat(path, &st) < 0 || asprintf(&key, "%s %lld %lld.%09ld", path, (long long)st.st_size,
	                                    (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec) < 0)
		return NULL;
	return key;
}
