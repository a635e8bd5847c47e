/* ecosystem_spec: what the ecosystem file says of an app, in the words of app.h. Pure. */
#include "supervisor/ecosystem_spec.h"

#include <stdio.h>
#include <string.h>

/* codex drains without end on the first SIGTERM, and goes at once on the second. */
#define APP_SERVER_TERM_AGAIN_MS 2000
#define APP_SERVER_TERM_KILL_MS  5000
/* The proxy drains by itself on a SIGTERM that comes without our asking, and is not disturbed in
 * it before this much more than its drain has passed. */
#define PROXY_TERM_AGAIN_MS      3000

static enum app_readiness
readiness_of(const struct ecosystem_app *a)
{
	switch (a->readiness) {
	case ECOSYSTEM_READY_NONE:
		return APP_READY_NONE;
	case ECOSYSTEM_READY_TOLD:
		return APP_READY_TOLD;
	case ECOSYSTEM_READY_CONTROL:
		return APP_READY_CONTROL;
	case ECOSYSTEM_READY_NOTIFY:
		return APP_READY_NOTIFY;
	case ECOSYSTEM_READY_IPC:
		return APP_READY_IPC;
	case ECOSYSTEM_READY_CODEX:
		return APP_READY_WEBSOCKET;
	case ECOSYSTEM_READY_HTTP:
		return APP_READY_HTTP;
	case ECOSYSTEM_READY_TCP:
	case ECOSYSTEM_READY_UNIX:
		return APP_READY_CONNECT;
	}
	return APP_READY_NONE;
}

/* Only what we give a socket of its own, or one that is shared, can be there twice. */
static enum app_surge
surge_of(const struct ecosystem_app *a)
{
	switch (a->role) {
	case ECOSYSTEM_PLAIN:
		return APP_SURGE_NEVER;
	case ECOSYSTEM_APP_SERVER:
		return a->recipe && a->listen == NULL ? APP_SURGE_ALWAYS : APP_SURGE_NEVER;
	case ECOSYSTEM_PROXY:
		return APP_SURGE_RELOAD;
	}
	return APP_SURGE_NEVER;
}

static struct restart_policy
policy_of(const struct ecosystem_app *a)
{
	return (struct restart_policy){
		.min_uptime_ms = (uint64_t)a->min_uptime_ms,
		.base_ms = (uint64_t)a->backoff_ms,
		.max_ms = (uint64_t)a->backoff_max_ms,
		.limit = (unsigned)a->max_restarts,
		.window_ms = (uint64_t)a->restart_window_ms,
		.rest_ms = (uint64_t)a->crash_loop_rest_ms,
	};
}

struct app_spec
ecosystem_spec(const struct ecosystem_app *a, unsigned i, char name[ECOSYSTEM_SPEC_NAME_MAX])
{
	const char *why;
	struct app_spec s = {
		.name = name,
		.group = a->name,
		.instance = (int)i,
		.readiness = readiness_of(a),
		.listen_timeout_ms = (uint64_t)a->listen_timeout_ms,
		.drain_timeout_ms = (uint64_t)a->drain_timeout_ms,
		.term_again_ms = (uint64_t)a->kill_timeout_ms, /* once is enough */
		.kill_timeout_ms = (uint64_t)a->kill_timeout_ms,
		.stop_signal = a->stop_signal,
		.surge = surge_of(a),
		.one_shot = !a->autorestart,
		.restart = policy_of(a),
		.max_memory_bytes = (uint64_t)a->max_memory_bytes,
	};

	if (a->instances > 1 || a->numbered)
		(void)snprintf(name, ECOSYSTEM_SPEC_NAME_MAX, "%s-%u", a->name, i);
	else
		(void)snprintf(name, ECOSYSTEM_SPEC_NAME_MAX, "%s", a->name);
	/* the file was read by the same rules */
	if (a->cron_restart != NULL && cron_parse(&s.cron, a->cron_restart, &why) < 0)
		s.cron = (struct cron){.minutes = 0};
	memcpy(s.stop_exit, a->stop_exit, sizeof(s.stop_exit));
	if (a->role == ECOSYSTEM_APP_SERVER) {
		s.term_again_ms = APP_SERVER_TERM_AGAIN_MS;
		s.term_kill_ms = APP_SERVER_TERM_KILL_MS;
	} else if (a->role == ECOSYSTEM_PROXY) {
		s.term_again_ms = s.drain_timeout_ms + PROXY_TERM_AGAIN_MS;
	}
	return s;
}

bool
ecosystem_spec_logs(struct log_sink_spec *out, const struct ecosystem_app *a)
{
	*out = (struct log_sink_spec){
		.out_file = a->disable_logs ? "/dev/null" : a->out_file,
		.error_file = a->disable_logs ? "/dev/null" : a->error_file,
		.own_files = !a->merge_logs && (a->instances > 1 || a->numbered),
		.json = a->log_json,
		.date_format = a->log_date_format,
		.max_bytes = a->log_rotate_max_bytes,
		.interval_ms = a->log_rotate_interval_ms,
		.retain = a->log_rotate_retain,
	};
	return out->out_file != NULL || out->error_file != NULL;
}
