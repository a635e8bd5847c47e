/* setup: all that an app-server needs before it can be started: binary, catalog, configuration. */
#ifndef SIDECAR_CODEX_SETUP_H
#define SIDECAR_CODEX_SETUP_H

#include <stdbool.h>
#include <uv.h>

#include "common/settings.h"
#include "supervisor/app.h"
#include "supervisor/reaper.h"

struct codex_setup;

/* Finds the binary and the folders. settings and the strings must outlive it. */
int codex_setup_new(struct codex_setup **out, uv_loop_t *loop, struct reaper *reaper,
                    const struct settings *settings, const char *runtime_dir, const char *state_dir,
                    struct err *err) MUST_CHECK;

/* Asks codex for its models and for the user's configuration; what was asked before of the same
 * files is taken from the state folder, and then fn is called before this returns. fn exactly
 * once: code 0, or what is wrong. -EINVAL: with the user's configuration; trying again is no use
 * until it is edited. One at a time. */
void codex_setup_run(struct codex_setup *s, void (*fn)(void *arg, int code, const struct err *err),
                     void *arg);
/* Fills the launch of app-server N, and makes its home. listen: unix:///PATH or ws://HOST:PORT.
 * After a successful run only. */
int codex_setup_launch(struct codex_setup *s, int instance, const char *listen,
                       struct app_launch *out, struct err *err) MUST_CHECK;
/* How often what an app-server is started with has changed: another codex, another catalog, another
 * configuration. */
unsigned codex_setup_changes(const struct codex_setup *s);
/* What is not as it should be but works ("" when all is well): for status. */
const char *codex_setup_warning(const struct codex_setup *s);
/* New strings; NULL: no memory. side: which of the two processes that take turns in being it, each
 * on a socket of its own. */
char *codex_setup_socket(const struct codex_setup *s, int instance, int side);
char *codex_setup_work_dir(const struct codex_setup *s);
void codex_setup_close(struct codex_setup *s, void (*fn)(void *arg), void *arg);

#endif
