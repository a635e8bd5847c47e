/* home: the private CODEX_HOME of one app-server, in our state folder.
 *
 * Codex keeps databases, rollouts and logs in its home; an app-server that serves for weeks must
 * not share them with its user's own sessions, and is slower with each of them. */
#ifndef SIDECAR_CODEX_HOME_H
#define SIDECAR_CODEX_HOME_H

#include "common/common.h"
#include "common/err.h"

/* Makes or mends dir (0700): the diagnostic database blocked. config_toml and auth_json: written
 * there (0600); NULL: the user's own is linked, which codex writes to when it refreshes a login;
 * auth_json "": none. */
int codex_home_make(const char *dir, const char *user_home, const char *config_toml,
                    const char *auth_json, struct err *err) MUST_CHECK;
/* A home without login or databases, to ask codex about its configuration and its models. */
int codex_home_make_probe(const char *dir, const char *user_home, struct err *err) MUST_CHECK;

#endif
