/* figures: a clock, the CPU time of other processes, and times as a distribution. */
#ifndef SIDECAR_TESTS_FIGURES_H
#define SIDECAR_TESTS_FIGURES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct times {
	uint64_t *ns;
	size_t count;
	size_t cap;
};

uint64_t clock_ns(void);
/* What the process has used so far, all of its threads, also those that have ended; to the
 * nanosecond, as the scheduler counts it. Exits when there is no such process. */
uint64_t cpu_ns_of(pid_t pid);

/* Exits when there is no memory. */
void times_add(struct times *t, uint64_t ns);
/* {"count", "min", "p50", "p90", "p99", "max", "mean"} in milliseconds. Sorts them. */
json_t *times_json(struct times *t);
void times_free(struct times *t);

/* Prints it as one line on stdout; takes it over. */
void print_line(json_t *value);

#endif
