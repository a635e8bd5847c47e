/* outcomes: counts how turns end on each backend, and says when one has had enough. Pure.
 *
 * Only failures that are nobody's request's fault count, and only in a row. */
#ifndef SIDECAR_PROXY_OUTCOMES_H
#define SIDECAR_PROXY_OUTCOMES_H

#include <stdint.h>

#include "proxy/failure.h"

#define OUTCOMES_BACKENDS_MAX                                                                      \
	128 /* twice CODEX_APP_SERVER_INSTANCES: one may be replacing another */

struct outcomes {
	unsigned upstream_threshold; /* failures of the provider in a row */
	struct {
		int64_t generation;
		unsigned upstream;
		unsigned server;
	} backends[OUTCOMES_BACKENDS_MAX];
};

/* A turn ended on a backend; failure NULL: well. The class that the supervisor must hear of
 * ("auth", "upstream", "server"), or NULL. It is said again after as many more failures. */
const char *
outcomes_add(struct outcomes *o, int backend, int64_t generation, const struct failure *failure);

#endif
