/* probe: one GET, within a deadline, and what came back. */
#ifndef SIDECAR_HEALTHCHECK_PROBE_H
#define SIDECAR_HEALTHCHECK_PROBE_H

#include "healthcheck/target.h"

/* The body of /readyz is a few hundred bytes; more is not read. */
#define PROBE_BODY_MAX ((size_t)16 << 10)

struct probe_answer {
	int status; /* the HTTP status; 0: there was no whole HTTP answer, and why is in err */
	char *body; /* NUL-terminated, at most PROBE_BODY_MAX bytes; NULL when there is none */
	size_t len;
};

/* Blocks, for timeout_ms at most. No proxy of the environment is used, no redirect followed.
 * 0 when there was an answer, whatever its status; else negative errno: -ETIMEDOUT, or
 * -ECONNREFUSED for all other ways not to be answered. */
int probe_ask(struct probe_answer *out, const struct target *target, long timeout_ms,
              struct err *err) MUST_CHECK;
void probe_answer_free(struct probe_answer *a);

#endif
