/* login: what the auth.json of codex holds: which kind of login, and until when it is good.
 *
 * The date is the `exp` of the access token: it is the token that requests carry, and the one that
 * codex itself looks at. Codex gets a new one from the refresh token, long before that date (it
 * writes the new one here), so a date that comes near means that nobody refreshes any more: codex
 * does not run, or the refresh is refused, and then only a new login helps. The id token lives for
 * an hour and only tells who it is; the refresh token has no date that could be read. Signatures
 * are not looked at: this says what a file claims, and is no proof of anything. */
#ifndef SIDECAR_LOGIN_H
#define SIDECAR_LOGIN_H

#include <stdint.h>

#include "common/common.h"
#include "common/err.h"

#define LOGIN_WARN_HOURS 48 /* before the end; by default */
#define LOGIN_TEXT_MAX   96

enum login_kind {
	LOGIN_NONE,    /* there is no auth.json */
	LOGIN_UNKNOWN, /* there is one, and it is of no use */
	LOGIN_API_KEY, /* does not expire */
	LOGIN_CHATGPT,
};

struct login {
	enum login_kind kind;
	int64_t expires_at; /* LOGIN_CHATGPT: Unix time in seconds; else 0 */
};

enum login_state {
	LOGIN_IS_MISSING,
	LOGIN_IS_UNKNOWN,
	LOGIN_IS_API_KEY,
	LOGIN_IS_VALID,
	LOGIN_IS_EXPIRING, /* within the hours of the warning */
	LOGIN_IS_EXPIRED,
};

/* The text of an auth.json. -EBADMSG: it holds no login, and err says why, without a word of what
 * is in it. */
int login_parse(struct login *out, const char *text, size_t len, struct err *err) MUST_CHECK;
/* The same of the file; out->kind tells LOGIN_NONE and LOGIN_UNKNOWN too, whatever is returned. */
int login_read(struct login *out, const char *path, struct err *err) MUST_CHECK;

/* now: Unix time in seconds. */
enum login_state login_state(const struct login *l, int64_t now, int64_t warn_seconds);
/* "api_key", "valid", "expiring", "expired", "none", "unknown": docs/control.md, `status`. */
const char *login_state_name(enum login_state state);
/* Of one that expires, for people: "expires in 46 h 59 min (2026-11-27 14:59 UTC)", "expired 3 h 2
 * min ago (...)". */
void login_format(char text[LOGIN_TEXT_MAX], const struct login *l, int64_t now);

#endif
