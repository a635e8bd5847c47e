/* account_limits: how much of the account's quota is used. */
#include "proxy/codex/account_limits.h"

#include <string.h>

#include "common/json.h"

#define ID_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
/* The longest window that plans have is a month: what is further away is no date of a reset. */
#define RESET_MAX_SEC ((int64_t)32 * 86400)
#define MINUTES_MAX   ((int64_t)366 * 1440)
#define PERCENT_MAX   1000 /* over 100 is possible, where a limit has been lowered */

static const char *const window_names[LIMIT_WINDOWS] = {
	[LIMIT_PRIMARY] = "primary",
	[LIMIT_SECONDARY] = "secondary",
};

/* False: there is no room for another one. */
static bool
find_limit(struct account_limits *l, const char *id, size_t *out)
{
	size_t i = 0;

	while (i < l->count && strcmp(l->limits[i].id, id) != 0)
		i++;
	if (i == ACCOUNT_LIMITS_MAX)
		return false;
	if (i == l->count) {
		strcpy(l->limits[i].id, id); /* its length has been looked at */
		l->count++;
	}
	*out = i;
	return true;
}

static void
hear_window(struct limit_window *w, const json_t *said)
{
	int64_t percent = json_get_int(said, "usedPercent", -1);
	int64_t minutes = json_get_int(said, "windowDurationMins", 0);
	int64_t resets_at = json_get_int(said, "resetsAt", 0);

	if (percent < 0 || percent > PERCENT_MAX)
		return;
	*w = (struct limit_window){
		.known = true,
		.used_percent = percent,
		.window_sec = minutes > 0 && minutes <= MINUTES_MAX ? minutes * 60 : 0,
		.resets_at = resets_at > 0 ? resets_at : 0,
	};
}

void
account_limits_hear(struct account_limits *l, const json_t *params)
{
	const json_t *said = json_get_object(params, "rateLimits");
	const char *id = json_get_string(said, "limitId");

	if (id == NULL)
		id = "codex";
	if (said == NULL || id[0] == '\0' || strlen(id) >= ACCOUNT_LIMIT_ID_MAX ||
	    id[strspn(id, ID_CHARACTERS)] != '\0' || !find_limit(l, id, &l->last))
		return;
	for (size_t i = 0; i < LIMIT_WINDOWS; i++)
		hear_window(&l->limits[l->last].windows[i], json_get_object(said, window_names[i]));
}

bool
limit_window_holds(const struct limit_window *w, int64_t now)
{
	return w->known && (w->resets_at == 0 || w->resets_at > now);
}

int64_t
account_limits_wait_sec(const struct account_limits *l, int64_t now)
{
	int64_t wait = -1;

	if (l->count == 0)
		return -1;
	for (size_t i = 0; i < LIMIT_WINDOWS; i++) {
		const struct limit_window *w = &l->limits[l->last].windows[i];

		if (!limit_window_holds(w, now) || w->used_percent < 100)
			continue;
		if (w->resets_at == 0 || w->resets_at - now > RESET_MAX_SEC)
			return -1; /* nobody can say when */
		if (w->resets_at - now > wait)
			wait = w->resets_at - now;
	}
	return wait;
}
