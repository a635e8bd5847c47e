/* backoff: exponential delay with equal jitter. */
#include "common/backoff.h"

#include <sys/random.h>
#include <time.h>
#include <unistd.h>

void
backoff_reset(struct backoff *b)
{
	b->attempts = 0;
}

uint64_t
backoff_next_ms(struct backoff *b, uint64_t random)
{
	uint64_t d = b->base_ms < b->max_ms ? b->base_ms : b->max_ms;

	/* halving the limit instead of doubling the delay cannot overflow */
	for (unsigned i = 0; i < b->attempts && d < b->max_ms; i++)
		d = d > b->max_ms / 2 ? b->max_ms : d * 2;
	if (b->attempts < UINT32_MAX)
		b->attempts++;
	return d - d / 2 + random % (d / 2 + 1);
}

uint64_t
backoff_random(void)
{
	uint64_t random;
	struct timespec now;

	/* not blocking: early in boot a poor jitter is better than a start that hangs */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) == (ssize_t)sizeof(random))
		return random;
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return (uint64_t)now.tv_nsec * UINT64_C(6364136223846793005) + (uint64_t)getpid();
}
