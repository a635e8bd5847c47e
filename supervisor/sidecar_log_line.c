/* sidecar_log_line: the message and the level inside a JSON line of our own programs' log. Pure. */
#include "supervisor/sidecar_log_line.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

/* Members that our own line has anyway. */
static bool
is_envelope(const char *key)
{
	static const char *const names[] = {"ts", "level", "program", "pid", "msg"};

	for (size_t i = 0; i < NELEM(names); i++)
		if (strcmp(key, names[i]) == 0)
			return true;
	return false;
}

void
sidecar_log_line_lift(struct output_line *line, char *buf, size_t size)
{
	json_auto_t *root = line->text[0] == '{'
	                            ? json_load(line->text, strlen(line->text), 0, NULL, NULL)
	                            : NULL;
	const char *message = json_get_string(root, "msg"), *key;
	const char *level = json_get_string(root, "level");
	json_t *value;
	size_t used;

	if (message == NULL)
		return;
	if (level == NULL || log_level_parse(&line->level, level) < 0)
		line->level = LOG_LEVEL_INFO;
	used = (size_t)snprintf(buf, size, "%s", message);
	json_object_foreach(root, key, value) {
		AUTO_FREE char *text = NULL;

		if (is_envelope(key) || used >= size)
			continue;
		text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
		used += (size_t)snprintf(buf + used, size - used, " %s=%s", key,
		                         text != NULL ? text : json_string_value(value));
	}
	line->text = buf;
}
