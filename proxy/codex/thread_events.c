/* thread_events: what a thread hears of its turn, turned into events. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "proxy/codex/codex_error.h"
#include "proxy/codex/thread_internal.h"

/* A turn of chat has a handful of messages; so many are an app-server that went mad. */
#define ITEMS_MAX 10000

/* The turn id of the echoes of injected history. */
#define INJECTED_TURN "auto-compact-"

static void
emit(struct thread *t, const struct event *event)
{
	if (!thread_is_over(t))
		t->on_event(t->arg, event);
}

static void
fail(struct thread *t, enum failure_kind kind, const char *message)
{
	struct failure failure;

	failure_set(&failure, kind, "%s", message);
	thread_fail(t, &failure);
}

static void
grace(struct thread *t)
{
	if (!thread_is_over(t))
		thread_set_timer(t, t->config->completion_grace_ms);
}

/* --- which turn ----------------------------------------------------------------------------- */

void
thread_learn_turn(struct thread *t, const char *turn_id)
{
	if (turn_id != NULL && t->turn_id[0] == '\0' && strlen(turn_id) < sizeof(t->turn_id))
		strcpy(t->turn_id, turn_id);
}

/* A sign that the turn runs, seen in a notification: whichever comes first settles its id. */
static bool
is_our_turn(struct thread *t, const char *id, size_t len)
{
	if (t->turn_id[0] == '\0' && len > 0 && len < sizeof(t->turn_id)) {
		memcpy(t->turn_id, id, len);
		t->turn_id[len] = '\0';
	}
	if (strlen(t->turn_id) != len || memcmp(t->turn_id, id, len) != 0)
		return false;
	if (!t->turn_started) {
		t->turn_started = true;
		thread_turn_changed(t);
	}
	return true;
}

static void
mark_started(struct thread *t)
{
	const struct event event = {.kind = EVENT_STARTED};

	if (t->completed) {
		t->completed = false; /* it goes on after all */
		thread_stop_timer(t);
	}
	if (t->started)
		return;
	t->started = true;
	emit(t, &event);
}

/* --- text ----------------------------------------------------------------------------------- */

static struct thread_item *
find_item(struct thread *t, const char *id, size_t len)
{
	/* It is nearly always the last one. */
	for (size_t i = t->item_count; i > 0; i--) {
		struct thread_item *item = &t->items[i - 1];

		if (strncmp(item->id, id, len) == 0 && item->id[len] == '\0')
			return item;
	}
	return NULL;
}

/* NULL: the thread has failed. */
static struct thread_item *
add_item(struct thread *t, const char *id, size_t len, enum message_phase phase)
{
	struct thread_item *item;

	if (t->item_count == ITEMS_MAX) {
		fail(t, FAILURE_BACKEND_ERROR, "Codex sent more messages than make sense.");
		return NULL;
	}
	if (t->item_count == t->item_cap) {
		size_t cap = t->item_cap == 0 ? 2 : t->item_cap * 2;
		struct thread_item *grown = realloc(t->items, cap * sizeof(*grown));

		if (grown == NULL) {
			fail(t, FAILURE_INTERNAL, "Out of memory.");
			return NULL;
		}
		t->items = grown;
		t->item_cap = cap;
	}
	item = &t->items[t->item_count];
	*item = (struct thread_item){
		.id = strndup(id, len), .index = (unsigned)t->item_count, .phase = phase};
	if (item->id == NULL) {
		fail(t, FAILURE_INTERNAL, "Out of memory.");
		return NULL;
	}
	t->item_count++;
	return item;
}

static void
drop_items(struct thread *t, size_t from)
{
	while (t->item_count > from)
		free(t->items[--t->item_count].id);
}

/* Passes on what of the text is new. */
static void
say(struct thread *t, struct replay *replay, struct event *event)
{
	if (!replay_hear(replay, &event->text.escaped, &event->text.len)) {
		fail(t, FAILURE_STREAM_DISCONNECTED,
		     "The model's stream broke, and a second try went another way.");
		return;
	}
	if (event->text.len > 0)
		emit(t, event);
}

static void
hear_text(struct thread *t, const char *item_id, size_t id_len, const char *escaped, size_t len)
{
	struct thread_item *item = find_item(t, item_id, id_len);
	struct event event = {.kind = EVENT_TEXT};

	if (item == NULL)
		item = add_item(t, item_id, id_len, PHASE_FINAL);
	if (item == NULL)
		return;
	item->heard = true;
	event.text.escaped = escaped;
	event.text.len = len;
	event.text.item = item->index;
	event.text.phase = item->phase;
	say(t, &t->text, &event);
}

static void
hear_reasoning(struct thread *t, const char *item_id, size_t id_len, unsigned summary,
               const char *escaped, size_t len)
{
	struct event event = {.kind = EVENT_REASONING};
	bool same_item = t->reasoning_id != NULL && strlen(t->reasoning_id) == id_len &&
	                 memcmp(t->reasoning_id, item_id, id_len) == 0;

	if (!same_item || t->reasoning_summary != summary) {
		t->reasoning_part += t->reasoning_id != NULL;
		free(t->reasoning_id);
		t->reasoning_id = strndup(item_id, id_len); /* NULL: parts run together */
		t->reasoning_summary = summary;
	}
	event.text.escaped = escaped;
	event.text.len = len;
	event.text.item = t->reasoning_part;
	say(t, &t->reasoning, &event);
}

void
thread_on_delta(struct thread_link *link, const struct delta *d)
{
	struct thread *t = (struct thread *)link;

	if (!is_our_turn(t, d->turn_id, d->turn_id_len) || thread_is_over(t))
		return;
	mark_started(t);
	if (thread_is_over(t))
		return;
	if (d->kind == DELTA_TEXT)
		hear_text(t, d->item_id, d->item_id_len, d->escaped, d->escaped_len);
	else
		hear_reasoning(t, d->item_id, d->item_id_len, d->summary_index, d->escaped,
		               d->escaped_len);
}

/* A delta in a shape that the scanner does not know. */
static void
on_slow_delta(struct thread *t, json_t *params, enum delta_kind kind)
{
	json_t *text = json_object_get(params, "delta");
	const char *turn_id = json_get_string(params, "turnId");
	const char *item_id = json_get_string(params, "itemId");
	struct json_buf escaped = {0};

	if (!json_is_string(text) || turn_id == NULL || item_id == NULL)
		return;
	json_print_escaped(&escaped, json_string_value(text), json_string_length(text));
	if (escaped.failed) {
		fail(t, FAILURE_INTERNAL, "Out of memory.");
	} else {
		struct delta d = {
			.kind = kind,
			.turn_id = turn_id,
			.turn_id_len = strlen(turn_id),
			.item_id = item_id,
			.item_id_len = strlen(item_id),
			.escaped = escaped.len > 0 ? escaped.data : "",
			.escaped_len = escaped.len,
			.summary_index = (unsigned)json_get_int(params, "summaryIndex", 0),
		};

		thread_on_delta(&t->link, &d);
	}
	json_buf_free(&escaped);
}

static void
on_text_delta(struct thread *t, json_t *params)
{
	on_slow_delta(t, params, DELTA_TEXT);
}

static void
on_summary_delta(struct thread *t, json_t *params)
{
	on_slow_delta(t, params, DELTA_REASONING_SUMMARY);
}

/* --- items and responses -------------------------------------------------------------------- */

static enum message_phase
phase_of(const json_t *item)
{
	const char *phase = json_get_string(item, "phase");

	return phase != NULL && strcmp(phase, "commentary") == 0 ? PHASE_COMMENTARY : PHASE_FINAL;
}

static void
on_item_started(struct thread *t, json_t *params)
{
	json_t *item = json_get_object(params, "item");
	const char *type = json_get_string(item, "type");
	const char *id = json_get_string(item, "id");

	if (type == NULL || id == NULL || strcmp(type, "userMessage") == 0)
		return;
	mark_started(t);
	if (strcmp(type, "agentMessage") == 0 && !thread_is_over(t) &&
	    find_item(t, id, strlen(id)) == NULL)
		(void)add_item(t, id, strlen(id), phase_of(item)); /* NULL: it has failed */
}

/* A message that came whole, without deltas. */
static void
hear_message(struct thread *t, const json_t *item)
{
	const char *id = json_get_string(item, "id");
	struct thread_item *known = id != NULL ? find_item(t, id, strlen(id)) : NULL;
	json_t *part;
	size_t i;

	if (id == NULL || (known != NULL && known->heard))
		return;
	if (known == NULL && add_item(t, id, strlen(id), phase_of(item)) == NULL)
		return;
	json_array_foreach(json_get_array(item, "content"), i, part) {
		json_t *text = json_object_get(part, "text");
		struct json_buf escaped = {0};

		if (thread_is_over(t) || !json_is_string(text))
			continue;
		json_print_escaped(&escaped, json_string_value(text), json_string_length(text));
		if (escaped.failed)
			fail(t, FAILURE_INTERNAL, "Out of memory.");
		else
			hear_text(t, id, strlen(id), escaped.len > 0 ? escaped.data : "",
			          escaped.len);
		json_buf_free(&escaped);
	}
}

static void
on_raw_item(struct thread *t, json_t *params)
{
	json_t *item = json_get_object(params, "item");
	const char *type = json_get_string(item, "type");
	const char *role = json_get_string(item, "role");

	if (type == NULL)
		return;
	if (strcmp(type, "function_call") == 0) {
		mark_started(t);
		if (t->tool_calls == NULL)
			t->tool_calls = json_array();
		if (json_array_append(t->tool_calls, item) != 0)
			fail(t, FAILURE_INTERNAL, "Out of memory.");
	} else if (strcmp(type, "reasoning") == 0) {
		mark_started(t);
	} else if (strcmp(type, "message") == 0 && role != NULL && strcmp(role, "assistant") == 0) {
		mark_started(t);
		if (!thread_is_over(t))
			hear_message(t, item);
	}
}

static void
read_usage(struct usage *out, const json_t *u)
{
	out->input_tokens += json_get_int(u, "inputTokens", 0);
	out->cached_input_tokens += json_get_int(u, "cachedInputTokens", 0);
	out->output_tokens += json_get_int(u, "outputTokens", 0);
	out->reasoning_output_tokens += json_get_int(u, "reasoningOutputTokens", 0);
	out->total_tokens += json_get_int(u, "totalTokens", 0);
}

static void
emit_usage(struct thread *t)
{
	const struct event event = {.kind = EVENT_USAGE, .usage = t->usage};

	emit(t, &event);
}

/* Hands the calls out. Codex waits for their answers from us, but the caller's come with the next
 * request, in a thread of its own: this one ends here. */
static void
finish_with_tool_calls(struct thread *t)
{
	json_t *calls = t->tool_calls;
	json_t *call;
	size_t i;

	t->tool_calls = NULL;
	json_array_foreach(calls, i, call) {
		json_t *arguments = json_object_get(call, "arguments");
		const char *call_id = json_get_string(call, "call_id");
		const char *name = json_get_string(call, "name");
		struct event event = {.kind = EVENT_TOOL_CALL};

		event.tool_call.index = (unsigned)i;
		event.tool_call.call_id = call_id != NULL ? call_id : "";
		event.tool_call.name = name != NULL ? name : "";
		event.tool_call.arguments =
			json_is_string(arguments) ? json_string_value(arguments) : "";
		event.tool_call.arguments_len = json_string_length(arguments);
		emit(t, &event);
	}
	json_decref(calls);
	thread_finish(t, FINISH_TOOL_CALLS);
}

static bool
has_tool_calls(const struct thread *t)
{
	return json_array_size(t->tool_calls) > 0;
}

static void
on_raw_response(struct thread *t, json_t *params)
{
	json_t *usage = json_get_object(params, "usage");

	mark_started(t);
	if (!replay_is_complete(&t->text) || !replay_is_complete(&t->reasoning)) {
		fail(t, FAILURE_STREAM_DISCONNECTED,
		     "The model's stream broke, and a second try said less than the first.");
		return;
	}
	t->text = t->reasoning = (struct replay){0};
	t->response_items = t->item_count;
	if (usage != NULL) {
		read_usage(&t->usage, usage);
		t->usage_known = true;
		emit_usage(t);
	}
	t->completed = true;
	if (has_tool_calls(t))
		finish_with_tool_calls(t);
	else
		grace(t);
}

static void
on_token_usage(struct thread *t, json_t *params)
{
	json_t *total = json_get_object(json_get_object(params, "tokenUsage"), "total");

	if (t->usage_known || total == NULL)
		return;
	t->usage = (struct usage){0};
	read_usage(&t->usage, total);
	emit_usage(t);
}

/* --- the turn ------------------------------------------------------------------------------- */

static void
on_rerouted(struct thread *t, json_t *params)
{
	const struct event event = {.kind = EVENT_MODEL,
	                            .model = json_get_string(params, "toModel")};

	if (event.model != NULL)
		emit(t, &event);
}

static void
on_error(struct thread *t, json_t *params)
{
	const json_t *error = json_get_object(params, "error");

	if (json_get_bool(params, "willRetry", false)) {
		const char *why = json_get_string(error, "message");

		log_info("thread %s: codex asks the provider again: %s", t->link.id,
		         why != NULL ? why : "");
		replay_restart(&t->text);
		replay_restart(&t->reasoning);
		drop_items(t, t->response_items);
		t->reasoning_part = 0;
		free(t->reasoning_id);
		t->reasoning_id = NULL;
		json_decref(t->tool_calls);
		t->tool_calls = NULL;
		return;
	}
	codex_error_to_failure(&t->error, error);
	t->error_known = true;
	grace(t); /* turn/completed says the same, and says it last */
}

static void
on_turn_started(struct thread *t, json_t *params)
{
	/* is_our_turn has seen to it */
}

static void
finish_completed(struct thread *t)
{
	if (has_tool_calls(t))
		finish_with_tool_calls(t);
	else if (!replay_is_complete(&t->text))
		fail(t, FAILURE_STREAM_DISCONNECTED,
		     "The model's stream broke, and a second try said less than the first.");
	else
		thread_finish(t, FINISH_STOP);
}

static void
finish_failed(struct thread *t, const json_t *error)
{
	enum finish_reason finish;
	struct failure failure;

	if (codex_error_is_finish(error, &finish)) {
		thread_finish(t, finish);
		return;
	}
	codex_error_to_failure(&failure, error);
	thread_fail(t, &failure);
}

static void
on_turn_completed(struct thread *t, json_t *params)
{
	json_t *turn = json_get_object(params, "turn");
	const char *status = json_get_string(turn, "status");

	t->turn_over = true;
	if (thread_is_over(t))
		thread_turn_changed(t);
	else if (status != NULL && strcmp(status, "completed") == 0)
		finish_completed(t);
	else if (status != NULL && strcmp(status, "failed") == 0)
		finish_failed(t, json_get_object(turn, "error"));
	else
		fail(t, FAILURE_BACKEND_ERROR, "Codex broke the turn off.");
}

void
thread_grace_over(struct thread *t)
{
	log_warning("thread %s: no turn/completed came", t->link.id);
	if (t->error_known)
		thread_fail(t, &t->error);
	else
		finish_completed(t);
}

void
thread_on_tool_request(struct thread_link *link)
{
	struct thread *t = (struct thread *)link;

	/* Comes after rawResponse/completed, which has ended the turn: unless that was lost. */
	grace(t);
}

static const struct {
	const char *method;
	bool after_end; /* of interest to one that is leaving */
	void (*handle)(struct thread *t, json_t *params);
} notifications[] = {
	{"item/agentMessage/delta",         false, on_text_delta    },
	{"item/reasoning/summaryTextDelta", false, on_summary_delta },
	{"item/started",                    false, on_item_started  },
	{"rawResponseItem/completed",       false, on_raw_item      },
	{"rawResponse/completed",           false, on_raw_response  },
	{"thread/tokenUsage/updated",       false, on_token_usage   },
	{"model/rerouted",                  false, on_rerouted      },
	{"error",			   false, on_error         },
	{"turn/started",                    true,  on_turn_started  },
	{"turn/completed",                  true,  on_turn_completed},
};

void
thread_on_notification(struct thread_link *link, const char *method, json_t *params)
{
	struct thread *t = (struct thread *)link;
	const char *turn_id = json_get_string(params, "turnId");

	if (strcmp(method, "thread/closed") == 0) {
		thread_closed_by_server(t);
		return;
	}
	if (turn_id == NULL)
		turn_id = json_get_string(json_get_object(params, "turn"), "id");
	if (turn_id == NULL || strncmp(turn_id, INJECTED_TURN, strlen(INJECTED_TURN)) == 0 ||
	    !is_our_turn(t, turn_id, strlen(turn_id)))
		return;
	for (size_t i = 0; i < NELEM(notifications); i++) {
		if (strcmp(notifications[i].method, method) != 0)
			continue;
		if (notifications[i].after_end || !thread_is_over(t))
			notifications[i].handle(t, params);
		return;
	}
}

void
thread_events_free(struct thread *t)
{
	drop_items(t, 0);
	free(t->items);
	t->items = NULL;
	free(t->reasoning_id);
	t->reasoning_id = NULL;
	json_decref(t->tool_calls);
	t->tool_calls = NULL;
}
