/* chat_answer: the shapes of a chat completion: chunks, and the whole object. */
#include "proxy/api/chat_answer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/api/answer.h"

/* Changes with the release, as OpenAI's changes with the backend's configuration. */
#define SYSTEM_FINGERPRINT "fp_codex_sidecar_" SIDECAR_VERSION

/* Stands in a frame where the text will be; a control character, so no name can be it. */
#define TEXT_MARK         "\x01"
#define TEXT_MARK_AS_JSON "\"\\u0001\""

void
chat_head_init(struct chat_head *head)
{
	char id[ANSWER_ID_DIGITS + 1];

	*head = (struct chat_head){.created = (int64_t)time(NULL)};
	answer_id(id);
	(void)snprintf(head->id, sizeof(head->id), "chatcmpl-%s", id);
}

bool
chat_head_set_model(struct chat_head *head, const char *model)
{
	char *copy = strdup(model);

	if (copy == NULL)
		return false;
	free(head->model);
	head->model = copy;
	return true;
}

void
chat_head_fini(struct chat_head *head)
{
	free(head->model);
	head->model = NULL;
}

const char *
chat_finish_name(enum finish_reason finish, bool legacy)
{
	return legacy && finish == FINISH_TOOL_CALLS ? "function_call" : answer_finish_name(finish);
}

static json_t *
usage_object(const struct usage *u)
{
	return json_pack("{s:I,s:I,s:I,s:{s:I},s:{s:I}}", "prompt_tokens",
	                 (json_int_t)u->input_tokens, "completion_tokens",
	                 (json_int_t)u->output_tokens, "total_tokens", (json_int_t)u->total_tokens,
	                 "prompt_tokens_details", "cached_tokens",
	                 (json_int_t)u->cached_input_tokens, "completion_tokens_details",
	                 "reasoning_tokens", (json_int_t)u->reasoning_output_tokens);
}

/* choices and usage are taken over. */
static char *
chunk_text(const struct chat_head *head, json_t *usage, json_t *choices, size_t *len)
{
	json_auto_t *chunk =
		json_pack("{s:s,s:s,s:I,s:s,s:s,s:o*,s:o}", "id", head->id, "object",
	                  "chat.completion.chunk", "created", (json_int_t)head->created, "model",
	                  head->model != NULL ? head->model : "", "system_fingerprint",
	                  SYSTEM_FINGERPRINT, "usage", usage, "choices", choices);

	return chunk != NULL ? json_to_text(chunk, len) : NULL;
}

static json_t *
absent_usage(const struct chat_head *head)
{
	return head->include_usage ? json_null() : NULL;
}

char *
chat_chunk(const struct chat_head *head, json_t *delta, const char *finish_reason, size_t *len)
{
	return chunk_text(head, absent_usage(head),
	                  json_pack("[{s:i,s:o,s:n,s:s?}]", "index", (int)head->choice, "delta",
	                            delta, "logprobs", "finish_reason", finish_reason),
	                  len);
}

char *
chat_usage_chunk(const struct chat_head *head, const struct usage *usage, size_t *len)
{
	return chunk_text(head, usage_object(usage), json_array(), len);
}

bool
chat_frame_init(struct chat_frame *f, const struct chat_head *head, const char *member)
{
	AUTO_FREE char *text = NULL;
	const char *mark = NULL;
	size_t len = 0;

	*f = (struct chat_frame){0};
	text = chat_chunk(head, json_pack("{s:s}", member, TEXT_MARK), NULL, &len);
	if (text == NULL)
		return false;
	/* The last occurrence: the delta comes behind everything the caller can have named. */
	for (const char *at = strstr(text, TEXT_MARK_AS_JSON); at != NULL;
	     at = strstr(at + 1, TEXT_MARK_AS_JSON))
		mark = at;
	if (mark == NULL)
		return false;
	json_buf_append(&f->before, "data: ", 6);
	json_buf_append(&f->before, text, (size_t)(mark - text) + 1);
	mark += strlen(TEXT_MARK_AS_JSON) - 1;
	json_buf_append(&f->after, mark, len - (size_t)(mark - text));
	json_buf_append(&f->after, "\n\n", 2);
	return !f->before.failed && !f->after.failed;
}

void
chat_frame_fini(struct chat_frame *f)
{
	json_buf_free(&f->before);
	json_buf_free(&f->after);
}

json_t *
chat_tool_call(const struct event *event, bool in_delta)
{
	json_t *call = json_pack("{s:s,s:s,s:{s:s,s:s%}}", "id", event->tool_call.call_id, "type",
	                         "function", "function", "name", event->tool_call.name, "arguments",
	                         event->tool_call.arguments, event->tool_call.arguments_len);

	if (call != NULL && in_delta)
		(void)json_object_set_new(call, "index",
		                          json_integer((json_int_t)event->tool_call.index));
	return call;
}

/* NULL: no memory. */
static json_t *
message_object(const struct chat_whole *whole)
{
	json_t *text = answer_text(whole->content);
	json_auto_t *message = NULL;

	/* An answer without text is the empty string, unless it is calls or a refusal. */
	if (json_is_null(text) && whole->tool_calls == NULL && whole->refusal == NULL)
		text = json_string("");
	message = json_pack("{s:s,s:o,s:s?}", "role", "assistant", "content", text, "refusal",
	                    whole->refusal);
	if ((whole->reasoning->len > 0 || whole->reasoning->failed) &&
	    json_object_set_new(message, "reasoning_content", answer_text(whole->reasoning)) != 0)
		return NULL;
	if (whole->tool_calls != NULL && whole->legacy) {
		json_t *call = json_array_get(whole->tool_calls, 0);

		if (json_object_set(message, "function_call", json_object_get(call, "function")) !=
		    0)
			return NULL;
	} else if (whole->tool_calls != NULL &&
	           json_object_set(message, "tool_calls", whole->tool_calls) != 0) {
		return NULL;
	}
	return json_incref(message);
}

json_t *
chat_choice_object(unsigned index, const struct chat_whole *whole)
{
	return json_pack("{s:i,s:o,s:n,s:s}", "index", (int)index, "message", message_object(whole),
	                 "logprobs", "finish_reason", whole->finish_reason);
}

char *
chat_completion(const struct chat_head *head, json_t *choices, const struct usage *usage,
                size_t *len)
{
	json_auto_t *completion =
		json_pack("{s:s,s:s,s:I,s:s,s:s,s:o,s:o}", "id", head->id, "object",
	                  "chat.completion", "created", (json_int_t)head->created, "model",
	                  head->model != NULL ? head->model : "", "system_fingerprint",
	                  SYSTEM_FINGERPRINT, "choices", choices, "usage", usage_object(usage));

	return completion != NULL ? json_to_text(completion, len) : NULL;
}
