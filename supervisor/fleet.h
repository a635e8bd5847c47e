/* fleet: the apps we run, in the order of their list, started and stopped as they depend on each
 * other. The built-in pair is such a list too. */
#ifndef SIDECAR_FLEET_H
#define SIDECAR_FLEET_H

#include "common/settings.h"
#include "supervisor/backends.h"
#include "supervisor/codex/setup.h"
#include "supervisor/ecosystem.h"
#include "supervisor/instance.h"
#include "supervisor/listener.h"
#include "supervisor/proxy_link.h"

struct fleet;

struct fleet_spec {
	uv_loop_t *loop;
	struct reaper *reaper;
	const struct settings *settings;
	struct codex_setup *setup; /* NULL: no app needs it */
	struct listener *listener; /* only an app of role codex-proxy needs it */
	const char *control_path;
	const char *runtime_dir;
	/* After each change that `status` would show. */
	void (*on_change)(void *arg, struct instance *in);
	/* This one is of the list no more, and will be freed. */
	void (*on_gone)(void *arg, const struct instance *in);
	/* The proxy complains of app-server i as it runs now. kind: "auth", "upstream", "server",
	 * or what a newer proxy may say. */
	void (*on_backend_failed)(void *arg, size_t i, const char *kind, const char *message);
	void *arg;
};

/* e: its apps, without errors, all paths absolute; taken over, also on failure. */
int fleet_new(struct fleet **out, const struct fleet_spec *spec, struct ecosystem *e,
              struct err *err) MUST_CHECK;
/* All that are to start by themselves, each when what it comes after is ready; app-servers when
 * fleet_setup_done. first_alone: no app-server before the first one is ready, or has had its
 * chance: what it refreshes at its start, they find fresh. */
void fleet_start(struct fleet *f, bool first_alone);
void fleet_setup_done(struct fleet *f);
/* The highest tier first, those of a tier together; fn when all are gone. Again: skips the drain.
 */
void fleet_stop(struct fleet *f, void (*fn)(void *arg), void *arg);
/* How long that may take, by the deadlines of all. */
uint64_t fleet_stop_max_ms(const struct fleet *f);
/* Only when all are stopped. */
void fleet_close(struct fleet *f, void (*fn)(void *arg), void *arg);

/* What a new list has changed. */
struct fleet_changes {
	size_t kept, added, removed;
	struct instance **changed; /* to be replaced: their next start goes by the new list */
	size_t changed_count;
};

/* Another list instead of the one there is (taken over as by fleet_new): apps that say the same in
 * both go on as they are, others are stopped and gone, new ones are started. The caller replaces
 * those that changed, and frees changed. -ENOMEM: nothing has happened. */
int fleet_take(struct fleet *f, struct ecosystem *e, struct fleet_changes *changes) MUST_CHECK;

/* Everything that is wanted: of each app one instance, of the app-servers any one, and the proxy,
 * which says so itself. why (may be NULL): what is missing, "" for nothing. */
bool fleet_is_ready(const struct fleet *f, const char **why);
/* Is a login all that is missing for that? */
bool fleet_needs_login(const struct fleet *f);
/* Is what callers of the API need in a crash loop? */
bool fleet_is_failed(const struct fleet *f);
struct proxy_link *fleet_link(struct fleet *f);
/* A message of an app's own, on the control socket; false: not one of them. */
bool
fleet_notification(struct fleet *f, struct control_conn *conn, const char *method, json_t *params);

/* All in the order of `status`. */
size_t fleet_count(const struct fleet *f);
struct instance *fleet_instance(const struct fleet *f, size_t i);
/* App-server number i, of BACKENDS_MAX; NULL: there is none. */
struct instance *fleet_backend(const struct fleet *f, size_t i);

/* Starts it; one that was drained takes work again. */
void fleet_start_one(struct fleet *f, struct instance *in, const char *why);
/* It gets no new work, and goes on running. deadline_ms 0: as long as its end would give it. fn
 * once, maybe from inside. */
void fleet_drain(struct fleet *f, struct instance *in, uint64_t deadline_ms, proxy_drained_fn fn,
                 void *arg);

#endif
