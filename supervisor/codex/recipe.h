/* recipe: how an app-server is started, so that it adds nothing to what its caller says. */
#ifndef SIDECAR_CODEX_RECIPE_H
#define SIDECAR_CODEX_RECIPE_H

#include "common/settings.h"
#include "supervisor/app.h"

struct codex_recipe {
	const struct settings *settings;
	const char *binary;   /* native, absolute */
	const char *home;     /* CODEX_HOME */
	const char *listen;   /* unix:///PATH or ws://HOST:PORT */
	const char *catalog;  /* absolute; NULL: Codex's own */
	const char *work_dir; /* where it runs */
	char *const *env_keys;
};

/* 0, or -ENOMEM. */
int codex_recipe_fill(struct app_launch *out, const struct codex_recipe *r) MUST_CHECK;
/* The environment that any run of codex gets: an allow-list, without any key of the proxy's. */
void codex_recipe_environment(struct environment *env, const char *home,
                              const struct settings *settings, char *const *env_keys);

#endif
