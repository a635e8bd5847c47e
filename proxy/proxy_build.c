/* proxy_build: the start: every part made, and wired to the others. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/file.h"
#include "common/json.h"
#include "common/listen.h"
#include "common/log.h"
#include "common/paths.h"
#include "proxy/proxy_internal.h"
#include "proxy/service_manager.h"

/* One JSON-RPC call. The slowest seen is thread/start, 70 ms on a home with many sessions. */
#define CALL_TIMEOUT_MS     30000
/* turn/completed follows the model's last word within 1 ms: so late, it is asked for. */
#define COMPLETION_GRACE_MS 2000
/* Unsent bytes of one answer: a reader that is so far behind does not read. */
#define STREAM_BYTES_MAX    ((size_t)768 << 10)
/* A body of 10 MB over a slow line. */
#define BODY_TIMEOUT_MS     120000
#define WRITE_STALL_MS      60000
#define CONNECTIONS_MAX     20000
/* Files that are not client connections: logs, sockets to app-servers, the loop's own. */
#define FILES_SPARE         64
#define INSTRUCTIONS_MAX    ((size_t)1 << 20)
/* A turn of another proxy may be as old as one of ours, and then has to be cleaned up. */
#define STRANGER_SPARE_MS   60000

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

		/* without a check here every single request would fail */
		return r < 0 || json_is_text(p->instructions, len)
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

static int
build_images(struct proxy *p, struct err *err)
{
	const struct images_config config = {.loop = &p->loop,
	                                     .hosts = p->settings->image_fetch_hosts,
	                                     .ca_file = p->settings->image_fetch_ca_file,
	                                     .max_bytes = (size_t)p->settings->max_request_bytes};

	if (config.hosts == NULL)
		return 0;
	/* Else every single image would fail. */
	if (config.ca_file != NULL && access(config.ca_file, R_OK) != 0)
		return err_set(err, -ENOENT, "CODEX_IMAGE_FETCH_CA_FILE: %s: %s", config.ca_file,
		               strerror(errno));
	return images_new(&p->images, &config, err);
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
	rlim_t answers;

	(void)getrlimit(RLIMIT_NOFILE, &files); /* cannot fail */
	/* A connection needs a second file while its answer is being made. */
	answers = (rlim_t)s->max_concurrent + (rlim_t)s->max_queue_depth;
	if (answers > files.rlim_cur / 2)
		answers = files.rlim_cur / 2;
	if (files.rlim_cur - answers < CONNECTIONS_MAX + FILES_SPARE)
		l.max_connections = files.rlim_cur > 4 * FILES_SPARE
		                            ? (unsigned)(files.rlim_cur - answers) - FILES_SPARE
		                            : FILES_SPARE;
	return l;
}

/* The socket that the supervisor or systemd hands us, else our own. */
static int
open_listener(struct proxy *p, struct err *err)
{
	const struct settings *s = p->settings;
	char text[LISTEN_TEXT_MAX] = "the socket handed to us";
	int fd = service_manager_socket();
	int port = (int)s->port;
	int flags;

	if (fd < 0)
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
		.images = p->images,
		.thread = {.workspace = p->workspace,
	                   .base_instructions = p->instructions,
	                   .agent = p->agent.agent,
	                   .transcript = s->history_mode == HISTORY_TRANSCRIPT,
	                   .call_timeout_ms = CALL_TIMEOUT_MS,
	                   .completion_grace_ms = COMPLETION_GRACE_MS},
		.max_running = (unsigned)s->max_concurrent,
		.max_waiting = (unsigned)s->max_queue_depth,
		.queue_timeout_ms = (uint64_t)s->queue_timeout_ms,
		.total_timeout_ms = (uint64_t)s->proxy_timeout_ms,
		.first_event_timeout_ms = (uint64_t)s->first_event_timeout_ms,
		.idle_timeout_ms = (uint64_t)s->idle_timeout_ms,
		.resolve_model = proxy_resolve_model,
		.on_stats = proxy_on_stats,
		.on_outcome = proxy_on_outcome,
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
		.responses = response_store_new((size_t)p->settings->responses_store_bytes),
		.rate_limit = {.per_minute = (unsigned)p->settings->rate_limit_per_min},
		.readiness = proxy_readiness,
		.figures = proxy_figures,
		.metrics = p->metrics,
		.arg = p};
	if (p->api.responses == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	r = http_server_new(&p->http, p->lws, &p->loop, &http_limits, &api_handlers, &p->api, err);
	if (r == 0)
		lws_context_on_shortage(http_server_was_short, p->http);
	if (r == 0 && p->settings->tls_cert != NULL)
		r = http_server_use_tls(p->http, p->settings->tls_cert, p->settings->tls_key, err);
	return r < 0 ? r : open_listener(p, err);
}

static int
build_link(struct proxy *p, struct err *err)
{
	const char *generation = getenv("CODEX_PROXY_GENERATION");

	if (p->settings->app_server_url != NULL) {
		return backend_up(p->pool, 0, p->settings->app_server_url, 0)
		               ? 0
		               : err_set(err, -ENOMEM, "not started: out of memory");
	}
	if (p->settings->control_socket == NULL)
		return err_set(err, -EINVAL,
		               "CODEX_APP_SERVER_URL: a proxy without a supervisor needs it");
	p->generation = generation != NULL ? strtol(generation, NULL, 10) : 0;
	p->link = supervisor_link_new(&p->loop, p->settings->control_socket, p->generation,
	                              &proxy_link_hooks, p);
	return p->link != NULL ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int
proxy_build(struct proxy *p, struct err *err)
{
	const struct settings *s = p->settings;
	struct backend_pool_config pool = {
		.loop = &p->loop,
		.client_version = SIDECAR_VERSION,
		.transcript = s->history_mode == HISTORY_TRANSCRIPT,
		.sweep_interval_ms = (uint64_t)s->orphan_sweep_interval_ms,
		.stranger_turn_ms = (uint64_t)s->proxy_timeout_ms + STRANGER_SPARE_MS,
		.on_change = proxy_on_backends_change,
		.on_stats = proxy_on_stats,
		.arg = p,
	};
	int r = read_instructions(p, err);

	if (r == 0)
		r = make_workspace(p, err);
	if (r == 0)
		r = proxy_agent_build(p, err);
	if (r == 0) {
		p->metrics = metrics_new();
		r = p->metrics != NULL ? 0 : err_set(err, -ENOMEM, "out of memory");
	}
	if (r == 0)
		r = auth_new(&p->auth, s, err);
	if (r == 0)
		r = s->tls_cert != NULL ? lws_context_open_tls(&p->lws, &p->loop, err)
		                        : lws_context_open(&p->lws, &p->loop, err);
	if (r == 0) {
		p->models = models_new(s->model_aliases, s->default_model);
		r = p->models != NULL ? backend_pool_new(&p->pool, &pool, err)
		                      : err_set(err, -ENOMEM, "out of memory");
	}
	if (r == 0) {
		backend_drains_init(&p->drains, &p->loop, p->pool);
		heap_trim_init(&p->trim, &p->loop);
		(void)uv_timer_init(&p->loop, &p->models_again); /* cannot fail */
		p->models_again.data = p;
		r = build_images(p, err);
	}
	if (r == 0) {
		r = build_turns(p, err);
	}
	if (r == 0)
		r = build_http(p, err);
	if (r == 0)
		r = build_link(p, err);
	return r;
}

/* For a start that failed half way. */
void
proxy_unbuild(struct proxy *p)
{
	if (p->http != NULL)
		http_server_close(p->http);
	if (p->pool != NULL) {
		backend_drains_close(&p->drains);
		heap_trim_close(&p->trim);
		uv_close((uv_handle_t *)&p->models_again, NULL);
		backend_pool_close(p->pool, NULL, NULL);
	}
	p->pool = NULL;
	images_close(p->images);
}
