/* thread_params: a conversation as the params of the three calls that begin its turn. */
#include "proxy/codex/thread_params.h"

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

/* The caller's functions in codex's words; NULL: no memory. */
static json_t *
dynamic_tools(const struct conversation *c)
{
	json_t *list = json_array();
	json_t *tool;
	size_t i;

	json_array_foreach(c->tools, i, tool) {
		/* a tool that is left out would be missed in silence */
		if (json_array_append_new(
			    list, json_pack("{s:s,s:O,s:O,s:O}", "type", "function", "name",
		                            json_object_get(tool, "name"), "description",
		                            json_object_get(tool, "description"), "inputSchema",
		                            json_object_get(tool, "parameters"))) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* Only what may differ between requests: the rest is on the app-server's command line. */
static json_t *
thread_settings(const struct conversation *c)
{
	return c->verbosity != NULL ? json_pack("{s:s}", "model_verbosity", c->verbosity) : NULL;
}

void
thread_params_start(struct json_buf *out, const struct thread_config *config,
                    const struct conversation *c)
{
	json_t *params =
		json_pack("{s:s,s:b,s:s,s:s,s:s,s:s*,s:[],s:b,s:o*}", "model", c->model,
	                  "ephemeral", 1, "approvalPolicy", "never", "sandbox", "read-only", "cwd",
	                  config->workspace, "baseInstructions", config->base_instructions,
	                  "environments", "experimentalRawEvents", 1, "config", thread_settings(c));

	if (c->tools != NULL &&
	    json_object_set_new(params, "dynamicTools", dynamic_tools(c)) != 0) {
		json_decref(params);
		params = NULL;
	}
	print_and_free(out, params);
}

void
thread_params_inject(struct json_buf *out, const char *thread_id, const struct conversation *c)
{
	print_and_free(out, json_pack("{s:s,s:O}", "threadId", thread_id, "items", c->items));
}

void
thread_params_turn(struct json_buf *out, const char *thread_id, const struct conversation *c)
{
	/* Empty input: the model runs on the injected history as it stands. */
	print_and_free(out,
	               json_pack("{s:s,s:[],s:s*,s:s*,s:s*,s:O*}", "threadId", thread_id, "input",
	                         "effort", c->effort, "summary", c->summary, "serviceTierForTurn",
	                         c->service_tier, "outputSchema", c->output_schema));
}
