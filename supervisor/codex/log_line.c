/* log_line: the message and the level inside a line of codex's JSON log. Pure. */
#include "supervisor/codex/log_line.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

/* Said at every start, and meant by our set-up: no diagnostic database, no sandbox. */
static const char *const expected[] = {
	"diagnostic database unavailable",
	"Codex could not find bubblewrap on PATH",
	"WARNING: proceeding, even though we could not create PATH aliases",
};

static bool
is_expected(const char *text)
{
	for (size_t i = 0; i < NELEM(expected); i++)
		if (strncmp(text, expected[i], strlen(expected[i])) == 0)
			return true;
	return false;
}

static enum log_level
level_of(const char *name)
{
	if (name == NULL)
		return LOG_LEVEL_INFO;
	if (strcmp(name, "ERROR") == 0)
		return LOG_LEVEL_ERROR;
	if (strcmp(name, "WARN") == 0)
		return LOG_LEVEL_WARNING;
	return strcmp(name, "INFO") == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
}

void
codex_log_line_lift(struct output_line *line, char *buf, size_t size)
{
	json_auto_t *root = NULL;
	const char *message, *error;
	json_t *fields;

	if (line->text[0] == '{')
		/* not json_parse: codex repeats keys in its fields */
		root = json_load(line->text, strlen(line->text), 0, NULL, NULL);
	if (root == NULL) {
		if (strncmp(line->text, "Error: ", 7) == 0)
			line->level = LOG_LEVEL_ERROR;
		if (is_expected(line->text))
			line->level = LOG_LEVEL_DEBUG;
		return;
	}
	fields = json_get_object(root, "fields");
	message = json_get_string(fields, "message");
	if (message == NULL)
		return;
	error = json_get_string(fields, "error");
	line->level =
		is_expected(message) ? LOG_LEVEL_DEBUG : level_of(json_get_string(root, "level"));
	(void)snprintf(buf, size, "%s%s%s", message, error != NULL ? ": " : "",
	               error != NULL ? error : ""); /* a cut one is still a line */
	line->text = buf;
}
