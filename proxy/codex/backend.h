/* backend: one app-server as the proxy sees it, and the pool of them.
 *
 * A backend connects, initializes, learns the model list, and keeps that up with backoff. It is
 * usable when all three are done. One whose provider needs a login that is not there is usable too,
 * but takes no turns. */
#ifndef SIDECAR_PROXY_CODEX_BACKEND_H
#define SIDECAR_PROXY_CODEX_BACKEND_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "common/common.h"
#include "common/err.h"
#include "proxy/codex/account_limits.h"
#include "proxy/failure.h"

struct backend;
struct backend_pool;

struct backend_pool_config {
	uv_loop_t *loop;
	const char *client_version;
	bool transcript;            /* as in thread_config: the experimental API is not asked for */
	uint64_t sweep_interval_ms; /* between two looks for threads that nobody needs */
	uint64_t stranger_turn_ms;  /* a turn of somebody unknown that is older is broken off */
	/* Some backend became usable or unusable, or the model list changed. */
	void (*on_change)(void *arg);
	/* The number of turns or threads changed. */
	void (*on_stats)(void *arg);
	void *arg;
};

int backend_pool_new(struct backend_pool **out, const struct backend_pool_config *config,
                     struct err *err) MUST_CHECK;
/* Closes every connection; fn when nothing is left, maybe from inside. A turn that has not ended
 * fails with FAILURE_BACKEND_LOST. What the supervisor says from now on is not heard. */
void backend_pool_close(struct backend_pool *pool, void (*fn)(void *arg), void *arg);

/* The supervisor's word. up: connect now (again, if url or generation is new: the old connection
 * is closed and its turns fail with FAILURE_BACKEND_LOST). down: close, do not retry until up.
 * retain: forget backends whose id is not in ids. Without a supervisor, one up with id 0.
 * up: false is no memory for it; it is not used, or stays where it was. */
bool backend_up(struct backend_pool *pool, int id, const char *url, int64_t generation);
void backend_down(struct backend_pool *pool, int id, const char *reason, int64_t next_retry_ms);
void backend_retain(struct backend_pool *pool, const int *ids, size_t count);
/* No new turn is given to it from now on, until the next up. */
void backend_drain(struct backend_pool *pool, int id);

/* The backend with the fewest turns of those that take some: usable, not draining, not without a
 * login; NULL: none. */
struct backend *backend_pick(struct backend_pool *pool);
/* NULL unless that id is known. */
struct backend *backend_find(struct backend_pool *pool, int id);
bool backend_usable(const struct backend *b);
bool backend_needs_login(const struct backend *b);
int backend_id(const struct backend *b);
int64_t backend_generation(const struct backend *b);
unsigned backend_turns(const struct backend *b);               /* running now */
unsigned backend_pool_usable(const struct backend_pool *pool); /* that take turns */
/* None takes turns, and it is a login that is missing. */
bool backend_pool_needs_login(const struct backend_pool *pool);
unsigned backend_pool_turns(const struct backend_pool *pool);
/* Threads not yet let go, those of turns that are over included. */
unsigned backend_pool_threads(const struct backend_pool *pool);
/* Why none takes turns, for /readyz: a static or pool-owned sentence, "" when one is. */
const char *backend_pool_reason(const struct backend_pool *pool);

/* The model list of the backend that answered last: array of app-server model objects (borrowed,
 * valid until the next on_change), NULL before the first answer. */
json_t *backend_pool_models(const struct backend_pool *pool);
/* What the provider's answers have told of the account, since an app-server was started last. */
const struct account_limits *backend_pool_limits(const struct backend_pool *pool);

#endif
