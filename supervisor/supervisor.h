/* supervisor: a whole run, from the settings to the last handle closed. */
#ifndef SIDECAR_SUPERVISOR_H
#define SIDECAR_SUPERVISOR_H

#include "supervisor/configuration.h"

/* Runs until it is told to stop; c's apps are taken over. Returns an exit code of
 * common/exit_code.h; what was wrong has been logged. */
int supervisor_run(struct configuration *c);

#endif
