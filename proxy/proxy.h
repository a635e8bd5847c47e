/* proxy: a whole run: everything wired together, from the settings to the last handle closed. */
#ifndef SIDECAR_PROXY_PROXY_H
#define SIDECAR_PROXY_PROXY_H

#include "common/settings.h"

/* Serves until it is told to stop. Returns the exit code. */
int proxy_run(const struct settings *settings);

#endif
