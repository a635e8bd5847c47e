/* hidden_tools: functions that codex takes from a caller and does not offer to the model. */
#include "proxy/codex/hidden_tools.h"

#include <string.h>

#include "common/json.h"

bool
hidden_tools_has(const char *name)
{
	return name != NULL &&
	       (strcmp(name, "exec_command") == 0 || strcmp(name, "shell_command") == 0);
}

static bool
is_hidden_call(const json_t *item)
{
	const char *type = json_get_string(item, "type");

	return type != NULL && strcmp(type, "function_call") == 0 &&
	       hidden_tools_has(json_get_string(item, "name")) &&
	       json_object_get(item, "namespace") == NULL;
}

static bool
has_hidden_call(const json_t *items)
{
	json_t *item;
	size_t i;

	json_array_foreach(items, i, item) {
		if (is_hidden_call(item))
			return true;
	}
	return false;
}

json_t *
hidden_tools_items(json_t *items)
{
	json_auto_t *out = NULL;
	json_t *item;
	size_t i;

	if (!has_hidden_call(items))
		return json_incref(items);
	out = json_array();
	json_array_foreach(items, i, item) {
		/* the conversation may be another turn's too: it is not changed */
		json_t *put = is_hidden_call(item) ? json_copy_whole(item) : json_incref(item);

		if (put != item && json_object_set_new(put, "namespace",
		                                       json_string(HIDDEN_TOOLS_NAMESPACE)) != 0) {
			json_decref(put);
			return NULL;
		}
		if (json_array_append_new(out, put) != 0)
			return NULL;
	}
	return json_incref(out);
}

const char *
hidden_tools_namespace(const char *space)
{
	return space != NULL && strcmp(space, HIDDEN_TOOLS_NAMESPACE) == 0 ? NULL : space;
}
