/* Several choices, stop sequences, JSON objects and the legacy form, over a model that the test
 * plays. */
#include "tests/unit/chat_fixture.h"

/* The n-th of the threads that work is the one who speaks next. */
static void
let_speak(unsigned n)
{
	struct thread *t = codex.threads;

	for (; n > 0 && t != NULL; n--)
		t = t->next;
	assert_non_null(t);
	DL_DELETE(codex.threads, t);
	DL_PREPEND(codex.threads, t);
}

static const char *
content_of(const json_t *choice)
{
	return json_get_string(json_get_object(choice, "message"), "content");
}

/* The contents of all chunks of a choice, put together. */
static void
streamed_content(struct json_buf *out, unsigned index)
{
	json_t *chunk;

	for (size_t n = 0; (chunk = event_at(n)) != NULL; n++) {
		json_t *choice = choice_of(chunk, 0);
		json_t *text = json_object_get(json_object_get(choice, "delta"), "content");

		if (json_get_int(choice, "index", -1) == index)
			json_buf_append(out, json_string_value(text), json_string_length(text));
		json_decref(chunk);
	}
	json_buf_append(out, "", 1);
}

/* --- several choices ------------------------------------------------------------------------- */

static void
choices_are_turns_of_their_own_in_one_stream(void **state)
{
	json_auto_t *last = NULL;

	ask(ASK(",\"stream\":true,\"n\":2,\"stream_options\":{\"include_usage\":true}"));
	assert_int_equal(codex.begun, 2);
	codex_starts();
	codex_says_text("a0");
	let_speak(1);
	codex_starts();
	codex_says_text("b0");
	codex_says_text("b1");
	let_speak(1);
	codex_says_text("a1");
	codex_uses(5);
	codex_finishes(FINISH_LENGTH);
	assert_false(x.ended);
	codex_says_text("b2");
	codex_uses(7);
	codex_finishes(FINISH_STOP);
	assert_event_of(0, 0, ROLE, "");
	assert_event_of(0, 1, "{\"content\":\"a0\"}", "");
	assert_event_of(1, 2, ROLE, "");
	assert_event_of(1, 3, "{\"content\":\"b0\"}", "");
	assert_event_of(1, 4, "{\"content\":\"b1\"}", "");
	assert_event_of(0, 5, "{\"content\":\"a1\"}", "");
	assert_event_of(0, 6, "{}", "length");
	assert_event_of(1, 7, "{\"content\":\"b2\"}", "");
	assert_event_of(1, 8, "{}", "stop");
	last = event_at(9);
	assert_int_equal(json_array_size(json_object_get(last, "choices")), 0);
	assert_int_equal(json_get_int(json_get_object(last, "usage"), "total_tokens", 0), 12);
	assert_ends_well();
	request_done(&x);
}

static void
choices_have_one_id_and_each_its_own_model(void **state)
{
	json_auto_t *first = NULL;
	json_auto_t *second = NULL;

	ask(ASK(",\"stream\":true,\"n\":2"));
	let_speak(1);
	codex_says((struct event){.kind = EVENT_MODEL, .model = "gpt-other"});
	codex_starts();
	let_speak(1);
	codex_starts();
	second = event_at(0);
	first = event_at(1);
	assert_string_equal(json_get_string(first, "id"), json_get_string(second, "id"));
	assert_int_equal(json_get_int(first, "created", 0), json_get_int(second, "created", 1));
	assert_string_equal(json_get_string(first, "model"), "gpt-a");
	assert_string_equal(json_get_string(second, "model"), "gpt-other");
	request_done(&x);
	assert_int_equal(codex.cancelled, 2);
}

static void
a_whole_answer_has_its_choices_in_order(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(",\"n\":2"));
	let_speak(1);
	codex_says_text("b");
	codex_uses(2);
	codex_finishes(FINISH_LENGTH);
	assert_int_equal(x.status, 0);
	codex_says_text("a");
	codex_uses(1);
	codex_finishes(FINISH_STOP);
	answer = answer_parsed();
	assert_int_equal(json_array_size(json_object_get(answer, "choices")), 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(json_get_int(choice_of(answer, i), "index", -1), i);
		assert_string_equal(content_of(choice_of(answer, i)), i == 0 ? "a" : "b");
		assert_string_equal(json_get_string(choice_of(answer, i), "finish_reason"),
		                    i == 0 ? "stop" : "length");
	}
	assert_int_equal(json_get_int(json_get_object(answer, "usage"), "prompt_tokens", 0), 3);
	request_done(&x);
}

static void
choices_beyond_the_slots_wait_for_one(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(",\"n\":4")); /* two run, two wait */
	assert_int_equal(codex.begun, 2);
	assert_int_equal(turns_stats(api.turns).waiting, 2);
	for (int i = 0; i < 4; i++) {
		codex_says_text("x");
		codex_finishes(FINISH_STOP);
		run_loop(&loop);
	}
	answer = answer_parsed();
	assert_int_equal(json_array_size(json_object_get(answer, "choices")), 4);
	assert_int_equal(codex.begun, 4);
	request_done(&x);
}

static void
a_choice_without_room_in_the_queue_refuses_all(void **state)
{
	ask(ASK(",\"n\":5"));
	assert_int_equal(x.status, 503);
	assert_string_equal(answer_error(&x, "code"), "queue_full");
	assert_int_equal(turns_stats(api.turns).running + turns_stats(api.turns).waiting, 0);
	assert_null(codex.threads);
	request_done(&x);
}

static void
one_choice_that_fails_fails_all(void **state)
{
	json_auto_t *error = NULL;

	ask(ASK(",\"n\":2"));
	codex_says_text("a");
	codex_finishes(FINISH_STOP);
	codex_fails(FAILURE_RATE_LIMITED);
	assert_int_equal(x.status, 429);
	assert_null(codex.threads);
	request_done(&x);
	ask(ASK(",\"n\":2,\"stream\":true"));
	codex_starts();
	codex_says_text("a");
	let_speak(1);
	codex_fails(FAILURE_RATE_LIMITED);
	assert_int_equal(codex.cancelled, 1);
	error = event_at(2);
	assert_string_equal(json_get_string(json_get_object(error, "error"), "code"),
	                    "rate_limit_exceeded");
	assert_ends_well();
	request_done(&x);
}

static void
a_choice_that_waits_too_long_ends_all(void **state)
{
	ask(ASK(",\"n\":4")); /* two run, two wait */
	pass_time(&loop, 5000);
	assert_int_equal(x.status, 503);
	assert_string_equal(answer_error(&x, "code"), "queue_timeout");
	assert_int_equal(codex.begun, 2); /* nobody takes the slots of those that were cancelled */
	assert_int_equal(codex.cancelled, 2);
	assert_int_equal(turns_stats(api.turns).running + turns_stats(api.turns).waiting, 0);
	request_done(&x);
}

static void
one_choice_that_begins_again_leaves_the_others_alone(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(",\"n\":2"));
	codex_says_text("a");
	let_speak(1);
	codex_says_text("lost");
	codex_fails(FAILURE_BACKEND_LOST);
	run_loop(&loop);
	let_speak(1);
	codex_says_text("b");
	codex_finishes(FINISH_STOP);
	codex_says_text("a");
	codex_finishes(FINISH_STOP);
	answer = answer_parsed();
	assert_string_equal(content_of(choice_of(answer, 0)), "aa");
	assert_string_equal(content_of(choice_of(answer, 1)), "b");
	request_done(&x);
}

static void
a_client_that_goes_takes_all_its_turns_with_it(void **state)
{
	ask(ASK(",\"n\":4"));
	codex_finishes(FINISH_STOP);
	run_loop(&loop);
	request_done(&x);
	assert_int_equal(codex.cancelled, 2);
	assert_int_equal(turns_stats(api.turns).running + turns_stats(api.turns).waiting, 0);
}

static void
the_limit_is_for_all_choices_together(void **state)
{
	char text[RESPONSE_MAX / 2 + 2];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ask(ASK(",\"n\":2"));
	codex_says_text(text);
	/* what a try said that is void does not count */
	codex_fails(FAILURE_BACKEND_LOST);
	run_loop(&loop);
	codex_says_text(text);
	assert_int_equal(x.status, 0);
	let_speak(1);
	codex_says_text(text);
	assert_int_equal(x.status, 502);
	assert_string_equal(answer_error(&x, "code"), "response_too_large");
	assert_int_equal(codex.cancelled, 2);
	request_done(&x);
}

static void
another_key_does_not_wait_behind_all_choices_of_one(void **state)
{
	struct http_exchange other;

	ask(ASK(",\"n\":3")); /* two run, one waits */
	request_make(&other, HTTP_POST, CHAT, ASK(",\"model\":\"gpt-b\""));
	assert_int_equal(api_handlers.on_head(&api, &other), 0);
	http_set_caller(&other, 2); /* the first key is 1 */
	api_handlers.on_request(&api, &other);
	run_loop(&loop);
	assert_int_equal(turns_stats(api.turns).waiting, 2);
	codex_finishes(FINISH_STOP);
	run_loop(&loop);
	assert_string_equal(codex.threads->next->conversation->model, "gpt-b");
	request_done(&other);
	request_done(&x);
}

/* --- stop sequences -------------------------------------------------------------------------- */

#define STOP ",\"stop\":[\"END\",\"\\n\\n\"]"

static void
a_stop_sequence_ends_the_answer_before_itself(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(STOP));
	codex_starts();
	codex_says_text("some E");
	codex_says_text("N");
	codex_uses(3);
	codex_says_text("D and more");
	assert_int_equal(codex.cancelled, 1);
	assert_int_equal(x.status, 200);
	answer = answer_parsed();
	assert_string_equal(content_of(choice_of(answer, 0)), "some ");
	assert_string_equal(json_get_string(choice_of(answer, 0), "finish_reason"), "stop");
	assert_int_equal(json_get_int(json_get_object(answer, "usage"), "total_tokens", 0), 3);
	request_done(&x);
}

static void
in_a_stream_text_waits_only_while_it_may_become_a_stop_sequence(void **state)
{
	ask(ASK(",\"stream\":true" STOP));
	codex_starts();
	codex_says_text("some E");
	assert_event(1, "{\"content\":\"some \"}", "");
	codex_says_text("N");
	codex_says_text("!E");
	assert_event(2, "{\"content\":\"EN!\"}", "");
	codex_says_text("ND");
	assert_event(3, "{}", "stop");
	assert_ends_well();
	assert_int_equal(codex.cancelled, 1);
	request_done(&x);
}

static void
what_was_held_back_comes_at_the_end(void **state)
{
	ask(ASK(",\"stream\":true" STOP));
	codex_starts();
	codex_says_text("EN");
	codex_finishes(FINISH_LENGTH);
	assert_event(1, "{\"content\":\"EN\"}", "");
	assert_event(2, "{}", "length");
	assert_ends_well();
	request_done(&x);
}

static void
what_was_held_back_comes_before_a_call(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(",\"stream\":true" STOP TOOLS));
	codex_starts();
	codex_says_text("E");
	codex_calls(0, "{\"END\":1}"); /* no text: not looked at */
	codex_finishes(FINISH_TOOL_CALLS);
	assert_event(1, "{\"content\":\"E\"}", "");
	assert_event(3, "{}", "tool_calls");
	request_done(&x);
	ask(ASK(STOP TOOLS));
	codex_says_text("E");
	codex_calls(0, "{}");
	codex_finishes(FINISH_TOOL_CALLS);
	answer = answer_parsed();
	assert_string_equal(content_of(choice_of(answer, 0)), "E");
	request_done(&x);
}

static void
between_messages_is_text_and_reasoning_is_none(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(STOP));
	codex_says_more(EVENT_REASONING, "END", 0, PHASE_FINAL);
	codex_says_more(EVENT_TEXT, "END", 0, PHASE_COMMENTARY);
	codex_says_more(EVENT_TEXT, "a", 1, PHASE_FINAL);
	codex_says_more(EVENT_TEXT, "b", 2, PHASE_FINAL); /* "a\n\nb" */
	answer = answer_parsed();
	assert_string_equal(content_of(choice_of(answer, 0)), "a");
	assert_string_equal(json_get_string(message_of(answer), "reasoning_content"), "END\n\nEND");
	request_done(&x);
}

static void
a_second_try_begins_without_what_was_held_back(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(STOP));
	codex_says_text("EN");
	codex_fails(FAILURE_BACKEND_LOST);
	run_loop(&loop);
	codex_says_text("D of it");
	codex_finishes(FINISH_STOP);
	answer = answer_parsed();
	assert_string_equal(content_of(choice_of(answer, 0)), "D of it");
	request_done(&x);
}

static void
a_choice_that_stops_leaves_the_others_alone(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(",\"n\":2" STOP));
	codex_says_text("aEND");
	assert_int_equal(codex.cancelled, 1);
	assert_int_equal(x.status, 0);
	codex_says_text("b EN");
	codex_finishes(FINISH_STOP);
	answer = answer_parsed();
	assert_string_equal(content_of(choice_of(answer, 0)), "a");
	assert_string_equal(content_of(choice_of(answer, 1)), "b EN");
	request_done(&x);
}

static void
a_required_call_is_missed_where_a_stop_sequence_came_first(void **state)
{
	ask(ASK(",\"tool_choice\":\"required\"" STOP TOOLS));
	codex_says_text("aEND");
	assert_int_equal(codex.cancelled, 1);
	assert_int_equal(x.status, 502);
	request_done(&x);
}

/* The same text, cut at every byte between two deltas, streamed and whole. */
static void
whole_and_streamed_say_the_same_wherever_the_deltas_are_cut(void **state)
{
	static const char text[] = "one EN two E\xc3\xa4 END three";

	for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
		struct json_buf streamed = {.data = NULL};
		json_auto_t *answer = NULL;
		char first[sizeof(text)];

		if (((unsigned char)text[cut] & 0xc0) == 0x80)
			continue; /* codex sends whole characters */
		(void)snprintf(first, sizeof(first), "%.*s", (int)cut, text);
		ask(ASK(STOP));
		codex_says_text(first);
		if (!x.ended)
			codex_says_text(text + cut);
		answer = answer_parsed();
		assert_string_equal(content_of(choice_of(answer, 0)), "one EN two E\xc3\xa4 ");
		request_done(&x);
		ask(ASK(",\"stream\":true" STOP));
		codex_says_text(first);
		if (!x.ended)
			codex_says_text(text + cut);
		assert_ends_well();
		streamed_content(&streamed, 0);
		assert_string_equal(streamed.data, "one EN two E\xc3\xa4 ");
		json_buf_free(&streamed);
		request_done(&x);
	}
}

/* --- JSON objects ---------------------------------------------------------------------------- */

#define JSON_OBJECT ",\"response_format\":{\"type\":\"json_object\"}"

static void
a_json_object_is_answered_as_it_came(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(JSON_OBJECT));
	assert_int_equal(json_array_size(codex.threads->conversation->items), 2);
	codex_says_text("{\\\"a\\\":");
	codex_says_text(" 1}\\n");
	codex_finishes(FINISH_STOP);
	answer = answer_parsed();
	assert_string_equal(content_of(choice_of(answer, 0)), "{\"a\": 1}\n");
	request_done(&x);
	ask(ASK(",\"stream\":true" JSON_OBJECT));
	codex_says_text("{\\\"a\\\":");
	codex_says_text(" 1}\\n");
	codex_finishes(FINISH_STOP);
	assert_event(2, "{\"content\":\" 1}\\n\"}", "");
	assert_event(3, "{}", "stop");
	assert_ends_well();
	request_done(&x);
}

static void
an_answer_that_is_no_json_object_is_an_error(void **state)
{
	json_auto_t *error = NULL;

	ask(ASK(JSON_OBJECT));
	codex_says_text("Sure: {}");
	codex_finishes(FINISH_STOP);
	assert_int_equal(x.status, 502);
	assert_string_equal(answer_error(&x, "code"), "backend_error");
	assert_non_null(strstr(answer_error(&x, "message"), "response_format"));
	request_done(&x);
	ask(ASK(",\"stream\":true" JSON_OBJECT));
	codex_says_text("Sure: {}");
	codex_finishes(FINISH_STOP);
	error = event_at(2); /* no finish before it */
	assert_string_equal(json_get_string(json_get_object(error, "error"), "code"),
	                    "backend_error");
	assert_ends_well();
	request_done(&x);
}

static void
a_json_object_that_was_cut_is_told_by_its_finish(void **state)
{
	json_auto_t *cut = NULL;
	json_auto_t *stopped = NULL;
	json_auto_t *called = NULL;

	ask(ASK(JSON_OBJECT));
	codex_says_text("{\\\"a\\\":");
	codex_finishes(FINISH_LENGTH);
	cut = answer_parsed();
	assert_string_equal(json_get_string(choice_of(cut, 0), "finish_reason"), "length");
	request_done(&x);
	ask(ASK(JSON_OBJECT STOP));
	codex_says_text("{\\\"a\\\":END");
	stopped = answer_parsed();
	assert_string_equal(content_of(choice_of(stopped, 0)), "{\"a\":");
	request_done(&x);
	ask(ASK(JSON_OBJECT TOOLS));
	codex_calls(0, "{}");
	codex_finishes(FINISH_TOOL_CALLS);
	called = answer_parsed();
	assert_non_null(json_object_get(message_of(called), "tool_calls"));
	request_done(&x);
}

/* --- the legacy form ------------------------------------------------------------------------- */

#define FUNCTIONS ",\"functions\":[{\"name\":\"f\"}]"

static void
a_legacy_call_is_answered_in_its_form(void **state)
{
	json_auto_t *answer = NULL;

	ask(ASK(FUNCTIONS));
	codex_calls(0, "{\"a\": 1}");
	codex_calls(1, "{}");
	codex_finishes(FINISH_TOOL_CALLS);
	answer = answer_parsed();
	assert_null(json_object_get(message_of(answer), "tool_calls"));
	assert_string_equal(
		json_get_string(json_get_object(message_of(answer), "function_call"), "arguments"),
		"{\"a\": 1}");
	assert_string_equal(json_get_string(choice_of(answer, 0), "finish_reason"),
	                    "function_call");
	request_done(&x);
	ask(ASK(",\"stream\":true" FUNCTIONS));
	codex_calls(0, "{\"a\": 1}");
	codex_calls(1, "{}");
	codex_finishes(FINISH_TOOL_CALLS);
	assert_event(1, "{\"function_call\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": 1}\"}}",
	             "");
	assert_event(2, "{}", "function_call");
	assert_ends_well();
	request_done(&x);
}

static void
a_legacy_call_that_is_required_is_checked(void **state)
{
	ask(ASK(",\"function_call\":{\"name\":\"f\"}" FUNCTIONS));
	codex_says_text("no");
	codex_finishes(FINISH_STOP);
	assert_int_equal(x.status, 502);
	request_done(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_api(choices_are_turns_of_their_own_in_one_stream),
		with_api(choices_have_one_id_and_each_its_own_model),
		with_api(a_whole_answer_has_its_choices_in_order),
		with_api(choices_beyond_the_slots_wait_for_one),
		with_api(a_choice_without_room_in_the_queue_refuses_all),
		with_api(one_choice_that_fails_fails_all),
		with_api(a_choice_that_waits_too_long_ends_all),
		with_api(one_choice_that_begins_again_leaves_the_others_alone),
		with_api(a_client_that_goes_takes_all_its_turns_with_it),
		with_api(the_limit_is_for_all_choices_together),
		with_api(another_key_does_not_wait_behind_all_choices_of_one),
		with_api(a_stop_sequence_ends_the_answer_before_itself),
		with_api(in_a_stream_text_waits_only_while_it_may_become_a_stop_sequence),
		with_api(what_was_held_back_comes_at_the_end),
		with_api(what_was_held_back_comes_before_a_call),
		with_api(between_messages_is_text_and_reasoning_is_none),
		with_api(a_second_try_begins_without_what_was_held_back),
		with_api(a_choice_that_stops_leaves_the_others_alone),
		with_api(a_required_call_is_missed_where_a_stop_sequence_came_first),
		with_api(whole_and_streamed_say_the_same_wherever_the_deltas_are_cut),
		with_api(a_json_object_is_answered_as_it_came),
		with_api(an_answer_that_is_no_json_object_is_an_error),
		with_api(a_json_object_that_was_cut_is_told_by_its_finish),
		with_api(a_legacy_call_is_answered_in_its_form),
		with_api(a_legacy_call_that_is_required_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
