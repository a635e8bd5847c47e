/* paths: where the runtime and state folders are, for every program alike. */
#ifndef SIDECAR_PATHS_H
#define SIDECAR_PATHS_H

#include "common/common.h"
#include "common/settings.h"

/* CODEX_RUNTIME_DIR, else RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/codex-sidecar, else
 * /run/codex-sidecar. New string, caller frees; NULL: no memory. */
char *paths_runtime_dir(const struct settings *s);
/* CODEX_STATE_DIR, else STATE_DIRECTORY, else $XDG_STATE_HOME/codex-sidecar (~/.local/state/...),
 * else /var/lib/codex-sidecar. */
char *paths_state_dir(const struct settings *s);
/* CODEX_HOME, else ~/.codex. */
char *paths_codex_home(const struct settings *s);
/* CODEX_CONTROL_SOCKET, else control.sock in the runtime folder. */
char *paths_control_socket(const struct settings *s);
/* New "dir/name". */
char *paths_join(const char *dir, const char *name);

#endif
