/* thread_events: what a thread hears of its turn, turned into events. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "proxy/codex/codex_error.h"
#include "proxy/codex/thread_internal.h"

/* The turn id of the echoes of injected history. */
#define INJECTED_TURN "auto-compact-"

/* Codex's own default; only where it would go on for ever it says so more often. */
#define RETRIES_MAX 5

void
thread_emit(struct thread *t, const struct event *event)
{
	if (!thread_is_over(t))
		t->on_event(t->arg, event);
}

void
thread_fail_with(struct thread *t, enum failure_kind kind, const char *message)
{
	struct failure failure;

	failure_set(&failure, kind, "%s", message);
	thread_fail(t, &failure);
}

/* --- which turn ------------------------------------------------------------------------------ */

void
thread_learn_turn(struct thread *t, const char *turn_id)
{
	if (turn_id != NULL && t->turn_id[0] == '\0' && strlen(turn_id) < sizeof(t->turn_id))
		strcpy(t->turn_id, turn_id);
}

/* A sign that the turn runs, seen in a notification: whichever comes first settles its id. */
bool
thread_is_our_turn(struct thread *t, const char *id, size_t len)
{
	if (len == 0)
		return false;
	if (t->turn_id[0] == '\0' && len < sizeof(t->turn_id)) {
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

void
thread_mark_started(struct thread *t)
{
	const struct event event = {.kind = EVENT_STARTED};

	if (t->settling) {
		t->completed = false;
		thread_unsettle(t);
	}
	t->retrying = false;
	if (t->started)
		return;
	t->started = true;
	thread_emit(t, &event);
}

/* --- items and responses --------------------------------------------------------------------- */

static void
on_text_delta(struct thread *t, json_t *params)
{
	thread_hear_slow_delta(t, params, DELTA_TEXT);
}

static void
on_summary_delta(struct thread *t, json_t *params)
{
	thread_hear_slow_delta(t, params, DELTA_REASONING_SUMMARY);
}

static void
on_item_started(struct thread *t, json_t *params)
{
	json_t *item = json_get_object(params, "item");
	const char *type = json_get_string(item, "type");
	const char *id = json_get_string(item, "id");

	if (type == NULL || id == NULL || strcmp(type, "userMessage") == 0)
		return;
	if (strcmp(type, "contextCompaction") == 0)
		log_warning("thread %s: codex has shortened the conversation: its model catalog is "
		            "not ours",
		            t->link.id);
	if (t->own != NULL)
		agent_calls_hear_item(t->own, item);
	thread_mark_started(t);
	if (strcmp(type, "agentMessage") == 0 && !thread_is_over(t)) {
		const char *phase = json_get_string(item, "phase");

		thread_begin_message(t, id, strlen(id),
		                     thread_phase(phase, phase != NULL ? strlen(phase) : 0));
	}
}

static void
hear_whole_message(struct thread *t, json_t *message)
{
	thread_mark_started(t);
	if (!thread_is_over(t))
		thread_hear_message(t, message);
	thread_settle(t); /* it may have been the last one */
}

static void
on_raw_item(struct thread *t, json_t *params)
{
	json_t *item = json_get_object(params, "item");
	const char *type = json_get_string(item, "type");
	const char *role = json_get_string(item, "role");

	if (type == NULL)
		return;
	if (t->own != NULL)
		agent_calls_hear_raw(t->own, item);
	if (strcmp(type, "function_call") == 0 || strcmp(type, "custom_tool_call") == 0) {
		thread_hear_call(t, item);
	} else if (strcmp(type, "reasoning") == 0) {
		thread_mark_started(t);
		if (!thread_is_over(t))
			thread_hear_reasoned(t, item);
	} else if (strcmp(type, "message") == 0 && role != NULL && strcmp(role, "assistant") == 0) {
		hear_whole_message(t, item);
	}
}

/* Where there are no raw events: a message, complete. */
static void
on_item_completed(struct thread *t, json_t *params)
{
	json_t *item = json_get_object(params, "item");
	const char *type = json_get_string(item, "type");
	json_auto_t *message = NULL;

	if (!t->config->transcript || type == NULL || strcmp(type, "agentMessage") != 0)
		return;
	message = json_pack("{s:O*,s:O*,s:[{s:O*}]}", "id", json_object_get(item, "id"), "phase",
	                    json_object_get(item, "phase"), "content", "text",
	                    json_object_get(item, "text"));
	if (message != NULL)
		hear_whole_message(t, message);
	else
		thread_fail_with(t, FAILURE_INTERNAL, "Out of memory.");
}

/* Figures that cannot be are ignored. */
static void
add_tokens(int64_t *sum, int64_t n)
{
	if (n > 0 && n <= INT64_MAX - *sum)
		*sum += n;
}

static void
add_usage(struct usage *sum, const struct usage *u)
{
	add_tokens(&sum->input_tokens, u->input_tokens);
	add_tokens(&sum->cached_input_tokens, u->cached_input_tokens);
	add_tokens(&sum->cache_write_input_tokens, u->cache_write_input_tokens);
	add_tokens(&sum->output_tokens, u->output_tokens);
	add_tokens(&sum->reasoning_output_tokens, u->reasoning_output_tokens);
	add_tokens(&sum->total_tokens, u->total_tokens);
}

/* u NULL: all are 0. */
static void
read_usage(struct usage *out, const json_t *u)
{
	const struct usage told = {
		.input_tokens = json_get_int(u, "inputTokens", 0),
		.cached_input_tokens = json_get_int(u, "cachedInputTokens", 0),
		.cache_write_input_tokens = json_get_int(u, "cacheWriteInputTokens", 0),
		.output_tokens = json_get_int(u, "outputTokens", 0),
		.reasoning_output_tokens = json_get_int(u, "reasoningOutputTokens", 0),
		.total_tokens = json_get_int(u, "totalTokens", 0),
	};

	*out = told;
}

static void
emit_usage(struct thread *t)
{
	const struct event event = {.kind = EVENT_USAGE, .usage = t->usage};

	thread_emit(t, &event);
}

/* One of the model's responses is complete. False: the thread has failed. */
static bool
end_response(struct thread *t)
{
	thread_mark_started(t);
	if (!thread_text_is_whole(t)) {
		thread_fail_with(
			t, FAILURE_STREAM_DISCONNECTED,
			"The model's stream broke, and a second try said less than the first.");
		return false;
	}
	t->refused = thread_has_wordless_message(t);
	t->retries = 0;
	t->completed = !t->own_calls; /* whatever happens in an event: the answer is whole */
	thread_say_held(t, t->own_calls || thread_has_calls(t));
	if (thread_is_over(t))
		return false;
	thread_end_text(t);
	return true;
}

/* usage NULL: none was told. */
static void
hear_response(struct thread *t, const char *id, size_t id_len, const struct usage *usage)
{
	if (id_len > 0 && strlen(t->response_id) == id_len &&
	    memcmp(t->response_id, id, id_len) == 0)
		return; /* told twice */
	if (id_len > 0 && id_len < sizeof(t->response_id)) {
		memcpy(t->response_id, id, id_len);
		t->response_id[id_len] = '\0';
	}
	if (!end_response(t))
		return;
	if (usage != NULL) {
		add_usage(&t->usage, usage);
		t->usage_known = true;
		emit_usage(t);
	}
	if (thread_has_calls(t))
		thread_finish_with_calls(t);
	else if (!t->own_calls)
		thread_settle(t);
	t->own_calls = false;
}

static void
on_raw_response(struct thread *t, json_t *params)
{
	json_t *told = json_get_object(params, "usage");
	const char *id = json_get_string(params, "responseId");
	struct usage usage = {0};

	read_usage(&usage, told);
	hear_response(t, id, id != NULL ? strlen(id) : 0, told != NULL ? &usage : NULL);
}

static void
on_token_usage(struct thread *t, json_t *params)
{
	json_t *total = json_get_object(json_get_object(params, "tokenUsage"), "total");
	struct usage told;

	/* Where there are no raw events this is what ends a response. */
	if (t->config->transcript) {
		if (!end_response(t))
			return;
		thread_settle(t);
	}
	if (t->usage_known || total == NULL || thread_is_over(t))
		return;
	read_usage(&told, total);
	t->usage = (struct usage){0};
	add_usage(&t->usage, &told);
	emit_usage(t);
}

/* --- the turn -------------------------------------------------------------------------------- */

static void
on_rerouted(struct thread *t, json_t *params)
{
	const struct event event = {.kind = EVENT_MODEL,
	                            .model = json_get_string(params, "toModel")};

	if (event.model != NULL)
		thread_emit(t, &event);
}

/* The provider's windows are told before the failure that they are the reason of. */
static void
read_error(const struct thread *t, struct failure *f, const json_t *error)
{
	codex_error_to_failure(f, error);
	backend_add_retry_after(t->backend, f);
}

/* The current response begins again. */
static void
on_upstream_retry(struct thread *t, const json_t *error)
{
	codex_retry_to_failure(&t->error, error);
	log_info("thread %s: codex asks the provider again: %s", t->link.id, t->error.message);
	t->completed = false;
	t->retrying = true;
	thread_unsettle(t);
	thread_restart_text(t);
	thread_forget_calls(t);
	if (++t->retries > RETRIES_MAX)
		thread_fail(t, &t->error);
}

static void
on_error(struct thread *t, json_t *params)
{
	const json_t *error = json_get_object(params, "error");

	if (json_get_bool(params, "willRetry", false)) {
		on_upstream_retry(t, error);
		return;
	}
	read_error(t, &t->error, error);
	t->error_known = true;
	t->retrying = false;
	thread_settle(t); /* turn/completed says the same, and says it last */
}

static void
on_turn_started(struct thread *t, json_t *params)
{
	/* is_our_turn has seen to it */
}

static void
finish_completed(struct thread *t)
{
	if (thread_has_calls(t))
		thread_finish_with_calls(t);
	else if (!thread_text_is_whole(t))
		thread_fail_with(
			t, FAILURE_STREAM_DISCONNECTED,
			"The model's stream broke, and a second try said less than the first.");
	else
		thread_finish(t, t->refused ? FINISH_REFUSED : FINISH_STOP);
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
	read_error(t, &failure, error);
	thread_fail(t, &failure);
}

static void
on_turn_completed_well(struct thread *t)
{
	t->turn_over = true;
	if (thread_is_over(t))
		thread_turn_changed(t);
	else
		finish_completed(t);
}

static void
on_turn_completed(struct thread *t, json_t *params)
{
	json_t *turn = json_get_object(params, "turn");
	const char *status = json_get_string(turn, "status");

	if (status != NULL && strcmp(status, "completed") == 0) {
		on_turn_completed_well(t);
		return;
	}
	t->turn_over = true;
	if (thread_is_over(t))
		thread_turn_changed(t);
	else if (status != NULL && strcmp(status, "failed") == 0)
		finish_failed(t, json_get_object(turn, "error"));
	else
		thread_fail_with(t, FAILURE_BACKEND_ERROR, "Codex broke the turn off.");
}

void
thread_end_untold(struct thread *t, bool well)
{
	log_warning("thread %s: no turn/completed came", t->link.id);
	if (t->error_known)
		thread_fail(t, &t->error);
	else if (t->completed || well)
		finish_completed(t);
	else
		thread_fail_with(t, FAILURE_BACKEND_ERROR, "Codex lost the end of the turn.");
}

static const struct {
	const char *method;
	bool after_end; /* of interest to one that is leaving */
	void (*handle)(struct thread *t, json_t *params);
} notifications[] = {
	{"item/agentMessage/delta",         false, on_text_delta    },
	{"item/reasoning/summaryTextDelta", false, on_summary_delta },
	{"item/started",                    false, on_item_started  },
	{"item/completed",                  false, on_item_completed},
	{"rawResponseItem/completed",       false, on_raw_item      },
	{"rawResponse/completed",           false, on_raw_response  },
	{"thread/tokenUsage/updated",       false, on_token_usage   },
	{"model/rerouted",                  false, on_rerouted      },
	{"error",			   false, on_error         },
	{"turn/started",                    true,  on_turn_started  },
	{"turn/completed",                  true,  on_turn_completed},
};

/* Codex's own, not the caller's. */
static bool
is_injected(const char *turn_id, size_t len)
{
	size_t prefix = strlen(INJECTED_TURN);

	return len >= prefix && memcmp(turn_id, INJECTED_TURN, prefix) == 0;
}

static bool
hear_message_begun(struct thread *t, const struct notice *n)
{
	thread_mark_started(t);
	if (!thread_is_over(t))
		thread_begin_message(t, n->item_id, n->item_id_len,
		                     thread_phase(n->phase, n->phase_len));
	return true;
}

static bool
hear_item_whole(struct thread *t, const struct notice *n)
{
	if (t->own != NULL || n->item_id_len == 0 ||
	    !thread_end_heard_message(t, n->item_id, n->item_id_len))
		return false;
	thread_mark_started(t);
	thread_settle(t); /* it may have been the last one */
	return true;
}

bool
thread_on_notice(struct thread_link *link, const struct notice *n)
{
	struct thread *t = (struct thread *)link;

	if (n->kind == NOTICE_THREAD_CLOSED) {
		thread_closed_by_server(t);
		return true;
	}
	if (is_injected(n->turn_id, n->turn_id_len) ||
	    !thread_is_our_turn(t, n->turn_id, n->turn_id_len))
		return true; /* nobody is interested */
	switch (n->kind) {
	case NOTICE_TURN_COMPLETED:
		on_turn_completed_well(t);
		return true;
	case NOTICE_MESSAGE_BEGUN:
		return thread_is_over(t) || hear_message_begun(t, n);
	case NOTICE_ITEM_WHOLE:
		return thread_is_over(t) || hear_item_whole(t, n);
	case NOTICE_RESPONSE:
		if (!thread_is_over(t))
			hear_response(t, n->response_id, n->response_id_len, &n->usage);
		return true;
	case NOTICE_TOKEN_USAGE:
		return thread_is_over(t) || (t->usage_known && !t->config->transcript);
	case NOTICE_TURN_STARTED: /* is_our_turn has seen to it */
	case NOTICE_THREAD_CLOSED:
		break;
	}
	return true;
}

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
	if (turn_id == NULL || is_injected(turn_id, strlen(turn_id)) ||
	    !thread_is_our_turn(t, turn_id, strlen(turn_id)))
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
	thread_free_text(t);
	thread_forget_calls(t);
	agent_calls_free(t->own);
	t->own = NULL;
}
