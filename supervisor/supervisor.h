/* supervisor: a whole run, from the settings to the last handle closed. */
#ifndef SIDECAR_SUPERVISOR_H
#define SIDECAR_SUPERVISOR_H

#include "common/settings.h"

/* Runs until it is told to stop. Returns an exit code of common/exit_code.h; what was wrong has
 * been logged. */
int supervisor_run(const struct settings *settings);

#endif
