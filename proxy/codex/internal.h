/* internal: what backend.c and thread.c say to each other; nobody outside includes it. */
#ifndef SIDECAR_PROXY_CODEX_INTERNAL_H
#define SIDECAR_PROXY_CODEX_INTERNAL_H

#include "common/hash.h"

#include "proxy/codex/backend.h"
#include "proxy/codex/delta_scan.h"
#include "proxy/codex/rpc.h"
#include "proxy/codex/thread.h"

#define THREAD_ID_MAX 64 /* a UUID has 36 characters */

/* The first member of struct thread: its place in the backend's lists. */
struct thread_link {
	struct thread_link *prev, *next; /* every thread of the backend */
	UT_hash_handle hh;               /* by id; only those that have one */
	char id[THREAD_ID_MAX];          /* "" until known */
	bool counted;                    /* among backend_turns */
};

/* backend.c, for thread.c */

/* NULL while not connected. */
struct rpc *backend_rpc(const struct backend *b);
uv_loop_t *backend_loop(const struct backend *b);
/* When the account's quota is full: when it is there again, as far as is known. */
void backend_add_retry_after(const struct backend *b, struct failure *f);
/* Begins to count as a turn, and is told when the connection is lost. */
void backend_add_thread(struct backend *b, struct thread_link *t);
/* From now on notifications find it. */
/* t->id is set. False: no memory, and t has no name again. */
bool backend_name_thread(struct backend *b, struct thread_link *t);
/* Its turn is over for the caller; idempotent. */
void backend_turn_over(struct backend *b, struct thread_link *t);
void backend_remove_thread(struct backend *b, struct thread_link *t);

/* thread.c, for backend.c */

void thread_on_delta(struct thread_link *t, const struct delta *delta);
/* False: more of it is needed, it must be parsed. */
bool thread_on_notice(struct thread_link *t, const struct notice *notice) MUST_CHECK;
void thread_on_notification(struct thread_link *t, const char *method, json_t *params);
/* A request of the app-server about this thread: may it be? Logged. */
bool thread_approves(struct thread_link *t, const char *method, const json_t *params);
/* The connection is gone: fails it if it is not over, and frees it. */
void thread_on_lost(struct thread_link *t);

#endif
