/* cli: the commands that ask a running supervisor. */
#include "supervisor/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/control_client.h"
#include "common/exit_code.h"
#include "common/json.h"
#include "common/paths.h"

#define ANSWER_MS  5000
#define RESTART_MS 300000 /* a restart waits for running turns */
#define PLACES_MAX 6

/* --- where it is ---------------------------------------------------------------------------- */

struct places {
	char *path[PLACES_MAX];
	size_t count;
};

static void
add_place(struct places *p, const char *dir, const char *below)
{
	char *path;

	if (dir == NULL || dir[0] == '\0' || p->count == PLACES_MAX ||
	    asprintf(&path, "%s%s", dir, below) < 0)
		return;
	for (size_t i = 0; i < p->count; i++) {
		if (strcmp(p->path[i], path) == 0) {
			free(path);
			return;
		}
	}
	p->path[p->count++] = path;
}

static struct places
usual_places(const char *chosen)
{
	struct places p = {.count = 0};

	if (chosen != NULL) {
		add_place(&p, chosen, "");
		return p;
	}
	add_place(&p, getenv("CODEX_CONTROL_SOCKET"), "");
	add_place(&p, getenv("CODEX_RUNTIME_DIR"), "/control.sock");
	add_place(&p, getenv("RUNTIME_DIRECTORY"), "/control.sock");
	add_place(&p, getenv("XDG_RUNTIME_DIR"), "/codex-sidecar/control.sock");
	add_place(&p, "/run/codex-sidecar", "/control.sock");
	return p;
}

static void
free_places(struct places *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->path[i]);
}

/* Asks the first place that answers. Returns an exit code; *result is new on EXIT_WELL. params:
 * borrowed. */
static int
ask(const struct cli_options *o, const char *method, json_t *params, unsigned timeout_ms,
    json_t **result)
{
	struct places p = usual_places(o->socket);
	struct err errs[PLACES_MAX];
	int r = -ENOENT, rpc_code = 0, code = EXIT_UNREACHABLE;
	size_t i;

	for (i = 0; i < p.count; i++) {
		errs[i] = (struct err){.code = 0};
		r = control_ask(result, p.path[i], method, json_incref(params), timeout_ms,
		                &rpc_code, &errs[i]);
		if (r != -ENOENT && r != -ECONNREFUSED)
			break; /* somebody is there */
	}
	if (r == 0) {
		code = EXIT_WELL;
	} else if (r == -EPROTO) {
		(void)fprintf(stderr, "codex-supervisor: %s\n", errs[i].text);
		code = EXIT_NOT_WELL;
	} else {
		(void)fprintf(stderr, "codex-supervisor: no supervisor answers. Tried:\n");
		for (size_t k = 0; k < p.count && k <= i; k++)
			(void)fprintf(stderr, "  %s: %s\n", p.path[k], strerror(-errs[k].code));
	}
	free_places(&p);
	return code;
}

/* --- status --------------------------------------------------------------------------------- */

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
	json_array_foreach(json_get_array(status, "warnings"), i, warning)
		(void)printf("\nwarning: %s\n", json_string_value(warning));
}

int
cli_status(const struct cli_options *o)
{
	json_t *status = NULL;
	int code = ask(o, "status", NULL, ANSWER_MS, &status);

	if (code != EXIT_WELL)
		return code;
	if (o->json) {
		(void)json_dumpf(status, stdout, JSON_INDENT(2));
		(void)putchar('\n');
	} else {
		print_status(status);
	}
	if (o->exit_code && !json_get_bool(status, "ready", false))
		code = EXIT_NOT_WELL;
	json_decref(status);
	return code;
}

int
cli_restart(const struct cli_options *o, const char *app)
{
	json_auto_t *params = json_pack("{s:s, s:b}", "app", app, "wait", !o->no_wait);
	json_auto_t *result = NULL;

	return ask(o, "restart", params, RESTART_MS, &result);
}

int
cli_shutdown(const struct cli_options *o)
{
	json_auto_t *result = NULL;

	return ask(o, "shutdown", NULL, ANSWER_MS, &result);
}
