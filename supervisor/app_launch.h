/* app_launch: what an app is executed as. */
#ifndef SIDECAR_APP_LAUNCH_H
#define SIDECAR_APP_LAUNCH_H

#include "supervisor/environment.h"

struct app_launch {
	char *file;
	char **argv; /* NULL-terminated, each freed */
	struct environment env;
	char *cwd;
	char *ready_target; /* what readiness.h asks; NULL: it is not asked */
	int listen_fd;      /* stays the caller's; -1: none */
};

void app_launch_free(struct app_launch *l);

#endif
