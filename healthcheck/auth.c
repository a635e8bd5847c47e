/* auth: until when the login is good, with an alert when that is soon. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/login.h"
#include "common/paths.h"
#include "common/file.h"
#include "common/settings.h"
#include "healthcheck/alert.h"
#include "healthcheck/alert_memory.h"
#include "healthcheck/command.h"
#include "healthcheck/verdict.h"

struct report {
	struct finding *finding;
	const struct command *command;
	const struct settings *settings;
	const char *codex_home;
	int64_t now;
	struct login login;
	enum login_state state;
};

static bool
is_well(enum login_state state)
{
	return state == LOGIN_IS_VALID || state == LOGIN_IS_API_KEY;
}

/* --- the finding ---------------------------------------------------------------------------- */

static char *
advice(const struct report *r)
{
	const char *home = r->codex_home;
	bool date = r->state == LOGIN_IS_EXPIRING || r->state == LOGIN_IS_EXPIRED;
	char *text;

	if (asprintf(&text,
	             "%s"
	             "To log in again, as the user that codex runs as:\n"
	             "  CODEX_HOME=%s codex login\n"
	             "or, without a browser on this machine:\n"
	             "  CODEX_HOME=%s codex login --device-auth\n"
	             "or with an API key, which does not expire:\n"
	             "  CODEX_HOME=%s codex login --with-api-key <FILE-WITH-THE-KEY\n"
	             "codex-supervisor sees the new login by itself.\n",
	             date ? "Codex refreshes its token by itself, long before. That it has not "
	                    "done so "
	                    "means\n"
	                    "that it does not run, or that the refresh is refused.\n"
	                  : "",
	             home, home, home) < 0)
		return NULL;
	return text;
}

static void
look(struct report *r, const char *path)
{
	struct finding *f = r->finding;
	char when[LOGIN_TEXT_MAX];
	struct err err = {.code = 0};
	int code = login_read(&r->login, path, &err);

	r->state = login_state(&r->login, r->now, (int64_t)(r->command->warn_hours * 3600));
	login_format(when, &r->login, r->now);
	switch (r->state) {
	case LOGIN_IS_MISSING:
		finding_set(f, EXIT_UNREACHABLE, "there is no login: %s: %s", path,
		            strerror(-code));
		break;
	case LOGIN_IS_UNKNOWN:
		finding_set(f, EXIT_UNREACHABLE, "the login cannot be read: %s", err.text);
		break;
	case LOGIN_IS_API_KEY:
		finding_set(f, EXIT_WELL, "the login is an API key, which does not expire");
		break;
	case LOGIN_IS_VALID:
		finding_set(f, EXIT_WELL, "the login %s", when);
		break;
	case LOGIN_IS_EXPIRING:
		finding_set(f, EXIT_WARNING, "the login %s", when);
		break;
	case LOGIN_IS_EXPIRED:
		finding_set(f, EXIT_NOT_WELL, "the login %s", when);
		break;
	}
	finding_fact(f, "state", json_string(login_state_name(r->state)));
	finding_fact(f, "expires_at",
	             r->login.expires_at > 0 ? json_integer(r->login.expires_at) : json_null());
	if (!is_well(r->state))
		f->advice = advice(r);
}

/* --- the alert ------------------------------------------------------------------------------ */

/* New; NULL: told. */
static char *
webhook_url(struct report *r)
{
	char *url = NULL;
	struct err err = {.code = 0};

	if (r->settings->alert_webhook_url != NULL) {
		url = strdup(r->settings->alert_webhook_url);
	} else if (r->settings->alert_webhook_url_file == NULL) {
		finding_set(r->finding, EXIT_CONFIGURATION,
		            "%s; no alert: CODEX_ALERT_WEBHOOK_URL or "
		            "CODEX_ALERT_WEBHOOK_URL_FILE is needed",
		            r->finding->line);
	} else if (file_read_secret(&url, r->settings->alert_webhook_url_file, &err) < 0) {
		finding_set(r->finding, EXIT_CONFIGURATION,
		            "%s; no alert: CODEX_ALERT_WEBHOOK_URL_FILE: %s", r->finding->line,
		            err.text);
	}
	return url;
}

static char *
message(const struct report *r)
{
	char host[256] = "?", *text;

	(void)gethostname(host, sizeof(host) - 1); /* without it, "?" */
	verdict_make_printable(host);
	if (asprintf(&text,
	             "codex-sidecar on %s: %s. To log in again, there and as the user that codex "
	             "runs as: `CODEX_HOME=%s codex login`",
	             host, r->finding->line, r->codex_home) < 0)
		return NULL;
	return text;
}

static int
send_alert(struct report *r, const char *url, struct err *err)
{
	AUTO_FREE char *text = message(r);
	AUTO_FREE char *body = NULL;
	json_auto_t *facts = NULL;
	enum alert_format format = ALERT_JSON;
	int code = alert_format_of(&format, url, err);

	if (code < 0)
		return code;
	if (r->command->format != NULL)
		(void)alert_format_parse(&format, r->command->format); /* has been checked */
	else if (r->settings->alert_format != 0)
		format = (enum alert_format)(r->settings->alert_format - 1);
	facts = json_pack("{s:s, s:s, s:s, s:i, s:s, s:o}", "source", "codex-sidecar", "check",
	                  "auth", "state", login_state_name(r->state), "code", r->finding->code,
	                  "message", r->finding->line, "expires_at",
	                  r->login.expires_at > 0 ? json_integer(r->login.expires_at)
	                                          : json_null());
	if (text != NULL)
		body = alert_body(format, text, facts);
	if (body == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	return alert_post(url, body, r->command->timeout_ms, err);
}

/* m NULL: nothing can be remembered. Returns what became of it. */
static const char *
alert_if_due(struct report *r, struct alert_memory *m, const char *url)
{
	const char *state = login_state_name(r->state);
	int64_t repeat = (int64_t)(r->command->repeat_hours * 3600);
	struct err err = {.code = 0};
	int code;

	if (m != NULL && !alert_memory_is_due(m, state, r->now, repeat))
		return "not_due";
	code = send_alert(r, url, &err);
	if (code < 0) {
		finding_set(r->finding, code == -EINVAL ? EXIT_CONFIGURATION : EXIT_UNREACHABLE,
		            "%s; the alert could not be sent: the webhook: %s", r->finding->line,
		            err.text);
		return "failed";
	}
	if (m != NULL && alert_memory_note(m, state, r->now, &err) < 0)
		(void)fprintf(stderr, "codex-healthcheck: %s: the alert will be sent again\n",
		              err.text);
	return "sent";
}

static void
alert(struct report *r)
{
	AUTO_FREE char *url = webhook_url(r);
	AUTO_FREE char *dir = paths_state_dir(r->settings);
	struct alert_memory memory = {.fd = -1};
	const char *outcome = "none"; /* needed */
	struct err err = {.code = 0};
	int code;

	if (url == NULL)
		return;
	code = dir != NULL ? alert_memory_open(&memory, dir, &err)
	                   : err_set(&err, -ENOMEM, "out of memory");
	if (code == -EAGAIN)
		outcome = "busy"; /* with the same */
	else if (code < 0)
		(void)fprintf(stderr, "codex-healthcheck: %s: an alert will be sent each time\n",
		              err.text);
	if (!is_well(r->state) && code != -EAGAIN)
		outcome = alert_if_due(r, code == 0 ? &memory : NULL, url);
	/* well again: the next time is news */
	if (is_well(r->state) && code == 0 && memory.state[0] != '\0' &&
	    strcmp(memory.state, login_state_name(r->state)) != 0 &&
	    alert_memory_note(&memory, login_state_name(r->state), 0, &err) < 0)
		(void)fprintf(stderr, "codex-healthcheck: %s: the next alert may be missed\n",
		              err.text);
	alert_memory_close(&memory);
	finding_fact(r->finding, "alert", json_string(outcome));
}

void
check_auth(struct finding *f, const struct command *c)
{
	struct settings settings;
	AUTO_FREE char *home = NULL;
	AUTO_FREE char *path = NULL;
	struct report report = {
		.finding = f, .command = c, .settings = &settings, .now = (int64_t)time(NULL)};

	if (settings_load(&settings, SETTING_HEALTHCHECK, NULL, NULL, stderr) != 0) {
		finding_set(f, EXIT_CONFIGURATION, "wrong settings");
		return;
	}
	home = paths_codex_home(&settings);
	if (home != NULL)
		path = paths_join(home, "auth.json");
	report.codex_home = home;
	if (path == NULL) {
		finding_set(f, EXIT_UNREACHABLE, "out of memory");
	} else {
		look(&report, path);
		if (c->alert)
			alert(&report);
	}
	settings_free(&settings);
}
