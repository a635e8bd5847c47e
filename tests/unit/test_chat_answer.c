/* The shapes of a chat completion: chunks around escaped text, and the whole object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proxy/api/answer.h"
#include "proxy/api/chat_answer.h"

static const struct usage usage = {.input_tokens = 10,
                                   .cached_input_tokens = 3,
                                   .output_tokens = 5,
                                   .reasoning_output_tokens = 1,
                                   .total_tokens = 15};

static void
head_make(struct chat_head *head, const char *model)
{
	chat_head_init(head);
	if (model != NULL)
		assert_true(chat_head_set_model(head, model));
}

/* The value of a whole event; takes text apart as an SSE client would. */
static json_t *
parse_event(const char *text, size_t len)
{
	json_t *value;

	assert_true(len > 8);
	assert_memory_equal(text, "data: ", 6);
	assert_memory_equal(text + len - 2, "\n\n", 2);
	assert_null(memchr(text, '\n', len - 2));
	value = json_parse(text + 6, len - 8, NULL);
	assert_non_null(value);
	return value;
}

static json_t *
framed(const struct chat_frame *frame, const char *escaped)
{
	struct json_buf b = {.data = NULL};
	json_t *value;

	json_buf_append(&b, frame->before.data, frame->before.len);
	json_buf_append(&b, escaped, strlen(escaped));
	json_buf_append(&b, frame->after.data, frame->after.len);
	value = parse_event(b.data, b.len);
	json_buf_free(&b);
	return value;
}

static json_t *
delta_of(const json_t *chunk)
{
	return json_object_get(json_array_get(json_object_get(chunk, "choices"), 0), "delta");
}

static const char *const models[] = {
	"gpt-5.5",
	"a \"quoted\" \\ name",
	"\x01",
	"\\u0001",
	"\"\\u0001\"",
	"content\":\"\x01\"",
	"\xf0\x9f\x98\x80",
	"",
	NULL,
};

static const char *const texts[] = {
	"hello",
	"",
	"\\u0000",
	"\\ud83d\\ude00",
	"\xf0\x9f\x98\x80",
	"\\\"\\\\\\n\\r\\t\\/",
	"\\u0001",
	"\x7f",
	"\xe2\x80\xa8",
	"data: x",
	"[DONE]",
};

static void
a_frame_is_a_valid_event_around_every_text(void **state)
{
	for (size_t m = 0; m < NELEM(models); m++) {
		struct chat_frame frame;
		struct chat_head head;

		head_make(&head, models[m]);
		head.include_usage = m % 2 == 0;
		assert_true(
			chat_frame_init(&frame, &head, m < 4 ? "content" : "reasoning_content"));
		for (size_t i = 0; i < NELEM(texts); i++) {
			json_auto_t *chunk = framed(&frame, texts[i]);
			char quoted[64];
			json_auto_t *expected = NULL;

			(void)snprintf(quoted, sizeof(quoted), "\"%s\"", texts[i]);
			expected = json_parse(quoted, strlen(quoted), NULL);
			assert_non_null(expected);
			assert_int_equal(json_object_size(delta_of(chunk)), 1);
			assert_true(
				json_equal(json_object_get(delta_of(chunk),
			                                   m < 4 ? "content" : "reasoning_content"),
			                   expected));
			assert_string_equal(json_get_string(chunk, "model"),
			                    models[m] != NULL ? models[m] : "");
			assert_int_equal(json_is_null(json_object_get(chunk, "usage")), m % 2 == 0);
		}
		chat_frame_fini(&frame);
		chat_head_fini(&head);
	}
}

static void
a_framed_chunk_is_the_same_as_one_made_whole(void **state)
{
	struct chat_frame frame;
	struct chat_head head;
	size_t len = 0;
	AUTO_FREE char *whole = NULL;
	json_auto_t *a = NULL;
	json_auto_t *b = NULL;

	head_make(&head, "m");
	assert_true(chat_frame_init(&frame, &head, "content"));
	a = framed(&frame, "x\\ny");
	whole = chat_chunk(&head, json_pack("{s:s}", "content", "x\ny"), NULL, &len);
	b = json_parse(whole, len, NULL);
	assert_true(json_equal(a, b));
	chat_frame_fini(&frame);
	chat_head_fini(&head);
}

static void
chunks_have_the_shape_that_clients_expect(void **state)
{
	struct chat_head head;
	char expected[512];
	AUTO_FREE char *role = NULL;
	AUTO_FREE char *finish = NULL;
	AUTO_FREE char *last = NULL;
	size_t len = 0;

	head_make(&head, "m");
	role = chat_role_chunk(&head, &len);
	(void)snprintf(expected, sizeof(expected),
	               "{\"id\":\"%s\",\"object\":\"chat.completion.chunk\",\"created\":%lld,"
	               "\"model\":\"m\",\"system_fingerprint\":\"fp_codex_sidecar_" SIDECAR_VERSION
	               "\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":"
	               "\"\"},\"logprobs\":null,\"finish_reason\":null}]}",
	               head.id, (long long)head.created);
	assert_string_equal(role, expected);
	assert_int_equal(len, strlen(role));
	head.include_usage = true;
	assert_true(chat_head_set_model(&head, "another"));
	finish = chat_chunk(&head, json_object(), "stop", &len);
	assert_non_null(strstr(finish, "\"model\":\"another\","));
	assert_non_null(strstr(finish, "\"usage\":null,\"choices\":[{\"index\":0,\"delta\":{},"
	                               "\"logprobs\":null,\"finish_reason\":\"stop\"}]}"));
	last = chat_usage_chunk(&head, &usage, &len);
	assert_non_null(
		strstr(last, "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"
	                     "\"total_tokens\":15,\"prompt_tokens_details\":{\"cached_tokens\":3},"
	                     "\"completion_tokens_details\":{\"reasoning_tokens\":1}},"
	                     "\"choices\":[]}"));
	chat_head_fini(&head);
}

static void
ids_differ(void **state)
{
	struct chat_head a, b;

	chat_head_init(&a);
	chat_head_init(&b);
	assert_memory_equal(a.id, "chatcmpl-", 9);
	assert_string_not_equal(a.id, b.id);
	assert_true(a.created > 1700000000);
}

static void
a_tool_call_keeps_the_models_own_arguments(void **state)
{
	static const char arguments[] = "{\"a\": 0.10, \"b\":\"\0\"}"; /* not printed anew */
	const struct event event = {
		.kind = EVENT_TOOL_CALL,
		.tool_call = {.index = 2,
	                      .call_id = "call_1",
	                      .name = "f",
	                      .arguments = arguments,
	                      .arguments_len = sizeof(arguments) - 1}
        };
	json_auto_t *call = chat_tool_call(&event, false);
	json_auto_t *delta = chat_tool_call(&event, true);
	AUTO_FREE char *text = json_to_text(call, NULL);

	assert_string_equal(text, "{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":"
	                          "\"f\",\"arguments\":\"{\\\"a\\\": 0.10, "
	                          "\\\"b\\\":\\\"\\u0000\\\"}\"}}");
	assert_int_equal(json_get_int(delta, "index", -1), 2);
	assert_null(json_object_get(call, "index"));
	assert_true(
		json_equal(json_object_get(call, "function"), json_object_get(delta, "function")));
}

/* 'whole' but for its texts. */
static json_t *
completion_of(struct chat_whole whole, const char *content, const char *reasoning)
{
	struct json_buf text = {.data = NULL}, thought = {.data = NULL};
	struct chat_head head;
	json_t *value;
	char *made;
	size_t len = 0;

	head_make(&head, "m");
	json_buf_append(&text, content, strlen(content));
	json_buf_append(&thought, reasoning, strlen(reasoning));
	whole.content = &text;
	whole.reasoning = &thought;
	made = chat_completion(&head, json_pack("[o]", chat_choice_object(0, &whole)), &usage,
	                       &len);
	assert_non_null(made);
	value = json_parse(made, len, NULL);
	free(made);
	json_buf_free(&text);
	json_buf_free(&thought);
	chat_head_fini(&head);
	return value;
}

static json_t *
completion(const char *content, const char *reasoning, json_t *tool_calls,
           enum finish_reason finish)
{
	const struct chat_whole whole = {.tool_calls = tool_calls,
	                                 .finish_reason = chat_finish_name(finish, false)};

	return completion_of(whole, content, reasoning);
}

static json_t *
choice_of(const json_t *whole)
{
	return json_array_get(json_object_get(whole, "choices"), 0);
}

static void
the_whole_answer_is_what_the_chunks_add_up_to(void **state)
{
	struct chat_frame frame;
	struct chat_head head;
	struct json_buf escaped = {.data = NULL}, streamed = {.data = NULL};
	json_auto_t *whole = NULL;
	const json_t *content;

	head_make(&head, "m");
	assert_true(chat_frame_init(&frame, &head, "content"));
	for (size_t i = 0; i < NELEM(texts); i++) {
		json_auto_t *chunk = framed(&frame, texts[i]);
		const json_t *piece = json_object_get(delta_of(chunk), "content");

		json_buf_append(&streamed, json_string_value(piece), json_string_length(piece));
		json_buf_append(&escaped, texts[i], strlen(texts[i]));
	}
	json_buf_append(&escaped, "", 1);
	whole = completion(escaped.data, "", NULL, FINISH_STOP);
	content = json_object_get(json_object_get(choice_of(whole), "message"), "content");
	assert_int_equal(json_string_length(content), streamed.len);
	assert_memory_equal(json_string_value(content), streamed.data, streamed.len);
	json_buf_free(&escaped);
	json_buf_free(&streamed);
	chat_frame_fini(&frame);
	chat_head_fini(&head);
}

static void
assert_choice(const json_t *whole, const char *expected)
{
	AUTO_FREE char *text = json_to_text(choice_of(whole), NULL);

	assert_string_equal(text, expected);
}

static void
the_whole_answer_has_the_shape_that_clients_expect(void **state)
{
	json_auto_t *calls = json_pack("[s]", "a call");
	json_auto_t *plain = completion("hi", "", NULL, FINISH_STOP);
	json_auto_t *thought = completion("hi", "hm", NULL, FINISH_LENGTH);
	json_auto_t *nothing = completion("", "", NULL, FINISH_CONTENT_FILTER);
	json_auto_t *called = completion("", "", calls, FINISH_TOOL_CALLS);
	json_auto_t *both = completion("hi", "", calls, FINISH_TOOL_CALLS);
	AUTO_FREE char *used = json_to_text(json_object_get(plain, "usage"), NULL);

	assert_string_equal(json_get_string(plain, "object"), "chat.completion");
	assert_choice(plain, "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\","
	                     "\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}");
	assert_choice(thought,
	              "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\","
	              "\"refusal\":null,\"reasoning_content\":\"hm\"},\"logprobs\":null,"
	              "\"finish_reason\":\"length\"}");
	assert_choice(nothing, "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"\","
	                       "\"refusal\":null},\"logprobs\":null,\"finish_reason\":"
	                       "\"content_filter\"}");
	assert_choice(called, "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,"
	                      "\"refusal\":null,\"tool_calls\":[\"a call\"]},\"logprobs\":null,"
	                      "\"finish_reason\":\"tool_calls\"}");
	assert_choice(both, "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\","
	                    "\"refusal\":null,\"tool_calls\":[\"a call\"]},\"logprobs\":null,"
	                    "\"finish_reason\":\"tool_calls\"}");
	assert_string_equal(used, "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":"
	                          "15,\"prompt_tokens_details\":{\"cached_tokens\":3},"
	                          "\"completion_tokens_details\":{\"reasoning_tokens\":1}}");
}

static void
a_text_cut_for_want_of_memory_is_not_passed_off_as_whole(void **state)
{
	struct json_buf cut = {.failed = true}, none = {.data = NULL};
	const struct chat_whole content = {&cut, &none, NULL, NULL, "stop", false};
	const struct chat_whole reasoning = {&none, &cut, NULL, NULL, "stop", false};
	struct chat_head head;

	head_make(&head, "m");
	assert_null(chat_completion(&head, json_pack("[o]", chat_choice_object(0, &content)),
	                            &usage, NULL));
	assert_null(chat_completion(&head, json_pack("[o]", chat_choice_object(0, &reasoning)),
	                            &usage, NULL));
	assert_false(answer_is_json_object(&cut));
	chat_head_fini(&head);
}

static void
the_legacy_form_has_one_call_and_no_id(void **state)
{
	json_auto_t *calls = json_pack("[{s:s,s:{s:s}}]", "id", "c", "function", "name", "f");
	const struct chat_whole whole = {
		.tool_calls = calls,
		.finish_reason = chat_finish_name(FINISH_TOOL_CALLS, true),
		.legacy = true,
	};
	json_auto_t *answer = completion_of(whole, "", "");

	assert_choice(answer,
	              "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,"
	              "\"refusal\":null,\"function_call\":{\"name\":\"f\"}},\"logprobs\":null,"
	              "\"finish_reason\":\"function_call\"}");
}

/* text: escaped. */
static void
assert_is_json_object(bool expected, const char *text)
{
	struct json_buf escaped = {.data = NULL};

	json_buf_append(&escaped, text, strlen(text));
	if (answer_is_json_object(&escaped) != expected)
		fail_msg("%.100s", text);
	json_buf_free(&escaped);
}

static void
a_json_object_is_told_from_everything_else(void **state)
{
	struct json_buf many = {.data = NULL};

	assert_is_json_object(true, "{}");
	assert_is_json_object(true, " \\n{\\\"a\\\": [1, 2.5e3, null]}\\n ");
	assert_is_json_object(true, "{\\\"twice\\\":1,\\\"twice\\\":2}");
	assert_is_json_object(true, "{\\\"big\\\":123456789012345678901234567890}");
	assert_is_json_object(true, "{\\\"nul\\\":\\\"\\\\u0000\\\"}");
	assert_is_json_object(false, "");
	assert_is_json_object(false, "[]");
	assert_is_json_object(false, "1");
	assert_is_json_object(false, "{\\\"cut\\\":");
	assert_is_json_object(false, "```json\\n{}\\n```");
	assert_is_json_object(false, "{} {}");
	assert_is_json_object(false, "{}.");
	json_buf_append(&many, "{\\\"a\\\":[", 8);
	for (int i = 0; i < 600000; i++)
		json_buf_append(&many, "1,", 2);
	json_buf_append(&many, "1]}", 4);
	assert_is_json_object(false, many.data);
	json_buf_free(&many);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_a_valid_event_around_every_text),
		cmocka_unit_test(a_framed_chunk_is_the_same_as_one_made_whole),
		cmocka_unit_test(chunks_have_the_shape_that_clients_expect),
		cmocka_unit_test(ids_differ),
		cmocka_unit_test(a_tool_call_keeps_the_models_own_arguments),
		cmocka_unit_test(the_whole_answer_is_what_the_chunks_add_up_to),
		cmocka_unit_test(the_whole_answer_has_the_shape_that_clients_expect),
		cmocka_unit_test(the_legacy_form_has_one_call_and_no_id),
		cmocka_unit_test(a_json_object_is_told_from_everything_else),
		cmocka_unit_test(a_text_cut_for_want_of_memory_is_not_passed_off_as_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
