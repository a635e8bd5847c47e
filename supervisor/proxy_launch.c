/* proxy_launch: how codex-proxy is found and executed. */
#include "supervisor/proxy_launch.h"

#include <errno.h>
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

static void
fill_environment(struct environment *env, const struct proxy_launch *l)
{
	environment_pass_basics(env);
	for (size_t i = 0; i < settings_count; i++)
		if (settings_table[i].owners & SETTING_PROXY)
			environment_pass(env, settings_table[i].name);
	environment_set(env, "CODEX_APP_SERVER_URL", NULL); /* we tell it where they are */
	environment_set(env, "CODEX_CONTROL_SOCKET", l->control_path);
	environment_set_int(env, "CODEX_PROXY_GENERATION", l->generation);
	if (l->work_dir != NULL)
		environment_set(env, "CODEX_WORKSPACE", l->work_dir);
	/* we read its lines, and give them our own form */
	environment_set(env, "CODEX_LOG_FORMAT", "json");
	environment_set(env, "LISTEN_FDNAMES", "http");
}

int
proxy_launch_fill(struct app_launch *out, const struct proxy_launch *l)
{
	fill_environment(&out->env, l);
	out->file = strdup(l->binary);
	out->argv = calloc(2, sizeof(*out->argv));
	if (out->argv != NULL)
		out->argv[0] = strdup("codex-proxy");
	out->listen_fd = l->listen_fd;
	if (out->file == NULL || out->argv == NULL || out->argv[0] == NULL)
		return -ENOMEM; /* what is there is freed with *out */
	return 0;
}
