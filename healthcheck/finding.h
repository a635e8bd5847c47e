/* finding: what a check has found: an exit code, a line for people, and facts for programs. */
#ifndef SIDECAR_HEALTHCHECK_FINDING_H
#define SIDECAR_HEALTHCHECK_FINDING_H

#include <jansson.h>
#include <stdbool.h>

#include "common/common.h"
#include "common/exit_code.h"

#define FINDING_LINE_MAX 512

struct finding {
	int code; /* enum exit_code */
	char line[FINDING_LINE_MAX];
	json_t *facts; /* more members of --json; NULL: none */
	char *advice;  /* lines for people, after the first; NULL: none */
};

/* The line is made printable. */
void finding_set(struct finding *f, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* value: reference taken over. */
void finding_fact(struct finding *f, const char *name, json_t *value);
/* On stdout as one line of JSON; or in words, on stdout when all is well, else on stderr. Returns
 * the exit code. */
int finding_tell(const struct finding *f, const char *check, bool json, bool quiet);
void finding_fini(struct finding *f);

#endif
