/* random: many are asked for at a time, since the call costs more than the bytes. */
#include "common/random.h"

#include <assert.h>
#include <string.h>
#include <sys/random.h>

bool
random_bytes(void *to, size_t size)
{
	static unsigned char pool[256]; /* so many come at once, whatever signals do */
	static size_t left;

	assert(size <= RANDOM_BYTES_MAX);
	if (size > left) {
		left = 0;
		if (getrandom(pool, sizeof(pool), 0) != (ssize_t)sizeof(pool))
			return false;
		left = sizeof(pool);
	}
	left -= size;
	memcpy(to, pool + left, size);
	return true;
}
