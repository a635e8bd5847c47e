/* chat: POST /v1/chat/completions, from the request's body to the last byte of its answer. */
#include "proxy/api/chat.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/api/abilities.h"
#include "proxy/api/answer.h"
#include "proxy/api/chat_internal.h"
#include "proxy/api/errors.h"

void
chat_send(struct chat *c, char *text, size_t len)
{
	if (text != NULL)
		(void)sse_event(c->sse, text, len); /* a client cut off is told by on_done */
	c->no_memory |= text == NULL;
	free(text);
}

static void
on_headers_due(void *arg)
{
	struct chat *c = arg;

	chat_choice_send_role(&c->choices[0]);
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
	else
		(void)sse_event(c->sse, api_no_memory_text, strlen(api_no_memory_text));
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

/* The last first: it is the one that may still wait, and would take the slot of another one. True:
 * some of it was not over yet. */
static bool
cancel_choices(struct chat *c)
{
	bool cancelled = false;

	for (unsigned i = c->choices != NULL ? c->request.n : 0; i-- > 0;)
		cancelled |= chat_choice_cancel(&c->choices[i]);
	return cancelled;
}

void
chat_fail(struct chat_choice *choice, const struct failure *failure)
{
	struct chat *c = choice->chat;

	(void)cancel_choices(c); /* they share one answer, and it is this error */
	reply_failure(c, failure);
}

void
chat_give_up(struct chat_choice *choice, enum failure_kind kind, const char *message)
{
	struct failure failure;

	failure_set(&failure, kind, "%s", message);
	chat_fail(choice, &failure);
}

/* Each choice is a turn of its own, and has used what it has used. */
static struct usage
total_usage(const struct chat *c)
{
	struct usage total = {0};

	for (unsigned i = 0; c->choices != NULL && i < c->request.n; i++) {
		const struct usage *u = &c->choices[i].usage;

		total.input_tokens += u->input_tokens;
		total.cached_input_tokens += u->cached_input_tokens;
		total.cache_write_input_tokens += u->cache_write_input_tokens;
		total.output_tokens += u->output_tokens;
		total.reasoning_output_tokens += u->reasoning_output_tokens;
		total.total_tokens += u->total_tokens;
	}
	return total;
}

static void
reply_whole(struct chat *c, const struct usage *usage)
{
	json_t *choices = json_array();
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	for (unsigned i = 0; i < c->request.n; i++) {
		if (json_array_append_new(choices, chat_choice_whole(&c->choices[i])) != 0) {
			json_decref(choices);
			choices = NULL;
			break;
		}
	}
	text = chat_completion(&c->choices[0].head, choices, usage, &len);
	if (text == NULL)
		chat_give_up(&c->choices[0], FAILURE_INTERNAL, "Out of memory.");
	else
		http_reply(c->x, 200, "application/json", text, len);
}

void
chat_choice_done(struct chat *c)
{
	struct usage usage;
	char *text;
	size_t len = 0;

	for (unsigned i = 0; i < c->request.n; i++)
		if (!c->choices[i].finished)
			return;
	c->outcome = chat_finish_name(c->choices[0].finish, c->request.legacy_functions);
	usage = total_usage(c);
	if (c->sse == NULL) {
		reply_whole(c, &usage);
		return;
	}
	if (c->request.include_usage) {
		text = chat_usage_chunk(&c->choices[0].head, &usage, &len);
		chat_send(c, text, len);
	}
	if (c->no_memory) /* a chunk was not made: this is no whole answer */
		chat_give_up(&c->choices[0], FAILURE_INTERNAL, "Out of memory.");
	else
		finish_stream(c);
}

/* The exchange is over, whoever ended it. */
static void
on_done(struct api_request *base, bool complete)
{
	struct chat *c = (struct chat *)base;
	const struct usage usage = total_usage(c);

	if (cancel_choices(c))
		c->outcome = "cancelled";
	access_log(c->api, c->x, "/v1/chat/completions",
	           c->choices != NULL ? c->choices[0].head.model : NULL, c->outcome, &usage);
	sse_free(c->sse);
	for (unsigned i = 0; c->choices != NULL && i < c->request.n; i++)
		chat_choice_fini(&c->choices[i]);
	free(c->choices);
	chat_request_fini(&c->request);
	free(c);
}

/* The heads of all choices: one answer, one id. */
static bool
prepare_heads(struct chat *c)
{
	const char *model = c->request.base.conversation->model;

	for (unsigned i = 0; i < c->request.n; i++) {
		struct chat_choice *choice = &c->choices[i];

		choice->chat = c;
		if (i == 0) {
			chat_head_init(&choice->head);
			choice->head.include_usage = c->request.include_usage;
		} else {
			choice->head = c->choices[0].head;
			choice->head.model = NULL;
			choice->head.choice = i;
		}
		if (model != NULL && !chat_head_set_model(&choice->head, model))
			return false;
	}
	return true;
}

/* Every choice is a turn, and takes a slot or a place in the queue. */
static bool
begin_choices(struct chat *c)
{
	for (unsigned i = 0; i < c->request.n; i++) {
		bool last = i + 1 == c->request.n;
		struct conversation *conversation = c->request.base.conversation;

		if (last)
			c->request.base.conversation = NULL; /* the turn's now */
		else
			conversation = conversation_copy(conversation);
		if (conversation == NULL || !chat_choice_begin(&c->choices[i], conversation))
			return false;
	}
	return true;
}

static bool
submit(struct chat *c)
{
	struct api *api = c->api;

	if (!prepare_heads(c))
		return false;
	if (c->request.base.stream) {
		c->sse = sse_new(api->loop, c->x, (uint64_t)api->settings->sse_header_delay_ms,
		                 (uint64_t)api->settings->keepalive_ms, on_headers_due, c);
		if (c->sse == NULL)
			return false;
	}
	return begin_choices(c);
}

static bool
parse(struct chat *c, const char *body, size_t len, struct api_error *error)
{
	const struct settings *settings = c->api->settings;
	struct chat_request *r = &c->request;

	if (!chat_request_parse(r, body, len, settings->default_effort, error))
		return false;
	return abilities_check(settings, r->base.conversation,
	                       r->legacy_functions ? "functions" : "tools", error);
}

void
chat_handle(struct api *api, struct http_exchange *x)
{
	struct chat *c = calloc(1, sizeof(*c));
	struct api_error error;
	const char *body;
	size_t len;

	api_error_out_of_memory(&error);
	if (c == NULL) {
		api_error_reply(x, &error);
		return;
	}
	c->base.on_done = on_done;
	c->api = api;
	c->x = x;
	c->outcome = "internal_error";
	http_set_data(x, c);
	body = http_body(x, &len);
	if (!parse(c, body, len, &error)) {
		c->outcome = "invalid_request";
		reply_error(c, &error);
		return;
	}
	http_body_release(x);
	answer_tell_ignored(x, &c->request.base);
	c->choices = calloc(c->request.n, sizeof(*c->choices));
	if (c->choices == NULL || !submit(c)) {
		(void)cancel_choices(c);
		reply_error(c, &error);
	}
}
