/* dialect_tests: what holds of every dialect, in its own words. Whoever includes this has a fixture
 * with ASK, STREAM, TOOLS, x and ask(), and says which members it does not take: IMPOSSIBLE costs
 * the request, IGNORED is told in a header. */
#ifndef SIDECAR_TESTS_DIALECT_TESTS_H
#define SIDECAR_TESTS_DIALECT_TESTS_H

static void
a_failure_before_the_headers_is_a_status(void **state)
{
	ask(STREAM);
	codex_fails(FAILURE_RATE_LIMITED);
	assert_int_equal(x.status, 429);
	assert_string_equal(answer_error(&x, "code"), "rate_limit_exceeded");
	/* the answer waits for its reader: nothing may be added to it meanwhile */
	pass_time(&loop, HEADER_DELAY_MS + KEEPALIVE_MS);
	assert_false(x.streaming);
	request_done(&x);
}

static void
a_client_that_is_cut_off_ends_the_turn(void **state)
{
	ask(STREAM);
	codex_starts();
	codex_says_text("x");
	x.cut = true;
	codex_says_text("y"); /* the server has had enough of this client */
	assert_int_equal(codex.cancelled, 0);
	request_done(&x);
	assert_int_equal(codex.cancelled, 1);
}

static void
an_answer_without_the_required_call_is_an_error(void **state)
{
	ask(ASK(",\"tool_choice\":\"required\"" TOOLS));
	codex_says_text("no");
	codex_finishes(FINISH_STOP);
	assert_int_equal(x.status, 502);
	assert_non_null(strstr(answer_error(&x, "message"), "tool_choice"));
	request_done(&x);
	ask(ASK(",\"tool_choice\":\"required\"" TOOLS));
	codex_calls(0, "{}");
	codex_finishes(FINISH_TOOL_CALLS);
	assert_int_equal(x.status, 200);
	request_done(&x);
}

static void
a_request_that_cannot_be_right_reaches_no_backend(void **state)
{
	ask("{");
	assert_int_equal(x.status, 400);
	assert_string_equal(answer_error(&x, "code"), "invalid_json");
	request_done(&x);
	ask(ASK(",\"" IMPOSSIBLE "\":true"));
	assert_int_equal(x.status, 400);
	assert_string_equal(answer_error(&x, "param"), IMPOSSIBLE);
	request_done(&x);
	ask(ASK(",\"stream\":true,\"model\":\"gpt-nope\""));
	assert_int_equal(x.status, 404);
	assert_string_equal(answer_error(&x, "code"), "model_not_found");
	request_done(&x);
	assert_int_equal(codex.begun, 0);
}

static void
what_is_ignored_is_said_in_a_header(void **state)
{
	ask(ASK(",\"temperature\":1,\"" IGNORED "\":2"));
	codex_finishes(FINISH_STOP);
	assert_string_equal(x.added, "x-codex-ignored-params: temperature, " IGNORED "\n");
	request_done(&x);
}

static void
a_client_that_goes_takes_its_turn_with_it(void **state)
{
	ask(ASK(""));
	request_done(&x);
	assert_int_equal(codex.cancelled, 1);
	codex.usable = false; /* and from the queue */
	turns_pump(api.turns);
	ask(STREAM);
	request_done(&x);
	assert_int_equal(turns_stats(api.turns).waiting, 0);
	assert_int_equal(codex.begun, 1);
}

#define DIALECT_TESTS                                                                              \
	with_api(a_failure_before_the_headers_is_a_status),                                        \
		with_api(a_client_that_is_cut_off_ends_the_turn),                                  \
		with_api(an_answer_without_the_required_call_is_an_error),                         \
		with_api(a_request_that_cannot_be_right_reaches_no_backend),                       \
		with_api(what_is_ignored_is_said_in_a_header),                                     \
		with_api(a_client_that_goes_takes_its_turn_with_it)

#endif
