/* responses_answer: the response object. */
#include "proxy/api/responses_answer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void
responses_item_id(char out[RESPONSES_ID_MAX], const char *kind, const char *id, unsigned index)
{
	(void)snprintf(out, RESPONSES_ID_MAX, "%s_%s_%u", kind, id, index);
}

/* A member of the request as it was, or what stands for it. fallback: taken over. */
static json_t *
echo(const struct responses_request *request, const char *name, json_t *fallback)
{
	json_t *value = json_object_get(request->echo, name);

	if (value == NULL || json_is_null(value))
		return fallback;
	json_decref(fallback);
	return json_incref(value);
}

/* With the members that the official shape requires of functions. */
static json_t *
echo_tools(const struct responses_request *request)
{
	json_t *tools = json_array();
	json_t *tool;
	size_t i;

	json_array_foreach(json_object_get(request->echo, "tools"), i, tool) {
		json_t *copy = json_copy_whole(tool);
		const char *type = json_get_string(tool, "type");

		if (type != NULL && strcmp(type, "function") == 0) {
			if (json_object_get(copy, "strict") == NULL)
				json_put(&copy, "strict", json_null());
			if (json_object_get(copy, "parameters") == NULL)
				json_put(&copy, "parameters", json_null());
		}
		json_put_item(&tools, copy);
	}
	return tools;
}

static json_t *
echo_text(const struct responses_request *request)
{
	const json_t *sent = json_object_get(request->echo, "text");
	json_t *text = sent != NULL ? json_copy_whole(sent) : json_object();

	if (!json_is_object(json_object_get(text, "format")))
		json_put(&text, "format", json_pack("{s:s}", "type", "text"));
	if (json_is_null(json_object_get(text, "verbosity")))
		(void)json_object_del(text, "verbosity");
	return text;
}

static json_t *
text_or_null(const char *text)
{
	return text != NULL ? json_string(text) : json_null();
}

/* Members that are null where the request said nothing of them; what was ignored is null too. */
static void
add_echoes(json_t **head, const struct responses_request *request)
{
	static const char *const as_sent[] = {"instructions", "previous_response_id",
	                                      "prompt_cache_key", "safety_identifier"};
	static const char *const without[] = {"completed_at",
	                                      "error",
	                                      "incomplete_details",
	                                      "max_output_tokens",
	                                      "max_tool_calls",
	                                      "temperature",
	                                      "top_p"};
	json_t *user = json_object_get(request->echo, "user");

	for (size_t i = 0; i < NELEM(as_sent); i++)
		json_put(head, as_sent[i], echo(request, as_sent[i], json_null()));
	for (size_t i = 0; i < NELEM(without); i++)
		json_put(head, without[i], json_null());
	if (json_is_string(user))
		json_put(head, "user", json_incref(user));
}

json_t *
responses_head(const struct responses_request *request, const char *id)
{
	const struct conversation *c = request->base.conversation;
	char response_id[RESPONSES_ID_MAX];
	json_t *head;

	(void)snprintf(response_id, sizeof(response_id), "resp_%s", id);
	head = json_pack(
		"{s:s,s:s,s:I,s:s,s:b,s:s,s:[],s:o,s:o,s:o,s:o,s:b,s:b,s:{s:o,s:o},s:s,s:s,"
		"s:i}",
		"id", response_id, "object", "response", "created_at", (json_int_t)time(NULL),
		"status", "in_progress", "background", 0, "model", c->model != NULL ? c->model : "",
		"output", "tools", echo_tools(request), "tool_choice",
		echo(request, "tool_choice", json_string("auto")), "text", echo_text(request),
		"metadata", echo(request, "metadata", json_object()), "parallel_tool_calls",
		!request->base.single_tool_call, "store", request->store, "reasoning", "effort",
		text_or_null(c->effort), "summary", text_or_null(c->summary), "truncation",
		"disabled", "service_tier", c->service_tier != NULL ? c->service_tier : "default",
		"top_logprobs", 0);
	add_echoes(&head, request);
	return head;
}

void
responses_set_model(json_t *head, const char *model)
{
	json_t *name = json_string(model);

	if (name != NULL)
		(void)json_object_set_new(head, "model", name);
}

static json_t *
usage_object(const struct usage *u)
{
	return json_pack("{s:I,s:{s:I,s:I},s:I,s:{s:I},s:I}", "input_tokens",
	                 (json_int_t)u->input_tokens, "input_tokens_details", "cached_tokens",
	                 (json_int_t)u->cached_input_tokens, "cache_write_tokens",
	                 (json_int_t)u->cache_write_input_tokens, "output_tokens",
	                 (json_int_t)u->output_tokens, "output_tokens_details", "reasoning_tokens",
	                 (json_int_t)u->reasoning_output_tokens, "total_tokens",
	                 (json_int_t)u->total_tokens);
}

/* Takes each value over; NULL: no memory for it. False then. */
static bool
set(json_t *response, const char *name, json_t *value)
{
	return json_object_set_new(response, name, value) == 0;
}

bool
responses_is_whole(enum finish_reason finish)
{
	return finish != FINISH_LENGTH && finish != FINISH_CONTENT_FILTER;
}

json_t *
responses_finished(const json_t *head, enum finish_reason finish, json_t *output,
                   const struct usage *usage)
{
	bool complete = responses_is_whole(finish);
	json_auto_t *response = json_copy_whole(head);
	bool ok = set(response, "status", json_string(complete ? "completed" : "incomplete")) &&
	          set(response, "output", json_copy_whole(output)) &&
	          set(response, "usage", usage_object(usage));

	if (ok && complete)
		ok = set(response, "completed_at", json_integer((json_int_t)time(NULL)));
	else if (ok)
		ok = set(response, "incomplete_details",
		         json_pack("{s:s}", "reason",
		                   finish == FINISH_LENGTH ? "max_output_tokens"
		                                           : "content_filter"));
	return ok ? json_incref(response) : NULL;
}

/* Of the official set; clients decide by it whether to try again. */
static const char *
error_code(const struct failure *failure)
{
	switch (failure->class_) {
	case FAILURE_REQUEST:
		return "invalid_prompt";
	case FAILURE_QUOTA:
		return "rate_limit_exceeded";
	case FAILURE_AUTH:
	case FAILURE_UPSTREAM:
	case FAILURE_SERVER:
	case FAILURE_BUSY:
		break;
	}
	return "server_error";
}

json_t *
responses_failed(const json_t *head, const struct failure *failure, const struct api_error *error,
                 json_t *output)
{
	json_auto_t *response = json_copy_whole(head);
	json_t *message = json_string_lossy(error->message);
	bool ok = set(response, "error",
	              json_pack("{s:s,s:o}", "code", error_code(failure), "message", message)) &&
	          set(response, "status", json_string("failed")) &&
	          set(response, "output", json_copy_whole(output));

	return ok ? json_incref(response) : NULL;
}
