/* proxy_launch: how codex-proxy is found and executed. */
#include "supervisor/proxy_launch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/settings.h"

char *
proxy_launch_find(void)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *path = getenv("PATH");
	AUTO_FREE char *dirs = NULL;
	char *save = NULL;

	if (n < 0)
		return NULL;
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	if (asprintf(&dirs, "%s:%s", self, path != NULL ? path : "") < 0)
		return NULL;
	for (char *dir = strtok_r(dirs, ":", &save); dir != NULL;
	     dir = strtok_r(NULL, ":", &save)) {
		char *file;

		if (asprintf(&file, "%s/codex-proxy", dir) < 0)
			return NULL;
		if (access(file, X_OK) == 0)
			return file;
		free(file);
	}
	return NULL;
}

void
proxy_launch_environment(struct environment *env)
{
	environment_pass_basics(env);
	for (size_t i = 0; i < settings_count; i++)
		if (settings_table[i].owners & SETTING_PROXY)
			environment_pass(env, settings_table[i].name);
	environment_set(env, "CODEX_CONTROL_SOCKET", NULL); /* of what started us, perhaps */
	/* we read its lines, and give them our own form */
	environment_set(env, "CODEX_LOG_FORMAT", "json");
	environment_set(env, "LISTEN_FDNAMES", "http");
}

void
proxy_launch_link(struct environment *env, const char *control_path, unsigned generation)
{
	environment_set(env, "CODEX_APP_SERVER_URL", NULL); /* we tell it where they are */
	environment_set(env, "CODEX_CONTROL_SOCKET", control_path);
	environment_set_int(env, "CODEX_PROXY_GENERATION", generation);
}
