/* thread_params: a conversation as the params of the three calls that begin its turn. */
#include "proxy/codex/thread_params.h"

#include <string.h>

#include "proxy/codex/agent.h"
#include "proxy/codex/hidden_tools.h"
#include "proxy/codex/transcript.h"

/* value: taken over. */
static void
print_and_free(struct json_buf *out, json_t *value)
{
	if (value == NULL)
		out->failed = true;
	else
		json_print(out, value);
	json_decref(value);
}

static json_t *dynamic_tools(const json_t *tools);

static json_t *
dynamic_tool(const json_t *tool)
{
	const json_t *members = json_object_get(tool, "tools");

	if (members != NULL)
		return json_pack("{s:s,s:O,s:O,s:o}", "type", "namespace", "name",
		                 json_object_get(tool, "name"), "description",
		                 json_object_get(tool, "description"), "tools",
		                 dynamic_tools(members));
	return json_pack("{s:s,s:O,s:O,s:O}", "type", "function", "name",
	                 json_object_get(tool, "name"), "description",
	                 json_object_get(tool, "description"), "inputSchema",
	                 json_object_get(tool, "parameters"));
}

/* A tool that is left out would be missed in silence: NULL, no memory, instead. */
static json_t *
dynamic_tools(const json_t *tools)
{
	json_t *list = json_array();
	json_t *tool;
	size_t i;

	json_array_foreach(tools, i, tool) {
		if (json_array_append_new(list, dynamic_tool(tool)) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* The caller's functions in codex's words; NULL: no memory. */
static json_t *
all_tools(const json_t *tools)
{
	json_auto_t *plain = json_array();
	json_auto_t *hidden = json_array();
	json_t *list, *tool;
	size_t i;

	json_array_foreach(tools, i, tool) {
		bool hide = json_object_get(tool, "tools") == NULL &&
		            hidden_tools_has(json_string_value(json_object_get(tool, "name")));

		if (json_array_append(hide ? hidden : plain, tool) != 0)
			return NULL;
	}
	list = dynamic_tools(plain);
	if (list == NULL || json_array_size(hidden) == 0)
		return list;
	if (json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:o}", "type", "namespace", "name",
	                                          HIDDEN_TOOLS_NAMESPACE, "description", "",
	                                          "tools", dynamic_tools(hidden))) == 0)
		return list;
	json_decref(list);
	return NULL;
}

/* Only what may differ between requests: the rest is on the app-server's command line. */
static json_t *
thread_settings(const struct conversation *c)
{
	return c->verbosity != NULL ? json_pack("{s:s}", "model_verbosity", c->verbosity) : NULL;
}

/* What may run: nothing, or codex's own tools as the policy says. False: no memory. */
static bool
add_permissions(json_t *params, const struct thread_config *config)
{
	return config->agent == NULL || agent_params_add(config->agent, params);
}

/* What an app-server takes only where the experimental API was asked for. False: no memory. */
static bool
add_experimental(json_t *params, const struct thread_config *config, const struct conversation *c)
{
	/* without an environment codex's own tools have nowhere to run */
	return (config->agent != NULL ||
	        json_object_set_new(params, "environments", json_array()) == 0) &&
	       json_object_set_new(params, "experimentalRawEvents", json_true()) == 0 &&
	       (c->tools == NULL ||
	        json_object_set_new(params, "dynamicTools", all_tools(c->tools)) == 0);
}

void
thread_params_start(struct json_buf *out, const struct thread_config *config,
                    const struct conversation *c)
{
	json_t *params = json_pack("{s:s,s:b,s:s,s:s,s:s,s:s*,s:o*}", "model", c->model,
	                           "ephemeral", 1, "approvalPolicy", "never", "sandbox",
	                           "read-only", "cwd", config->workspace, "baseInstructions",
	                           config->base_instructions, "config", thread_settings(c));

	if (!add_permissions(params, config) ||
	    (!config->transcript && !add_experimental(params, config, c))) {
		json_decref(params);
		params = NULL;
	}
	print_and_free(out, params);
}

/* These two come with every turn: their values are printed, and not an object that is made of them
 * first. The names are our own, and an id of a thread needs no escape. */
static void
add_name(struct json_buf *out, const char *name)
{
	json_buf_append(out, ",\"", 2);
	json_buf_append(out, name, strlen(name));
	json_buf_append(out, "\":", 2);
}

/* text NULL: left out. */
static void
add_text(struct json_buf *out, const char *name, const char *text)
{
	if (text == NULL)
		return;
	add_name(out, name);
	print_and_free(out, json_string(text));
}

static void
begin(struct json_buf *out, const char *thread_id)
{
	static const char begin_text[] = "{\"threadId\":\"";

	json_buf_append(out, begin_text, sizeof(begin_text) - 1);
	json_buf_append(out, thread_id, strlen(thread_id));
	json_buf_append(out, "\"", 1);
}

void
thread_params_inject(struct json_buf *out, const char *thread_id, const struct conversation *c)
{
	begin(out, thread_id);
	add_name(out, "items");
	print_and_free(out, hidden_tools_items(c->items));
	json_buf_append(out, "}", 1);
}

/* input: taken over. */
static void
print_turn(struct json_buf *out, const char *thread_id, json_t *input, const struct conversation *c)
{
	begin(out, thread_id);
	add_name(out, "input");
	print_and_free(out, input);
	add_text(out, "effort", c->effort);
	add_text(out, "summary", c->summary);
	add_text(out, "serviceTierForTurn", c->service_tier);
	if (c->output_schema != NULL) {
		add_name(out, "outputSchema");
		json_print(out, c->output_schema);
	}
	json_buf_append(out, "}", 1);
}

void
thread_params_turn(struct json_buf *out, const char *thread_id, const struct conversation *c)
{
	/* Empty input: the model runs on the injected history as it stands. */
	print_turn(out, thread_id, json_array(), c);
}

int
thread_params_turn_as_text(struct json_buf *out, const char *thread_id,
                           const struct conversation *c, struct err *err)
{
	struct transcript transcript;
	int r = transcript_build(&transcript, c->items, err);

	if (r < 0)
		return r;
	print_turn(out, thread_id, transcript_input(&transcript), c);
	transcript_fini(&transcript);
	return 0;
}
