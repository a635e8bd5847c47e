/* rate_limit: how many requests a minute are let in, over all callers. */
#include "proxy/rate_limit.h"

#define MINUTE_MS 60000u

/* Time is kept in units of 1/per_minute ms, so that no rounding adds up: a token takes MINUTE_MS of
 * them, the whole bucket MINUTE_MS * per_minute. */
static uint64_t
to_ms(const struct rate_limit *r, uint64_t units)
{
	return (units + r->per_minute - 1) / r->per_minute;
}

bool
rate_limit_take(struct rate_limit *r, uint64_t now_ms, struct rate_limit_state *state)
{
	uint64_t now = now_ms * r->per_minute;
	uint64_t bucket = (uint64_t)MINUTE_MS * r->per_minute;
	uint64_t missing;
	bool taken;

	*state = (struct rate_limit_state){0};
	if (r->per_minute == 0)
		return true;
	missing = r->full_at > now ? r->full_at - now : 0;
	taken = missing + MINUTE_MS <= bucket;
	if (taken) {
		missing += MINUTE_MS;
		r->full_at = now + missing;
	} else {
		state->next_token_ms = to_ms(r, missing + MINUTE_MS - bucket);
	}
	state->remaining = (unsigned)((bucket - missing) / MINUTE_MS);
	state->reset_ms = to_ms(r, missing);
	return taken;
}
