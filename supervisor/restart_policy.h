/* restart_policy: when a process that ended by itself is started again, and when not. Pure. */
#ifndef SIDECAR_RESTART_POLICY_H
#define SIDECAR_RESTART_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/backoff.h"

#define RESTART_LIMIT_MAX 64 /* max_restarts above it is not a limit any more */

struct restart_policy {
	uint64_t min_uptime_ms; /* in ready; after it a failure is the first one again */
	uint64_t base_ms;       /* delay of the second failure */
	uint64_t max_ms;
	unsigned limit; /* unplanned ends within window_ms that make a crash loop */
	uint64_t window_ms;
	uint64_t rest_ms; /* of a failed one */
};

/* Zero-initialised is a clean record. */
struct restart_record {
	struct backoff backoff;
	uint64_t ends_ms[RESTART_LIMIT_MAX]; /* a ring of the last unplanned ends */
	unsigned ends;                       /* how many there ever were */
};

/* An unplanned end at now_ms, after ready_ms in ready (0: never was). True: start it again after
 * *delay_ms. False: it is a crash loop. random: any 64 random bits. */
bool restart_decide(struct restart_record *rec, const struct restart_policy *p, uint64_t now_ms,
                    uint64_t ready_ms, uint64_t random, uint64_t *delay_ms);
void restart_forgive(struct restart_record *rec);

/* Restarts for something that a restart may mend, if it mends itself: the first one at once, then
 * the next ones further and further apart. Zero, with base_ms and max_ms set, is a clean one. */
struct restart_spacing {
	uint64_t base_ms, max_ms;
	uint64_t step_ms; /* 0: there was none yet */
	uint64_t last_ms;
};

/* How long from now_ms until the next one is due: 0: now. */
uint64_t restart_spacing_wait(const struct restart_spacing *s, uint64_t now_ms);
/* It will be at at_ms. After twice max_ms without one it is the first one again. */
void restart_spacing_take(struct restart_spacing *s, uint64_t at_ms);
void restart_spacing_forgive(struct restart_spacing *s);

#endif
