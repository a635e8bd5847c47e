/* proxy: a whole run: everything wired together, from the settings to the last handle closed. */
#include "proxy/proxy.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "common/exit_code.h"
#include "common/file.h"
#include "common/json.h"
#include "common/listen.h"
#include "common/log.h"
#include "common/paths.h"
#include "proxy/announce.h"
#include "proxy/api/api.h"
#include "proxy/backend_drain.h"
#include "proxy/lws_context.h"
#include "proxy/outcomes.h"
#include "proxy/supervisor_link.h"

/* One JSON-RPC call. The slowest seen is thread/start, 70 ms on a home with many sessions. */
#define CALL_TIMEOUT_MS     30000
/* turn/completed follows the model's last word within 1 ms. */
#define COMPLETION_GRACE_MS 5000
/* Unsent bytes of one answer: a reader that is so far behind does not read. */
#define STREAM_BYTES_MAX    ((size_t)1 << 20)
/* A body of 10 MB over a slow line. */
#define BODY_TIMEOUT_MS     120000
#define WRITE_STALL_MS      60000
#define CONNECTIONS_MAX     20000
/* Files that are not client connections: logs, sockets to app-servers, the loop's own. */
#define FILES_SPARE         64
/* For the last answers to leave after the drain. */
#define FLUSH_MS            3000
#define FLUSH_LOOK_MS       10
#define INSTRUCTIONS_MAX    ((size_t)1 << 20)
/* A turn of another proxy may be as old as one of ours, and then has to be cleaned up. */
#define STRANGER_SPARE_MS   60000

struct proxy {
	uv_loop_t loop;
	const struct settings *settings;
	struct lws_context *lws;
	struct http_server *http;
	struct auth *auth;
	struct models *models;
	struct backend_pool *pool;
	struct turns *turns;
	struct supervisor_link *link; /* NULL: alone */
	struct api api;
	struct outcomes outcomes;
	struct backend_drains drains;
	char *workspace;
	char *instructions; /* what is read from a file, or "" */
	uv_signal_t sigterm, sigint;
	uv_timer_t flush;
	uint64_t flush_deadline;
	bool listening;
	bool draining;    /* takes no new request */
	bool drained;     /* and none is left */
	bool terminating; /* ends when drained */
	struct control_request *drain_req;
	unsigned drain_left;
};

/* --- telling -------------------------------------------------------------------------------- */

/* NULL: ready. */
static const char *
not_ready_because(const struct proxy *p)
{
	if (p->draining)
		return "the proxy is shutting down";
	if (!p->listening)
		return "the proxy does not listen yet";
	if (backend_pool_usable(p->pool) == 0)
		return backend_pool_reason(p->pool);
	if (!models_known(p->models))
		return "the model list is not known yet";
	return NULL;
}

static void
tell_readiness(struct proxy *p)
{
	const char *reason = not_ready_because(p);

	if (p->link != NULL)
		supervisor_link_ready(p->link, reason);
	else if (reason == NULL)
		announce_ready();
}

static void
readiness(void *arg, struct api_readiness *out)
{
	const char *reason = not_ready_because(arg);

	out->ready = reason == NULL;
	(void)snprintf(out->reason, sizeof(out->reason), "%s", reason != NULL ? reason : "");
}

static void
on_backends_change(void *arg)
{
	struct proxy *p = arg;

	models_update(p->models, backend_pool_models(p->pool));
	turns_pump(p->turns);
	tell_readiness(p);
}

static void
on_stats(void *arg)
{
	struct proxy *p = arg;
	struct turns_stats turns;
	struct supervisor_link_stats stats;

	if (p->turns == NULL)
		return; /* still being built */
	turns = turns_stats(p->turns);
	stats = (struct supervisor_link_stats){.in_flight = turns.running,
	                                       .queued = turns.waiting,
	                                       .threads = backend_pool_threads(p->pool)};
	if (p->link != NULL)
		supervisor_link_stats(p->link, &stats);
	backend_drains_look(&p->drains);
}

static void
on_outcome(void *arg, int backend, int64_t generation, const struct failure *failure)
{
	struct proxy *p = arg;
	const char *kind = outcomes_add(&p->outcomes, backend, generation, failure);

	if (kind == NULL)
		return;
	log_warning("app-server %d: %s failure: %s", backend, kind, failure->message);
	if (p->link != NULL)
		supervisor_link_failed(p->link, backend, generation, kind, failure->message);
}

static enum model_answer
resolve_model(void *arg, struct conversation *c)
{
	const struct proxy *p = arg;

	return models_resolve(p->models, c);
}

/* --- stopping ------------------------------------------------------------------------------- */

static void
on_link_closed(void *arg)
{
	struct proxy *p = arg;

	p->link = NULL;
	uv_stop(&p->loop);
}

static void
on_pool_closed(void *arg)
{
	struct proxy *p = arg;

	p->pool = NULL;
	if (p->link != NULL)
		supervisor_link_close(p->link, on_link_closed, p);
	else
		uv_stop(&p->loop);
}

/* Every turn is over, and every answer has left, or had its time. */
static void
close_all(struct proxy *p)
{
	backend_drains_close(&p->drains);
	uv_close((uv_handle_t *)&p->sigterm, NULL);
	uv_close((uv_handle_t *)&p->sigint, NULL);
	uv_close((uv_handle_t *)&p->flush, NULL);
	http_server_close(p->http);
	backend_pool_close(p->pool, on_pool_closed, p);
}

static void
on_flush_look(uv_timer_t *timer)
{
	struct proxy *p = timer->data;

	if (http_server_exchanges(p->http) == 0 || uv_now(&p->loop) >= p->flush_deadline)
		close_all(p);
}

static void
flush_and_close(struct proxy *p)
{
	p->flush_deadline = uv_now(&p->loop) + FLUSH_MS;
	(void)uv_timer_start(&p->flush, on_flush_look, 0, FLUSH_LOOK_MS); /* a live handle */
}

static void
answer_drain(struct proxy *p)
{
	if (p->drain_req != NULL)
		control_reply(p->drain_req, json_pack("{s:i}", "in_flight", (int)p->drain_left));
	p->drain_req = NULL;
}

static void
on_drained(void *arg, unsigned left)
{
	struct proxy *p = arg;

	p->drained = true;
	p->drain_left = left;
	log_info("drained, %u requests were broken off", left);
	answer_drain(p);
	if (p->terminating)
		flush_and_close(p);
}

static void
drain(struct proxy *p, uint64_t deadline_ms)
{
	if (!p->draining) {
		p->draining = true;
		http_server_stop_listening(p->http);
		p->listening = false;
		tell_readiness(p);
	}
	if (!p->drained)
		turns_drain(p->turns, deadline_ms, on_drained, p);
}

static void
on_signal(uv_signal_t *handle, int signum)
{
	struct proxy *p = handle->data;
	bool again = p->terminating;

	log_info("%s: %s", signum == SIGINT ? "SIGINT" : "SIGTERM",
	         again ? "stopping at once" : "draining, then stopping");
	p->terminating = true;
	if (!again)
		announce_stopping();
	if (p->drained && again)
		p->flush_deadline = 0; /* the last answers get no more time either */
	else if (p->drained)
		flush_and_close(p);
	else
		drain(p, again ? 0 : (uint64_t)p->settings->drain_timeout_ms);
}

/* --- the supervisor's word ------------------------------------------------------------------ */

static void
on_backend_up(void *arg, int id, const char *url, int64_t generation)
{
	struct proxy *p = arg;

	backend_up(p->pool, id, url, generation);
}

static void
on_backend_down(void *arg, int id, const char *reason, int64_t next_retry_ms)
{
	struct proxy *p = arg;

	backend_down(p->pool, id, reason, next_retry_ms);
	tell_readiness(p);
}

static void
on_backends(void *arg, const int *ids, size_t count)
{
	struct proxy *p = arg;

	backend_retain(p->pool, ids, count);
}

static void
on_drain(void *arg, struct control_request *req, uint64_t deadline_ms)
{
	struct proxy *p = arg;

	if (p->drain_req != NULL) {
		control_reply_error(req, CONTROL_FAILED, "it is draining already");
		return;
	}
	p->drain_req = req;
	if (p->drained)
		answer_drain(p);
	else
		drain(p, deadline_ms);
}

static void
on_backend_drain(void *arg, struct control_request *req, int id, uint64_t deadline_ms)
{
	struct proxy *p = arg;

	backend_drains_add(&p->drains, req, id, deadline_ms);
}

static void
on_connected(void *arg)
{
	struct proxy *p = arg;

	tell_readiness(p);
}

/* --- starting ------------------------------------------------------------------------------- */

/* It goes into JSON: without a check here, every single request would fail. */
static bool
is_text(const char *bytes, size_t len)
{
	size_t n = 1;

	for (size_t at = 0; at < len && n > 0; at += n)
		n = bytes[at] != '\0' ? json_utf8_length(bytes + at, len - at) : 0;
	return n > 0;
}

/* What stands before the caller's words: nothing by default. */
static int
read_instructions(struct proxy *p, struct err *err)
{
	const char *from = p->settings->base_instructions;
	size_t len;

	if (from != NULL && strcmp(from, "codex") == 0)
		return 0; /* NULL: codex's own */
	if (from != NULL) {
		int r = file_read(&p->instructions, &len, from, INSTRUCTIONS_MAX, err);

		return r < 0 || is_text(p->instructions, len)
		               ? r
		               : err_set(err, -EINVAL,
		                         "CODEX_BASE_INSTRUCTIONS: %s: not UTF-8 text", from);
	}
	p->instructions = strdup("");
	return p->instructions != NULL ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* An empty folder that threads run in. */
static int
make_workspace(struct proxy *p, struct err *err)
{
	AUTO_FREE char *state = NULL;

	if (p->settings->workspace != NULL) {
		p->workspace = strdup(p->settings->workspace);
		return p->workspace != NULL ? 0 : err_set(err, -ENOMEM, "out of memory");
	}
	state = paths_state_dir(p->settings);
	p->workspace = state != NULL ? paths_join(state, "work") : NULL;
	if (p->workspace == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	return file_make_dir(p->workspace, 0700, err);
}

static struct http_limits
limits(const struct settings *s)
{
	struct rlimit files = {.rlim_cur = 1024};
	struct http_limits l = {
		.max_body_bytes = (size_t)s->max_request_bytes,
		.max_stream_bytes = STREAM_BYTES_MAX,
		.max_connections = CONNECTIONS_MAX,
		.body_timeout_ms = BODY_TIMEOUT_MS,
		.write_stall_ms = WRITE_STALL_MS,
	};

	(void)getrlimit(RLIMIT_NOFILE, &files); /* cannot fail */
	/* A connection needs a second file while its answer is being made. */
	if (files.rlim_cur / 2 < CONNECTIONS_MAX + FILES_SPARE)
		l.max_connections = files.rlim_cur > 4 * FILES_SPARE
		                            ? (unsigned)(files.rlim_cur / 2) - FILES_SPARE
		                            : FILES_SPARE;
	return l;
}

/* The socket that the supervisor or systemd hands us, else our own. */
static int
open_listener(struct proxy *p, struct err *err)
{
	const struct settings *s = p->settings;
	char text[LISTEN_TEXT_MAX] = "the socket handed to us";
	int fd = SD_LISTEN_FDS_START;
	int port = (int)s->port;
	int flags;

	if (sd_listen_fds(1) < 1)
		fd = s->listen_unix != NULL ? listen_unix(s->listen_unix, text, err)
		                            : listen_tcp(s->host, &port, text, err);
	if (fd < 0)
		return fd;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_set(err, -errno, "listening socket: %s", strerror(errno));
	log_info("listening on %s", text);
	p->listening = true;
	return http_server_listen(p->http, fd, err);
}

static int
build_turns(struct proxy *p, struct err *err)
{
	const struct settings *s = p->settings;
	struct turns_config config = {
		.loop = &p->loop,
		.pool = p->pool,
		.thread = {.workspace = p->workspace,
	                   .base_instructions = p->instructions,
	                   .call_timeout_ms = CALL_TIMEOUT_MS,
	                   .completion_grace_ms = COMPLETION_GRACE_MS},
		.max_running = (unsigned)s->max_concurrent,
		.max_waiting = (unsigned)s->max_queue_depth,
		.queue_timeout_ms = (uint64_t)s->queue_timeout_ms,
		.total_timeout_ms = (uint64_t)s->proxy_timeout_ms,
		.first_event_timeout_ms = (uint64_t)s->first_event_timeout_ms,
		.idle_timeout_ms = (uint64_t)s->idle_timeout_ms,
		.resolve_model = resolve_model,
		.on_stats = on_stats,
		.on_outcome = on_outcome,
		.arg = p,
	};

	p->outcomes.upstream_threshold = (unsigned)s->degradation_threshold;
	p->turns = turns_new(&config);
	if (p->turns == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	turns_pump(p->turns); /* closed until a backend is usable */
	return 0;
}

static int
build_http(struct proxy *p, struct err *err)
{
	const struct http_limits http_limits = limits(p->settings);
	int r;

	p->api = (struct api){
		.loop = &p->loop,
		.settings = p->settings,
		.auth = p->auth,
		.models = p->models,
		.turns = p->turns,
		.rate_limit = {.per_minute = (unsigned)p->settings->rate_limit_per_min},
		.readiness = readiness,
		.arg = p};
	r = http_server_new(&p->http, p->lws, &p->loop, &http_limits, &api_handlers, &p->api, err);
	return r < 0 ? r : open_listener(p, err);
}

static int
build_link(struct proxy *p, struct err *err)
{
	static const struct supervisor_link_hooks hooks = {
		.on_backend_up = on_backend_up,
		.on_backend_down = on_backend_down,
		.on_backends = on_backends,
		.on_drain = on_drain,
		.on_backend_drain = on_backend_drain,
		.on_connected = on_connected,
	};
	const char *generation = getenv("CODEX_PROXY_GENERATION");

	if (p->settings->app_server_url != NULL) {
		backend_up(p->pool, 0, p->settings->app_server_url, 0);
		return 0;
	}
	if (p->settings->control_socket == NULL)
		return err_set(err, -EINVAL,
		               "CODEX_APP_SERVER_URL: a proxy without a supervisor needs it");
	p->link = supervisor_link_new(&p->loop, p->settings->control_socket,
	                              generation != NULL ? strtol(generation, NULL, 10) : 0, &hooks,
	                              p);
	return p->link != NULL ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int
build(struct proxy *p, struct err *err)
{
	const struct settings *s = p->settings;
	struct backend_pool_config pool = {
		.loop = &p->loop,
		.client_version = SIDECAR_VERSION,
		.sweep_interval_ms = (uint64_t)s->orphan_sweep_interval_ms,
		.stranger_turn_ms = (uint64_t)s->proxy_timeout_ms + STRANGER_SPARE_MS,
		.on_change = on_backends_change,
		.on_stats = on_stats,
		.arg = p,
	};
	int r = read_instructions(p, err);

	if (r == 0)
		r = make_workspace(p, err);
	if (r == 0)
		r = auth_new(&p->auth, s, err);
	if (r == 0)
		r = lws_context_open(&p->lws, &p->loop, err);
	if (r == 0) {
		p->models = models_new(s->model_aliases, s->default_model);
		pool.ctx = p->lws;
		r = p->models != NULL ? backend_pool_new(&p->pool, &pool, err)
		                      : err_set(err, -ENOMEM, "out of memory");
	}
	if (r == 0) {
		backend_drains_init(&p->drains, &p->loop, p->pool);
		r = build_turns(p, err);
	}
	if (r == 0)
		r = build_http(p, err);
	if (r == 0)
		r = build_link(p, err);
	return r;
}

static void
start_signals(struct proxy *p)
{
	/* None of these can fail with valid arguments. */
	(void)uv_signal_init(&p->loop, &p->sigterm);
	(void)uv_signal_init(&p->loop, &p->sigint);
	(void)uv_timer_init(&p->loop, &p->flush);
	p->sigterm.data = p->sigint.data = p->flush.data = p;
	(void)uv_signal_start(&p->sigterm, on_signal, SIGTERM);
	(void)uv_signal_start(&p->sigint, on_signal, SIGINT);
}

/* For a start that failed half way. */
static void
unbuild(struct proxy *p)
{
	if (p->http != NULL)
		http_server_close(p->http);
	if (p->pool != NULL) {
		backend_drains_close(&p->drains);
		backend_pool_close(p->pool, NULL, NULL);
	}
	p->pool = NULL;
}

static int
exit_code_of(int code)
{
	switch (code) {
	case -EINVAL:
	case -ENOENT:
	case -ENAMETOOLONG:
	case -EEXIST:
		return EXIT_CONFIGURATION;
	default:
		return EXIT_GAVE_UP;
	}
}

int
proxy_run(const struct settings *settings)
{
	struct proxy p = {.settings = settings};
	struct err err = {.code = 0};
	int r, code = EXIT_WELL;

	if (uv_loop_init(&p.loop) < 0)
		return EXIT_GAVE_UP;
	(void)signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error of write */
	(void)signal(SIGHUP, SIG_IGN);  /* a terminal that went away is no reason to stop */
	r = build(&p, &err);
	if (r < 0) {
		log_error("%s", err.text);
		code = exit_code_of(r);
		unbuild(&p);
	} else {
		start_signals(&p);
		(void)uv_run(&p.loop, UV_RUN_DEFAULT); /* until uv_stop */
	}
	lws_context_shutdown(p.lws, &p.loop);
	while (uv_run(&p.loop, UV_RUN_DEFAULT) != 0)
		;
	http_server_free(p.http);
	turns_free(p.turns);
	models_free(p.models);
	auth_free(p.auth);
	free(p.instructions);
	free(p.workspace);
	r = uv_loop_close(&p.loop);
	assert(r == 0); /* a handle that nobody closed */
	return code;
}
