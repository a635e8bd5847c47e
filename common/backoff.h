/* backoff: exponential delay with equal jitter: half of the delay is fixed, half is random. Pure.
 */
#ifndef SIDECAR_BACKOFF_H
#define SIDECAR_BACKOFF_H

#include <stdint.h>

struct backoff {
	uint64_t base_ms;
	uint64_t max_ms;
	unsigned attempts; /* failures since the last reset */
};

void backoff_reset(struct backoff *b);
/* The delay before the next try, in [d/2, d] with d = min(max, base * 2^attempts); counts the
 * attempt. random: any 64 random bits. */
uint64_t backoff_next_ms(struct backoff *b, uint64_t random);
/* 64 random bits from the kernel. */
uint64_t backoff_random(void);

#endif
