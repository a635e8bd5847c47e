/* verdict: what an answer means, as one line for people. Pure. */
#ifndef SIDECAR_HEALTHCHECK_VERDICT_H
#define SIDECAR_HEALTHCHECK_VERDICT_H

#include "healthcheck/probe.h"

#define VERDICT_LINE_MAX 512

/* line: why an answer with that status and body is no good: the reasons it gives, else the status.
 * One line of printable text, whatever the body holds. */
void
verdict_not_well(char line[VERDICT_LINE_MAX], const struct probe_answer *a, const char *question);

#endif
