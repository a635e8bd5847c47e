/* chat_choice: one choice of a chat completion: its turn's events become chunks, or a message. */
#include "proxy/api/chat_internal.h"

#include <stdlib.h>

#include "proxy/api/answer.h"

static const char *const channel_members[CHANNEL_COUNT] = {"content", "reasoning_content"};

void
chat_choice_send_role(struct chat_choice *choice)
{
	char *text;
	size_t len = 0;

	if (choice->role_sent)
		return;
	choice->role_sent = true;
	sse_open(choice->chat->sse);
	text = chat_role_chunk(&choice->head, &len);
	chat_send(choice->chat, text, len);
}

/* From now on part of the answer has been read. */
static void
commit(struct chat_choice *choice)
{
	chat_choice_send_role(choice);
	if (choice->turn != NULL)
		turn_commit(choice->turn);
}

static bool
frame_ready(struct chat_choice *choice, enum channel channel)
{
	struct channel_state *state = &choice->channels[channel];

	if (!state->framed)
		state->framed =
			chat_frame_init(&state->frame, &choice->head, channel_members[channel]);
	return state->framed;
}

/* Is there room for so much more of an answer? False: it has been given up. */
static bool
grow(struct chat_choice *choice, size_t len)
{
	struct chat *c = choice->chat;

	choice->size += len;
	c->size += len;
	if (c->size <= (size_t)c->api->settings->max_response_bytes)
		return true;
	chat_give_up(choice, FAILURE_RESPONSE_TOO_LARGE,
	             "The answer is longer than this server allows.");
	return false;
}

/* Text that the caller gets. False: the answer has been given up. */
static bool
put_text(struct chat_choice *choice, enum channel channel, const char *escaped, size_t len)
{
	struct channel_state *state = &choice->channels[channel];
	struct chat *c = choice->chat;

	if (!grow(choice, len))
		return false;
	if (c->sse == NULL || (c->request.base.json_object != NULL && channel == CHANNEL_CONTENT))
		json_buf_append(&state->text, escaped, len);
	if (c->sse == NULL)
		return true;
	commit(choice);
	if (!frame_ready(choice, channel)) {
		chat_give_up(choice, FAILURE_INTERNAL, "Out of memory.");
		return false;
	}
	(void)sse_write(c->sse, state->frame.before.data, state->frame.before.len, escaped, len,
	                state->frame.after.data, state->frame.after.len);
	return true;
}

/* What was asked for does not hold: then the answer is given up. */
static bool
keeps_promises(struct chat_choice *choice)
{
	struct failure failure;

	if (!answer_breaks_promise(&choice->chat->request.base, choice->tool_calls != NULL,
	                           &choice->channels[CHANNEL_CONTENT].text, &failure))
		return true;
	chat_fail(choice, &failure);
	return false;
}

/* The choice is complete; its turn is over. */
static void
finish(struct chat_choice *choice, enum finish_reason reason)
{
	struct chat *c = choice->chat;
	char *text;
	size_t len = 0;

	choice->finished = true;
	choice->finish = reason;
	if (c->sse != NULL) {
		chat_choice_send_role(choice);
		if (reason == FINISH_REFUSED) {
			text = chat_chunk(&choice->head,
			                  json_pack("{s:s}", "refusal", ANSWER_REFUSAL), NULL,
			                  &len);
			chat_send(c, text, len);
		}
		text = chat_chunk(&choice->head, json_object(),
		                  chat_finish_name(reason, c->request.legacy_functions), &len);
		chat_send(c, text, len);
	}
	chat_choice_done(c);
}

/* A stop sequence: the caller wants no more. What it asked for of a whole answer cannot be asked of
 * one that is cut. */
static void
on_stop(struct chat_choice *choice)
{
	(void)chat_choice_cancel(choice);
	if (!choice->chat->request.base.tool_call_required || keeps_promises(choice))
		finish(choice, FINISH_STOP);
}

/* Text of the model, which may hold a stop sequence. False: the choice is over. */
static bool
say(struct chat_choice *choice, enum channel channel, const char *escaped, size_t len)
{
	enum stop_found found;
	const char *piece;
	size_t piece_len;

	if (choice->stop == NULL || channel != CHANNEL_CONTENT)
		return put_text(choice, channel, escaped, len);
	found = stop_scan_feed(choice->stop, escaped, len, &piece, &piece_len);
	if (found == STOP_NO_MEMORY) {
		chat_give_up(choice, FAILURE_INTERNAL, "Out of memory.");
		return false;
	}
	if (piece_len > 0 && !put_text(choice, channel, piece, piece_len))
		return false;
	if (found == STOP_NONE)
		return true;
	on_stop(choice);
	return false;
}

/* What was held back was no beginning of a stop sequence. False: the answer has been given up. */
static bool
say_the_rest(struct chat_choice *choice)
{
	const char *piece;
	size_t len;

	if (choice->stop == NULL)
		return true;
	stop_scan_flush(choice->stop, &piece, &len);
	return len == 0 || put_text(choice, CHANNEL_CONTENT, piece, len);
}

static void
on_text(struct chat_choice *choice, const struct event *event)
{
	static const char blank_line[] = "\\n\\n"; /* escaped */
	enum channel channel = event->kind == EVENT_TEXT && event->text.phase != PHASE_COMMENTARY
	                               ? CHANNEL_CONTENT
	                               : CHANNEL_REASONING;
	struct channel_state *state = &choice->channels[channel];
	bool same_item = state->item == event->text.item && state->kind == event->kind;

	if (event->text.len == 0)
		return;
	if (state->begun && !same_item && !say(choice, channel, blank_line, sizeof(blank_line) - 1))
		return;
	state->begun = true;
	state->item = event->text.item;
	state->kind = event->kind;
	(void)say(choice, channel, event->text.escaped, event->text.len); /* told by itself */
}

static json_t *
call_delta(const struct chat_choice *choice, const struct event *event)
{
	json_t *call = chat_tool_call(event, true);
	json_t *delta = NULL;

	if (!choice->chat->request.legacy_functions)
		return json_pack("{s:[o]}", "tool_calls", call);
	delta = json_pack("{s:O}", "function_call", json_object_get(call, "function"));
	json_decref(call);
	return delta;
}

static void
on_tool_call(struct chat_choice *choice, const struct event *event)
{
	struct chat *c = choice->chat;
	char *text;
	size_t len = 0;

	if (c->request.base.single_tool_call && event->tool_call.index > 0)
		return;
	if (!say_the_rest(choice) || !grow(choice, event->tool_call.arguments_len))
		return;
	if (choice->tool_calls == NULL)
		choice->tool_calls = json_array();
	if (json_array_append_new(choice->tool_calls, chat_tool_call(event, false)) != 0) {
		chat_give_up(choice, FAILURE_INTERNAL, "Out of memory.");
		return;
	}
	if (c->sse == NULL)
		return;
	commit(choice);
	text = chat_chunk(&choice->head, call_delta(choice, event), NULL, &len);
	chat_send(c, text, len);
}

static void
on_model(struct chat_choice *choice, const char *model)
{
	(void)chat_head_set_model(&choice->head, model); /* without memory the old name stays */
	for (size_t i = 0; i < CHANNEL_COUNT; i++) {
		chat_frame_fini(&choice->channels[i].frame);
		choice->channels[i].framed = false;
	}
}

static void
on_restarted(struct chat_choice *choice)
{
	for (size_t i = 0; i < CHANNEL_COUNT; i++) {
		choice->channels[i].text.len = 0;
		choice->channels[i].begun = false;
	}
	if (choice->stop != NULL)
		stop_scan_reset(choice->stop);
	choice->chat->size -= choice->size;
	choice->size = 0;
	json_decref(choice->tool_calls);
	choice->tool_calls = NULL;
	choice->usage = (struct usage){0};
}

static void
on_finished(struct chat_choice *choice, enum finish_reason reason)
{
	choice->turn = NULL;
	if (say_the_rest(choice) && (reason != FINISH_STOP || keeps_promises(choice)))
		finish(choice, reason);
}

static void
on_event(void *arg, const struct event *event)
{
	struct chat_choice *choice = arg;
	struct sse *sse = choice->chat->sse;

	access_note(&choice->chat->base.access, event);
	switch (event->kind) {
	case EVENT_ADMITTED:
		if (sse != NULL && choice->head.choice == 0) /* the first of all */
			sse_start_delay(sse);
		break;
	case EVENT_RESTARTED:
		on_restarted(choice);
		break;
	case EVENT_MODEL:
		on_model(choice, event->model);
		break;
	case EVENT_STARTED:
		if (sse != NULL)
			chat_choice_send_role(choice);
		break;
	case EVENT_TEXT:
	case EVENT_REASONING:
		on_text(choice, event);
		break;
	case EVENT_REASONED: /* chat completions have no place for it */
		break;
	case EVENT_TOOL_CALL:
		on_tool_call(choice, event);
		break;
	case EVENT_USAGE:
		choice->usage = event->usage;
		break;
	case EVENT_FINISHED:
		on_finished(choice, event->finish);
		break;
	case EVENT_FAILED:
		choice->turn = NULL;
		chat_fail(choice, event->failure);
		break;
	}
}

bool
chat_choice_begin(struct chat_choice *choice, struct conversation *conversation)
{
	struct chat *c = choice->chat;

	if (c->request.stop != NULL) {
		choice->stop = stop_scan_new(c->request.stop);
		if (choice->stop == NULL) {
			conversation_free(conversation);
			return false;
		}
	}
	choice->turn = turn_submit(c->api->turns, conversation, (unsigned)http_caller(c->x),
	                           on_event, choice);
	return choice->turn != NULL;
}

bool
chat_choice_cancel(struct chat_choice *choice)
{
	struct turn *turn = choice->turn;

	choice->turn = NULL;
	if (turn != NULL)
		turn_cancel(turn);
	return turn != NULL;
}

json_t *
chat_choice_whole(const struct chat_choice *choice)
{
	bool legacy = choice->chat->request.legacy_functions;
	const struct chat_whole whole = {
		.content = &choice->channels[CHANNEL_CONTENT].text,
		.reasoning = &choice->channels[CHANNEL_REASONING].text,
		.tool_calls = choice->tool_calls,
		.refusal = choice->finish == FINISH_REFUSED ? ANSWER_REFUSAL : NULL,
		.finish_reason = chat_finish_name(choice->finish, legacy),
		.legacy = legacy,
	};

	return chat_choice_object(choice->head.choice, &whole);
}

void
chat_choice_fini(struct chat_choice *choice)
{
	chat_head_fini(&choice->head);
	for (size_t i = 0; i < CHANNEL_COUNT; i++) {
		json_buf_free(&choice->channels[i].text);
		chat_frame_fini(&choice->channels[i].frame);
	}
	stop_scan_free(choice->stop);
	json_decref(choice->tool_calls);
}
