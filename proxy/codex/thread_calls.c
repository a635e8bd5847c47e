/* thread_calls: what the model calls in a turn: functions of the caller, kept until their response
 * is complete, and codex's own tools. */
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "proxy/codex/hidden_tools.h"
#include "proxy/codex/thread_internal.h"

/* One that is told twice is one. */
static bool
has_call(const struct thread *t, const char *call_id)
{
	json_t *call;
	size_t i;

	json_array_foreach(t->tool_calls, i, call) {
		const char *id = json_get_string(call, "call_id");

		if (id != NULL && call_id != NULL && strcmp(id, call_id) == 0)
			return true;
	}
	return false;
}

static void
add_tool_call(struct thread *t, json_t *call)
{
	if (thread_is_over(t) || has_call(t, json_get_string(call, "call_id")))
		return;
	if (t->tool_calls == NULL)
		t->tool_calls = json_array();
	if (json_array_size(t->tool_calls) == ITEMS_MAX)
		thread_fail_with(t, FAILURE_BACKEND_ERROR,
		                 "Codex sent more calls than make sense.");
	else if (json_array_append(t->tool_calls, call) != 0)
		thread_fail_with(t, FAILURE_INTERNAL, "Out of memory.");
}

static const json_t *
find_tool(const json_t *tools, const char *name)
{
	const json_t *tool;
	size_t i;

	json_array_foreach(tools, i, tool) {
		const char *known = json_get_string(tool, "name");

		if (name != NULL && known != NULL && strcmp(known, name) == 0)
			return tool;
	}
	return NULL;
}

/* A function of the caller's, and not a tool of codex's own. */
static bool
is_callers(const struct thread *t, const json_t *call)
{
	const char *space = json_get_string(call, "namespace");
	const json_t *tools = t->conversation->tools;

	if (t->own == NULL)
		return true; /* codex has none */
	if (space != NULL && strcmp(space, "functions") != 0)
		tools = json_object_get(find_tool(tools, space), "tools");
	return find_tool(tools, json_get_string(call, "name")) != NULL;
}

void
thread_hear_call(struct thread *t, json_t *call)
{
	const char *type = json_get_string(call, "type");
	bool callers = strcmp(type, "function_call") == 0 && is_callers(t, call);

	thread_mark_started(t);
	if (callers)
		add_tool_call(t, call);
	else
		t->own_calls = true;
}

bool
thread_has_calls(const struct thread *t)
{
	return json_array_size(t->tool_calls) > 0;
}

void
thread_forget_calls(struct thread *t)
{
	json_decref(t->tool_calls);
	t->tool_calls = NULL;
	t->own_calls = false;
}

void
thread_finish_with_calls(struct thread *t)
{
	json_t *calls = t->tool_calls;
	json_t *call;
	size_t i;

	t->tool_calls = NULL;
	t->completed = false; /* half of the calls would be no answer */
	json_array_foreach(calls, i, call) {
		json_t *arguments = json_object_get(call, "arguments");
		const char *call_id = json_get_string(call, "call_id");
		const char *name = json_get_string(call, "name");
		struct event event = {.kind = EVENT_TOOL_CALL};

		event.tool_call.index = (unsigned)i;
		event.tool_call.space = hidden_tools_namespace(json_get_string(call, "namespace"));
		event.tool_call.call_id = call_id != NULL ? call_id : "";
		event.tool_call.name = name != NULL ? name : "";
		event.tool_call.arguments =
			json_is_string(arguments) ? json_string_value(arguments) : "";
		event.tool_call.arguments_len = json_string_length(arguments);
		thread_emit(t, &event);
	}
	json_decref(calls);
	thread_finish(t, FINISH_TOOL_CALLS);
}

bool
thread_approves(struct thread_link *link, const char *method, const json_t *params)
{
	struct thread *t = (struct thread *)link;
	struct policy_decision d;

	if (t->own == NULL || thread_is_over(t) || !agent_is_asked(method))
		return false;
	d = agent_decide(t->config->agent, t->own, method, params);
	log_info("thread %s: tool policy: %s%s%s: %s", t->link.id,
	         strstr(method, "commandExecution") != NULL ? "command" : "patch",
	         d.program[0] != '\0' ? " " : "", d.program, d.allow ? "approved" : "declined");
	if (!d.allow)
		log_info("thread %s: tool policy: because of: %s", t->link.id, d.reason);
	t->acted = t->acted || d.allow;
	return d.allow;
}
