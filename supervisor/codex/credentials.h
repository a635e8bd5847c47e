/* credentials: whose login is in auth.json, and when that changes.
 *
 * Codex reads the file at its start only. It writes it too: a token that it has refreshed is no
 * other login. */
#ifndef SIDECAR_CODEX_CREDENTIALS_H
#define SIDECAR_CODEX_CREDENTIALS_H

#include <stdbool.h>
#include <uv.h>

#include "common/err.h"
#include "common/login.h"

/* The text of an auth.json: a new string that is the same for the same login (mode, account, key),
 * whatever its tokens are. It is as secret as the file. -EBADMSG: it holds no login. */
int credentials_identify(char **out, bool *is_chatgpt, const char *text, size_t len) MUST_CHECK;

struct credentials;

/* other_login: another mode, account or key than before, or the first one at all; else new tokens,
 * or the same text that was gone for a while. A file that is gone, or half written, is no news:
 * what runs has its login in memory. */
typedef void (*credentials_fn)(void *arg, bool other_login);

/* Watches codex_home/auth.json, and where it links to. */
int credentials_new(struct credentials **out, uv_loop_t *loop, const char *codex_home,
                    credentials_fn fn, void *arg, struct err *err) MUST_CHECK;
/* Has it tokens that an app-server may refresh at its start? */
bool credentials_is_chatgpt(const struct credentials *c);
/* Until when it is good: of the last login that could be read there. Before the first one: of
 * kind LOGIN_NONE, or LOGIN_UNKNOWN when there is a file. */
struct login credentials_login(const struct credentials *c);
void credentials_close(struct credentials *c, void (*fn)(void *arg), void *arg);

#endif
