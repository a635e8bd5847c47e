/* pair: the apps we run: N app-servers and one codex-proxy, and how each is launched. */
#ifndef SIDECAR_PAIR_H
#define SIDECAR_PAIR_H

#include "common/settings.h"
#include "supervisor/codex/setup.h"
#include "supervisor/instance.h"
#include "supervisor/listener.h"
#include "supervisor/proxy_link.h"

struct pair;

struct pair_spec {
	uv_loop_t *loop;
	struct reaper *reaper;
	const struct settings *settings;
	struct codex_setup *setup;
	struct listener *listener;
	const char *control_path;
	/* After each change that `status` would show. */
	void (*on_change)(void *arg, struct instance *in);
	/* The proxy complains of app-server i as it runs now. kind: "auth", "upstream", "server",
	 * or what a newer proxy may say. */
	void (*on_backend_failed)(void *arg, size_t i, const char *kind, const char *message);
	void *arg;
};

int pair_new(struct pair **out, const struct pair_spec *spec, struct err *err) MUST_CHECK;
/* The proxy starts at once, the app-servers when pair_setup_done. first_alone: the others not
 * before app-server 0 is ready, or has had its chance: what it refreshes at its start, they find
 * fresh. */
void pair_start(struct pair *p, bool first_alone);
void pair_setup_done(struct pair *p);
/* Proxy first, then the app-servers together; fn when all are gone. Again: skips the drain. */
void pair_stop(struct pair *p, void (*fn)(void *arg), void *arg);
/* Only when all are stopped. */
void pair_close(struct pair *p, void (*fn)(void *arg), void *arg);

/* The proxy, and at least one app-server. why (may be NULL): what is missing, "" for nothing. */
bool pair_is_ready(const struct pair *p, const char **why);
/* Is what is needed in a crash loop? */
bool pair_is_failed(const struct pair *p);
struct proxy_link *pair_link(struct pair *p);
/* All in the order of `status`: the app-servers, then the proxy. */
size_t pair_count(const struct pair *p);
struct instance *pair_instance(const struct pair *p, size_t i);
size_t pair_backends(const struct pair *p);

/* Starts it; one that was drained takes work again. */
void pair_start_one(struct pair *p, size_t i, const char *why);
/* It gets no new work, and goes on running. deadline_ms 0: as long as its end would give it. fn
 * once, maybe from inside. */
void pair_drain(struct pair *p, size_t i, uint64_t deadline_ms, proxy_drained_fn fn, void *arg);

#endif
