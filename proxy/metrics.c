/* metrics: what has happened since the start, counted. */
#include "proxy/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/metrics_internal.h"

const double metrics_bounds[METRICS_BUCKETS] = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,   2.5,
                                                5,    10,    30,   60,  120,  300, 600, 900};

struct metrics *
metrics_new(void)
{
	return calloc(1, sizeof(struct metrics));
}

void
metrics_free(struct metrics *m)
{
	free(m);
}

/* Both are closed sets of a few: one that is too much, or too long, is counted with the last. */
static struct metrics_path *
find_path(struct metrics *m, const char *name)
{
	size_t i = 0;

	while (i < m->path_count && strcmp(m->paths[i].name, name) != 0)
		i++;
	if (i == METRICS_PATHS_MAX || (i == m->path_count && strlen(name) >= METRICS_NAME_MAX))
		i = m->path_count - (m->path_count > 0);
	if (i >= m->path_count) {
		m->path_count = i + 1;
		(void)strncpy(m->paths[i].name, name, METRICS_NAME_MAX - 1); /* the rest is 0 */
	}
	return &m->paths[i];
}

static struct metrics_outcome *
find_outcome(struct metrics_path *p, unsigned status_class, const char *name)
{
	size_t i = 0;

	while (i < p->outcome_count && (p->outcomes[i].status_class != status_class ||
	                                strcmp(p->outcomes[i].name, name) != 0))
		i++;
	if (i == METRICS_OUTCOMES_MAX)
		return &p->outcomes[i - 1];
	if (i == p->outcome_count) {
		p->outcome_count++;
		p->outcomes[i].status_class = status_class;
		(void)strncpy(p->outcomes[i].name, name, METRICS_NAME_MAX - 1); /* the rest is 0 */
	}
	return &p->outcomes[i];
}

static void
observe(struct metrics_histogram *h, uint64_t ns)
{
	double seconds = (double)ns / 1e9;
	size_t i = 0;

	while (i < METRICS_BUCKETS && seconds > metrics_bounds[i])
		i++;
	h->counts[i]++;
	h->sum += seconds;
}

void
metrics_request(struct metrics *m, const struct metrics_request *r)
{
	struct metrics_path *p;

	if (m == NULL)
		return;
	p = find_path(m, r->path);
	find_outcome(p, (unsigned)r->status / 100, r->outcome)->count++;
	observe(&p->duration, r->ns);
	if (r->queue_ns > 0)
		observe(&p->queue, r->queue_ns);
	if (r->first_ns > 0)
		observe(&p->first, r->first_ns);
}

void
metrics_usage(struct metrics *m, const struct usage *usage)
{
	if (m == NULL)
		return;
	m->tokens.input_tokens += usage->input_tokens;
	m->tokens.cached_input_tokens += usage->cached_input_tokens;
	m->tokens.output_tokens += usage->output_tokens;
	m->tokens.reasoning_output_tokens += usage->reasoning_output_tokens;
}

void
metrics_rate_limited(struct metrics *m)
{
	if (m != NULL)
		m->rate_limited++;
}

void
metrics_turn(struct metrics *m, const struct failure *failure)
{
	if (m == NULL)
		return;
	if (failure == NULL)
		m->turns_well++;
	else
		m->turns_failed[failure->class_]++;
}

void
metrics_connected(struct metrics *m, int backend)
{
	if (m != NULL && backend >= 0 && backend < METRICS_BACKENDS_MAX)
		m->connected[backend]++;
}
