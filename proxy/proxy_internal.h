/* proxy_internal: a whole run, shared by proxy.c (what is told, and to whom), proxy_build.c (the
 * start) and proxy_stop.c (the end). */
#ifndef SIDECAR_PROXY_PROXY_INTERNAL_H
#define SIDECAR_PROXY_PROXY_INTERNAL_H

#include "proxy/api/api.h"
#include "proxy/backend_drain.h"
#include "proxy/codex/agent.h"
#include "proxy/health.h"
#include "proxy/heap_trim.h"
#include "proxy/lws_context.h"
#include "proxy/metrics.h"
#include "proxy/outcomes.h"
#include "proxy/proxy.h"
#include "proxy/supervisor_link.h"

#define PROXY_SECRETS_MAX 8

struct proxy_agent {
	struct agent *agent; /* NULL: the chat profile */
	struct agent_config config;
	char *secrets[PROXY_SECRETS_MAX + 1]; /* then NULL */
	size_t secret_count;
};

struct proxy {
	uv_loop_t loop;
	const struct settings *settings;
	struct lws_context *lws;
	struct http_server *http;
	struct auth *auth;
	struct models *models;
	struct backend_pool *pool;
	struct turns *turns;
	struct images *images;        /* NULL: none are fetched */
	struct supervisor_link *link; /* NULL: alone */
	struct api api;
	struct outcomes outcomes;
	struct health health;
	struct metrics *metrics;
	int64_t login_expires_at;           /* Unix time; 0: not known, or never */
	bool usable[OUTCOMES_BACKENDS_MAX]; /* at the last look */
	struct backend_drains drains;
	struct heap_trim trim;
	uv_timer_t models_again; /* there was no memory for the list of models */
	struct proxy_agent agent;
	char *workspace;
	char *instructions; /* what is read from a file, or "" */
	uv_signal_t sigterm, sigint, sighup;
	uv_timer_t delay; /* of the drain, then of its end */
	uv_timer_t flush;
	uint64_t flush_deadline;
	int64_t generation; /* which start of the proxy this is; 0: nobody counts */
	bool listening;
	bool leaving;            /* says that it is not ready, whatever it is */
	bool draining;           /* takes no new request */
	bool drained;            /* and none is left */
	bool terminating;        /* ends when drained */
	uint64_t drain_deadline; /* while it is delayed, or requests are still on their way */
	uint64_t last_requests;  /* so long those are waited for */
	struct control_request *drain_req;
	unsigned drain_left;
};

/* proxy.c: what the parts have to say, and what they ask */

void proxy_tell_readiness(struct proxy *p);
void proxy_on_backends_change(void *arg);
void proxy_on_stats(void *arg);
void proxy_on_outcome(void *arg, int backend, int64_t generation, const struct failure *failure);
enum model_answer proxy_resolve_model(void *arg, struct conversation *c);
void proxy_readiness(void *arg, struct api_readiness *out);
void proxy_figures(void *arg, struct metrics_now *out);
extern const struct supervisor_link_hooks proxy_link_hooks;

/* proxy_build.c */

int proxy_build(struct proxy *p, struct err *err) MUST_CHECK;
/* For a start that failed half way. */
void proxy_unbuild(struct proxy *p);

/* proxy_agent.c */

int proxy_agent_build(struct proxy *p, struct err *err) MUST_CHECK;
void proxy_agent_free(struct proxy *p);
void proxy_agent_start_signal(struct proxy *p);
/* The policy is read again. Without the agent profile: nothing. */
void proxy_agent_reload(struct proxy *p);

/* proxy_stop.c */

void proxy_start_signals(struct proxy *p);
/* Takes no new request after delay_ms of deadline_ms, and tells when those that run are over. Until
 * then only /readyz says it: whoever sends the requests has that long to see it. */
void proxy_drain(struct proxy *p, uint64_t deadline_ms, uint64_t delay_ms);
void proxy_answer_drain(struct proxy *p);

#endif
