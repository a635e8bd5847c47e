/* patience: how long tests wait for what must come. Only a broken one waits so long; under valgrind
 * all takes its time. */
#ifndef SIDECAR_TESTS_PATIENCE_H
#define SIDECAR_TESTS_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* scripts/run-valgrind says so. */
static inline bool
under_valgrind(void)
{
	return getenv("SIDECAR_VALGRIND") != NULL;
}

static inline uint64_t
patience(uint64_t time)
{
	return under_valgrind() ? 10 * time : time;
}

#endif
