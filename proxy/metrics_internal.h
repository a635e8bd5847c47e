/* metrics_internal: the counters, shared by metrics.c (counts) and metrics_print.c (prints). */
#ifndef SIDECAR_PROXY_METRICS_INTERNAL_H
#define SIDECAR_PROXY_METRICS_INTERNAL_H

#include "proxy/metrics.h"

#define METRICS_BUCKETS      16
#define METRICS_PATHS_MAX    16
#define METRICS_OUTCOMES_MAX 48 /* of one path: each kind of failure, and some more */
#define METRICS_NAME_MAX     40

/* Upper bounds in seconds; +Inf follows. */
extern const double metrics_bounds[METRICS_BUCKETS];

struct metrics_histogram {
	uint64_t counts[METRICS_BUCKETS + 1]; /* each bucket alone */
	double sum;
};

struct metrics_outcome {
	unsigned status_class; /* 2: 2xx; 0: no answer */
	char name[METRICS_NAME_MAX];
	uint64_t count;
};

struct metrics_path {
	char name[METRICS_NAME_MAX];
	struct metrics_outcome outcomes[METRICS_OUTCOMES_MAX];
	size_t outcome_count;
	struct metrics_histogram duration, queue, first;
};

struct metrics {
	struct metrics_path paths[METRICS_PATHS_MAX];
	size_t path_count;
	struct usage tokens;
	uint64_t rate_limited;
	uint64_t turns_well;
	uint64_t turns_failed[FAILURE_BUSY + 1]; /* by class */
	uint64_t connected[METRICS_BACKENDS_MAX];
};

#endif
