/* proxy: a whole run: what its parts tell each other, from the first request to the last. */
#include "proxy/proxy.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "common/exit_code.h"
#include "common/log.h"
#include "common/loop_memory.h"
#include "proxy/announce.h"
#include "proxy/process_figures.h"
#include "proxy/proxy_internal.h"

/* Memory that was short may be there again. */
#define MODELS_AGAIN_MS 1000

/* --- telling -------------------------------------------------------------------------------- */

/* NULL: ready. */
static const char *
not_ready_because(const struct proxy *p)
{
	if (p->leaving)
		return "the proxy is shutting down";
	if (!p->listening)
		return "the proxy does not listen yet";
	if (backend_pool_usable(p->pool) == 0)
		return backend_pool_reason(p->pool);
	if (!models_known(p->models))
		return "the model list is not known yet";
	return NULL;
}

/* A login is all that is missing. */
static bool
needs_login(const struct proxy *p)
{
	return !p->draining && p->listening && backend_pool_needs_login(p->pool) &&
	       models_known(p->models);
}

void
proxy_tell_readiness(struct proxy *p)
{
	const char *reason = not_ready_because(p);

	if (p->link != NULL)
		supervisor_link_ready(p->link, reason, needs_login(p));
	else if (reason == NULL || needs_login(p))
		announce_ready(); /* a restart would not help */
}

static enum health_state
health_of_backend(const struct proxy *p, const struct backend *b)
{
	return health_of(&p->health, backend_id(b), backend_generation(b), uv_now(&p->loop));
}

/* Not ready when none of those that could serve is well. */
static void
look_at_health(const struct proxy *p, struct api_readiness *out)
{
	unsigned well = 0;
	bool degraded = false;

	for (int id = 0; id < OUTCOMES_BACKENDS_MAX; id++) {
		const struct backend *b = backend_find(p->pool, id);
		enum health_state state;

		if (b == NULL || !backend_usable(b))
			continue;
		state = health_of_backend(p, b);
		well += state == HEALTH_WELL;
		degraded |= state == HEALTH_DEGRADED;
		if (state != HEALTH_WELL && out->reason_count < API_REASONS_MAX)
			health_reason(&p->health, id, out->reasons[out->reason_count++],
			              sizeof(out->reasons[0]));
	}
	out->ready = well > 0;
	out->degraded = well == 0 && degraded;
}

void
proxy_readiness(void *arg, struct api_readiness *out)
{
	const struct proxy *p = arg;
	const char *reason = not_ready_because(p);

	*out = (struct api_readiness){.ready = reason == NULL};
	if (reason == NULL)
		look_at_health(p, out);
	else
		(void)snprintf(out->reasons[out->reason_count++], sizeof(out->reasons[0]), "%s",
		               reason);
	/* No reason not to be ready: a model without tools answers too. */
	if (p->agent.agent != NULL && agent_problem(p->agent.agent) != NULL &&
	    out->reason_count < API_REASONS_MAX)
		(void)snprintf(out->reasons[out->reason_count++], sizeof(out->reasons[0]),
		               "all tools are declined: %s", agent_problem(p->agent.agent));
}

static enum metrics_backend_state
backend_figure(const struct proxy *p, const struct backend *b)
{
	if (!backend_usable(b))
		return METRICS_BACKEND_DOWN;
	if (backend_needs_login(b))
		return METRICS_BACKEND_AUTH;
	switch (health_of_backend(p, b)) {
	case HEALTH_AUTH:
		return METRICS_BACKEND_AUTH;
	case HEALTH_DEGRADED:
		return METRICS_BACKEND_DEGRADED;
	case HEALTH_WELL:
		break;
	}
	return METRICS_BACKEND_USABLE;
}

/* Of something that the supervisor has started so often; 0: there is no supervisor. */
static uint64_t
restarts(int64_t generation)
{
	return generation > 1 ? (uint64_t)generation - 1 : 0;
}

static void
limit_figures(const struct proxy *p, struct metrics_now *out)
{
	static const char *const names[LIMIT_WINDOWS] = {
		[LIMIT_PRIMARY] = "primary",
		[LIMIT_SECONDARY] = "secondary",
	};
	const struct account_limits *l = backend_pool_limits(p->pool);
	int64_t now = time(NULL);

	for (size_t i = 0; i < l->count * LIMIT_WINDOWS; i++) {
		const struct limit_window *w =
			&l->limits[i / LIMIT_WINDOWS].windows[i % LIMIT_WINDOWS];

		if (!limit_window_holds(w, now) || out->limit_count == METRICS_LIMITS_MAX)
			continue;
		out->limits[out->limit_count++] =
			(struct metrics_limit){.id = l->limits[i / LIMIT_WINDOWS].id,
		                               .window = names[i % LIMIT_WINDOWS],
		                               .used_percent = w->used_percent,
		                               .window_sec = w->window_sec,
		                               .resets_at = w->resets_at};
	}
}

void
proxy_figures(void *arg, struct metrics_now *out)
{
	const struct proxy *p = arg;
	struct turns_stats turns = turns_stats(p->turns);
	struct api_readiness ready;

	proxy_readiness(arg, &ready);
	*out = (struct metrics_now){.ready = ready.ready,
	                            .in_flight = turns.running,
	                            .queued = turns.waiting,
	                            .threads = backend_pool_threads(p->pool),
	                            .connections = http_server_connections(p->http),
	                            .exchanges = http_server_exchanges(p->http)};
	for (int id = 0; id < METRICS_BACKENDS_MAX; id++) {
		const struct backend *b = backend_find(p->pool, id);

		if (b == NULL)
			continue;
		out->backends[out->backend_count].id = id;
		out->backends[out->backend_count].restarts = restarts(backend_generation(b));
		out->backends[out->backend_count++].state = backend_figure(p, b);
	}
	out->proxy_restarts = restarts(p->generation);
	out->login_expires_at = p->login_expires_at;
	limit_figures(p, out);
	process_figures(&out->process);
}

static void
count_connects(struct proxy *p)
{
	for (int id = 0; id < OUTCOMES_BACKENDS_MAX; id++) {
		const struct backend *b = backend_find(p->pool, id);
		bool usable = b != NULL && backend_usable(b);

		if (usable && !p->usable[id])
			metrics_connected(p->metrics, id);
		p->usable[id] = usable;
	}
}

static void
on_models_again(uv_timer_t *timer)
{
	proxy_on_backends_change(timer->data);
}

void
proxy_on_backends_change(void *arg)
{
	struct proxy *p = arg;

	if (!models_update(p->models, backend_pool_models(p->pool))) {
		log_warning("the model list: out of memory, again in %d ms", MODELS_AGAIN_MS);
		/* a live handle, or the end is near */
		(void)uv_timer_start(&p->models_again, on_models_again, MODELS_AGAIN_MS, 0);
	}
	turns_pump(p->turns);
	count_connects(p);
	proxy_tell_readiness(p);
}

void
proxy_on_stats(void *arg)
{
	struct proxy *p = arg;
	struct turns_stats turns;
	struct supervisor_link_stats stats;

	if (p->turns == NULL)
		return; /* still being built */
	turns = turns_stats(p->turns);
	heap_trim_look(&p->trim, turns.running + turns.waiting > 0);
	stats = (struct supervisor_link_stats){.in_flight = turns.running,
	                                       .queued = turns.waiting,
	                                       .threads = backend_pool_threads(p->pool)};
	if (p->link != NULL)
		supervisor_link_stats(p->link, &stats);
	backend_drains_look(&p->drains);
}

void
proxy_on_outcome(void *arg, int backend, int64_t generation, const struct failure *failure)
{
	struct proxy *p = arg;
	const char *kind = outcomes_add(&p->outcomes, backend, generation, failure);

	metrics_turn(p->metrics, failure);
	if (health_note(&p->health, backend, generation, failure, kind, uv_now(&p->loop)) &&
	    failure == NULL)
		log_info("app-server %d: a request succeeded, it is well again", backend);
	if (kind == NULL)
		return;
	log_warning("app-server %d: %s failure: %s", backend, kind, failure->message);
	if (p->link != NULL)
		supervisor_link_failed(p->link, backend, generation, kind, failure->message);
}

enum model_answer
proxy_resolve_model(void *arg, struct conversation *c)
{
	const struct proxy *p = arg;

	return models_resolve(p->models, c);
}

/* --- the supervisor's word ------------------------------------------------------------------ */

static void
on_backend_up(void *arg, int id, const char *url, int64_t generation)
{
	struct proxy *p = arg;

	(void)backend_up(p->pool, id, url, generation); /* told in the log, as it can be */
}

static void
on_backend_down(void *arg, int id, const char *reason, int64_t next_retry_ms)
{
	struct proxy *p = arg;

	backend_down(p->pool, id, reason, next_retry_ms);
	proxy_tell_readiness(p);
}

static void
on_backends(void *arg, const int *ids, size_t count)
{
	struct proxy *p = arg;

	backend_retain(p->pool, ids, count);
}

static void
on_drain(void *arg, struct control_request *req, uint64_t deadline_ms, uint64_t delay_ms)
{
	struct proxy *p = arg;

	if (p->drain_req != NULL) {
		control_reply_error(req, CONTROL_FAILED, "it is draining already");
		return;
	}
	p->drain_req = req;
	if (p->drained)
		proxy_answer_drain(p);
	else
		proxy_drain(p, deadline_ms, delay_ms);
}

static void
on_backend_drain(void *arg, struct control_request *req, int id, uint64_t deadline_ms)
{
	struct proxy *p = arg;

	backend_drains_add(&p->drains, req, id, deadline_ms);
}

static void
on_login(void *arg, int64_t expires_at)
{
	struct proxy *p = arg;

	p->login_expires_at = expires_at;
}

static void
on_reload(void *arg)
{
	proxy_agent_reload(arg);
}

static void
on_connected(void *arg)
{
	struct proxy *p = arg;

	proxy_tell_readiness(p);
}

const struct supervisor_link_hooks proxy_link_hooks = {
	.on_backend_up = on_backend_up,
	.on_backend_down = on_backend_down,
	.on_backends = on_backends,
	.on_drain = on_drain,
	.on_backend_drain = on_backend_drain,
	.on_login = on_login,
	.on_reload = on_reload,
	.on_connected = on_connected,
};

/* --- the run -------------------------------------------------------------------------------- */

int
proxy_run(const struct settings *settings)
{
	struct proxy p = {.settings = settings};
	struct err err = {.code = 0};
	int r, code = EXIT_WELL;

	loop_memory_init();
	r = uv_loop_init(&p.loop);
	if (r < 0) {
		log_error("the event loop: %s", uv_strerror(r));
		return EXIT_GAVE_UP;
	}
	(void)signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error of write */
	(void)signal(SIGHUP, SIG_IGN);  /* a terminal that went away is no reason to stop */
	r = proxy_build(&p, &err);
	if (r < 0) {
		log_error("%s", err.text);
		code = exit_code_of_start(r);
		proxy_unbuild(&p);
	} else {
		proxy_start_signals(&p);
		(void)uv_run(&p.loop, UV_RUN_DEFAULT); /* until uv_stop */
	}
	if (!lws_context_shutdown(p.lws, &p.loop)) {
		log_warning("libwebsockets does not let go of a connection: ended without it");
		return code;
	}
	while (uv_run(&p.loop, UV_RUN_DEFAULT) != 0)
		;
	http_server_free(p.http);
	turns_free(p.turns);
	models_free(p.models);
	response_store_free(p.api.responses);
	auth_free(p.auth);
	metrics_free(p.metrics);
	proxy_agent_free(&p);
	free(p.instructions);
	free(p.workspace);
	r = uv_loop_close(&p.loop);
	assert(r == 0); /* a handle that nobody closed */
	return code;
}
