/* sweep: lets go of threads in an app-server that nobody needs any more.
 *
 * Two kinds: orphans, our own that a lost connection left running; and strangers, that the
 * app-server has loaded and we do not know, at two looks in a row. A stranger may be in use by
 * another proxy, or by a person: one that has a turn is let alone until no turn of ours could be
 * as old, and one that is kept on disk for ever. */
#ifndef SIDECAR_PROXY_CODEX_SWEEP_H
#define SIDECAR_PROXY_CODEX_SWEEP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "proxy/codex/rpc.h"

struct sweep {
	uv_loop_t *loop;
	uint64_t turn_ms; /* a stranger's turn that is older is broken off */
	json_t *orphans;  /* ids, as the keys of an object; NULL: none */
	json_t *seen;     /* strangers of the last look: id -> loop time when first seen */
	struct rpc *rpc;  /* of the last look; NULL: not connected since */
	uint64_t call;    /* of the look under way */
	bool (*knows)(void *arg, const char *thread_id);
	void *arg;
};

void sweep_init(struct sweep *s, uv_loop_t *loop, uint64_t turn_ms,
                bool (*knows)(void *arg, const char *thread_id), void *arg);
/* A thread whose connection was lost. */
void sweep_remember(struct sweep *s, const char *thread_id);
/* Interrupts and unsubscribes it, if the connection still takes it; nobody waits for the answers.
 */
void sweep_let_go(struct rpc *rpc, const char *thread_id);
/* Connected again to the same app-server: the orphans are let go. */
void sweep_reclaim(struct sweep *s, struct rpc *rpc);
/* Looks for strangers; at most one look at a time. */
void sweep_look(struct sweep *s, struct rpc *rpc);
/* The connection is over; with forget the app-server, too. */
void sweep_stop(struct sweep *s, bool forget);

#endif
