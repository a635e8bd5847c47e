/* configuration: what is to be run, and by which settings: the ecosystem file, or the built-in
 * pair.
 */
#ifndef SIDECAR_CONFIGURATION_H
#define SIDECAR_CONFIGURATION_H

#include "common/err.h"
#include "common/settings.h"
#include "supervisor/ecosystem.h"

struct configuration {
	const char *file; /* NULL: the built-in pair */
	struct settings settings;
	struct ecosystem *apps; /* NULL: somebody has taken them over */
	bool has_proxy;
	bool has_recipe; /* an app-server that is launched as we know how to */
};

/* What is wrong has been logged, all of it. Returns an exit code of common/exit_code.h; 0: *out is
 * filled. file: borrowed. In the settings, the `env` of the file's codex-proxy and app-server
 * counts before our own environment. */
int configuration_load(struct configuration *out, const char *file) MUST_CHECK;
/* The file's apps as it is now. NULL: what is wrong has been logged, and err sums it up. */
struct ecosystem *
configuration_read_again(const struct configuration *c, struct err *err) MUST_CHECK;
void configuration_free(struct configuration *c);

#endif
