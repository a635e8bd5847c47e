/* pair: the apps we run: N app-servers and one codex-proxy, and how each is launched. */
#ifndef SIDECAR_PAIR_H
#define SIDECAR_PAIR_H

#include "common/settings.h"
#include "supervisor/app.h"
#include "supervisor/codex/setup.h"
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
	void (*on_change)(void *arg, struct app *a);
	void *arg;
};

int pair_new(struct pair **out, const struct pair_spec *spec, struct err *err) MUST_CHECK;
/* The proxy starts at once, the app-servers when pair_setup_done. */
void pair_start(struct pair *p);
void pair_setup_done(struct pair *p);
/* Proxy first, then the app-servers together; fn when all are gone. Again: skips the drain. */
void pair_stop(struct pair *p, void (*fn)(void *arg), void *arg);
/* Only when all are stopped. */
void pair_close(struct pair *p, void (*fn)(void *arg), void *arg);

/* The proxy, and at least one app-server. why (may be NULL): what is missing, "" for nothing. */
bool pair_is_ready(const struct pair *p, const char **why);
struct proxy_link *pair_link(struct pair *p);
/* All apps in the order of `status`. */
size_t pair_count(const struct pair *p);
struct app *pair_app(const struct pair *p, size_t i);

#endif
