/* catalog: Codex's model catalog without its prompts, its tools and its cutting of history. Pure.
 */
#include "supervisor/codex/catalog.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "common/json.h"

/* Larger than any history that fits through the socket: nothing is ever compacted or cut. The
 * provider's own limit still holds, and answers with an error instead of silent damage. */
#define NO_LIMIT_TOKENS 1000000000

/* Members that add prompts or tools of Codex's own when they are there. */
static const char *const removed[] = {
	"tool_mode",      "multi_agent_version", "multi_agent_reasoning_effort",
	"model_messages", "default_verbosity", /* "low" would be sent for callers who never asked */
};

/* The struct is Codex's; what it does not know of is left out, not refused. */
static json_t *
transform_model(const json_t *model, bool keep_instructions, bool keep_tools)
{
	json_t *m = json_copy_whole(model);
	json_t *policy = json_pack("{s:s, s:i}", "mode", "tokens", "limit", NO_LIMIT_TOKENS);
	int r = 0;

	if (m == NULL) {
		json_decref(policy);
		return NULL;
	}
	for (size_t i = 0; i < NELEM(removed); i++)
		(void)json_object_del(m, removed[i]); /* -1: was not there */
	if (!keep_instructions)
		r |= json_object_set_new(m, "base_instructions", json_string(""));
	if (!keep_tools) {
		r |= json_object_set_new(m, "shell_type", json_string("disabled"));
		r |= json_object_set_new(m, "apply_patch_tool_type", json_null());
	}
	r |= json_object_set_new(m, "experimental_supported_tools", json_array());
	r |= json_object_set_new(m, "supports_search_tool", json_false());
	r |= json_object_set_new(m, "include_skills_usage_instructions", json_false());
	r |= json_object_set_new(m, "include_plugin_usage_instructions", json_false());
	r |= json_object_set_new(m, "include_apps_usage_instructions", json_false());
	r |= json_object_set_new(m, "context_window", json_integer(NO_LIMIT_TOKENS));
	r |= json_object_set_new(m, "max_context_window", json_integer(NO_LIMIT_TOKENS));
	r |= json_object_set_new(m, "truncation_policy", policy);
	if (r != 0) {
		json_decref(m);
		return NULL;
	}
	return m;
}

int
catalog_transform(char **out, size_t *out_len, const char *text, size_t len, bool keep_instructions,
                  bool keep_tools, struct err *err)
{
	json_error_t why;
	bool no_memory;
	json_auto_t *root = json_load(text, len, 0, &why, &no_memory);
	json_auto_t *slim = json_array();
	json_auto_t *result = NULL;
	const json_t *models, *model;
	size_t i;

	if (root == NULL && no_memory)
		return err_set(err, -ENOMEM, "the model catalog: out of memory");
	if (root == NULL)
		return err_set(err, -EBADMSG, "the model catalog is not JSON: %s", why.text);
	models = json_object_get(root, "models");
	if (json_array_size(models) == 0)
		return err_set(err, -EBADMSG, "the model catalog has no models");
	json_array_foreach(models, i, model) {
		if (json_get_string(model, "slug") == NULL)
			return err_set(err, -EBADMSG, "the model catalog: model %zu has no slug",
			               i);
		if (json_array_append_new(
			    slim, transform_model(model, keep_instructions, keep_tools)) < 0)
			return err_set(err, -ENOMEM, "the model catalog: out of memory");
	}
	result = json_pack("{s:O}", "models", slim);
	*out = result != NULL ? json_to_text(result, out_len) : NULL;
	return *out != NULL ? 0 : err_set(err, -ENOMEM, "the model catalog: out of memory");
}
