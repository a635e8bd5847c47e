/* chat: POST /v1/chat/completions, from the request's body to the last byte of its answer. */
#include "proxy/api/chat.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "proxy/api/chat_answer.h"
#include "proxy/api/chat_request.h"
#include "proxy/api/errors.h"
#include "proxy/http/sse.h"

/* The two texts of an answer. Commentary goes with the reasoning: it is said on the way, and is not
 * the answer. */
enum channel { CHANNEL_CONTENT, CHANNEL_REASONING, CHANNEL_COUNT };

static const char *const channel_members[CHANNEL_COUNT] = {"content", "reasoning_content"};

struct channel_state {
	struct json_buf text;    /* escaped; not streaming only */
	struct chat_frame frame; /* streaming only; made with the first text */
	bool framed;
	bool begun;
	unsigned item;
	enum event_kind kind; /* with item: which message the last text belonged to */
};

struct chat {
	struct api_request base;
	struct api *api;
	struct http_exchange *x;
	struct turn *turn; /* NULL when it is over */
	struct chat_request request;
	struct chat_head head;
	struct channel_state channels[CHANNEL_COUNT];
	size_t size;        /* bytes of the answer so far, calls included */
	json_t *tool_calls; /* array, made with the first */
	struct usage usage;
	struct sse *sse; /* NULL: a whole answer */
	bool role_sent;
	const char *outcome; /* for the access log */
};

static void
send_chunk(struct chat *c, char *text, size_t len)
{
	if (text != NULL)
		(void)sse_event(c->sse, text, len); /* a client cut off is told by on_done */
	free(text);
}

/* The first event of every stream. */
static void
send_role(struct chat *c)
{
	char *text;
	size_t len = 0;

	if (c->role_sent)
		return;
	c->role_sent = true;
	sse_open(c->sse);
	text = chat_chunk(&c->head, json_pack("{s:s,s:s}", "role", "assistant", "content", ""),
	                  NULL, &len);
	send_chunk(c, text, len);
}

static void
on_headers_due(void *arg)
{
	send_role(arg);
}

static void
finish_stream(struct chat *c)
{
	(void)sse_event(c->sse, "[DONE]", 6);
	sse_end(c->sse);
}

static void
reply_error(struct chat *c, const struct api_error *error)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	if (c->sse == NULL || !sse_is_open(c->sse)) {
		sse_free(c->sse); /* or its delay would begin a stream after the answer */
		c->sse = NULL;
		api_error_reply(c->x, error);
		return;
	}
	text = api_error_text(error, &len);
	if (text != NULL)
		(void)sse_event(c->sse, text, len);
	finish_stream(c);
}

static void
reply_failure(struct chat *c, const struct failure *failure)
{
	struct api_error error;

	api_error_from_failure(&error, failure);
	reply_error(c, &error);
	c->outcome = failure_kind_name(failure->kind);
}

/* Gives the turn up and answers with an error. */
static void
give_up(struct chat *c, enum failure_kind kind, const char *message)
{
	struct failure failure;

	if (c->turn != NULL)
		turn_cancel(c->turn);
	c->turn = NULL;
	failure_set(&failure, kind, "%s", message);
	reply_failure(c, &failure);
}

static void
commit(struct chat *c)
{
	send_role(c);
	turn_commit(c->turn);
}

static bool
frame_ready(struct chat *c, enum channel channel)
{
	struct channel_state *state = &c->channels[channel];

	if (!state->framed)
		state->framed = chat_frame_init(&state->frame, &c->head, channel_members[channel]);
	return state->framed;
}

/* Is there room for so much more of an answer? False: it has been given up. */
static bool
grow(struct chat *c, size_t len)
{
	c->size += len;
	if (c->size <= (size_t)c->api->settings->max_response_bytes)
		return true;
	give_up(c, FAILURE_RESPONSE_TOO_LARGE, "The answer is longer than this server allows.");
	return false;
}

static void
put_text(struct chat *c, enum channel channel, const char *escaped, size_t len)
{
	struct channel_state *state = &c->channels[channel];

	if (!grow(c, len))
		return;
	state->begun = true;
	if (c->sse == NULL) {
		json_buf_append(&state->text, escaped, len);
		return;
	}
	commit(c);
	if (!frame_ready(c, channel)) {
		give_up(c, FAILURE_INTERNAL, "Out of memory.");
		return;
	}
	(void)sse_write(c->sse, state->frame.before.data, state->frame.before.len, escaped, len,
	                state->frame.after.data, state->frame.after.len);
}

static void
on_text(struct chat *c, const struct event *event)
{
	static const char blank_line[] = "\\n\\n"; /* escaped */
	enum channel channel = event->kind == EVENT_TEXT && event->text.phase == PHASE_FINAL
	                               ? CHANNEL_CONTENT
	                               : CHANNEL_REASONING;
	struct channel_state *state = &c->channels[channel];
	bool same_item = state->item == event->text.item && state->kind == event->kind;

	if (event->text.len == 0)
		return;
	if (state->begun && !same_item)
		put_text(c, channel, blank_line, sizeof(blank_line) - 1);
	state->item = event->text.item;
	state->kind = event->kind;
	if (c->turn != NULL)
		put_text(c, channel, event->text.escaped, event->text.len);
}

static void
on_tool_call(struct chat *c, const struct event *event)
{
	char *text;
	size_t len = 0;

	if (c->request.single_tool_call && event->tool_call.index > 0)
		return;
	if (!grow(c, event->tool_call.arguments_len))
		return;
	if (c->tool_calls == NULL)
		c->tool_calls = json_array();
	if (json_array_append_new(c->tool_calls, chat_tool_call(event, false)) != 0) {
		give_up(c, FAILURE_INTERNAL, "Out of memory.");
		return;
	}
	if (c->sse == NULL)
		return;
	commit(c);
	text = chat_chunk(&c->head, json_pack("{s:[o]}", "tool_calls", chat_tool_call(event, true)),
	                  NULL, &len);
	send_chunk(c, text, len);
}

static void
on_model(struct chat *c, const char *model)
{
	(void)chat_head_set_model(&c->head, model); /* without memory the old name stays */
	for (size_t i = 0; i < CHANNEL_COUNT; i++) {
		chat_frame_fini(&c->channels[i].frame);
		c->channels[i].framed = false;
	}
}

static void
on_restarted(struct chat *c)
{
	for (size_t i = 0; i < CHANNEL_COUNT; i++) {
		c->channels[i].text.len = 0;
		c->channels[i].begun = false;
	}
	c->size = 0;
	json_decref(c->tool_calls);
	c->tool_calls = NULL;
	c->usage = (struct usage){0};
}

static void
on_finished(struct chat *c, enum finish_reason finish)
{
	char *text;
	size_t len = 0;

	c->turn = NULL;
	c->outcome = chat_finish_name(finish);
	if (c->request.tool_call_required && finish == FINISH_STOP) {
		give_up(c, FAILURE_BACKEND_ERROR,
		        "The model answered without the function call that 'tool_choice' "
		        "requires.");
		return;
	}
	if (c->sse == NULL) {
		text = chat_completion(&c->head, &c->channels[CHANNEL_CONTENT].text,
		                       &c->channels[CHANNEL_REASONING].text, c->tool_calls, finish,
		                       &c->usage, &len);
		if (text == NULL)
			give_up(c, FAILURE_INTERNAL, "Out of memory.");
		else
			http_reply(c->x, 200, "application/json", text, len);
		free(text);
		return;
	}
	send_role(c);
	text = chat_chunk(&c->head, json_object(), chat_finish_name(finish), &len);
	send_chunk(c, text, len);
	if (c->request.include_usage) {
		text = chat_usage_chunk(&c->head, &c->usage, &len);
		send_chunk(c, text, len);
	}
	finish_stream(c);
}

static void
on_event(void *arg, const struct event *event)
{
	struct chat *c = arg;

	access_note(&c->base.access, event);
	switch (event->kind) {
	case EVENT_ADMITTED:
		if (c->sse != NULL)
			sse_start_delay(c->sse);
		break;
	case EVENT_RESTARTED:
		on_restarted(c);
		break;
	case EVENT_MODEL:
		on_model(c, event->model);
		break;
	case EVENT_STARTED:
		if (c->sse != NULL)
			send_role(c);
		break;
	case EVENT_TEXT:
	case EVENT_REASONING:
		on_text(c, event);
		break;
	case EVENT_TOOL_CALL:
		on_tool_call(c, event);
		break;
	case EVENT_USAGE:
		c->usage = event->usage;
		break;
	case EVENT_FINISHED:
		on_finished(c, event->finish);
		break;
	case EVENT_FAILED:
		c->turn = NULL;
		reply_failure(c, event->failure);
		break;
	}
}

/* The exchange is over, whoever ended it. */
static void
on_done(struct api_request *base, bool complete)
{
	struct chat *c = (struct chat *)base;

	if (c->turn != NULL) {
		turn_cancel(c->turn);
		c->outcome = "cancelled";
	}
	access_log(c->api, c->x, c->head.model, c->outcome, &c->usage);
	sse_free(c->sse);
	chat_request_fini(&c->request);
	chat_head_fini(&c->head);
	for (size_t i = 0; i < CHANNEL_COUNT; i++) {
		json_buf_free(&c->channels[i].text);
		chat_frame_fini(&c->channels[i].frame);
	}
	json_decref(c->tool_calls);
	free(c);
}

static bool
submit(struct chat *c)
{
	struct api *api = c->api;

	chat_head_init(&c->head);
	c->head.include_usage = c->request.include_usage;
	if (c->request.conversation->model != NULL &&
	    !chat_head_set_model(&c->head, c->request.conversation->model))
		return false;
	if (c->request.stream) {
		c->sse = sse_new(api->loop, c->x, (uint64_t)api->settings->sse_header_delay_ms,
		                 (uint64_t)api->settings->keepalive_ms, on_headers_due, c);
		if (c->sse == NULL)
			return false;
	}
	c->turn = turn_submit(api->turns, c->request.conversation, on_event, c);
	c->request.conversation = NULL; /* the turn's now */
	return c->turn != NULL;
}

void
chat_handle(struct api *api, struct http_exchange *x)
{
	struct chat *c = calloc(1, sizeof(*c));
	struct api_error error;
	const char *body;
	size_t len;

	if (c == NULL) {
		api_error_set(&error, 500, "server_error", "internal_error", "Out of memory.");
		api_error_reply(x, &error);
		return;
	}
	c->base.on_done = on_done;
	c->api = api;
	c->x = x;
	c->outcome = "internal_error";
	http_set_data(x, c);
	body = http_body(x, &len);
	if (!chat_request_parse(&c->request, body, len, api->settings->default_effort, &error)) {
		c->outcome = "invalid_request";
		reply_error(c, &error);
		return;
	}
	http_body_release(x);
	if (c->request.ignored.len > 0) {
		json_buf_append(&c->request.ignored, "", 1);
		if (!c->request.ignored.failed)
			http_add_header(x, "x-codex-ignored-params", c->request.ignored.data);
	}
	if (!submit(c))
		give_up(c, FAILURE_INTERNAL, "Out of memory.");
}
