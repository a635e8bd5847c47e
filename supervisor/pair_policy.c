/* pair_policy: how long the two kinds of apps are waited for, and how they are ended. */
#include "supervisor/pair_policy.h"

#include <signal.h>
#include <stdio.h>

#define READY_TIMEOUT_MS      60000
#define PROXY_KILL_EXTRA_MS   5000 /* beyond the drain, to say goodbye to its clients */
#define PROXY_TERM_AGAIN_MS   3000
/* codex drains without end on the first SIGTERM, and goes at once on the second. */
#define BACKEND_TERM_AGAIN_MS 2000
#define BACKEND_KILL_MS       5000

struct app_spec
pair_policy_backend(const struct settings *settings, size_t i, char name[PAIR_NAME_MAX])
{
	uint64_t drain_ms = (uint64_t)settings->proxy_timeout_ms;

	(void)snprintf(name, PAIR_NAME_MAX, "app-server-%zu", i);
	return (struct app_spec){
		.name = name,
		.group = "app-server",
		.instance = (int)i,
		.readiness = APP_READY_WEBSOCKET,
		.listen_timeout_ms = READY_TIMEOUT_MS,
		.drain_timeout_ms = drain_ms,
		.term_again_ms = BACKEND_TERM_AGAIN_MS,
		.kill_timeout_ms = drain_ms + BACKEND_KILL_MS,
		.term_kill_ms = BACKEND_KILL_MS,
		.stop_signal = SIGTERM,
		.surge = APP_SURGE_ALWAYS,
		.max_memory_bytes = (uint64_t)settings->app_server_max_memory_bytes,
		.restart = restart_policy_default(),
	};
}

struct app_spec
pair_policy_proxy(const struct settings *settings)
{
	uint64_t drain_ms = (uint64_t)settings->drain_timeout_ms;

	return (struct app_spec){
		.name = "proxy",
		.group = "proxy",
		.readiness = APP_READY_CONTROL,
		.listen_timeout_ms = READY_TIMEOUT_MS,
		.drain_timeout_ms = drain_ms,
		/* it drains by itself on a SIGTERM that comes without our asking */
		.term_again_ms = drain_ms + PROXY_TERM_AGAIN_MS,
		.kill_timeout_ms = drain_ms + PROXY_KILL_EXTRA_MS,
		.stop_signal = SIGTERM,
		.surge = APP_SURGE_RELOAD,
		.max_memory_bytes = (uint64_t)settings->proxy_max_memory_bytes,
		.restart = restart_policy_default(),
	};
}
