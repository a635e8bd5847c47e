/* alert_memory: what the last alert was about, so that nobody is told the same again and again. */
#ifndef SIDECAR_HEALTHCHECK_ALERT_MEMORY_H
#define SIDECAR_HEALTHCHECK_ALERT_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/common.h"
#include "common/err.h"

#define ALERT_STATE_MAX 32

struct alert_memory {
	int fd;                      /* locked: one check alerts at a time */
	char state[ALERT_STATE_MAX]; /* "": nothing is known */
	int64_t alerted_at;          /* Unix time in seconds; 0: never */
};

/* Opens dir/auth-alert.json, made where it is missing. -EAGAIN: another check holds it. What is
 * broken in it counts as nothing known. */
int alert_memory_open(struct alert_memory *out, const char *dir, struct err *err) MUST_CHECK;
/* Is an alert due? repeat_seconds 0: only when the state is another one. Pure. */
bool alert_memory_is_due(const struct alert_memory *m, const char *state, int64_t now,
                         int64_t repeat_seconds);
/* alerted_at: 0 when the state needs no alert. */
int alert_memory_note(struct alert_memory *m, const char *state, int64_t alerted_at,
                      struct err *err) MUST_CHECK;
void alert_memory_close(struct alert_memory *m);

#endif
