/* finding: what a check has found: an exit code, a line for people, and facts for programs. */
#include "healthcheck/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "healthcheck/verdict.h"

void
finding_set(struct finding *f, int code, const char *fmt, ...)
{
	char line[FINDING_LINE_MAX]; /* what it said before may be among the arguments */
	va_list args;

	f->code = code;
	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args); /* cut: enough to read */
	va_end(args);
	memcpy(f->line, line, sizeof(line));
	verdict_make_printable(f->line);
}

void
finding_fact(struct finding *f, const char *name, json_t *value)
{
	if (f->facts == NULL)
		f->facts = json_object();
	/* out of memory: told without it */
	(void)json_object_set_new(f->facts, name, value);
}

static void
tell_json(const struct finding *f, const char *check)
{
	json_auto_t *all =
		json_pack("{s:s, s:b, s:i, s:o}", "check", check, "ok", f->code == EXIT_WELL,
	                  "code", f->code, "message", json_string_lossy(f->line));

	if (f->facts != NULL)
		(void)json_object_update_missing(all, f->facts);
	(void)json_dumpf(all, stdout, JSON_COMPACT);
	(void)putchar('\n');
}

int
finding_tell(const struct finding *f, const char *check, bool json, bool quiet)
{
	if (json)
		tell_json(f, check);
	else if (f->code != EXIT_WELL)
		(void)fprintf(stderr, "codex-healthcheck: %s\n%s", f->line,
		              f->advice != NULL ? f->advice : "");
	else if (!quiet)
		(void)printf("%s\n%s", f->line, f->advice != NULL ? f->advice : "");
	return f->code;
}

void
finding_fini(struct finding *f)
{
	json_decref(f->facts);
	free(f->advice);
	*f = (struct finding){.code = EXIT_WELL};
}
