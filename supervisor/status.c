/* status: the supervisor's state as JSON, and as the one line that systemd shows. */
#include "supervisor/status.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

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

/* Resident bytes of a process; json null when it is gone. */
static json_t *
rss_to_json(pid_t pid)
{
	char path[48];
	long pages = 0;
	FILE *f;
	int n;

	if (pid <= 0)
		return json_null();
	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return json_null();
	n = fscanf(f, "%*s %ld", &pages);
	(void)fclose(f); /* read only */
	return n == 1 ? json_integer((json_int_t)pages * sysconf(_SC_PAGESIZE)) : json_null();
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

static json_t *
app_to_json(const struct app *a)
{
	struct app_info i = app_info(a);

	return json_pack("{s:s, s:i, s:o, s:s, s:s, s:I, s:i, s:o, s:o, s:o}", "name", i.name,
	                 "instance", i.instance, "pid", integer_or_null(i.pid, 0), "state",
	                 app_state_name(i.state), "reason", i.reason, "since_ms",
	                 (json_int_t)i.since_ms, "restarts", (int)i.restarts, "last_exit",
	                 exit_to_json(&i), "next_retry_ms", integer_or_null(i.next_retry_ms, -1),
	                 "rss_bytes", rss_to_json(i.pid));
}

json_t *
status_to_json(const struct status_view *v)
{
	json_t *apps = json_array(), *warnings = json_array();

	for (size_t i = 0; i < pair_count(v->pair); i++)
		(void)json_array_append_new(apps, app_to_json(pair_app(v->pair, i)));
	if (v->warning[0] != '\0')
		(void)json_array_append_new(warnings, json_string(v->warning));
	return json_pack("{s:s, s:i, s:s, s:b, s:I, s:o, s:o, s:{s:s, s:n}, s:o}", "version",
	                 SIDECAR_VERSION, "pid", (int)getpid(), "state", state_name(v->state),
	                 "ready", pair_is_ready(v->pair, NULL), "uptime_ms",
	                 (json_int_t)v->uptime_ms, "apps", apps, "proxy",
	                 proxy_link_to_json(pair_link(v->pair)), "auth", "state", "unknown",
	                 "expires_at", "warnings", warnings);
}

void
status_to_line(const struct status_view *v, char *text, size_t size)
{
	const char *why;
	bool ready = pair_is_ready(v->pair, &why);
	size_t used = (size_t)snprintf(text, size, "%s%s%s",
	                               v->state == SUPERVISOR_STOPPING ? "stopping"
	                               : ready                         ? "ready"
	                                                               : "not ready: ",
	                               ready || v->state == SUPERVISOR_STOPPING ? "" : why, "");

	for (size_t i = 0; i < pair_count(v->pair) && used < size; i++) {
		struct app_info info = app_info(pair_app(v->pair, i));

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
