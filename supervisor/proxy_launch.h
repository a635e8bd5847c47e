/* proxy_launch: how codex-proxy is found and executed. */
#ifndef SIDECAR_PROXY_LAUNCH_H
#define SIDECAR_PROXY_LAUNCH_H

#include "supervisor/app.h"

struct proxy_launch {
	const char *binary;
	const char *control_path;
	const char *work_dir; /* where threads run; NULL: its settings say where */
	unsigned generation;
	int listen_fd;
};

/* Beside our own executable, else on PATH: new string; NULL: neither. */
char *proxy_launch_find(void);
/* 0, or -ENOMEM. */
int proxy_launch_fill(struct app_launch *out, const struct proxy_launch *l) MUST_CHECK;

#endif
