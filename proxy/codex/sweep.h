/* sweep: lets go of threads in an app-server that nobody needs any more.
 *
 * Two kinds: orphans, our own that a lost connection left running; and strangers, that the
 * app-server has loaded and we do not know, twice in a row (another proxy may still use it). */
#ifndef SIDECAR_PROXY_CODEX_SWEEP_H
#define SIDECAR_PROXY_CODEX_SWEEP_H

#include <jansson.h>
#include <stdbool.h>

#include "proxy/codex/rpc.h"

struct sweep {
	json_t *orphans; /* ids, as the keys of an object; NULL: none */
	json_t *seen;    /* strangers of the last look */
	struct rpc *rpc; /* while a look is under way */
	uint64_t call;
	bool (*knows)(void *arg, const char *thread_id);
	void *arg;
};

void sweep_init(struct sweep *s, bool (*knows)(void *arg, const char *thread_id), void *arg);
/* A thread whose connection was lost. */
void sweep_remember(struct sweep *s, const char *thread_id);
/* Connected again to the same app-server. */
void sweep_reclaim(struct sweep *s, struct rpc *rpc);
/* Looks for strangers; at most one look at a time. */
void sweep_look(struct sweep *s, struct rpc *rpc);
/* The connection is over; with forget the app-server, too. */
void sweep_stop(struct sweep *s, bool forget);

#endif
