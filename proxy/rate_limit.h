/* rate_limit: how many requests a minute are let in, over all callers. Pure.
 *
 * A bucket of one minute's tokens, refilled steadily: bursts pass, the average holds. */
#ifndef SIDECAR_PROXY_RATE_LIMIT_H
#define SIDECAR_PROXY_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/common.h"

struct rate_limit {
	unsigned per_minute; /* 0: no limit */
	uint64_t full_at;    /* when the bucket is full again; ms * per_minute */
};

struct rate_limit_state {
	unsigned remaining;     /* requests that may follow at once */
	uint64_t reset_ms;      /* until the bucket is full */
	uint64_t next_token_ms; /* until a refused request would be let in; 0 when it was */
};

/* Takes one request if there is room. */
bool
rate_limit_take(struct rate_limit *r, uint64_t now_ms, struct rate_limit_state *state) MUST_CHECK;

#endif
