/* ecosystem_builtin: the app-servers and the proxy that are run when there is no ecosystem file. */
#ifndef SIDECAR_ECOSYSTEM_BUILTIN_H
#define SIDECAR_ECOSYSTEM_BUILTIN_H

#include "common/settings.h"
#include "supervisor/ecosystem.h"

/* As a file with the same two apps would be. NULL: no memory. */
struct ecosystem *ecosystem_builtin(const struct settings *s) MUST_CHECK;

#endif
