/* ask_supervisor: what the supervisor answers on its control socket. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/control_places.h"
#include "common/json.h"
#include "healthcheck/command.h"

/* The result, new; NULL: told. */
static json_t *
ask(struct finding *f, const struct command *c, const char *method)
{
	struct control_places places = control_places(c->socket);
	json_t *result = NULL;
	struct err err = {.code = 0};
	size_t last = 0;
	int r = control_places_ask(&places, &last, &result, method, NULL, (unsigned)c->timeout_ms,
	                           &err);

	if (r == -EPROTO)
		finding_set(f, EXIT_NOT_WELL, "the supervisor refuses to answer: %s", err.text);
	else if (r < 0 && control_places_is_empty(r) && places.count > 1)
		finding_set(f, EXIT_UNREACHABLE,
		            "no supervisor answers, at %s and %zu more usual places: %s",
		            places.path[0], places.count - 1, strerror(-places.failed[0]));
	else if (r < 0)
		finding_set(f, EXIT_UNREACHABLE, "no supervisor answers: %s", err.text);
	control_places_free(&places);
	return r == 0 ? result : NULL;
}

/* That it answers is all: what its apps are doing is for it to mend, not for who restarts it. */
void
ask_live(struct finding *f, const struct command *c)
{
	json_auto_t *version = ask(f, c, "version");

	if (version != NULL)
		finding_set(f, EXIT_WELL, "%s", c->check->is);
}

/* "app-server-0 backoff (exited with code 1), proxy ready" */
static void
list_apps(char *text, size_t size, const json_t *status)
{
	const json_t *app;
	size_t i, at = 0;

	text[0] = '\0';
	json_array_foreach(json_get_array(status, "apps"), i, app) {
		const char *name = json_get_string(app, "name");
		const char *state = json_get_string(app, "state");
		const char *reason = json_get_string(app, "reason");
		bool well = state != NULL && strcmp(state, "ready") == 0;
		int n = snprintf(text + at, size - at, "%s%s %s%s%s%s", i > 0 ? ", " : "",
		                 name != NULL ? name : "?", state != NULL ? state : "?",
		                 well || reason == NULL ? "" : " (",
		                 well || reason == NULL ? "" : reason,
		                 well || reason == NULL ? "" : ")");

		if (n < 0 || (size_t)n >= size - at)
			return; /* cut: enough to read */
		at += (size_t)n;
	}
}

/* Has it been ready once? From then on it is for `ready` to say, and for `live`. */
void
ask_startup(struct finding *f, const struct command *c)
{
	json_auto_t *status = ask(f, c, "status");
	const char *state = json_get_string(status, "state");
	char apps[FINDING_LINE_MAX / 2];

	if (status == NULL)
		return;
	list_apps(apps, sizeof(apps), status);
	if (state == NULL || strcmp(state, "starting") == 0)
		finding_set(f, EXIT_NOT_WELL, "not %s yet: %s", c->check->is, apps);
	else
		finding_set(f, EXIT_WELL, "%s", c->check->is);
}

static bool
expires_soon(const json_t *status)
{
	const char *state = json_get_string(json_get_object(status, "auth"), "state");

	return state != NULL && (strcmp(state, "expiring") == 0 || strcmp(state, "expired") == 0);
}

static char *
list_warnings(const json_t *status)
{
	struct json_buf lines = {.data = NULL};
	const json_t *warning;
	size_t i;

	json_array_foreach(json_get_array(status, "warnings"), i, warning) {
		const char *text = json_text(warning);

		if (text == NULL)
			continue;
		json_buf_append(&lines, "warning: ", strlen("warning: "));
		json_print_escaped(&lines, text, strlen(text)); /* fit for a terminal */
		json_buf_append(&lines, "\n", 1);
	}
	json_buf_append(&lines, "", 1);
	if (lines.failed)
		json_buf_free(&lines);
	return lines.data;
}

void
ask_status(struct finding *f, const struct command *c)
{
	json_auto_t *status = ask(f, c, "status");
	const json_t *proxy = json_get_object(status, "proxy");
	bool ready = json_get_bool(status, "ready", false);
	char apps[FINDING_LINE_MAX / 2];

	if (status == NULL)
		return;
	list_apps(apps, sizeof(apps), status);
	finding_set(f,
	            !ready                 ? EXIT_NOT_WELL
	            : expires_soon(status) ? EXIT_WARNING
	                                   : EXIT_WELL,
	            "%s: %s; requests: %" PRId64 " running, %" PRId64 " queued",
	            ready ? "ready" : "not ready", apps, json_get_int(proxy, "in_flight", 0),
	            json_get_int(proxy, "queued", 0));
	f->advice = list_warnings(status);
	finding_fact(f, "status", json_incref(status));
}
