/* verdict: what an answer means, as one line for people. Pure. */
#ifndef SIDECAR_HEALTHCHECK_VERDICT_H
#define SIDECAR_HEALTHCHECK_VERDICT_H

#include "healthcheck/http.h"

#define VERDICT_LINE_MAX 512

/* Control characters of either set (C0; C1, which UTF-8 writes C2 80..9F) become spaces, so that
 * no answer can write on a terminal what it likes; a character that was cut at the end goes. */
void verdict_make_printable(char *text);

/* line: why an answer with that status and body is no good: the reasons it gives, else the status.
 * One line of printable text, whatever the body holds. */
void
verdict_not_well(char line[VERDICT_LINE_MAX], const struct http_answer *a, const char *question);

#endif
