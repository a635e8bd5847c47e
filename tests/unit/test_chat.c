/* A chat completion from its body to its last byte, over a model that the test plays. */
#include "tests/unit/chat_fixture.h"

#define IMPOSSIBLE "logprobs"
#define IGNORED    "seed"
#include "tests/unit/dialect_tests.h"

/* --- streams -------------------------------------------------------------------------------- */

static void
a_stream_has_role_deltas_finish_and_done(void **state)
{
	ask(ASK(",\"stream\":true,\"model\":\"gpt-4o\""));
	assert_int_equal(x.status, 0); /* headers wait for the first sign of the model */
	assert_true(x.body_released);
	assert_string_equal(codex.threads->conversation->model, "gpt-b");
	codex_starts();
	assert_int_equal(x.status, 200);
	assert_string_equal(x.content_type, "text/event-stream; charset=utf-8");
	codex_says_text("a\\u0000");
	codex_says_text("\\ud83d\\ude00\\n");
	codex_uses(5);
	codex_finishes(FINISH_STOP);
	assert_event(0, ROLE, "");
	assert_event(1, "{\"content\":\"a\\u0000\"}", "");
	assert_event(2, "{\"content\":\"\xf0\x9f\x98\x80\\n\"}", "");
	assert_event(3, "{}", "stop");
	assert_ends_well();
	assert_null(strstr(answer_text(&x), "usage"));
	assert_non_null(strstr(answer_text(&x), "\"model\":\"gpt-b\""));
	request_done(&x);
}

static void
usage_comes_last_when_asked_for(void **state)
{
	json_auto_t *last = NULL;

	ask(ASK(",\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
	codex_starts();
	codex_says_text("a");
	codex_uses(5);
	codex_uses(7); /* the totals so far: the last one counts */
	codex_finishes(FINISH_LENGTH);
	assert_event(2, "{}", "length");
	last = event_at(3);
	assert_int_equal(json_array_size(json_object_get(last, "choices")), 0);
	assert_int_equal(json_get_int(json_get_object(last, "usage"), "prompt_tokens", 0), 7);
	assert_ends_well();
	request_done(&x);
}

static void
reasoning_and_commentary_have_a_member_of_their_own(void **state)
{
	ask(STREAM);
	codex_starts();
	codex_says_more(EVENT_REASONING, "r0", 0, PHASE_FINAL);
	codex_says_more(EVENT_REASONING, "r1", 1, PHASE_FINAL);
	codex_says_more(EVENT_TEXT, "c", 0, PHASE_COMMENTARY);
	codex_says_more(EVENT_TEXT, "a", 1, PHASE_FINAL);
	codex_says_more(EVENT_TEXT, "", 2, PHASE_FINAL);
	codex_says_more(EVENT_TEXT, "b", 1, PHASE_FINAL);
	codex_says_more(EVENT_TEXT, "d", 3, PHASE_FINAL);
	codex_finishes(FINISH_STOP);
	assert_event(1, "{\"reasoning_content\":\"r0\"}", "");
	assert_event(2, "{\"reasoning_content\":\"\\n\\n\"}", "");
	assert_event(3, "{\"reasoning_content\":\"r1\"}", "");
	assert_event(4, "{\"reasoning_content\":\"\\n\\n\"}", "");
	assert_event(5, "{\"reasoning_content\":\"c\"}", "");
	assert_event(6, "{\"content\":\"a\"}", "");
	assert_event(7, "{\"content\":\"b\"}", "");
	assert_event(8, "{\"content\":\"\\n\\n\"}", "");
	assert_event(9, "{\"content\":\"d\"}", "");
	assert_ends_well();
	request_done(&x);
}

static void
calls_are_streamed_one_chunk_each(void **state)
{
	ask(ASK(",\"stream\":true" TOOLS));
	codex_starts();
	codex_calls(0, "{\"a\": 1}");
	codex_calls(1, "");
	codex_finishes(FINISH_TOOL_CALLS);
	assert_event(1,
	             "{\"tool_calls\":[{\"id\":\"c0\",\"type\":\"function\",\"function\":{\"name\":"
	             "\"f\",\"arguments\":\"{\\\"a\\\": 1}\"},\"index\":0}]}",
	             "");
	assert_event(2,
	             "{\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":"
	             "\"f\",\"arguments\":\"\"},\"index\":1}]}",
	             "");
	assert_event(3, "{}", "tool_calls");
	assert_ends_well();
	request_done(&x);
}

static void
headers_go_out_by_themselves_after_their_delay(void **state)
{
	ask(STREAM);
	pass_time(&loop, HEADER_DELAY_MS - 1);
	assert_int_equal(x.status, 0);
	pass_time(&loop, 1);
	assert_int_equal(x.status, 200);
	assert_event(0, ROLE, "");
	pass_time(&loop, KEEPALIVE_MS);
	assert_non_null(strstr(answer_text(&x), ": keep-alive\n\n"));
	/* a failure is told in the stream now, and a lost backend is still tried again */
	codex_fails(FAILURE_BACKEND_LOST);
	run_loop(&loop);
	codex_starts();
	codex_says_text("x");
	codex_finishes(FINISH_STOP);
	assert_event(1, "{\"content\":\"x\"}", "");
	assert_ends_well();
	request_done(&x);
}

static void
a_failure_in_the_stream_is_told_in_the_stream(void **state)
{
	json_auto_t *error = NULL;

	ask(STREAM);
	codex_starts();
	codex_says_text("x");
	codex_fails(FAILURE_BACKEND_LOST);
	assert_int_equal(x.status, 200);
	error = event_at(2);
	assert_string_equal(json_get_string(json_get_object(error, "error"), "code"),
	                    "backend_lost");
	assert_ends_well();
	assert_int_equal(codex.begun, 1); /* no second try: part of the answer has been read */
	request_done(&x);
}

/* --- whole answers -------------------------------------------------------------------------- */

static void
a_whole_answer_comes_at_its_end(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(""));
	codex_starts();
	codex_says_more(EVENT_REASONING, "hm", 0, PHASE_FINAL);
	codex_says_text("a\\u0000");
	codex_says_text("\\ud83d\\ude00");
	codex_uses(9);
	assert_int_equal(x.status, 0);
	codex_finishes(FINISH_STOP);
	assert_int_equal(x.status, 200);
	assert_string_equal(x.content_type, "application/json");
	answer = json_parse(x.out.data, x.out.len, NULL);
	assert_string_equal(json_get_string(answer, "model"), "gpt-a");
	assert_int_equal(json_string_length(json_object_get(message_of(answer), "content")), 6);
	assert_string_equal(json_get_string(message_of(answer), "reasoning_content"), "hm");
	assert_int_equal(json_get_int(json_get_object(answer, "usage"), "total_tokens", 0), 9);
	request_done(&x);
}

static void
a_second_try_forgets_the_first(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(TOOLS));
	codex_starts();
	codex_says_text("first");
	codex_calls(0, "{}");
	codex_uses(100);
	codex_says((struct event){.kind = EVENT_MODEL, .model = "gpt-other"});
	codex_fails(FAILURE_BACKEND_LOST);
	run_loop(&loop);
	codex_starts();
	codex_says_text("second");
	codex_finishes(FINISH_STOP);
	answer = json_parse(x.out.data, x.out.len, NULL);
	assert_string_equal(json_get_string(message_of(answer), "content"), "second");
	assert_null(json_object_get(message_of(answer), "tool_calls"));
	assert_int_equal(json_get_int(json_get_object(answer, "usage"), "total_tokens", -1), 0);
	assert_string_equal(json_get_string(answer, "model"), "gpt-a");
	request_done(&x);
}

static void
the_model_that_really_answers_is_named(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(""));
	codex_says((struct event){.kind = EVENT_MODEL, .model = "gpt-other"});
	codex_finishes(FINISH_STOP);
	answer = json_parse(x.out.data, x.out.len, NULL);
	assert_string_equal(json_get_string(answer, "model"), "gpt-other");
	assert_string_equal(json_get_string(message_of(answer), "content"), "");
	request_done(&x);
}

static void
only_the_first_call_counts_without_parallel_calls(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(",\"parallel_tool_calls\":false" TOOLS));
	codex_calls(0, "{}");
	codex_calls(1, "{}");
	codex_finishes(FINISH_TOOL_CALLS);
	answer = json_parse(x.out.data, x.out.len, NULL);
	assert_int_equal(json_array_size(json_object_get(message_of(answer), "tool_calls")), 1);
	assert_true(json_is_null(json_object_get(message_of(answer), "content")));
	request_done(&x);
}

static void
an_answer_over_the_limit_is_given_up(void **state)
{
	char long_text[RESPONSE_MAX / 2 + 2];

	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	ask(ASK(""));
	codex_says_text(long_text);
	codex_says_more(EVENT_REASONING, long_text, 0, PHASE_FINAL); /* all of it counts */
	assert_int_equal(x.status, 502);
	assert_string_equal(answer_error(&x, "code"), "response_too_large");
	assert_string_equal(x.added, "x-should-retry: false\n");
	assert_int_equal(codex.cancelled, 1);
	request_done(&x);
	ask(ASK(TOOLS));
	codex_calls(0, long_text);
	codex_calls(1, long_text); /* and so do calls */
	assert_int_equal(x.status, 502);
	assert_int_equal(codex.cancelled, 2);
	request_done(&x);
	ask(STREAM);
	codex_says_text(long_text);
	codex_says_text(long_text);
	assert_int_equal(codex.cancelled, 3);
	assert_non_null(strstr(answer_text(&x), "response_too_large"));
	assert_ends_well();
	request_done(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		DIALECT_TESTS,
		with_api(a_stream_has_role_deltas_finish_and_done),
		with_api(usage_comes_last_when_asked_for),
		with_api(reasoning_and_commentary_have_a_member_of_their_own),
		with_api(calls_are_streamed_one_chunk_each),
		with_api(headers_go_out_by_themselves_after_their_delay),
		with_api(a_failure_in_the_stream_is_told_in_the_stream),
		with_api(a_whole_answer_comes_at_its_end),
		with_api(a_second_try_forgets_the_first),
		with_api(the_model_that_really_answers_is_named),
		with_api(only_the_first_call_counts_without_parallel_calls),
		with_api(an_answer_over_the_limit_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
