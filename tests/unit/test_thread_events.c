/* What a thread makes of notifications that the app-server should not send, or sends in ways that
 * were not recorded: they are handed to it here, beside a turn that is really under way. */
#include "proxy/codex/internal.h"
#include "tests/unit/thread_fixture.h"

static char turn_id[64];

static struct thread_link *
link_of(void)
{
	return (struct thread_link *)caller.thread; /* its first member */
}

/* A turn that has said "some", and waits: what happens to it now is up to the test. */
static int
setup_turn(void **state)
{
	const char *at;

	if (setup_connected(state) != 0)
		return -1;
	begin_turn("!part some\n!silence");
	RUN_UNTIL(strcmp(caller.text, "some") == 0);
	/* the fake makes turn ids like its thread ids */
	at = thread_id(caller.thread);
	(void)snprintf(turn_id, sizeof(turn_id), "01a2074f-1111%s", at + strlen("01a2074f-0000"));
	return 0;
}

/* more: further members of params. */
static void
notify(const char *method, const char *more)
{
	char text[2048];
	json_t *params;

	(void)snprintf(text, sizeof(text), "{\"threadId\":\"x\",\"turnId\":\"%s\"%s}", turn_id,
	               more);
	params = json_loads(text, JSON_ALLOW_NUL, NULL);
	if (params == NULL)
		fail_msg("%s", text);
	if (caller.thread != NULL)
		thread_on_notification(link_of(), method, params);
	json_decref(params);
}

#define USAGE(n) ",\"usage\":{\"inputTokens\":" n ",\"outputTokens\":" n ",\"totalTokens\":" n "}"

static void
complete(void)
{
	notify("turn/completed", ",\"turn\":{\"status\":\"completed\"}");
}

static void
garbage_of_any_type_changes_nothing(void **state)
{
	static const char *const methods[] = {"item/agentMessage/delta",
	                                      "item/reasoning/summaryTextDelta",
	                                      "item/started",
	                                      "rawResponseItem/completed",
	                                      "thread/tokenUsage/updated",
	                                      "model/rerouted",
	                                      "turn/started",
	                                      "no/such/method",
	                                      ""};
	static const char *const members[] = {
		"",
		",\"item\":7,\"delta\":7,\"itemId\":7,\"tokenUsage\":7,\"toModel\":7",
		",\"item\":{},\"delta\":{},\"itemId\":\"i\",\"tokenUsage\":{\"total\":7}",
		",\"item\":{\"type\":7,\"id\":[]},\"delta\":\"x\"",
		",\"item\":{\"type\":\"odd\"},\"itemId\":null,\"delta\":\"x\"",
		",\"item\":{\"type\":\"message\",\"role\":\"user\",\"id\":\"u\",\"content\":"
		"[{\"text\":\"echo\"}]}",
		",\"item\":{\"type\":\"message\",\"role\":7}",
		",\"turn\":[]"};
	json_auto_t *nobody = json_pack("{s:s}", "turnId", "somebody else's");
	json_auto_t *empty = json_pack("{s:s}", "turnId", "");

	for (size_t i = 0; i < NELEM(methods); i++) {
		for (size_t k = 0; k < NELEM(members); k++)
			notify(methods[i], members[k]);
		thread_on_notification(link_of(), methods[i], NULL);
		thread_on_notification(link_of(), methods[i], nobody);
		thread_on_notification(link_of(), methods[i], empty);
	}
	assert_string_equal(caller.text, "some");
	assert_int_equal(caller.ends, 0);
	complete();
	assert_true(caller.finished);
	assert_string_equal(caller.text, "some");
}

static void
a_turn_that_ends_in_no_known_way_has_failed(void **state)
{
	notify("turn/completed", ",\"turn\":{\"status\":\"exploded\"}");
	assert_int_equal(caller.failure.kind, FAILURE_BACKEND_ERROR);
}

static void
an_interruption_that_nobody_asked_for_has_failed(void **state)
{
	notify("turn/completed", ",\"turn\":{\"status\":\"interrupted\",\"error\":null}");
	assert_int_equal(caller.failure.kind, FAILURE_BACKEND_ERROR);
}

static void
a_failure_without_an_error_has_failed_all_the_same(void **state)
{
	notify("turn/completed", ",\"turn\":{\"status\":\"failed\",\"error\":7}");
	assert_int_equal(caller.failure.kind, FAILURE_BACKEND_ERROR);
}

static void
a_delta_in_another_shape_is_read_all_the_same(void **state)
{
	notify("item/agentMessage/delta",
	       ",\"itemId\":\"m\",\"delta\":\" \\\"q\\\"\\u0000\\u20ac\"");
	assert_string_equal(caller.text, "some \\\"q\\\"\\u0000\xe2\x82\xac");
	notify("item/reasoning/summaryTextDelta", ",\"itemId\":\"r\",\"delta\":\"a\"");
	assert_int_equal(caller.last_part, 0);
	notify("item/reasoning/summaryTextDelta",
	       ",\"itemId\":\"r\",\"delta\":\"b\",\"summaryIndex\":1");
	assert_int_equal(caller.last_part, 1);
	notify("item/reasoning/summaryTextDelta", ",\"itemId\":\"s\",\"delta\":\"c\"");
	assert_int_equal(caller.last_part, 2);
	assert_string_equal(caller.reasoning, "abc");
	complete();
}

static void
a_message_that_comes_whole_is_said_once(void **state)
{
	notify("item/started",
	       ",\"item\":{\"type\":\"agentMessage\",\"id\":\"w\",\"phase\":\"commentary\"}");
	/* what was said in deltas, under an id that the raw item does not have */
	notify("rawResponseItem/completed",
	       ",\"item\":{\"type\":\"message\",\"role\":\"assistant\",\"id\":\"another\","
	       "\"content\":[{\"type\":\"output_text\",\"text\":\"some\"}]}");
	assert_string_equal(caller.text, "some");
	/* what was not, in two parts, with one that is no text */
	for (int twice = 0; twice < 2; twice++)
		notify("rawResponseItem/completed",
		       ",\"item\":{\"type\":\"message\",\"role\":\"assistant\",\"id\":\"w\","
		       "\"content\":[{\"type\":\"output_text\",\"text\":\" more\"},{\"type\":"
		       "\"refusal\"},7,{\"text\":\" \\\"words\\\"\"}]}");
	assert_string_equal(caller.text, "some more \\\"words\\\"");
	assert_int_equal(caller.phase, PHASE_COMMENTARY);
	/* one that was not even begun */
	notify("rawResponseItem/completed",
	       ",\"item\":{\"type\":\"message\",\"role\":\"assistant\","
	       "\"content\":[{\"type\":\"output_text\",\"text\":\"!\"}]}");
	assert_string_equal(caller.text, "some more \\\"words\\\"!");
	assert_int_equal(caller.last_item, 2);
	complete();
}

#define REASONING(encrypted)                                                                       \
	",\"item\":{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"" encrypted "\"" \
	"}"

static void
reasoning_is_told_once_also_when_the_response_begins_again(void **state)
{
	notify("rawResponseItem/completed", REASONING("a"));
	notify("rawResponseItem/completed", REASONING("b"));
	notify("error", ",\"willRetry\":true,\"error\":{\"message\":\"Reconnecting... 1/5\"}");
	notify("rawResponseItem/completed", REASONING("c"));
	notify("rawResponseItem/completed", REASONING("d"));
	notify("rawResponseItem/completed", REASONING("e"));
	notify("item/agentMessage/delta", ",\"itemId\":\"m\",\"delta\":\"some\"");
	notify("rawResponse/completed", USAGE("1"));
	notify("rawResponseItem/completed", ",\"item\":{\"type\":\"reasoning\"}");
	assert_string_equal(caller.reasoned, "a|b|e||");
	complete();
}

static void
a_call_has_its_namespace_unless_it_is_one_of_ours(void **state)
{
	notify("rawResponseItem/completed",
	       ",\"item\":{\"type\":\"function_call\",\"call_id\":\"1\",\"name\":\"f\","
	       "\"namespace\":\"clock\",\"arguments\":\"\"}");
	notify("rawResponseItem/completed",
	       ",\"item\":{\"type\":\"function_call\",\"call_id\":\"2\",\"name\":"
	       "\"exec_command\",\"namespace\":\"client_tools\",\"arguments\":\"\"}");
	notify("rawResponse/completed", USAGE("1"));
	assert_string_equal(caller.spaces, "clock|-|");
}

static void
usage_is_the_sum_of_the_responses_and_never_nonsense(void **state)
{
	notify("rawResponse/completed", USAGE("10"));
	notify("item/started", ",\"item\":{\"type\":\"agentMessage\",\"id\":\"n\"}");
	notify("rawResponse/completed", USAGE("5"));
	assert_int_equal(caller.usage.total_tokens, 15);
	notify("rawResponse/completed", USAGE("9223372036854775807"));
	notify("rawResponse/completed", USAGE("-3"));
	notify("rawResponse/completed", USAGE("\"7\""));
	assert_int_equal(caller.usage.total_tokens, 15);
	assert_int_equal(caller.usage.input_tokens, 15);
	/* the other source of it is for app-servers without raw events */
	notify("thread/tokenUsage/updated", ",\"tokenUsage\":{\"total\":{\"totalTokens\":99}}");
	assert_int_equal(caller.usage.total_tokens, 15);
	complete();
	assert_true(caller.finished);
}

static void
usage_may_come_from_the_thread(void **state)
{
	notify("thread/tokenUsage/updated", ",\"tokenUsage\":{\"total\":{\"totalTokens\":9}}");
	notify("thread/tokenUsage/updated", ",\"tokenUsage\":{\"total\":{\"totalTokens\":12}}");
	assert_int_equal(caller.usage.total_tokens, 12);
	complete();
}

static void
a_response_that_goes_on_ends_the_waiting_for_the_end(void **state)
{
	thread_config.completion_grace_ms = 30;
	notify("rawResponse/completed", USAGE("1"));
	notify("item/started", ",\"item\":{\"type\":\"reasoning\",\"id\":\"r\"}");
	run_for(100); /* well over the grace */
	assert_int_equal(caller.ends, 0);
	notify("rawResponse/completed", USAGE("1"));
	run_for(100); /* codex is asked, and says that it goes on */
	assert_int_equal(caller.ends, 0);
	assert_true(heard(&fake, "thread/read") >= 2);
	complete();
	assert_true(caller.finished);
}

static void
parts_of_reasoning_are_counted_on_where_a_second_response_is_tried_again(void **state)
{
	notify("item/reasoning/summaryTextDelta", ",\"itemId\":\"r\",\"delta\":\"a\"");
	notify("rawResponse/completed", USAGE("1"));
	notify("item/reasoning/summaryTextDelta", ",\"itemId\":\"r\",\"delta\":\"b\"");
	assert_int_equal(caller.last_part, 1);
	notify("error", ",\"willRetry\":true,\"error\":{\"message\":7}");
	notify("item/reasoning/summaryTextDelta", ",\"itemId\":\"s\",\"delta\":\"bc\"");
	assert_int_equal(caller.last_part, 1);
	assert_string_equal(caller.reasoning, "abc");
	complete();
}

#define WHOLE(id, text)                                                                            \
	",\"item\":{\"type\":\"agentMessage\",\"id\":\"" id "\",\"text\":\"" text                  \
	"\",\"phase\":\"final_answer\"}"

static void
without_raw_events_a_message_that_comes_whole_is_said_once(void **state)
{
	notify("item/completed", WHOLE("w", "not heard where raw events say it"));
	assert_string_equal(caller.text, "some");
	thread_config.transcript = true;
	notify("item/completed", WHOLE("msg_0", "some")); /* said in deltas */
	assert_string_equal(caller.text, "some");
	for (int twice = 0; twice < 2; twice++)
		notify("item/completed", WHOLE("w", " \\\"more\\\""));
	notify("item/completed", ",\"item\":{\"type\":\"agentMessage\",\"id\":\"x\"}");
	notify("item/completed", ",\"item\":{\"type\":\"userMessage\",\"id\":\"u\"}");
	assert_string_equal(caller.text, "some \\\"more\\\"");
	complete();
	assert_true(caller.finished);
}

static void
without_raw_events_the_usage_ends_a_response(void **state)
{
	thread_config.transcript = true;
	notify("thread/tokenUsage/updated", ",\"tokenUsage\":{\"total\":{\"totalTokens\":9}}");
	notify("item/agentMessage/delta", ",\"itemId\":\"b\",\"delta\":\"thing\"");
	/* it begins again, and that is the second response only */
	notify("error", ",\"willRetry\":true,\"error\":{\"message\":7}");
	notify("item/agentMessage/delta", ",\"itemId\":\"c\",\"delta\":\"things\"");
	assert_string_equal(caller.text, "somethings");
	notify("thread/tokenUsage/updated", ",\"tokenUsage\":{\"total\":{\"totalTokens\":20}}");
	assert_int_equal(caller.usage.total_tokens, 20);
	complete();
	assert_true(caller.finished);
}

static void
without_raw_events_a_second_try_that_says_less_fails(void **state)
{
	thread_config.transcript = true;
	notify("error", ",\"willRetry\":true,\"error\":{\"message\":7}");
	notify("item/agentMessage/delta", ",\"itemId\":\"b\",\"delta\":\"so\"");
	notify("thread/tokenUsage/updated", ",\"tokenUsage\":{\"total\":{\"totalTokens\":9}}");
	assert_int_equal(caller.failure.kind, FAILURE_STREAM_DISCONNECTED);
	assert_string_equal(caller.text, "some");
}

static void
without_raw_events_a_lost_end_is_found_out(void **state)
{
	thread_config.transcript = true;
	thread_config.completion_grace_ms = 30;
	notify("item/completed", WHOLE("msg_0", "some"));
	RUN_UNTIL(heard(&fake, "thread/read") > 0);
	assert_int_equal(caller.ends, 0); /* codex says that it goes on */
	complete();
}

static void
function_calls_with_holes_in_them_are_passed_on(void **state)
{
	notify("rawResponseItem/completed", ",\"item\":{\"type\":\"function_call\"}");
	notify("rawResponseItem/completed",
	       ",\"item\":{\"type\":\"function_call\",\"name\":\"f\",\"call_id\":7,"
	       "\"arguments\":{\"a\":1}}");
	notify("rawResponse/completed", "");
	assert_true(caller.finished);
	assert_int_equal(caller.finish, FINISH_TOOL_CALLS);
	assert_string_equal(caller.calls, "()# f()# ");
}

static void
what_is_told_twice_counts_once(void **state)
{
	static const char call[] = ",\"item\":{\"type\":\"function_call\",\"name\":\"f\","
				   "\"call_id\":\"c\",\"arguments\":\"{}\"}";
	static const char *const ids[] = {",\"responseId\":\"r\"" USAGE("10"),
	                                  ",\"responseId\":\"s\"" USAGE("5")};

	notify("rawResponse/completed", ids[0]);
	notify("rawResponse/completed", ids[0]);
	assert_int_equal(caller.usage.total_tokens, 10);
	notify("rawResponseItem/completed", call);
	notify("rawResponseItem/completed", call);
	notify("rawResponse/completed", ids[0]); /* an old one ends nothing */
	assert_int_equal(caller.ends, 0);
	notify("rawResponse/completed", ids[1]);
	assert_true(caller.finished);
	assert_int_equal(caller.usage.total_tokens, 15);
	assert_string_equal(caller.calls, "f({})#c ");
}

/* False: it would have to be parsed. */
static bool
notice(enum notice_kind kind, const char *turn, const char *item)
{
	const struct notice n = {.kind = kind,
	                         .turn_id = turn,
	                         .turn_id_len = strlen(turn),
	                         .item_id = item,
	                         .item_id_len = strlen(item)};

	return thread_on_notice(link_of(), &n);
}

static void
a_notice_says_what_the_parsed_message_would_say(void **state)
{
	assert_true(notice(NOTICE_TURN_COMPLETED, "another's", ""));
	assert_true(notice(NOTICE_ITEM_WHOLE, "auto-compact-0", "msg_0")); /* injected */
	assert_true(notice(NOTICE_TURN_STARTED, turn_id, ""));
	assert_true(notice(NOTICE_MESSAGE_BEGUN, turn_id, "msg_0")); /* it is known */
	assert_false(notice(NOTICE_ITEM_WHOLE, turn_id, ""));        /* whose, and what? */
	assert_false(notice(NOTICE_ITEM_WHOLE, turn_id, "msg_7"));   /* its text has not come */
	assert_true(notice(NOTICE_ITEM_WHOLE, turn_id, "msg_0"));
	assert_false(notice(NOTICE_TOKEN_USAGE, turn_id, "")); /* not known from elsewhere */
	notify("rawResponse/completed", USAGE("5"));
	assert_true(notice(NOTICE_TOKEN_USAGE, turn_id, ""));
	assert_int_equal(caller.ends, 0);
	assert_true(notice(NOTICE_TURN_COMPLETED, turn_id, ""));
	assert_true(caller.finished);
	assert_int_equal(caller.finish, FINISH_STOP);
	assert_string_equal(caller.text, "some");
}

static void
a_thread_that_the_server_closes_has_failed(void **state)
{
	assert_true(notice(NOTICE_THREAD_CLOSED, "", ""));
	assert_int_equal(caller.ends, 1);
	assert_int_equal(caller.failure.kind, FAILURE_BACKEND_LOST);
}

static void
more_messages_than_make_sense_end_the_turn(void **state)
{
	char item[128];

	for (int i = 0; i < 20000 && caller.ends == 0; i++) {
		(void)snprintf(item, sizeof(item),
		               ",\"item\":{\"type\":\"agentMessage\",\"id\":\"m%d\"}", i);
		notify("item/started", item);
	}
	assert_int_equal(caller.failure.kind, FAILURE_BACKEND_ERROR);
}

static void
more_calls_than_make_sense_end_the_turn(void **state)
{
	for (int i = 0; i < 20000 && caller.ends == 0; i++)
		notify("rawResponseItem/completed", ",\"item\":{\"type\":\"function_call\"}");
	assert_int_equal(caller.failure.kind, FAILURE_BACKEND_ERROR);
}

static void
a_rerouted_model_is_told(void **state)
{
	notify("model/rerouted", ",\"fromModel\":\"a\",\"toModel\":\"b\"");
	assert_string_equal(caller.model, "b");
	complete();
	assert_true(caller.finished);
}

int
main(int argc, char **argv)
{
#define with_turn(test) cmocka_unit_test_setup_teardown(test, setup_turn, teardown_connected)
	const struct CMUnitTest tests[] = {
		with_turn(garbage_of_any_type_changes_nothing),
		with_turn(a_notice_says_what_the_parsed_message_would_say),
		with_turn(a_thread_that_the_server_closes_has_failed),
		with_turn(a_turn_that_ends_in_no_known_way_has_failed),
		with_turn(an_interruption_that_nobody_asked_for_has_failed),
		with_turn(a_failure_without_an_error_has_failed_all_the_same),
		with_turn(a_delta_in_another_shape_is_read_all_the_same),
		with_turn(a_message_that_comes_whole_is_said_once),
		with_turn(reasoning_is_told_once_also_when_the_response_begins_again),
		with_turn(a_call_has_its_namespace_unless_it_is_one_of_ours),
		with_turn(usage_is_the_sum_of_the_responses_and_never_nonsense),
		with_turn(usage_may_come_from_the_thread),
		with_turn(a_response_that_goes_on_ends_the_waiting_for_the_end),
		with_turn(parts_of_reasoning_are_counted_on_where_a_second_response_is_tried_again),
		with_turn(without_raw_events_a_message_that_comes_whole_is_said_once),
		with_turn(without_raw_events_the_usage_ends_a_response),
		with_turn(without_raw_events_a_second_try_that_says_less_fails),
		with_turn(without_raw_events_a_lost_end_is_found_out),
		with_turn(function_calls_with_holes_in_them_are_passed_on),
		with_turn(what_is_told_twice_counts_once),
		with_turn(more_messages_than_make_sense_end_the_turn),
		with_turn(more_calls_than_make_sense_end_the_turn),
		with_turn(a_rerouted_model_is_told),
	};

	find_build(argv[0]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
