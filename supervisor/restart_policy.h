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

struct restart_policy restart_policy_default(void);
/* An unplanned end at now_ms, after ready_ms in ready (0: never was). True: start it again after
 * *delay_ms. False: it is a crash loop. random: any 64 random bits. */
bool restart_decide(struct restart_record *rec, const struct restart_policy *p, uint64_t now_ms,
                    uint64_t ready_ms, uint64_t random, uint64_t *delay_ms);
void restart_forgive(struct restart_record *rec);

#endif
