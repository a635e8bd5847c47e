/* account_limits: how much of the account's quota is used, as the provider's answers tell. Pure.
 *
 * An account has limits (most have one, "codex"), and a limit has up to two windows, such as five
 * hours and a week. What an update does not mention stays as it was. */
#ifndef SIDECAR_PROXY_CODEX_ACCOUNT_LIMITS_H
#define SIDECAR_PROXY_CODEX_ACCOUNT_LIMITS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCOUNT_LIMITS_MAX   8
#define ACCOUNT_LIMIT_ID_MAX 32

enum limit_window_name { LIMIT_PRIMARY, LIMIT_SECONDARY, LIMIT_WINDOWS };

struct limit_window {
	bool known;
	int64_t used_percent;
	int64_t window_sec; /* its length; 0: unknown */
	int64_t resets_at;  /* Unix time, seconds; 0: unknown */
};

struct account_limits {
	struct {
		char id[ACCOUNT_LIMIT_ID_MAX]; /* letters, digits, _ and - */
		struct limit_window windows[LIMIT_WINDOWS];
	} limits[ACCOUNT_LIMITS_MAX];
	size_t count;
	size_t last; /* the one that was spoken of last */
};

/* params of account/rateLimits/updated; what cannot be is ignored. */
void account_limits_hear(struct account_limits *l, const json_t *params);
/* Known, and not over yet: of a window that has been reset since, nothing is known. */
bool limit_window_holds(const struct limit_window *w, int64_t now);
/* Seconds until the limit that was spoken of last lets requests through again; -1: unknown, or
 * none of its windows is used up. */
int64_t account_limits_wait_sec(const struct account_limits *l, int64_t now);

#endif
