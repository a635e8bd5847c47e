/* paths: where the runtime and state folders are. */
#include "common/paths.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define FOLDER "codex-sidecar"

char *
paths_join(const char *dir, const char *name)
{
	size_t len = strlen(dir);
	char *path;

	while (len > 1 && dir[len - 1] == '/')
		len--;
	if (asprintf(&path, "%.*s%s%s", (int)len, dir, len == 1 && dir[0] == '/' ? "" : "/", name) <
	    0)
		return NULL;
	return path;
}

/* An environment variable with an absolute path; the XDG rules say to pass over others. */
static const char *
folder_from(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] == '/' ? value : NULL;
}

/* systemd lists the folders of a unit with ':' between them; the first is ours. */
static char *
first_of(const char *list)
{
	return strndup(list, strcspn(list, ":"));
}

static const char *
home(void)
{
	const char *value = folder_from("HOME");
	const struct passwd *pw;

	if (value != NULL)
		return value;
	pw = getpwuid(geteuid());
	return pw != NULL && pw->pw_dir != NULL && pw->pw_dir[0] == '/' ? pw->pw_dir : NULL;
}

char *
paths_runtime_dir(const struct settings *s)
{
	const char *dir;

	if (s->runtime_dir != NULL)
		return strdup(s->runtime_dir);
	dir = folder_from("RUNTIME_DIRECTORY");
	if (dir != NULL)
		return first_of(dir);
	dir = folder_from("XDG_RUNTIME_DIR");
	return dir != NULL ? paths_join(dir, FOLDER) : strdup("/run/" FOLDER);
}

char *
paths_state_dir(const struct settings *s)
{
	const char *dir;

	if (s->state_dir != NULL)
		return strdup(s->state_dir);
	dir = folder_from("STATE_DIRECTORY");
	if (dir != NULL)
		return first_of(dir);
	dir = folder_from("XDG_STATE_HOME");
	if (dir != NULL)
		return paths_join(dir, FOLDER);
	dir = folder_from("HOME");
	return dir != NULL ? paths_join(dir, ".local/state/" FOLDER) : strdup("/var/lib/" FOLDER);
}

char *
paths_codex_home(const struct settings *s)
{
	const char *dir;

	if (s->codex_home != NULL)
		return strdup(s->codex_home);
	dir = home();
	return paths_join(dir != NULL ? dir : "/", ".codex");
}

char *
paths_control_socket(const struct settings *s)
{
	AUTO_FREE char *dir = NULL;

	if (s->control_socket != NULL)
		return strdup(s->control_socket);
	dir = paths_runtime_dir(s);
	return dir != NULL ? paths_join(dir, "control.sock") : NULL;
}
