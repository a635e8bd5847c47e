/* backend_internal: a backend's and the pool's state, shared by backend.c (one app-server),
 * backend_greet.c (how it becomes usable) and backend_pool.c (all of them). */
#ifndef SIDECAR_PROXY_CODEX_BACKEND_INTERNAL_H
#define SIDECAR_PROXY_CODEX_BACKEND_INTERNAL_H

#include "common/backoff.h"
#include "proxy/codex/account_limits.h"
#include "proxy/codex/internal.h"
#include "proxy/codex/sweep.h"

enum backend_state {
	BACKEND_DOWN,       /* the supervisor says so, or has not spoken yet */
	BACKEND_WAITING,    /* before the next try to connect */
	BACKEND_CONNECTING, /* until the WebSocket is open */
	BACKEND_GREETING,   /* initialize is on its way */
	BACKEND_LISTING,    /* so is the first model/list */
	BACKEND_USABLE,
};

struct backend {
	struct backend *prev, *next;
	struct backend_pool *pool;
	int id;
	char *url;
	int64_t generation;
	enum backend_state state;
	bool draining;
	bool needs_login;  /* its provider wants one, and it has none */
	bool removed;      /* freed when its last handle has gone */
	struct err reason; /* why it is not usable: text only */
	struct rpc *rpc;   /* the current one */
	unsigned open;     /* rpcs and timers that may still call back */
	uint64_t call;     /* initialize or model/list, under way */
	uint64_t login_call;
	uv_timer_t timer; /* the next try, or the next look at the models */
	uv_timer_t sweep_timer;
	struct backoff backoff;
	struct sweep sweep;
	struct thread_link *threads; /* all */
	struct thread_link *named;   /* by id */
	unsigned thread_count;
	unsigned turns;
	json_t *models; /* of the pages so far */
	unsigned pages;
};

struct backend_pool {
	struct backend_pool_config config;
	struct backend *backends; /* removed ones included, until they are freed */
	json_t *models;
	struct account_limits limits; /* of the one login that all app-servers have */
	unsigned open;                /* backends that are not freed yet, and the pool itself */
	bool closing;
	struct err reason; /* scratch space of backend_pool_reason */
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* backend.c */

/* Idempotent: its threads are lost; freed when its last handle has gone. */
void backend_remove(struct backend *b);
void backend_set_state(struct backend *b, enum backend_state state, const char *reason);
/* What we asked was not answered as it must be. */
void backend_break_off(struct backend *b, const char *why);

/* backend_greet.c */

/* It is connected: asks what makes it usable. */
void backend_greet(struct backend *b);
/* Again: it may have changed. */
void backend_ask_login(struct backend *b);

/* backend_pool.c */

/* Usable or not, and for whom, or the models: something is different. */
void backend_pool_changed(struct backend_pool *pool);
void backend_pool_stats_changed(struct backend_pool *pool);
/* One backend, or the pool itself, is done with it. */
void backend_pool_let_go(struct backend_pool *pool);

#endif
