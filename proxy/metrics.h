/* metrics: what has happened since the start, counted, and printed in Prometheus' text format.
 * Pure.
 *
 * Every counting call takes NULL: a part that is tested alone has no metrics. Names and meanings
 * are in docs/metrics.md. */
#ifndef SIDECAR_PROXY_METRICS_H
#define SIDECAR_PROXY_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/common.h"
#include "common/json.h"
#include "proxy/event.h"
#include "proxy/failure.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_BACKENDS_MAX                                                                       \
	128 /* twice CODEX_APP_SERVER_INSTANCES: one may be replacing another */

#define METRICS_LIMITS_MAX 16

struct metrics;

/* A request that is over. */
struct metrics_request {
	const char *path;    /* of its route, or "other": a closed set */
	int status;          /* HTTP; 0: the client had gone before */
	const char *outcome; /* a closed set too */
	uint64_t ns;         /* from its head to the last byte of the answer */
	uint64_t queue_ns;   /* until it left the queue; 0: it never did */
	uint64_t first_ns;   /* until the model's first word; 0: there was none */
};

enum metrics_backend_state {
	METRICS_BACKEND_DOWN,     /* not connected, or not ready */
	METRICS_BACKEND_USABLE,   /* and well, as far as is known */
	METRICS_BACKEND_AUTH,     /* its login is refused, or missing */
	METRICS_BACKEND_DEGRADED, /* its provider has failed too often in a row */
};

/* How things are at this moment; read, not counted. */
struct metrics_now {
	bool ready;
	unsigned in_flight;   /* turns that run */
	unsigned queued;      /* turns that wait */
	unsigned threads;     /* of the app-servers, not yet let go */
	unsigned connections; /* of clients */
	unsigned exchanges;   /* requests in work */
	struct {
		int id;
		enum metrics_backend_state state;
		uint64_t restarts;
	} backends[METRICS_BACKENDS_MAX];
	size_t backend_count;
	struct metrics_limit { /* a window of one of the account's limits */
		const char *id;
		const char *window;
		int64_t used_percent;
		int64_t window_sec; /* 0: unknown */
		int64_t resets_at;  /* Unix time; 0: unknown */
	} limits[METRICS_LIMITS_MAX];
	size_t limit_count;
	uint64_t proxy_restarts;
	int64_t login_expires_at; /* Unix time; 0: not known, or never */
	struct metrics_process {
		int64_t rss_bytes;
		int64_t files;
		int64_t files_max;
		double cpu_seconds;
		double started; /* Unix time, seconds */
	} process;
};

struct metrics *metrics_new(void); /* NULL: no memory */
void metrics_free(struct metrics *m);

void metrics_request(struct metrics *m, const struct metrics_request *r);
void metrics_usage(struct metrics *m, const struct usage *usage);
/* CODEX_PROXY_RATE_LIMIT has refused one. */
void metrics_rate_limited(struct metrics *m);
/* A turn ended on a backend; failure NULL: well. */
void metrics_turn(struct metrics *m, const struct failure *failure);
/* A backend has become usable: the first time, or again. */
void metrics_connected(struct metrics *m, int backend);

/* Appends the whole page. */
void metrics_print(const struct metrics *m, const struct metrics_now *now, struct json_buf *out);

#endif
