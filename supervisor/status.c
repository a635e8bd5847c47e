/* status: the supervisor's state as JSON, and as the one line that systemd shows. */
#include "supervisor/status.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "common/json.h"
#include "supervisor/memory.h"
#include "supervisor/process.h"

static const char *
state_name(enum supervisor_state state)
{
	switch (state) {
	case SUPERVISOR_STARTING:
		return "starting";
	case SUPERVISOR_RUNNING:
		return "running";
	case SUPERVISOR_STOPPING:
		return "stopping";
	}
	return "?";
}

static json_t *
exit_to_json(const struct app_info *info)
{
	int status = info->exit_status;
	json_t *code = json_null(), *signal = json_null();
	char name[16];

	if (!info->has_exit)
		return json_null();
	if (WIFSIGNALED(status))
		signal = json_string(process_signal_name(WTERMSIG(status), name));
	else
		code = json_integer(WEXITSTATUS(status));
	return json_pack("{s:o, s:o, s:s}", "code", code, "signal", signal, "reason",
	                 info->exit_reason);
}

static json_t *
integer_or_null(int64_t value, int64_t none)
{
	return value == none ? json_null() : json_integer(value);
}

/* The one of an instance that is not the current one has a name of its own here. */
static json_t *
app_to_json(const struct app *a, const struct instance *in)
{
	struct app_info i = app_info(a);
	char name[64];

	(void)snprintf(name, sizeof(name), "%s%s", i.name,
	               a == instance_current(in) ? ""
	               : i.state == APP_STOPPING ? ".old"
	                                         : ".new");
	return json_pack("{s:s, s:i, s:o, s:s, s:s, s:I, s:i, s:o, s:o, s:o}", "name", name,
	                 "instance", i.instance, "pid", integer_or_null(i.pid, 0), "state",
	                 app_state_name(i.state), "reason", i.reason, "since_ms",
	                 (json_int_t)i.since_ms, "restarts", (int)i.restarts, "last_exit",
	                 exit_to_json(&i), "next_retry_ms", integer_or_null(i.next_retry_ms, -1),
	                 "rss_bytes", integer_or_null(memory_resident_bytes(i.pid), -1));
}

static void
append_instance(json_t **apps, const struct instance *in)
{
	json_put_item(apps, app_to_json(instance_current(in), in));
	if (instance_other(in) != NULL)
		json_put_item(apps, app_to_json(instance_other(in), in));
}

bool
status_login_hint(const struct status_view *v, char *text, size_t size)
{
	const char *what = v->login.kind == LOGIN_UNKNOWN
	                           ? "no login: the auth.json that is there is of no use to codex"
	                           : "no login";
	const char *command = v->login_needs_key ? "codex login --with-api-key" : "codex login";

	if (v->login_unwanted)
		what = "CODEX_REQUIRE_API_KEY_LOGIN: the ChatGPT login is not used";
	else if (!fleet_needs_login(v->fleet))
		return false;
	(void)snprintf(text, size, "%s: run `%s` with CODEX_HOME=%s", what, command, v->codex_home);
	return true;
}

static json_t *
login_to_json(const struct status_view *v)
{
	int64_t now = (int64_t)time(NULL);
	const char *state =
		v->login_unwanted  ? "not_allowed"
		: v->login_refused ? "refused"
		: fleet_needs_login(v->fleet)
			? "required"
			: login_state_name(login_state(&v->login, now, LOGIN_WARN_HOURS * 3600));

	return json_pack("{s:s, s:o}", "state", state, "expires_at",
	                 integer_or_null(v->login.expires_at, 0));
}

static json_t *
warnings_to_json(const struct status_view *v)
{
	json_t *warnings = json_array();
	int64_t now = (int64_t)time(NULL);
	char when[LOGIN_TEXT_MAX], hint[STATUS_HINT_MAX];

	if (status_login_hint(v, hint, sizeof(hint)))
		json_put_item(&warnings, json_string(hint));
	if (v->warning[0] != '\0')
		json_put_item(&warnings, json_string(v->warning));
	if (v->reload_warning[0] != '\0' && strcmp(v->reload_warning, v->warning) != 0)
		json_put_item(&warnings, json_sprintf("not reloaded: %s", v->reload_warning));
	if (v->login.kind == LOGIN_CHATGPT && !v->login_unwanted &&
	    login_state(&v->login, now, LOGIN_WARN_HOURS * 3600) != LOGIN_IS_VALID) {
		login_format(when, &v->login, now);
		json_put_item(&warnings,
		              json_sprintf("the login %s, and codex has not refreshed it yet; "
		                           "`codex-healthcheck auth` tells how to log in again",
		                           when));
	}
	return warnings;
}

json_t *
status_to_json(const struct status_view *v)
{
	json_t *apps = json_array();

	for (size_t i = 0; i < fleet_count(v->fleet); i++)
		append_instance(&apps, fleet_instance(v->fleet, i));
	return json_pack("{s:s, s:i, s:s, s:b, s:I, s:o, s:o, s:o, s:o}", "version",
	                 SIDECAR_VERSION, "pid", (int)getpid(), "state", state_name(v->state),
	                 "ready", fleet_is_ready(v->fleet, NULL), "uptime_ms",
	                 (json_int_t)v->uptime_ms, "apps", apps, "proxy",
	                 proxy_link_to_json(fleet_link(v->fleet)), "auth", login_to_json(v),
	                 "warnings", warnings_to_json(v));
}

void
status_to_line(const struct status_view *v, char *text, size_t size)
{
	const char *why;
	char hint[STATUS_HINT_MAX];
	bool ready = fleet_is_ready(v->fleet, &why);
	size_t used;

	if (fleet_needs_login(v->fleet) && status_login_hint(v, hint, sizeof(hint)))
		why = hint;
	used = (size_t)snprintf(text, size, "%s%s%s",
	                        v->state == SUPERVISOR_STOPPING ? "stopping"
	                        : ready                         ? "ready"
	                                                        : "not ready: ",
	                        ready || v->state == SUPERVISOR_STOPPING ? "" : why, "");

	for (size_t i = 0; i < fleet_count(v->fleet) && used < size; i++) {
		struct app_info info = app_info(instance_current(fleet_instance(v->fleet, i)));

		used += (size_t)snprintf(text + used, size - used, "%s %s %s", i == 0 ? ";" : ",",
		                         info.name, app_state_name(info.state));
		if (info.pid > 0 && used < size)
			used += (size_t)snprintf(text + used, size - used, " pid %d",
			                         (int)info.pid);
		if (info.next_retry_ms > 0 && used < size)
			used += (size_t)snprintf(text + used, size - used, " (%s), again in %lld s",
			                         info.reason,
			                         (long long)(info.next_retry_ms + 999) / 1000);
	}
}

static json_t *
words_to_json(char *const *words)
{
	json_t *list = json_array();

	for (; words != NULL && *words != NULL; words++)
		json_put_item(&list, json_string(*words));
	return list;
}

static json_t *
policy_to_json(const struct app_spec *s)
{
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:i, s:I, s:I, s:I, s:I}", "listen_timeout_ms",
		(json_int_t)s->listen_timeout_ms, "drain_timeout_ms",
		(json_int_t)s->drain_timeout_ms, "kill_timeout_ms", (json_int_t)s->kill_timeout_ms,
		"min_uptime_ms", (json_int_t)s->restart.min_uptime_ms, "max_restarts",
		(int)s->restart.limit, "restart_window_ms", (json_int_t)s->restart.window_ms,
		"restart_delay_ms", (json_int_t)s->restart.base_ms, "restart_delay_max_ms",
		(json_int_t)s->restart.max_ms, "max_memory_bytes", (json_int_t)s->max_memory_bytes);
}

/* Until its next planned restart; json null: there is none. */
static json_t *
cron_to_json(const struct cron *c)
{
	time_t now = time(NULL);
	time_t next = c->minutes != 0 ? cron_next(c, now) : -1;

	return next > now ? json_integer((json_int_t)(next - now) * 1000) : json_null();
}

json_t *
status_describe(struct instance *in)
{
	const struct app *a = instance_current(in), *other = instance_other(in);
	const struct app_launch *launch = app_last_launch(a);
	struct app_info info = app_info(a);
	json_t *app = app_to_json(a, in);
	json_t *more =
		json_pack("{s:s, s:s, s:i, s:o, s:o*, s:o*, s:o}", "group", info.group, "phase",
	                  app_phase_name(info.phase), "generation", (int)info.generation, "other",
	                  other != NULL ? app_to_json(other, in) : json_null(), "file",
	                  launch != NULL ? json_string(launch->file) : NULL, "cwd",
	                  launch != NULL && launch->cwd != NULL ? json_string(launch->cwd) : NULL,
	                  "args", words_to_json(launch != NULL ? launch->argv : NULL));

	json_put(&more, "policy", policy_to_json(app_spec(a)));
	json_put(&more, "cron_restart_ms", cron_to_json(&app_spec(a)->cron));
	if (json_object_update_missing(app, more) != 0) {
		json_decref(app);
		app = NULL;
	}
	json_decref(more);
	return app;
}
