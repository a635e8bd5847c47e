/* home: the private CODEX_HOME of one app-server, in our state folder. */
#include "supervisor/codex/home.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/paths.h"

#define FILE_MAX ((size_t)1 << 20) /* both are a few KB */

/* Makes path a symbolic link to target, also when that does not exist (yet). */
static int
ensure_link(const char *path, const char *target, struct err *err)
{
	char now[PATH_MAX];
	ssize_t n = readlink(path, now, sizeof(now) - 1);

	if (n >= 0) {
		now[n] = '\0';
		if (strcmp(now, target) == 0)
			return 0;
	}
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (symlink(target, path) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int
ensure_file(const char *path, const char *text, struct err *err)
{
	AUTO_FREE char *now = NULL;
	struct stat st;
	size_t len;

	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    file_read(&now, &len, path, FILE_MAX, NULL) == 0 && strcmp(now, text) == 0)
		return 0;
	return file_write_atomic(path, text, strlen(text), 0600, err);
}

/* An empty folder where codex wants its log database: it runs well without, and saves 40 KB a
 * turn. */
static int
block_database(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISDIR(st.st_mode) && unlink(path) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int
link_from(const char *dir, const char *user_home, const char *name, struct err *err)
{
	AUTO_FREE char *path = paths_join(dir, name);
	AUTO_FREE char *target = paths_join(user_home, name);

	if (path == NULL || target == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	return ensure_link(path, target, err);
}

static int
make_login(const char *dir, const char *user_home, const char *text, struct err *err)
{
	AUTO_FREE char *path = paths_join(dir, "auth.json");

	if (text == NULL)
		return link_from(dir, user_home, "auth.json", err);
	if (path == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	if (text[0] != '\0')
		return ensure_file(path, text, err);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

int
codex_home_make(const char *dir, const char *user_home, const char *config_toml,
                const char *auth_json, struct err *err)
{
	AUTO_FREE char *config = paths_join(dir, "config.toml");
	AUTO_FREE char *logs = paths_join(dir, "logs_2.sqlite");
	AUTO_FREE char *sessions = paths_join(dir, "sessions");
	int r;

	if (config == NULL || logs == NULL || sessions == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	r = file_make_dir(dir, 0700, err);
	if (r == 0)
		r = make_login(dir, user_home, auth_json, err);
	if (r == 0)
		r = config_toml != NULL ? ensure_file(config, config_toml, err)
		                        : link_from(dir, user_home, "config.toml", err);
	if (r == 0)
		r = block_database(logs, err);
	/* an empty one alone makes each thread start four times slower; a full one is somebody's
	 * data, and stays */
	(void)rmdir(sessions);
	return r;
}

int
codex_home_make_probe(const char *dir, const char *user_home, struct err *err)
{
	AUTO_FREE char *logs = paths_join(dir, "logs_2.sqlite");
	int r;

	if (logs == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	r = file_make_dir(dir, 0700, err);
	if (r == 0)
		r = link_from(dir, user_home, "config.toml", err);
	if (r == 0)
		r = block_database(logs, err);
	return r;
}
