/* agent_calls: what a thread's model has called, as far as an approval depends on it. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "proxy/codex/agent.h"

/* Calls under way at once; real models make a handful. More are unknown, and so denied. */
#define CALLS_MAX       256
/* The arguments of a command are read once more here. */
#define ARGUMENTS_BYTES ((size_t)1 << 20)

struct agent_calls {
	json_t *objections; /* id -> string, "" for none */
	json_t *patches;    /* id -> array of paths */
};

struct agent_calls *
agent_calls_new(void)
{
	struct agent_calls *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->objections = json_object();
	c->patches = json_object();
	if (c->objections == NULL || c->patches == NULL) {
		agent_calls_free(c);
		return NULL;
	}
	return c;
}

void
agent_calls_free(struct agent_calls *c)
{
	if (c == NULL)
		return;
	json_decref(c->objections);
	json_decref(c->patches);
	free(c);
}

/* A member that is there and says more than the default does. */
static bool
says_more(const json_t *arguments, const char *key, const char *fallback)
{
	const json_t *value = json_object_get(arguments, key);
	const char *text = json_text(value);

	if (value == NULL || json_is_null(value) || json_is_false(value))
		return false;
	return fallback == NULL || text == NULL || strcmp(text, fallback) != 0;
}

static const char *
objection_to(const json_t *item)
{
	const json_t *text = json_object_get(item, "arguments");
	json_auto_t *arguments = NULL;

	if (!json_is_string(text) || json_string_length(text) > ARGUMENTS_BYTES)
		return "a call that cannot be read";
	/* a name twice: which of them codex takes is not known */
	arguments = json_parse(json_string_value(text), json_string_length(text), NULL);
	if (!json_is_object(arguments))
		return "a call that cannot be read";
	if (says_more(arguments, "sandbox_permissions", "use_default") ||
	    says_more(arguments, "with_escalated_permissions", NULL))
		return "a command outside the sandbox";
	if (says_more(arguments, "additional_permissions", NULL))
		return "a command with more permissions";
	if (says_more(arguments, "tty", NULL))
		return "a command that could be typed into unseen";
	return "";
}

void
agent_calls_hear_raw(struct agent_calls *c, const json_t *item)
{
	const char *type = json_get_string(item, "type");
	const char *id = json_get_string(item, "call_id");
	const char *objection;

	if (type == NULL || id == NULL)
		return;
	if (strcmp(type, "function_call_output") == 0 ||
	    strcmp(type, "custom_tool_call_output") == 0) {
		(void)json_object_del(c->objections, id); /* -1: unknown */
		(void)json_object_del(c->patches, id);
		return;
	}
	if (strcmp(type, "function_call") == 0)
		objection = objection_to(item);
	else if (strcmp(type, "custom_tool_call") == 0)
		objection = "";
	else
		return;
	if (json_object_get(c->objections, id) != NULL)
		objection = "a call whose id is used twice";
	else if (json_object_size(c->objections) >= CALLS_MAX)
		return;
	if (json_object_set_new(c->objections, id, json_string(objection)) < 0)
		(void)json_object_del(c->objections, id); /* unknown */
}

static bool
add_path(json_t *paths, const json_t *path)
{
	/* one with NUL in it would be cut */
	return json_is_string(path) &&
	       strlen(json_string_value(path)) == json_string_length(path) &&
	       json_array_append(paths, (json_t *)(uintptr_t)path) == 0;
}

/* NULL: not understood, or no memory. */
static json_t *
paths_of(const json_t *item)
{
	json_t *paths = json_array();
	json_t *change;
	size_t i;
	bool ok = paths != NULL;

	json_array_foreach(json_get_array(item, "changes"), i, change) {
		const json_t *kind = json_get_object(change, "kind");
		const json_t *moved = json_object_get(kind, "move_path");

		ok = ok && kind != NULL && add_path(paths, json_object_get(change, "path")) &&
		     (moved == NULL || json_is_null(moved) || add_path(paths, moved));
	}
	if (ok)
		return paths;
	json_decref(paths);
	return NULL;
}

void
agent_calls_hear_item(struct agent_calls *c, const json_t *item)
{
	const char *type = json_get_string(item, "type");
	const char *id = json_get_string(item, "id");
	json_t *paths;

	if (type == NULL || id == NULL || strcmp(type, "fileChange") != 0)
		return;
	(void)json_object_del(c->patches, id);
	paths = json_object_size(c->patches) < CALLS_MAX ? paths_of(item) : NULL;
	if (paths != NULL && json_object_set_new(c->patches, id, paths) < 0)
		(void)json_object_del(c->patches, id); /* unknown */
}

const char *
agent_calls_objection(const struct agent_calls *c, const char *id)
{
	const char *objection = json_string_value(json_object_get(c->objections, id));

	if (objection == NULL)
		return "a call that is not known";
	return objection[0] != '\0' ? objection : NULL;
}

const json_t *
agent_calls_patch(const struct agent_calls *c, const char *id)
{
	return json_object_get(c->patches, id);
}
