/* A response from its body to its last byte, over a model that the test plays. */
#include "tests/unit/responses_fixture.h"

#define IMPOSSIBLE "background"
#define IGNORED    "max_output_tokens"
#include "tests/unit/dialect_tests.h"

#define ADDED      "response.output_item.added"
#define DONE       "response.output_item.done"
#define PART_ADDED "response.content_part.added"
#define PART_DONE  "response.content_part.done"
#define TEXT_DELTA "response.output_text.delta"
#define TEXT_DONE  "response.output_text.done"
#define SUMMARY    "response.reasoning_summary_"
#define REFUSAL    "The model refused to answer. (Codex does not hand its words on.)"

/* --- streams -------------------------------------------------------------------------------- */

static void
a_stream_of_text_has_its_events_in_the_official_order(void **state)
{
	static const char *const types[] = {
		"response.created",
		"response.in_progress",
		ADDED,
		PART_ADDED,
		TEXT_DELTA,
		TEXT_DELTA,
		TEXT_DONE,
		PART_DONE,
		DONE,
		"response.completed",
	};

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
	assert_true(x.ended);
	assert_types(0, types, NELEM(types));
	assert_member(4, "delta", "\"a\\u0000\"");
	assert_member(5, "delta", "\"\xf0\x9f\x98\x80\\n\"");
	assert_member(6, "text", "\"a\\u0000\xf0\x9f\x98\x80\\n\"");
	assert_output("[" MESSAGE("a\\u0000\xf0\x9f\x98\x80\\n") "]");
	request_done(&x);
}

static void
reasoning_has_parts_and_comes_before_what_follows(void **state)
{
	static const char *const types[] = {
		ADDED,
		SUMMARY "part.added",
		SUMMARY "text.delta",
		SUMMARY "text.delta",
		SUMMARY "text.done",
		SUMMARY "part.done",
		SUMMARY "part.added",
		SUMMARY "text.delta",
		SUMMARY "text.done",
		SUMMARY "part.done",
		DONE,
		ADDED,
		PART_ADDED,
		TEXT_DELTA,
		TEXT_DONE,
		PART_DONE,
		DONE,
		"response.completed",
	};

	ask(ASK(",\"stream\":true,\"include\":[\"reasoning.encrypted_content\"]"));
	codex_starts();
	codex_says_more(EVENT_REASONING, "a", 0, PHASE_FINAL);
	codex_says_more(EVENT_REASONING, "b", 0, PHASE_FINAL);
	codex_says_more(EVENT_REASONING, "c", 1, PHASE_FINAL);
	codex_has_reasoned("secret");
	codex_says_text("x");
	codex_finishes(FINISH_STOP);
	assert_types(2, types, NELEM(types));
	assert_member(4, "summary_index", "0");
	assert_member(9, "summary_index", "1");
	assert_member(13, "output_index", "1");
	assert_output("[{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":"
	              "\"ab\"},{\"type\":\"summary_text\",\"text\":\"c\"}],\"encrypted_content\":"
	              "\"secret\"}," MESSAGE("x") "]");
	request_done(&x);
}

static void
encrypted_reasoning_is_shown_to_those_who_ask_only(void **state)
{
	ask(ASK(""));
	codex_has_reasoned("secret"); /* without a summary */
	codex_says_text("x");
	codex_finishes(FINISH_STOP);
	assert_null(strstr(answer_text(&x), "secret"));
	assert_output("[{\"type\":\"reasoning\",\"summary\":[]}," MESSAGE("x") "]");
	request_done(&x);
}

static void
reasoning_ends_where_nobody_ends_it(void **state)
{
	ask(ASK(TOOLS));
	codex_says_more(EVENT_REASONING, "a", 0, PHASE_FINAL);
	codex_says_text("x");
	codex_has_reasoned(""); /* nothing to tell */
	codex_says_more(EVENT_REASONING, "b", 1, PHASE_FINAL);
	codex_calls_tool(NULL, "f", "{}");
	codex_finishes(FINISH_TOOL_CALLS);
	assert_output("[{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":"
	              "\"a\"}]}," MESSAGE("x") ",{\"type\":\"reasoning\",\"summary\":[{\"type\":"
	                                       "\"summary_text\",\"text\":\"b\"}]},{\"type\":"
	                                       "\"function_call\",\"call_id\":"
	                                       "\"call\",\"name\":\"f\",\"arguments\":\"{}\","
	                                       "\"status\":\"completed\"}]");
	request_done(&x);
}

static void
messages_and_their_phases_are_kept_apart(void **state)
{
	ask(ASK(""));
	codex_says_more(EVENT_TEXT, "on it", 0, PHASE_COMMENTARY);
	codex_says_more(EVENT_TEXT, "a", 1, PHASE_FINAL);
	codex_says_more(EVENT_TEXT, "", 2, PHASE_FINAL);
	codex_says_more(EVENT_TEXT, "b", 1, PHASE_FINAL);
	codex_finishes(FINISH_STOP);
	assert_output("[{\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\","
	              "\"phase\":\"commentary\",\"content\":[{\"type\":\"output_text\","
	              "\"annotations\":[],\"logprobs\":[],\"text\":\"on it\"}]},{\"type\":"
	              "\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"phase\":"
	              "\"final_answer\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],"
	              "\"logprobs\":[],\"text\":\"ab\"}]}]");
	request_done(&x);
}

static void
calls_of_functions_and_of_custom_tools_have_events_of_their_own(void **state)
{
	static const char *const types[] = {
		ADDED,
		"response.function_call_arguments.delta",
		"response.function_call_arguments.done",
		DONE,
		ADDED,
		"response.custom_tool_call_input.delta",
		"response.custom_tool_call_input.done",
		DONE,
		ADDED,
		"response.function_call_arguments.done",
		DONE,
		"response.completed",
	};

	ask(ASK(",\"stream\":true" TOOLS));
	codex_starts();
	codex_calls_tool(NULL, "f", "{\"a\": 1}");
	codex_calls_tool("functions", "c", "{\"input\":\"ls\\n\"}");
	codex_calls_tool("other", "g", "");
	codex_finishes(FINISH_TOOL_CALLS);
	assert_types(2, types, NELEM(types));
	assert_member(3, "delta", "\"{\\\"a\\\": 1}\"");
	assert_member(7, "delta", "\"ls\\n\"");
	assert_member(8, "input", "\"ls\\n\"");
	assert_output("[{\"type\":\"function_call\",\"call_id\":\"call\",\"name\":\"f\","
	              "\"arguments\":\"{\\\"a\\\": 1}\",\"status\":\"completed\"},{\"type\":"
	              "\"custom_tool_call\",\"call_id\":\"call\",\"name\":\"c\",\"input\":\"ls\\n\""
	              "},{\"type\":\"function_call\",\"call_id\":\"call\",\"namespace\":\"other\","
	              "\"name\":\"g\",\"arguments\":\"\",\"status\":\"completed\"}]");
	request_done(&x);
}

static void
arguments_that_hold_no_input_are_the_input(void **state)
{
	static const char *const odd[] = {"not JSON", "{\"input\":7}", "[]", ""};

	for (size_t i = 0; i < NELEM(odd); i++) {
		json_auto_t *answer = NULL;
		json_t *call;

		ask(ASK(TOOLS));
		codex_calls_tool(NULL, "c", odd[i]);
		codex_finishes(FINISH_TOOL_CALLS);
		answer = answer_parsed();
		call = json_array_get(json_object_get(answer, "output"), 0);
		assert_string_equal(json_get_string(call, "input"), odd[i]);
		request_done(&x);
	}
}

static void
headers_go_out_by_themselves_after_their_delay(void **state)
{
	static const char *const types[] = {"response.created", "response.in_progress"};

	ask(STREAM);
	pass_time(&loop, HEADER_DELAY_MS - 1);
	assert_int_equal(x.status, 0);
	pass_time(&loop, 1);
	assert_int_equal(x.status, 200);
	assert_types(0, types, NELEM(types));
	pass_time(&loop, KEEPALIVE_MS);
	assert_non_null(strstr(answer_text(&x), ": keep-alive\n\n"));
	/* a failure is told in the stream now, and a lost backend is still tried again */
	codex_fails(FAILURE_BACKEND_LOST);
	run_loop(&loop);
	codex_starts();
	codex_says_text("x");
	codex_finishes(FINISH_STOP);
	assert_output("[" MESSAGE("x") "]");
	request_done(&x);
}

static void
a_failure_in_the_stream_is_an_error_and_a_failed_response(void **state)
{
	static const struct {
		enum failure_kind kind;
		const char *code;
	} codes[] = {
		{FAILURE_BACKEND_LOST,       "server_error"       },
		{FAILURE_CONTEXT_LENGTH,     "invalid_prompt"     },
		{FAILURE_INSUFFICIENT_QUOTA, "rate_limit_exceeded"},
	};

	for (size_t i = 0; i < NELEM(codes); i++) {
		json_auto_t *answer = NULL;

		ask(STREAM);
		codex_starts();
		codex_says_text("x");
		codex_fails(codes[i].kind);
		assert_int_equal(x.status, 200);
		assert_true(x.ended);
		assert_member(5, "type", "\"error\"");
		assert_member(6, "type", "\"response.failed\"");
		answer = answer_parsed();
		assert_string_equal(json_get_string(answer, "status"), "failed");
		assert_string_equal(json_get_string(json_object_get(answer, "error"), "code"),
		                    codes[i].code);
		assert_int_equal(codex.begun, i + 1); /* no second try: part has been read */
		request_done(&x);
	}
}

/* --- whole answers -------------------------------------------------------------------------- */

static void
a_whole_answer_comes_at_its_end(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(",\"metadata\":{\"k\":\"v\"},\"instructions\":\"be\",\"user\":\"me\""));
	codex_starts();
	codex_says_text("a");
	codex_uses(9);
	assert_int_equal(x.status, 0);
	codex_finishes(FINISH_STOP);
	assert_int_equal(x.status, 200);
	assert_string_equal(x.content_type, "application/json");
	answer = answer_parsed();
	assert_string_equal(json_get_string(answer, "model"), "gpt-a");
	assert_string_equal(json_get_string(answer, "status"), "completed");
	assert_string_equal(json_get_string(answer, "instructions"), "be");
	assert_string_equal(json_get_string(answer, "user"), "me");
	assert_string_equal(json_get_string(json_object_get(answer, "metadata"), "k"), "v");
	assert_int_equal(json_get_int(json_get_object(answer, "usage"), "total_tokens", 0), 9);
	request_done(&x);
}

static void
a_refusal_is_a_message_with_a_part_of_its_own(void **state)
{
	static const char *const types[] = {
		ADDED,     PART_ADDED, "response.refusal.delta", "response.refusal.done",
		PART_DONE, DONE,       "response.completed",
	};

	ask(STREAM);
	codex_starts();
	codex_finishes(FINISH_REFUSED);
	assert_types(2, types, NELEM(types));
	assert_output("[{\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\","
	              "\"content\":[{\"type\":\"refusal\",\"refusal\":\"" REFUSAL "\"}]}]");
	request_done(&x);
}

static void
an_answer_that_is_cut_is_incomplete(void **state)
{
	static const struct {
		enum finish_reason finish;
		const char *reason;
	} cuts[] = {
		{FINISH_LENGTH,         "max_output_tokens"},
		{FINISH_CONTENT_FILTER, "content_filter"   },
	};

	for (size_t i = 0; i < NELEM(cuts); i++) {
		json_auto_t *answer = NULL;
		const json_t *item;

		ask(STREAM);
		codex_says_text("a");
		codex_finishes(cuts[i].finish);
		assert_member(8, "type", "\"response.incomplete\"");
		answer = answer_parsed();
		assert_string_equal(json_get_string(answer, "status"), "incomplete");
		assert_string_equal(
			json_get_string(json_object_get(answer, "incomplete_details"), "reason"),
			cuts[i].reason);
		item = json_array_get(json_object_get(answer, "output"), 0);
		assert_string_equal(json_get_string(item, "status"), "incomplete");
		request_done(&x);
	}
}

static void
a_second_try_forgets_the_first(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(TOOLS));
	codex_starts();
	codex_says_more(EVENT_REASONING, "hm", 0, PHASE_FINAL);
	codex_says_text("first");
	codex_calls_tool(NULL, "f", "{}");
	codex_uses(100);
	codex_fails(FAILURE_BACKEND_LOST);
	run_loop(&loop);
	/* a whole answer is committed by nothing */
	if (codex.begun == 2) {
		codex_starts();
		codex_says_text("second");
		codex_finishes(FINISH_STOP);
		assert_output("[" MESSAGE("second") "]");
		answer = answer_parsed();
		assert_int_equal(json_get_int(json_get_object(answer, "usage"), "total_tokens", -1),
		                 0);
	}
	assert_int_equal(codex.begun, 2);
	request_done(&x);
}

static void
the_model_that_really_answers_is_named(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(""));
	codex_says((struct event){.kind = EVENT_MODEL, .model = "gpt-other"});
	codex_finishes(FINISH_STOP);
	answer = answer_parsed();
	assert_string_equal(json_get_string(answer, "model"), "gpt-other");
	assert_output("[]");
	request_done(&x);
}

static void
only_the_first_call_counts_without_parallel_calls(void **state)
{
	ask(ASK(",\"parallel_tool_calls\":false" TOOLS));
	codex_calls_tool(NULL, "f", "1");
	codex_calls_tool(NULL, "f", "2");
	codex_finishes(FINISH_TOOL_CALLS);
	assert_output("[{\"type\":\"function_call\",\"call_id\":\"call\",\"name\":\"f\","
	              "\"arguments\":\"1\",\"status\":\"completed\"}]");
	request_done(&x);
}

static void
an_answer_that_is_no_json_object_is_an_error(void **state)
{
	static const char format[] = ASK(",\"text\":{\"format\":{\"type\":\"json_object\"}}");

	ask(format);
	codex_says_more(EVENT_TEXT, "{}", 0, PHASE_FINAL);
	codex_says_more(EVENT_TEXT, "no", 1, PHASE_FINAL);
	codex_finishes(FINISH_STOP);
	assert_int_equal(x.status, 502);
	assert_non_null(strstr(answer_error(&x, "message"), "'text.format'"));
	request_done(&x);
	ask(format);
	codex_says_more(EVENT_TEXT, "let me see", 0, PHASE_COMMENTARY);
	codex_says_more(EVENT_TEXT, "{\\\"a\\\":1}", 1, PHASE_FINAL);
	codex_finishes(FINISH_STOP);
	assert_int_equal(x.status, 200);
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
	assert_int_equal(codex.cancelled, 1);
	request_done(&x);
	ask(ASK(TOOLS));
	codex_calls_tool(NULL, "f", long_text);
	codex_calls_tool(NULL, "f", long_text); /* and so do calls */
	assert_int_equal(x.status, 502);
	request_done(&x);
	ask(STREAM);
	codex_has_reasoned(long_text);
	codex_has_reasoned(long_text); /* and what only the provider can read */
	assert_int_equal(codex.cancelled, 3);
	assert_non_null(strstr(answer_text(&x), "response_too_large"));
	assert_true(x.ended);
	request_done(&x);
}

/* --- later ---------------------------------------------------------------------------------- */

static void
assert_answer(enum http_method method, const char *path, int status)
{
	ask_about(method, path);
	if (x.status != status)
		fail_msg("%s: %d", path, x.status);
	request_done(&x);
}

static void
a_response_can_be_asked_for_until_it_is_deleted(void **state)
{
	json_auto_t *answer = NULL;
	char path[128], cancel[160];

	ask(ASK(""));
	codex_says_text("x");
	codex_finishes(FINISH_STOP);
	answer = answer_parsed();
	request_done(&x);
	(void)snprintf(path, sizeof(path), RESPONSES "/%s", json_get_string(answer, "id"));
	(void)snprintf(cancel, sizeof(cancel), "%s/cancel", path);
	ask_about(HTTP_GET, path);
	assert_int_equal(x.status, 200);
	assert_output("[" MESSAGE("x") "]");
	request_done(&x);
	assert_answer(HTTP_POST, cancel, 400);
	assert_answer(HTTP_DELETE, path, 200);
	assert_answer(HTTP_GET, path, 404);
	assert_answer(HTTP_DELETE, path, 404);
	assert_answer(HTTP_POST, cancel, 404);
	assert_answer(HTTP_GET, RESPONSES "/resp_1/input_items", 404);
	assert_answer(HTTP_DELETE, RESPONSES "/resp_1/x", 404);
	assert_answer(HTTP_POST, RESPONSES "/compact", 404);
	assert_answer(HTTP_POST, RESPONSES "//cancel", 404);
	assert_answer(HTTP_POST, RESPONSES "/a/b/cancel", 404);
	assert_answer(HTTP_POST, RESPONSES "/cancel", 404);
}

static void
what_failed_or_shall_not_be_kept_is_not(void **state)
{
	json_auto_t *answer = NULL;
	char path[128];

	ask(ASK(",\"store\":false"));
	codex_finishes(FINISH_STOP);
	answer = answer_parsed();
	request_done(&x);
	(void)snprintf(path, sizeof(path), RESPONSES "/%s", json_get_string(answer, "id"));
	assert_answer(HTTP_GET, path, 404);
	json_decref(answer);
	ask(STREAM);
	codex_starts();
	codex_fails(FAILURE_RATE_LIMITED);
	answer = answer_parsed();
	request_done(&x);
	(void)snprintf(path, sizeof(path), RESPONSES "/%s", json_get_string(answer, "id"));
	assert_answer(HTTP_GET, path, 404);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		DIALECT_TESTS,
		with_api(a_stream_of_text_has_its_events_in_the_official_order),
		with_api(reasoning_has_parts_and_comes_before_what_follows),
		with_api(encrypted_reasoning_is_shown_to_those_who_ask_only),
		with_api(reasoning_ends_where_nobody_ends_it),
		with_api(messages_and_their_phases_are_kept_apart),
		with_api(calls_of_functions_and_of_custom_tools_have_events_of_their_own),
		with_api(arguments_that_hold_no_input_are_the_input),
		with_api(headers_go_out_by_themselves_after_their_delay),
		with_api(a_failure_in_the_stream_is_an_error_and_a_failed_response),
		with_api(a_whole_answer_comes_at_its_end),
		with_api(a_refusal_is_a_message_with_a_part_of_its_own),
		with_api(an_answer_that_is_cut_is_incomplete),
		with_api(a_second_try_forgets_the_first),
		with_api(the_model_that_really_answers_is_named),
		with_api(only_the_first_call_counts_without_parallel_calls),
		with_api(an_answer_that_is_no_json_object_is_an_error),
		with_api(an_answer_over_the_limit_is_given_up),
		with_api(a_response_can_be_asked_for_until_it_is_deleted),
		with_api(what_failed_or_shall_not_be_kept_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
