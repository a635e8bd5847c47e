/* chat_answer: the shapes of a chat completion: chunks, and the whole object. */
#include "proxy/api/chat_answer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/api/answer.h"

/* Changes with the release, as OpenAI's changes with the backend's configuration. */
#define SYSTEM_FINGERPRINT "fp_codex_sidecar_" SIDECAR_VERSION

/* Behind the delta of a chunk that is not the last of its choice. */
#define GOES_ON ",\"logprobs\":null,\"finish_reason\":null}]}"

#define APPEND(buf, literal) json_buf_append(buf, literal, sizeof(literal) - 1)

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
	json_buf_free(&head->stem);
	return true;
}

void
chat_head_fini(struct chat_head *head)
{
	free(head->model);
	head->model = NULL;
	json_buf_free(&head->stem);
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

/* All chunks of a choice are the same up to their delta: that is printed once. */
static bool
make_stem(struct chat_head *head)
{
	struct json_buf *stem = &head->stem;
	json_auto_t *model = NULL;
	char text[128];
	int n;

	if (stem->len > 0)
		return !stem->failed;
	model = json_string(head->model != NULL ? head->model : "");
	if (model == NULL)
		return false;
	n = snprintf(
		text, sizeof(text),
		"{\"id\":\"%s\",\"object\":\"chat.completion.chunk\",\"created\":%lld,\"model\":",
		head->id, (long long)head->created);
	json_buf_append(stem, text, (size_t)n);
	json_print(stem, model);
	APPEND(stem, ",\"system_fingerprint\":\"" SYSTEM_FINGERPRINT "\"");
	if (head->include_usage)
		APPEND(stem, ",\"usage\":null");
	n = snprintf(text, sizeof(text), ",\"choices\":[{\"index\":%u,\"delta\":", head->choice);
	json_buf_append(stem, text, (size_t)n);
	return !stem->failed;
}

/* The chunk with that delta, as a text of its own. NULL: no memory. */
static char *
finish_chunk(struct json_buf *chunk, size_t *len)
{
	json_buf_append(chunk, "", 1);
	if (chunk->failed) {
		json_buf_free(chunk);
		return NULL;
	}
	*len = chunk->len - 1;
	return chunk->data;
}

char *
chat_chunk(struct chat_head *head, json_t *delta, const char *finish_reason, size_t *len)
{
	struct json_buf chunk = {.failed = delta == NULL || !make_stem(head)};

	if (!chunk.failed) {
		json_buf_append(&chunk, head->stem.data, head->stem.len);
		json_print(&chunk, delta);
	}
	json_decref(delta);
	if (finish_reason != NULL) {
		APPEND(&chunk, ",\"logprobs\":null,\"finish_reason\":\"");
		json_print_escaped(&chunk, finish_reason, strlen(finish_reason));
		APPEND(&chunk, "\"}]}");
	} else {
		APPEND(&chunk, GOES_ON);
	}
	return finish_chunk(&chunk, len);
}

char *
chat_role_chunk(struct chat_head *head, size_t *len)
{
	struct json_buf chunk = {.failed = !make_stem(head)};

	json_buf_append(&chunk, head->stem.data, head->stem.len);
	APPEND(&chunk, "{\"role\":\"assistant\",\"content\":\"\"}" GOES_ON);
	return finish_chunk(&chunk, len);
}

char *
chat_usage_chunk(const struct chat_head *head, const struct usage *usage, size_t *len)
{
	json_auto_t *chunk =
		json_pack("{s:s,s:s,s:I,s:s,s:s,s:o,s:[]}", "id", head->id, "object",
	                  "chat.completion.chunk", "created", (json_int_t)head->created, "model",
	                  head->model != NULL ? head->model : "", "system_fingerprint",
	                  SYSTEM_FINGERPRINT, "usage", usage_object(usage), "choices");

	return chunk != NULL ? json_to_text(chunk, len) : NULL;
}

bool
chat_frame_init(struct chat_frame *f, struct chat_head *head, const char *member)
{
	*f = (struct chat_frame){0};
	if (!make_stem(head))
		return false;
	APPEND(&f->before, "data: ");
	json_buf_append(&f->before, head->stem.data, head->stem.len);
	APPEND(&f->before, "{\"");
	json_buf_append(&f->before, member, strlen(member));
	APPEND(&f->before, "\":\"");
	APPEND(&f->after, "\"}" GOES_ON "\n\n");
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

	if (in_delta)
		json_put(&call, "index", json_integer((json_int_t)event->tool_call.index));
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
