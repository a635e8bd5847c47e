/* One turn, from thread/start to thread/unsubscribe, against an app-server that misbehaves. */
#include "proxy/codex/rpc.h"
#include "tests/unit/thread_fixture.h"

/* --- a turn that goes well ------------------------------------------------------------------ */

static void
a_plain_turn_says_its_text_and_is_unsubscribed(void **state)
{
	turn("!say 3 0 tok");
	assert_said("tok0 tok1 tok2 ");
	assert_int_equal(caller.finish, FINISH_STOP);
	assert_int_equal(caller.started, 1);
	assert_int_equal(caller.usages, 1);
	assert_int_equal(caller.usage.input_tokens, 10);
	assert_int_equal(caller.usage.cached_input_tokens, 3);
	assert_int_equal(caller.usage.output_tokens, 5);
	assert_int_equal(caller.usage.reasoning_output_tokens, 1);
	assert_int_equal(caller.usage.total_tokens, 15);
	assert_int_equal(heard(&fake, "\"thread/start\""), 1);
	assert_int_equal(heard(&fake, "\"thread/inject_items\""), 1);
	assert_int_equal(heard(&fake, "\"turn/start\""), 1);
	assert_int_equal(heard(&fake, "\"turn/interrupt\""), 0);
	RUN_UNTIL(heard(&fake, "\"thread/unsubscribe\"") == 1);
}

static void
text_is_passed_on_as_it_came(void **state)
{
	turn("!say 1 0 \"q\" \\ \t \xe2\x82\xac end");
	assert_said("\\\"q\\\" \\\\ \\t \xe2\x82\xac end");
}

static void
messages_and_reasoning_are_told_apart(void **state)
{
	turn("!reason thinking\n!say 1 0 one\n!say 1 0 two\n!reason more");
	assert_said("onetwo");
	assert_int_equal(caller.last_item, 1);
	assert_string_equal(caller.reasoning, "thinkingmore");
	assert_int_equal(caller.last_part, 1);
}

static void
a_turn_without_history_is_begun_without_injecting_any(void **state)
{
	begin_turn("!say 1 0 x");
	json_decref(caller.conversation->items);
	caller.conversation->items = json_array();
	run_to_the_end();
	assert_said("You said: ");
	assert_int_equal(heard(&fake, "\"thread/inject_items\""), 0);
}

static void
function_calls_come_in_the_models_order_and_end_the_turn(void **state)
{
	turn("!say 1 0 wait\n!tool first {\"a\": 1.50}\n!tool second not json\n!tool third {}");
	assert_true(caller.finished);
	assert_int_equal(caller.finish, FINISH_TOOL_CALLS);
	assert_string_equal(caller.text, "wait");
	assert_string_equal(
		caller.calls,
		"first({\"a\": 1.50})#call_1 second(not json)#call_2 third({})#call_3 ");
	assert_int_equal(caller.usages, 1);
	RUN_UNTIL(heard(&fake, "\"turn/interrupt\"") == 1 &&
	          heard(&fake, "\"thread/unsubscribe\"") == 1);
}

static void
a_call_that_the_server_waits_for_is_not_answered(void **state)
{
	/* it may come while the model still writes its next call: nothing ends before its time */
	thread_config.completion_grace_ms = 20;
	turn("!tool first {}\n!server-request item/tool/call\n!wait 100\n!tool second {}");
	assert_int_equal(caller.finish, FINISH_TOOL_CALLS);
	assert_string_equal(caller.calls, "first({})#call_0 second({})#call_1 ");
	turn("!server-request item/commandExecution/requestApproval\n!say 1 0 refused");
	assert_said("refused");
	RUN_UNTIL(heard(&fake, "\"decision\":\"decline\"") == 1);
	turn("!server-request no/such/thing\n!say 1 0 refused");
	RUN_UNTIL(heard(&fake, "-32601") == 1);
}

static void
the_order_and_company_of_notifications_does_not_matter(void **state)
{
	static const char *const ways[] = {"!early", "!deltas-first", "!dup", "!garbage",
	                                   "!stranger"};

	for (size_t i = 0; i < NELEM(ways); i++) {
		char said[64];

		(void)snprintf(said, sizeof(said), "%s\n!say 3 0 tok", ways[i]);
		turn(said);
		assert_said("tok0 tok1 tok2 ");
	}
}

/* --- what the upstream does ----------------------------------------------------------------- */

static void
what_is_said_again_after_a_retry_is_not_passed_on_again(void **state)
{
	turn("!part one two\n!retry\n!say 1 0 one two three");
	assert_said("one two three");
	assert_int_equal(caller.last_item, 0);
	turn("!part one two\n!retry\n!part one\n!retry\n!say 1 0 one two three");
	assert_said("one two three");
	turn("!reason a\n!part one\n!retry\n!reason a\n!say 1 0 one");
	assert_said("one");
	assert_string_equal(caller.reasoning, "a");
	turn("!tool f {}\n!retry\n!tool g {}");
	assert_string_equal(caller.calls, "g({})#call_1 ");
}

static void
a_retry_that_goes_another_way_ends_the_turn(void **state)
{
	turn("!part one two\n!retry\n!say 1 0 one too");
	assert_failed(FAILURE_STREAM_DISCONNECTED);
	assert_string_equal(caller.text, "one two");
	turn("!part one two\n!retry\n!say 1 0 one");
	assert_failed(FAILURE_STREAM_DISCONNECTED);
	RUN_UNTIL(heard(&fake, "\"turn/interrupt\"") >= 1);
}

static void
a_failed_turn_says_why(void **state)
{
	turn("!fail \"contextWindowExceeded\" Codex ran out of room");
	assert_failed(FAILURE_CONTEXT_LENGTH);
	assert_string_equal(caller.failure.message, "Codex ran out of room");
	turn("!part some\n!fail {\"httpConnectionFailed\":{\"httpStatusCode\":503}} down");
	assert_failed(FAILURE_UPSTREAM_ERROR);
	assert_string_equal(caller.text, "some");
	assert_int_equal(heard(&fake, "\"turn/interrupt\""), 0); /* there is nothing to stop */
}

static void
an_answer_that_is_cut_off_is_finished(void **state)
{
	turn("!say 1 0 half\n!fail \"other\" Incomplete response returned, reason: "
	     "max_output_tokens");
	assert_said("half");
	assert_int_equal(caller.finish, FINISH_LENGTH);
}

/* --- what gets lost ------------------------------------------------------------------------- */

static void
a_lost_end_is_made_up_for_after_a_while(void **state)
{
	turn("!say 3 0 tok\n!lost-completed");
	assert_said("tok0 tok1 tok2 ");
	assert_int_equal(caller.finish, FINISH_STOP);
	turn("!fail \"unauthorized\" log in\n!lost-completed");
	assert_failed(FAILURE_UPSTREAM_AUTH);
}

static void
a_thread_that_the_server_closes_fails_its_turn(void **state)
{
	turn("!part some\n!closed");
	assert_failed(FAILURE_BACKEND_LOST);
	assert_string_equal(caller.text, "some");
	assert_int_equal(caller.ends, 1);
}

static void
a_call_that_is_refused_or_never_answered_fails_the_turn(void **state)
{
	static const char *const calls[] = {"thread/inject_items", "turn/start"};
	char said[64];

	fake_order(&fake, "rpc-error thread/start 1 -32603");
	turn("hi");
	assert_failed(FAILURE_BACKEND_ERROR);
	thread_config.call_timeout_ms = 50;
	fake_order(&fake, "mute thread/start 1");
	turn("hi");
	assert_failed(FAILURE_BACKEND_TIMEOUT);
	for (size_t i = 0; i < NELEM(calls); i++) {
		thread_config.call_timeout_ms = CALL_MS;
		(void)snprintf(said, sizeof(said), "!silence\n!rpc-error %s -32602", calls[i]);
		turn(said);
		assert_failed(FAILURE_INVALID_REQUEST);
		thread_config.call_timeout_ms = 50;
		(void)snprintf(said, sizeof(said), "!silence\n!mute %s", calls[i]);
		turn(said);
		assert_failed(FAILURE_BACKEND_TIMEOUT);
	}
}

static void
cleaning_up_does_not_wait_for_ever(void **state)
{
	thread_config.call_timeout_ms = 50;
	turn("!say 1 0 x\n!mute thread/unsubscribe");
	assert_said("x");
	turn("!tool f {}\n!mute turn/interrupt");
	assert_int_equal(caller.finish, FINISH_TOOL_CALLS);
}

static void
a_request_that_is_too_large_is_told_so(void **state)
{
	size_t len = RPC_MESSAGE_MAX;
	char *text = malloc(len + 1);

	memset(text, 'x', len);
	text[len] = '\0';
	begin_turn(text);
	free(text);
	run_to_the_end();
	assert_failed(FAILURE_CONTEXT_LENGTH);
	assert_false(caller.failure.retryable);
}

/* What cannot be said as one text is the request's fault, and never sent. */
static void
what_a_transcript_cannot_hold_is_refused(void **state)
{
	size_t len = (size_t)1 << 20;
	char *text = malloc(len + 1);

	thread_config.transcript = true;
	memset(text, 'x', len);
	text[len] = '\0';
	begin_turn(text);
	free(text);
	run_to_the_end();
	assert_failed(FAILURE_CONTEXT_LENGTH);
	begin_turn("hi");
	(void)json_object_set_new(json_array_get(caller.conversation->items, 0), "type",
	                          json_string("odd"));
	run_to_the_end();
	assert_failed(FAILURE_INVALID_REQUEST);
	assert_int_equal(heard(&fake, "\"turn/start\""), 0);
}

static void
functions_are_never_left_out_of_a_transcript_in_silence(void **state)
{
	thread_config.transcript = true;
	memset(&caller, 0, sizeof(caller));
	caller.conversation = conversation_new();
	caller.conversation->model = strdup("gpt-5.5");
	caller.conversation->items = json_array();
	caller.conversation->tools = json_array();
	caller.thread = thread_begin(backend_find(pool, 0), &thread_config, caller.conversation,
	                             hear_event, &caller);
	assert_int_equal(caller.events, 0);
	run_to_the_end();
	assert_failed(FAILURE_INVALID_REQUEST);
	assert_string_equal(caller.failure.upstream_param, "tools");
	assert_int_equal(heard(&fake, "\"thread/start\""), 0);
}

/* --- callers that go ------------------------------------------------------------------------ */

static void
assert_cancelled(unsigned interrupts)
{
	unsigned events = caller.events;

	cancel(&caller);
	assert_int_equal(backend_pool_turns(pool), 0);
	RUN_UNTIL(backend_pool_threads(pool) == 0);
	RUN_UNTIL(heard(&fake, "\"thread/unsubscribe\"") == 1);
	assert_int_equal(heard(&fake, "\"turn/interrupt\""), interrupts);
	assert_int_equal(caller.events, events);
}

static void
cancelled_before_the_thread_has_begun(void **state)
{
	begin_turn("!say 3 0 tok");
	assert_cancelled(0);
	assert_int_equal(heard(&fake, "\"turn/start\""), 0);
}

static void
cancelled_before_the_turn_is_answered(void **state)
{
	begin_turn("!deltas-first\n!wait 100\n!say 3 0 tok\n!silence");
	RUN_UNTIL(heard(&fake, "\"turn/start\"") == 1);
	assert_cancelled(1);
}

static void
cancelled_in_the_middle_of_the_text(void **state)
{
	begin_turn("!part some\n!silence");
	RUN_UNTIL(strcmp(caller.text, "some") == 0);
	assert_cancelled(1);
}

static void
cancelled_while_the_last_word_waits_for_its_end(void **state)
{
	begin_turn("!say 1 0 all\n!lost-completed");
	RUN_UNTIL(caller.usages == 1);
	assert_cancelled(1);
}

static enum event_kind cancel_at;

static void
cancel_on_event(struct caller *c, const struct event *e)
{
	if (e->kind != cancel_at)
		return;
	cancel(c);
	c->ends = 1; /* hear_event fails on anything after it */
	c->on_event = NULL;
}

static void
cancelled_from_inside_any_event(void **state)
{
	static const enum event_kind kinds[] = {EVENT_STARTED, EVENT_REASONING, EVENT_TEXT,
	                                        EVENT_USAGE, EVENT_TOOL_CALL};

	for (size_t i = 0; i < NELEM(kinds); i++) {
		cancel_at = kinds[i];
		begin_turn("!reason a\n!say 2 0 b\n!tool c {}\n!tool d {}");
		caller.on_event = cancel_on_event;
		RUN_UNTIL(caller.ends == 1 && backend_pool_threads(pool) == 0);
	}
}

/* Also what the caller does at the end is its own business. */
static void
begin_another(struct caller *c, const struct event *e)
{
	static struct caller another;

	if (e->kind != EVENT_FINISHED)
		return;
	memset(&another, 0, sizeof(another));
	begin(&another, backend_find(pool, 0), "!say 1 0 again");
	cancel(&another);
}

static void
another_turn_may_begin_in_the_last_event(void **state)
{
	begin_turn("!say 1 0 once");
	caller.on_event = begin_another;
	run_to_the_end();
	assert_said("once");
	RUN_UNTIL(heard(&fake, "\"thread/unsubscribe\"") == 2);
}

int
main(int argc, char **argv)
{
#define with_fake(test) cmocka_unit_test_setup_teardown(test, setup_connected, teardown_connected)
	const struct CMUnitTest tests[] = {
		with_fake(a_plain_turn_says_its_text_and_is_unsubscribed),
		with_fake(text_is_passed_on_as_it_came),
		with_fake(messages_and_reasoning_are_told_apart),
		with_fake(a_turn_without_history_is_begun_without_injecting_any),
		with_fake(function_calls_come_in_the_models_order_and_end_the_turn),
		with_fake(a_call_that_the_server_waits_for_is_not_answered),
		with_fake(the_order_and_company_of_notifications_does_not_matter),
		with_fake(what_is_said_again_after_a_retry_is_not_passed_on_again),
		with_fake(a_retry_that_goes_another_way_ends_the_turn),
		with_fake(a_failed_turn_says_why),
		with_fake(an_answer_that_is_cut_off_is_finished),
		with_fake(a_lost_end_is_made_up_for_after_a_while),
		with_fake(a_thread_that_the_server_closes_fails_its_turn),
		with_fake(a_call_that_is_refused_or_never_answered_fails_the_turn),
		with_fake(cleaning_up_does_not_wait_for_ever),
		with_fake(a_request_that_is_too_large_is_told_so),
		with_fake(what_a_transcript_cannot_hold_is_refused),
		with_fake(functions_are_never_left_out_of_a_transcript_in_silence),
		with_fake(cancelled_before_the_thread_has_begun),
		with_fake(cancelled_before_the_turn_is_answered),
		with_fake(cancelled_in_the_middle_of_the_text),
		with_fake(cancelled_while_the_last_word_waits_for_its_end),
		with_fake(cancelled_from_inside_any_event),
		with_fake(another_turn_may_begin_in_the_last_event),
	};

	find_build(argv[0]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
