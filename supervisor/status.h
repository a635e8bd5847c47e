/* status: the supervisor's state as JSON, and as the one line that systemd shows. */
#ifndef SIDECAR_STATUS_H
#define SIDECAR_STATUS_H

#include <jansson.h>

#include "common/login.h"
#include "supervisor/fleet.h"

enum supervisor_state { SUPERVISOR_STARTING, SUPERVISOR_RUNNING, SUPERVISOR_STOPPING };

struct status_view {
	enum supervisor_state state;
	uint64_t uptime_ms;
	struct fleet *fleet;
	const char *warning;        /* "" or one line */
	const char *reload_warning; /* the same */
	struct login login;
	bool login_refused;     /* by the provider, as far as is known */
	bool login_needs_key;   /* CODEX_REQUIRE_API_KEY_LOGIN */
	bool login_unwanted;    /* and there is one of ChatGPT */
	const char *codex_home; /* where the login would be */
};

#define STATUS_HINT_MAX 512

/* What is to be done about the login that is missing, or may not be used; false: nothing. */
bool status_login_hint(const struct status_view *v, char *text, size_t size);
/* docs/control.md, `status`. New reference; NULL: no memory. */
json_t *status_to_json(const struct status_view *v);
/* docs/control.md, one entry of `describe`. */
json_t *status_describe(struct instance *in);
/* "ready; app-server-0 ready pid 12, proxy ready pid 13" */
void status_to_line(const struct status_view *v, char *text, size_t size);

#endif
