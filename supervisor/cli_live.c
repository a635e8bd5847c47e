/* cli_live: the commands that show what apps write, and how they change. */
#include "supervisor/cli_live.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "supervisor/cli_ask.h"

static void
print_json(const json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_COMPACT);
	(void)putchar('\n');
}

static void
print_head(const json_t *o)
{
	cli_put_text(json_get_string(o, "ts"));
	(void)putchar(' ');
	cli_put_text(json_get_string(o, "app"));
	(void)fputs(": ", stdout);
}

static void
print_line(const struct cli_options *o, const json_t *line)
{
	if (o->json) {
		print_json(line);
		return;
	}
	print_head(line);
	cli_put_text(json_get_string(line, "text"));
	(void)putchar('\n');
}

static void
on_lines(const struct cli_options *o, const json_t *result)
{
	const json_t *line;
	size_t i;

	json_array_foreach(json_get_array(result, "lines"), i, line)
		print_line(o, line);
}

static void
on_line(const struct cli_options *o, const char *method, const json_t *params)
{
	if (strcmp(method, "log/line") == 0)
		print_line(o, params);
}

int
cli_logs(const struct cli_options *o, const char *app)
{
	json_auto_t *params = json_pack("{s:s, s:I, s:b}", "app", app, "lines",
	                                (json_int_t)o->lines, "follow", o->follow);
	struct cli_stream stream = {.method = "logs",
	                            .params = params,
	                            .follow = o->follow,
	                            .on_result = on_lines,
	                            .on_notification = on_line};

	return cli_stream(o, &stream);
}

static void
on_event(const struct cli_options *o, const char *method, const json_t *params)
{
	int64_t pid = json_get_int(params, "pid", 0);

	if (strncmp(method, "event/", 6) != 0)
		return;
	if (o->json) {
		print_json(params);
		return;
	}
	print_head(params);
	cli_put_text(json_get_string(params, "from"));
	(void)fputs(" -> ", stdout);
	cli_put_text(json_get_string(params, "to"));
	if (pid > 0)
		(void)printf(", pid %" PRId64, pid);
	(void)fputs(" (", stdout);
	cli_put_text(json_get_string(params, "reason"));
	(void)fputs(")\n", stdout);
}

int
cli_events(const struct cli_options *o, const char *none)
{
	struct cli_stream stream = {
		.method = "subscribe", .follow = true, .on_notification = on_event};

	return cli_stream(o, &stream);
}
