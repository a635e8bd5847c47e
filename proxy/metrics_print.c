/* metrics_print: the counters as Prometheus reads them. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/metrics_internal.h"

#define PREFIX   "codex_sidecar_"
#define LINE_MAX 256 /* names and labels are ours, and short */

static void append(struct json_buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
append(struct json_buf *out, const char *fmt, ...)
{
	char line[LINE_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	json_buf_append(out, line, n < LINE_MAX ? (size_t)n : LINE_MAX - 1);
}

static void
head(struct json_buf *out, const char *name, const char *type, const char *help)
{
	append(out, "# HELP " PREFIX "%s %s\n", name, help);
	append(out, "# TYPE " PREFIX "%s %s\n", name, type);
}

/* One figure without labels. */
static void
gauge(struct json_buf *out, const char *name, const char *help, uint64_t value)
{
	head(out, name, "gauge", help);
	append(out, PREFIX "%s %" PRIu64 "\n", name, value);
}

static void
requests(const struct metrics *m, struct json_buf *out)
{
	head(out, "requests_total", "counter", "Requests that are over.");
	for (size_t i = 0; i < m->path_count; i++) {
		const struct metrics_path *p = &m->paths[i];

		for (size_t k = 0; k < p->outcome_count; k++) {
			const struct metrics_outcome *o = &p->outcomes[k];
			char status[16] = "none";

			if (o->status_class > 0)
				(void)snprintf(status, sizeof(status), "%uxx", o->status_class);
			append(out,
			       PREFIX "requests_total{path=\"%s\",status=\"%s\",outcome=\"%s\"} "
			              "%" PRIu64 "\n",
			       p->name, status, o->name, o->count);
		}
	}
}

static void
histogram(const struct metrics_path *p, const struct metrics_histogram *h, const char *name,
          struct json_buf *out)
{
	uint64_t count = 0;

	for (size_t i = 0; i < METRICS_BUCKETS; i++) {
		count += h->counts[i];
		append(out, PREFIX "%s_bucket{path=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, p->name,
		       metrics_bounds[i], count);
	}
	count += h->counts[METRICS_BUCKETS];
	append(out, PREFIX "%s_bucket{path=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, p->name,
	       count);
	append(out, PREFIX "%s_sum{path=\"%s\"} %.9g\n", name, p->name, h->sum);
	append(out, PREFIX "%s_count{path=\"%s\"} %" PRIu64 "\n", name, p->name, count);
}

static bool
is_empty(const struct metrics_histogram *h)
{
	for (size_t i = 0; i <= METRICS_BUCKETS; i++)
		if (h->counts[i] > 0)
			return false;
	return true;
}

static void
histograms(const struct metrics *m, struct json_buf *out)
{
	static const struct {
		const char *name;
		const char *help;
		size_t offset;
	} rows[] = {
		{"request_duration_seconds",
	         "From a request's head to the last byte of its answer.",	                 offsetof(struct metrics_path, duration)},
		{"time_to_first_token_seconds",
	         "From a request's head to the model's first word, thought or call.",             offsetof(struct metrics_path, first)   },
		{"queue_wait_seconds",          "From a request's head until it left the queue.",
	         offsetof(struct metrics_path,										  queue)   },
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		head(out, rows[i].name, "histogram", rows[i].help);
		for (size_t k = 0; k < m->path_count; k++) {
			const struct metrics_path *p = &m->paths[k];
			const void *h = (const char *)p + rows[i].offset;

			if (!is_empty(h))
				histogram(p, h, rows[i].name, out);
		}
	}
}

static void
tokens(const struct metrics *m, struct json_buf *out)
{
	const struct {
		const char *kind;
		int64_t count;
	} rows[] = {
		{"input",     m->tokens.input_tokens           },
		{"cached",    m->tokens.cached_input_tokens    },
		{"output",    m->tokens.output_tokens          },
		{"reasoning", m->tokens.reasoning_output_tokens},
	};

	head(out, "tokens_total", "counter",
	     "Tokens used; cached are part of input, reasoning of output.");
	for (size_t i = 0; i < NELEM(rows); i++)
		append(out, PREFIX "tokens_total{kind=\"%s\"} %" PRId64 "\n", rows[i].kind,
		       rows[i].count);
}

static void
turns(const struct metrics *m, struct json_buf *out)
{
	head(out, "turns_total", "counter",
	     "Attempts that ended on an app-server, by whose fault it was when they failed.");
	append(out, PREFIX "turns_total{result=\"ok\"} %" PRIu64 "\n", m->turns_well);
	for (size_t i = 0; i < NELEM(m->turns_failed); i++)
		append(out, PREFIX "turns_total{result=\"%s\"} %" PRIu64 "\n",
		       failure_class_name((enum failure_class)i), m->turns_failed[i]);
}

static void
backends(const struct metrics *m, const struct metrics_now *now, struct json_buf *out)
{
	static const char *const states[] = {
		[METRICS_BACKEND_DOWN] = "down",
		[METRICS_BACKEND_USABLE] = "usable",
		[METRICS_BACKEND_AUTH] = "auth_failed",
		[METRICS_BACKEND_DEGRADED] = "degraded",
	};

	head(out, "backend_state", "gauge", "1 for the state that an app-server is in.");
	for (size_t i = 0; i < now->backend_count; i++)
		for (size_t s = 0; s < NELEM(states); s++)
			append(out, PREFIX "backend_state{backend=\"%d\",state=\"%s\"} %d\n",
			       now->backends[i].id, states[s], now->backends[i].state == s);
	head(out, "backend_connects_total", "counter",
	     "Times that an app-server became usable; all but the first are reconnects.");
	for (int i = 0; i < METRICS_BACKENDS_MAX; i++)
		if (m->connected[i] > 0)
			append(out, PREFIX "backend_connects_total{backend=\"%d\"} %" PRIu64 "\n",
			       i, m->connected[i]);
}

static void
limits(const struct metrics_now *now, struct json_buf *out)
{
	static const struct {
		const char *name;
		const char *help;
		size_t offset;
		int64_t unknown;
	} rows[] = {
		{"account_rate_limit_used_percent",
	         "How much of a window of the account's limits is used.",	                 offsetof(struct metrics_limit, used_percent), -1},
		{"account_rate_limit_window_seconds",          "How long that window is.",
	         offsetof(struct metrics_limit,										  window_sec),   0 },
		{"account_rate_limit_reset_timestamp_seconds", "When it begins anew, Unix time.",
	         offsetof(struct metrics_limit,										  resets_at),    0 },
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		head(out, rows[i].name, "gauge", rows[i].help);
		for (size_t k = 0; k < now->limit_count; k++) {
			const struct metrics_limit *l = &now->limits[k];
			int64_t value;

			memcpy(&value, (const char *)l + rows[i].offset, sizeof(value));
			if (value != rows[i].unknown)
				append(out, PREFIX "%s{limit=\"%s\",window=\"%s\"} %" PRId64 "\n",
				       rows[i].name, l->id, l->window, value);
		}
	}
}

static void
restarts(const struct metrics_now *now, struct json_buf *out)
{
	head(out, "backend_restarts_total", "counter",
	     "Starts of an app-server by this supervisor, but the first.");
	for (size_t i = 0; i < now->backend_count; i++)
		append(out, PREFIX "backend_restarts_total{backend=\"%d\"} %" PRIu64 "\n",
		       now->backends[i].id, now->backends[i].restarts);
	head(out, "proxy_restarts_total", "counter",
	     "Starts of the proxy by this supervisor, but the first.");
	append(out, PREFIX "proxy_restarts_total %" PRIu64 "\n", now->proxy_restarts);
}

static void
process(const struct metrics_process *p, struct json_buf *out)
{
	gauge(out, "process_resident_memory_bytes", "Resident memory of the proxy.",
	      (uint64_t)p->rss_bytes);
	gauge(out, "process_open_fds", "Open files of the proxy.", (uint64_t)p->files);
	gauge(out, "process_max_fds", "Files that it may open.", (uint64_t)p->files_max);
	head(out, "process_cpu_seconds_total", "counter", "CPU time of the proxy.");
	append(out, PREFIX "process_cpu_seconds_total %.6f\n", p->cpu_seconds);
	head(out, "process_start_time_seconds", "gauge", "When the proxy was started, Unix time.");
	append(out, PREFIX "process_start_time_seconds %.3f\n", p->started);
}

void
metrics_print(const struct metrics *m, const struct metrics_now *now, struct json_buf *out)
{
	head(out, "build_info", "gauge", "1; the version is in the label.");
	append(out, PREFIX "build_info{version=\"%s\"} 1\n", SIDECAR_VERSION);
	gauge(out, "ready", "1 when /readyz answers 200.", now->ready);
	requests(m, out);
	histograms(m, out);
	gauge(out, "turns_in_flight", "Turns that run.", now->in_flight);
	gauge(out, "turns_queued", "Turns that wait for a slot or an app-server.", now->queued);
	gauge(out, "threads", "Threads of the app-servers that are not let go yet.", now->threads);
	gauge(out, "connections", "Open connections of clients.", now->connections);
	gauge(out, "requests_in_work", "Requests whose answer has not left whole.", now->exchanges);
	tokens(m, out);
	turns(m, out);
	head(out, "rate_limited_total", "counter",
	     "Requests refused because of CODEX_PROXY_RATE_LIMIT.");
	append(out, PREFIX "rate_limited_total %" PRIu64 "\n", m->rate_limited);
	backends(m, now, out);
	restarts(now, out);
	if (now->login_expires_at > 0)
		gauge(out, "login_expires_timestamp_seconds",
		      "When the access token of the ChatGPT login expires, Unix time.",
		      (uint64_t)now->login_expires_at);
	limits(now, out);
	process(&now->process, out);
}
