/* cli_status: the commands that show what runs, once or again and again. */
#include "supervisor/cli_status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/exit_code.h"
#include "common/json.h"
#include "common/login.h"
#include "supervisor/cli_ask.h"

static void
format_duration(char *text, size_t size, int64_t ms)
{
	int64_t s = ms / 1000;

	if (ms < 0)
		(void)snprintf(text, size, "-");
	else if (s < 60)
		(void)snprintf(text, size, "%" PRId64 "s", s);
	else if (s < 3600)
		(void)snprintf(text, size, "%" PRId64 "m %" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(text, size, "%" PRId64 "h %" PRId64 "m", s / 3600, s % 3600 / 60);
	else
		(void)snprintf(text, size, "%" PRId64 "d %" PRId64 "h", s / 86400,
		               s % 86400 / 3600);
}

static void
print_app(const json_t *app)
{
	char since[32], retry[48] = "", pid[24] = "-", memory[16] = "-";
	int64_t next = json_get_int(app, "next_retry_ms", -1);
	int64_t rss = json_get_int(app, "rss_bytes", -1), id = json_get_int(app, "pid", 0);
	const char *reason = json_get_string(app, "reason");

	format_duration(since, sizeof(since), json_get_int(app, "since_ms", -1));
	if (id > 0)
		(void)snprintf(pid, sizeof(pid), "%" PRId64, id);
	if (rss >= 0)
		(void)snprintf(memory, sizeof(memory), "%.1f MB", (double)rss / 1e6);
	if (next >= 0)
		(void)snprintf(retry, sizeof(retry), "; again in %.1f s", (double)next / 1e3);
	(void)printf("%-14s %8s  %-9s %10s %5" PRId64 " %10s  %s%s\n", json_get_string(app, "name"),
	             pid, json_get_string(app, "state"), since, json_get_int(app, "restarts", 0),
	             memory, reason != NULL ? reason : "", retry);
}

static void
print_login(const json_t *auth)
{
	const char *state = json_get_string(auth, "state");
	struct login login = {.kind = LOGIN_CHATGPT,
	                      .expires_at = json_get_int(auth, "expires_at", 0)};
	char when[LOGIN_TEXT_MAX] = "";

	if (state == NULL || strcmp(state, "unknown") == 0)
		return;
	if (login.expires_at > 0)
		login_format(when, &login, (int64_t)time(NULL));
	(void)printf("login: %s%s%s\n",
	             strcmp(state, "api_key") == 0 ? "an API key, which does not expire" : state,
	             when[0] != '\0' ? ", " : "", when);
}

static void
print_status(const json_t *status)
{
	const json_t *proxy = json_get_object(status, "proxy"), *app, *warning;
	char uptime[32];
	size_t i;

	format_duration(uptime, sizeof(uptime), json_get_int(status, "uptime_ms", 0));
	(void)printf("codex-supervisor %s, pid %" PRId64 ", %s, %s, up %s\n\n",
	             json_get_string(status, "version"), json_get_int(status, "pid", 0),
	             json_get_string(status, "state"),
	             json_get_bool(status, "ready", false) ? "ready" : "not ready", uptime);
	(void)printf("%-14s %8s  %-9s %10s %5s %10s  %s\n", "app", "pid", "state", "since", "rest.",
	             "memory", "reason");
	json_array_foreach(json_get_array(status, "apps"), i, app)
		print_app(app);
	if (proxy != NULL)
		(void)printf("\nrequests: %" PRId64 " running, %" PRId64 " queued\n",
		             json_get_int(proxy, "in_flight", 0), json_get_int(proxy, "queued", 0));
	print_login(json_get_object(status, "auth"));
	json_array_foreach(json_get_array(status, "warnings"), i, warning)
		(void)printf("\nwarning: %s\n", json_string_value(warning));
}

static int
show_once(const struct cli_options *o)
{
	json_auto_t *status = NULL;
	int code = cli_ask(o, "status", NULL, CLI_ANSWER_MS, &status);

	if (code != EXIT_WELL)
		return code;
	if (o->watch && isatty(STDOUT_FILENO))
		(void)fputs("\033[H\033[2J", stdout); /* an empty screen, from its top on */
	if (o->json) {
		(void)json_dumpf(status, stdout, o->watch ? JSON_COMPACT : JSON_INDENT(2));
		(void)putchar('\n');
	} else {
		print_status(status);
	}
	if (o->exit_code && !json_get_bool(status, "ready", false))
		code = EXIT_NOT_WELL;
	return code;
}

int
cli_status(const struct cli_options *o, const char *none)
{
	static const struct timespec second = {.tv_sec = 1};
	int code = show_once(o);

	while (o->watch && code != EXIT_UNREACHABLE) {
		if (fflush(stdout) != 0)
			return code;            /* nobody reads it any more */
		(void)nanosleep(&second, NULL); /* a signal only makes it shorter */
		if (!o->json && !isatty(STDOUT_FILENO))
			(void)putchar('\n');
		code = show_once(o);
	}
	return code;
}
