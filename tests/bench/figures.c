/* figures: a clock, CPU time, distributions. */
#include "tests/bench/figures.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		err(70, "clock");
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t
clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t
cpu_ns_of(pid_t pid)
{
	clockid_t id;

	if (clock_getcpuclockid(pid, &id) != 0)
		errx(70, "no process %d", (int)pid);
	return read_clock(id);
}

void
times_add(struct times *t, uint64_t ns)
{
	if (t->count == t->cap) {
		t->cap = t->cap == 0 ? 1024 : t->cap * 2;
		t->ns = realloc(t->ns, t->cap * sizeof(*t->ns));
		if (t->ns == NULL)
			errx(70, "no memory");
	}
	t->ns[t->count++] = ns;
}

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The value that this share of them does not exceed. */
static double
share_ms(const struct times *t, double share)
{
	size_t at = (size_t)(share * (double)t->count);

	if (t->count == 0)
		return 0;
	return (double)t->ns[at < t->count ? at : t->count - 1] / 1e6;
}

json_t *
times_json(struct times *t)
{
	double sum = 0;

	if (t->count > 0)
		qsort(t->ns, t->count, sizeof(*t->ns), by_size);
	for (size_t i = 0; i < t->count; i++)
		sum += (double)t->ns[i];
	return json_pack("{s:I,s:f,s:f,s:f,s:f,s:f,s:f}", "count", (json_int_t)t->count, "min",
	                 share_ms(t, 0), "p50", share_ms(t, 0.5), "p90", share_ms(t, 0.9), "p99",
	                 share_ms(t, 0.99), "max", share_ms(t, 1), "mean",
	                 t->count > 0 ? sum / (double)t->count / 1e6 : 0);
}

void
times_free(struct times *t)
{
	free(t->ns);
	*t = (struct times){0};
}

void
print_line(json_t *value)
{
	if (value == NULL || json_dumpf(value, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6)) != 0)
		errx(70, "no memory");
	json_decref(value);
	(void)putchar('\n');
	(void)fflush(stdout);
}
