/* proxy_launch: how codex-proxy is found and executed. */
#ifndef SIDECAR_PROXY_LAUNCH_H
#define SIDECAR_PROXY_LAUNCH_H

#include "supervisor/environment.h"

/* Beside our own executable, else on PATH: new string; NULL: neither. */
char *proxy_launch_find(void);
/* What any codex-proxy gets of our own environment, and what one with our listening socket needs.
 */
void proxy_launch_environment(struct environment *env);
/* What one gets that is told by us, on the control socket, where the app-servers are. */
void proxy_launch_link(struct environment *env, const char *control_path, unsigned generation);

#endif
