/* Calls, answers and messages over an open connection. */
#include "tests/unit/rpc_fixture.h"

/* --- calls ---------------------------------------------------------------------------------- */

static void
answers_find_their_calls_in_any_order(void **state)
{
	struct asker a[3] = {{.answers = 0}};

	connect_rpc();
	assert_true(call("one", &a[0], LONG_MS) > 0);
	assert_true(call("two", &a[1], LONG_MS) > 0);
	assert_true(call("three", &a[2], LONG_MS) > 0);
	assert_int_equal(rpc_pending(owner.rpc), 3);
	RUN_UNTIL(peer.count == 3);
	assert_string_equal(peer_method(0), "one");
	assert_string_equal(peer_method(2), "three");
	peer_answers(2, "\"result\":{\"n\":3}");
	peer_answers(0, "\"result\":\"first\"");
	peer_answers(1, "\"result\":null");
	RUN_UNTIL(owner.answers == 3);
	assert_string_equal(a[0].text, "\"first\"");
	assert_string_equal(a[1].text, "null");
	assert_string_equal(a[2].text, "{\"n\":3}");
	assert_int_equal(rpc_pending(owner.rpc), 0);
}

static void
params_are_sent_as_they_are(void **state)
{
	static const char params[] = "{\"a\":\"\\u0000\", \"b\": 0.10}";

	connect_rpc();
	assert_true(rpc_call(owner.rpc, "m", params, sizeof(params) - 1, LONG_MS, NULL, NULL) > 0);
	rpc_notify(owner.rpc, "initialized");
	RUN_UNTIL(peer.count == 2);
	assert_non_null(strstr(peer.messages[0],
	                       ",\"method\":\"m\",\"params\":{\"a\":\"\\u0000\", \"b\": 0.10}}"));
	assert_string_equal(peer.messages[1], "{\"method\":\"initialized\"}");
	peer_answers(0, "\"result\":1"); /* nobody waits for it */
	settle();
	assert_int_equal(rpc_pending(owner.rpc), 0);
}

static void
errors_are_told_with_their_code(void **state)
{
	struct asker a[4] = {{.answers = 0}};

	connect_rpc();
	for (unsigned i = 0; i < NELEM(a); i++)
		(void)call("m", &a[i], LONG_MS);
	RUN_UNTIL(peer.count == 4);
	peer_answers(0, "\"error\":{\"code\":-32001,\"message\":\"busy\",\"data\":{}}");
	peer_answers(1, "\"error\":{}");
	peer_answers(2, "\"what\":1");
	peer_answers(3, "\"result\":1,\"error\":null");
	RUN_UNTIL(owner.answers == 4);
	assert_int_equal(a[0].code, -32001);
	assert_string_equal(a[0].text, "busy");
	assert_int_equal(a[1].code, -32603);
	assert_int_equal(a[2].code, -32603);
	assert_true(a[2].text[0] != '\0');
	assert_int_equal(a[3].code, 0);
}

static void
ids_never_repeat_over_connections(void **state)
{
	uint64_t first, second;

	connect_rpc();
	first = call("m", NULL, LONG_MS);
	rpc_close(owner.rpc);
	RUN_UNTIL(owner.closes == 1 && peer_is_free());
	open_rpc();
	RUN_UNTIL(owner.opens == 2);
	second = call("m", NULL, LONG_MS);
	assert_true(second > first);
}

static void
nobody_is_told_the_answer_of_an_abandoned_call(void **state)
{
	struct asker a = {.answers = 0};
	uint64_t id;

	connect_rpc();
	id = call("m", &a, LONG_MS);
	rpc_abandon(owner.rpc, id);
	rpc_abandon(owner.rpc, id);
	rpc_abandon(owner.rpc, 123456);
	RUN_UNTIL(peer.count == 1);
	peer_answers(0, "\"result\":1");
	settle();
	assert_int_equal(a.answers, 0);
	assert_int_equal(rpc_pending(owner.rpc), 0);
}

/* --- deadlines ------------------------------------------------------------------------------ */

static void
a_call_without_an_answer_ends_at_its_deadline(void **state)
{
	struct asker slow = {.answers = 0}, quick = {.answers = 0};

	connect_rpc();
	(void)call("slow", &slow, LONG_MS);
	(void)call("quick", &quick, 20); /* the later call with the nearer deadline */
	RUN_UNTIL(quick.answers == 1);
	assert_int_equal(quick.code, RPC_TIMEOUT);
	assert_int_equal(slow.answers, 0);
	RUN_UNTIL(peer.count == 2);
	peer_answers(1, "\"result\":1"); /* too late */
	peer_answers(0, "\"result\":2");
	RUN_UNTIL(slow.answers == 1);
	assert_int_equal(quick.answers, 1);
}

static struct asker crowd[20];
static uint64_t crowd_ids[20];

/* The worst that an answer may do: forget others, call again, look. */
static void
stir(struct asker *self)
{
	size_t i = (size_t)(self - crowd);

	self->then = NULL;
	rpc_abandon(owner.rpc, crowd_ids[(i + 1) % NELEM(crowd)]);
	rpc_abandon(owner.rpc, crowd_ids[i]);
	if (i % 4 == 0)
		assert_true(call("again", self, LONG_MS) > 0);
}

static void
answers_may_call_and_abandon_while_many_expire(void **state)
{
	unsigned told = 0;

	memset(crowd, 0, sizeof(crowd));
	connect_rpc();
	for (size_t i = 0; i < NELEM(crowd); i++) {
		crowd[i].then = stir;
		crowd_ids[i] = call("m", &crowd[i], 20);
	}
	RUN_UNTIL(rpc_pending(owner.rpc) < NELEM(crowd));
	for (size_t i = 0; i < NELEM(crowd); i++)
		told += crowd[i].answers;
	assert_int_equal(told, NELEM(crowd) / 2); /* every second one was abandoned by the first */
	assert_int_equal(rpc_pending(owner.rpc), NELEM(crowd) / 4); /* the new calls */
	RUN_UNTIL(peer.count == NELEM(crowd) + NELEM(crowd) / 4);
}

static void
close_it(struct asker *self)
{
	rpc_close(owner.rpc);
}

static void
an_expired_call_may_close_the_connection(void **state)
{
	struct asker a[3] = {{.then = close_it}, {.answers = 0}, {.answers = 0}};

	connect_rpc();
	for (unsigned i = 0; i < NELEM(a); i++)
		(void)call("m", &a[i], 20);
	RUN_UNTIL(owner.closes == 1);
	assert_int_equal(a[0].code, RPC_TIMEOUT);
	assert_int_equal(a[1].code, RPC_LOST);
	assert_int_equal(a[2].code, RPC_LOST);
	assert_int_equal(owner.answers_when_closed, 3);
}

/* --- more calls than codex takes ------------------------------------------------------------ */

static void
calls_over_the_limit_are_held_back_in_order(void **state)
{
	static struct asker a[RPC_IN_FLIGHT_MAX + 10];

	memset(a, 0, sizeof(a));
	connect_rpc();
	for (unsigned i = 0; i < NELEM(a); i++) {
		char method[16];

		(void)snprintf(method, sizeof(method), "m%u", i);
		assert_true(call(method, &a[i], LONG_MS) > 0);
	}
	rpc_notify(owner.rpc, "not held");
	RUN_UNTIL(peer.count == RPC_IN_FLIGHT_MAX + 1);
	assert_string_equal(peer_method(RPC_IN_FLIGHT_MAX), "not held");
	settle();
	assert_int_equal(peer.count, RPC_IN_FLIGHT_MAX + 1);
	for (unsigned i = 0; i < 10; i++) {
		char method[16];

		peer_answers(i, "\"result\":1");
		RUN_UNTIL(peer.count == RPC_IN_FLIGHT_MAX + 2 + i);
		(void)snprintf(method, sizeof(method), "m%u", RPC_IN_FLIGHT_MAX + i);
		assert_string_equal(peer_method(RPC_IN_FLIGHT_MAX + 1 + i), method);
	}
	peer_hang_up();
	RUN_UNTIL(owner.closes == 1);
	for (unsigned i = 0; i < NELEM(a); i++) {
		assert_int_equal(a[i].answers, 1);
		assert_int_equal(a[i].code, i < 10 ? 0 : RPC_LOST);
	}
}

static void
a_call_that_expires_while_held_back_is_never_sent(void **state)
{
	struct asker held = {.answers = 0};

	connect_rpc();
	for (unsigned i = 0; i < RPC_IN_FLIGHT_MAX; i++)
		(void)call("m", NULL, LONG_MS);
	(void)call("held", &held, 20);
	RUN_UNTIL(held.answers == 1);
	assert_int_equal(held.code, RPC_TIMEOUT);
	RUN_UNTIL(peer.count == RPC_IN_FLIGHT_MAX);
	peer_answers(0, "\"result\":1");
	rpc_notify(owner.rpc, "next");
	RUN_UNTIL(peer.count == RPC_IN_FLIGHT_MAX + 1);
	assert_string_equal(peer_method(RPC_IN_FLIGHT_MAX), "next");
}

/* --- messages of the server ----------------------------------------------------------------- */

static void
notifications_and_requests_are_told_apart(void **state)
{
	connect_rpc();
	peer_send("{\"method\":\"a\",\"params\":{\"x\":1}}");
	peer_send("{\"method\":\"b\"}");
	RUN_UNTIL(owner.notifications == 2);
	assert_string_equal(owner.last_method, "b");
	assert_string_equal(owner.last_params, "");
	peer_send("{\"id\":0,\"method\":\"ask\",\"params\":{\"y\":2}}");
	peer_send("{\"id\":\"x\\\"y\",\"method\":\"refuse me\"}");
	RUN_UNTIL(peer.count == 2);
	assert_string_equal(peer.messages[0], "{\"id\":0,\"result\":{\"got\":\"ask\"}}");
	assert_string_equal(peer.messages[1], "{\"id\":\"x\\\"y\",\"error\":{\"code\":-32601,"
	                                      "\"message\":\"no \\\"such\\\" method\"}}");
	assert_int_equal(owner.requests, 2);
}

/* The server counts its own requests: the same id may be out in both directions. */
static void
a_request_of_the_server_is_no_answer_to_ours(void **state)
{
	static struct asker a;
	char text[96];
	uint64_t id;

	connect_rpc();
	id = call("m", &a, LONG_MS);
	(void)snprintf(text, sizeof(text), "{\"id\":%llu,\"method\":\"ask\",\"result\":1}",
	               (unsigned long long)id);
	peer_send(text);
	RUN_UNTIL(owner.requests == 1);
	assert_int_equal(a.answers, 0);
}

static void
garbage_is_passed_over(void **state)
{
	static const char *const garbage[] = {
		"x",
		"[]",
		"[{\"method\":\"a\"}]",
		"null",
		"{\"id\":1.5,\"result\":1}",
		"{\"id\":null,\"result\":1}",
		"{\"id\":\"1\",\"result\":1}",
		"{\"id\":-1,\"result\":1}",
		"{\"id\":99999999999,\"result\":1}",
		"{\"result\":1}",
		"{\"method\":7}",
		"{\"method\":\"a\\u0000b\"}",
		"{",
		"{\"method\":\"\\ud800\"}",
	};
	struct asker a = {.answers = 0};

	connect_rpc();
	(void)call("m", &a, LONG_MS);
	RUN_UNTIL(peer.count == 1);
	for (size_t i = 0; i < NELEM(garbage); i++)
		peer_send(garbage[i]);
	peer_send_frame(WS_BINARY, true, "\0\1\2{}", 5);
	peer_send_frame(WS_TEXT, true, "", 0);
	peer_send_frame(WS_TEXT, false, "", 0);
	peer_send_frame(WS_MORE, true, "", 0);
	settle();
	assert_int_equal(owner.notifications, 0);
	assert_int_equal(owner.requests, 0);
	assert_int_equal(a.answers, 0);
	peer_answers(0, "\"result\":1");
	RUN_UNTIL(a.answers == 1);
}

static void
a_frame_that_was_dealt_with_is_not_parsed(void **state)
{
	connect_rpc();
	owner.swallow = true;
	peer_send("{\"method\":\"a\"}");
	RUN_UNTIL(owner.frames == 1);
	owner.swallow = false;
	settle();
	assert_int_equal(owner.notifications, 0);
}

static void
pings_are_answered(void **state)
{
	connect_rpc();
	peer_send_frame(WS_PING, true, "p", 1);
	RUN_UNTIL(peer.pongs == 1);
}

/* --- large ones ----------------------------------------------------------------------------- */

static void
a_message_of_8_megabytes_leaves_whole(void **state)
{
	size_t len = (size_t)8 << 20;
	AUTO_FREE char *params = malloc(len);
	struct asker a = {.answers = 0};

	connect_rpc();
	for (size_t i = 0; i < len; i++)
		params[i] = (char)('a' + i % 23);
	params[0] = params[len - 1] = '"';
	assert_true(rpc_call(owner.rpc, "m", params, len, LONG_MS, on_answer, &a) > 0);
	(void)call("behind", NULL, LONG_MS);
	RUN_UNTIL(peer.count == 2);
	assert_true(peer.lens[0] > len);
	assert_memory_equal(peer.messages[0] + peer.lens[0] - 1 - len, params, len);
	assert_string_equal(peer_method(1), "behind");
	assert_int_equal(peer.largest_frame, 128 << 10);
	peer_answers(0, "\"result\":1");
	RUN_UNTIL(a.answers == 1);
}

static void
a_message_in_many_fragments_arrives_whole(void **state)
{
	static const char begin[] = "{\"method\":\"large\",\"params\":{\"x\":\"";
	size_t piece = 100000, pieces = 100;
	AUTO_FREE char *text = malloc(piece);

	connect_rpc();
	memset(text, 'x', piece);
	for (int round = 0; round < 2; round++) {
		peer_send_frame(WS_TEXT, false, begin, sizeof(begin) - 1);
		for (size_t i = 0; i < pieces; i++) {
			peer_send_frame(WS_MORE, false, text, piece);
			if (i == 50)
				peer_send_frame(WS_PING, true, "", 0); /* may come between */
		}
		peer_send_frame(WS_MORE, true, "\"}}", 3);
		RUN_UNTIL(owner.notifications == (unsigned)round + 1);
		assert_string_equal(owner.last_method, "large");
		assert_int_equal(owner.last_frame_len, sizeof(begin) - 1 + piece * pieces + 3);
	}
	settle(); /* small ones are themselves again */
}

static void
a_message_cut_anywhere_arrives_the_same(void **state)
{
	static const char text[] = "{\"method\":\"cut\",\"params\":{\"x\":\"y\"}}";

	connect_rpc();
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		peer_send_frame(WS_TEXT, false, text, cut);
		peer_send_frame(WS_MORE, true, text + cut, sizeof(text) - 1 - cut);
		RUN_UNTIL(owner.notifications == cut + 1);
		assert_string_equal(owner.last_params, "{\"x\":\"y\"}");
	}
}

static void
a_message_over_the_limit_ends_the_connection(void **state)
{
	size_t piece = (size_t)1 << 20;
	AUTO_FREE char *text = malloc(piece);

	connect_rpc();
	memset(text, 'x', piece);
	peer_send_frame(WS_TEXT, false, text, piece);
	for (size_t sent = piece; owner.closes == 0; sent += piece) {
		assert_true(sent < 2 * RPC_MESSAGE_MAX);
		if (!peer.gone)
			peer_send_frame(WS_MORE, false, text, piece);
		RUN_UNTIL(peer.gone || peer.conn.stream.write_queue_size < piece);
	}
	assert_non_null(strstr(owner.reason, "over 67108864 bytes"));
}

static void
a_call_over_the_limit_is_not_taken(void **state)
{
	struct asker a = {.answers = 0};

	connect_rpc();
	/* its text is not looked at */
	assert_int_equal(rpc_call(owner.rpc, "m", "{}", RPC_MESSAGE_MAX, LONG_MS, on_answer, &a),
	                 0);
	settle();
	assert_int_equal(a.answers, 0);
	assert_int_equal(rpc_pending(owner.rpc), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_rpc(answers_find_their_calls_in_any_order),
		with_rpc(params_are_sent_as_they_are),
		with_rpc(errors_are_told_with_their_code),
		with_rpc(ids_never_repeat_over_connections),
		with_rpc(nobody_is_told_the_answer_of_an_abandoned_call),
		with_rpc(a_call_without_an_answer_ends_at_its_deadline),
		with_rpc(answers_may_call_and_abandon_while_many_expire),
		with_rpc(an_expired_call_may_close_the_connection),
		with_rpc(calls_over_the_limit_are_held_back_in_order),
		with_rpc(a_call_that_expires_while_held_back_is_never_sent),
		with_rpc(notifications_and_requests_are_told_apart),
		with_rpc(a_request_of_the_server_is_no_answer_to_ours),
		with_rpc(garbage_is_passed_over),
		with_rpc(a_frame_that_was_dealt_with_is_not_parsed),
		with_rpc(pings_are_answered),
		with_rpc(a_message_of_8_megabytes_leaves_whole),
		with_rpc(a_message_in_many_fragments_arrives_whole),
		with_rpc(a_message_cut_anywhere_arrives_the_same),
		with_rpc(a_message_over_the_limit_ends_the_connection),
		with_rpc(a_call_over_the_limit_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
