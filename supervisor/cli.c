/* cli: the commands that ask a running supervisor to do something with its apps. */
#include "supervisor/cli.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/exit_code.h"
#include "common/json.h"
#include "supervisor/cli_ask.h"

#define DONE_MS 3600000 /* a drain takes as long as the longest request, for each instance */

/* --- orders --------------------------------------------------------------------------------- */

static int
order(const struct cli_options *o, const char *method, const char *app)
{
	json_auto_t *params =
		app != NULL ? json_pack("{s:s, s:b}", "app", app, "wait", !o->no_wait) : NULL;
	json_auto_t *result = NULL;

	return cli_ask(o, method, params, DONE_MS, &result);
}

int
cli_start(const struct cli_options *o, const char *app)
{
	return order(o, "start", app);
}

int
cli_stop(const struct cli_options *o, const char *app)
{
	return order(o, "stop", app);
}

int
cli_restart(const struct cli_options *o, const char *app)
{
	return order(o, "restart", app);
}

int
cli_reload(const struct cli_options *o, const char *app)
{
	return order(o, "reload", app);
}

int
cli_drain(const struct cli_options *o, const char *app)
{
	json_auto_t *params =
		app != NULL ? json_pack("{s:s, s:b}", "app", app, "wait", !o->no_wait) : NULL;
	json_auto_t *result = NULL;
	int64_t left;
	int code;

	if (o->deadline_ms > 0)
		(void)json_object_set_new(params, "deadline_ms", json_integer(o->deadline_ms));
	code = cli_ask(o, "drain", params, DONE_MS, &result);
	left = json_get_int(result, "in_flight", 0);
	if (code != EXIT_WELL || left == 0)
		return code;
	(void)fprintf(stderr, "codex-supervisor: %" PRId64 " request%s still running\n", left,
	              left == 1 ? " is" : "s are");
	return EXIT_NOT_WELL;
}

int
cli_shutdown(const struct cli_options *o, const char *none)
{
	json_auto_t *result = NULL;

	return cli_ask(o, "shutdown", NULL, CLI_ANSWER_MS, &result);
}

/* --- describe ------------------------------------------------------------------------------- */

static void
print_value(const json_t *value)
{
	AUTO_FREE char *text = NULL;
	const json_t *item;
	size_t i;

	if (json_is_null(value)) {
		(void)putchar('-');
	} else if (json_is_string(value)) {
		cli_put_text(json_string_value(value));
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, item) {
			if (i > 0)
				(void)putchar(' ');
			print_value(item);
		}
	} else {
		text = json_to_text(value, NULL);
		cli_put_text(text);
	}
}

/* A line for each member, those of an object within it under "outer.inner". */
static void
print_members(const char *outer, const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value) {
		char name[96];

		(void)snprintf(name, sizeof(name), "%s%s%s", outer, outer[0] != '\0' ? "." : "",
		               key);
		if (json_is_object(value)) {
			print_members(name, value);
			continue;
		}
		(void)printf("  %-26s ", name);
		print_value(value);
		(void)putchar('\n');
	}
}

int
cli_describe(const struct cli_options *o, const char *app)
{
	json_auto_t *params = json_pack("{s:s}", "app", app);
	json_auto_t *result = NULL;
	int code = cli_ask(o, "describe", params, CLI_ANSWER_MS, &result);
	const json_t *one;
	size_t i;

	if (code != EXIT_WELL)
		return code;
	if (o->json) {
		(void)json_dumpf(result, stdout, JSON_INDENT(2));
		(void)putchar('\n');
		return code;
	}
	json_array_foreach(json_get_array(result, "apps"), i, one) {
		if (i > 0)
			(void)putchar('\n');
		cli_put_text(json_get_string(one, "name"));
		(void)putchar('\n');
		print_members("", one);
	}
	return code;
}
