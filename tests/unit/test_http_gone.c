/* Clients that go away, or send more, while their answer is being made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/http_kit.h"

static void
send_request(struct client *c, enum http_method method)
{
	if (method == HTTP_GET)
		client_get(c, "/hold");
	else
		client_post(c, "/hold", "a body");
}

enum way { CLOSES, HALF_CLOSES, RESETS };

static void
leave(struct client *c, enum way way)
{
	switch (way) {
	case CLOSES:
		client_close(c);
		break;
	case HALF_CLOSES:
		(void)shutdown(c->fd, SHUT_WR);
		break;
	case RESETS:
		client_reset(c);
		break;
	}
}

/* The handler hears of it at once, and once; nothing spins before or after. */
static void
is_noticed(enum http_method method, enum way way, bool more, bool streaming)
{
	unsigned cut = kit.cut;
	struct client *c = client_open();
	uint64_t began;

	send_request(c, method);
	UNTIL(kit.held_count == 1);
	if (streaming) {
		http_stream_begin(kit.held[0], 200, "text/plain");
		assert_true(http_stream_write(kit.held[0], "abc", 3, NULL, 0, NULL, 0));
		UNTIL(client_has(c, "abc"));
	}
	if (more)
		client_get(c, "/hold");
	assert_quiet();
	assert_int_equal(kit.held_count, 1); /* the second one waits for the first answer */
	began = uv_hrtime();
	leave(c, way);
	UNTIL(kit.cut == cut + 1);
	assert_true(uv_hrtime() - began < 500000000);
	assert_int_equal(kit.held_count, 0);
	UNTIL(http_server_connections(kit.server) == 0);
	assert_quiet();
	assert_int_equal(kit.cut, cut + 1);
	assert_int_equal(kit.completed, 0);
	if (way == HALF_CLOSES)
		client_close(c);
}

#define GONE(name, method, way, more, streaming)                                                   \
	static void name(void **state)                                                             \
	{                                                                                          \
		is_noticed(method, way, more, streaming);                                          \
	}

GONE(a_client_that_closes_during_a_silent_get_is_noticed, HTTP_GET, CLOSES, false, false)
GONE(a_client_that_half_closes_during_a_silent_get_is_noticed, HTTP_GET, HALF_CLOSES, false, false)
GONE(a_client_that_resets_during_a_silent_get_is_noticed, HTTP_GET, RESETS, false, false)
GONE(a_client_that_closes_during_a_silent_post_is_noticed, HTTP_POST, CLOSES, false, false)
GONE(a_client_that_half_closes_during_a_silent_post_is_noticed, HTTP_POST, HALF_CLOSES, false,
     false)
GONE(a_client_that_resets_during_a_silent_post_is_noticed, HTTP_POST, RESETS, false, false)
GONE(a_client_that_closes_during_a_get_stream_is_noticed, HTTP_GET, CLOSES, false, true)
GONE(a_client_that_half_closes_during_a_post_stream_is_noticed, HTTP_POST, HALF_CLOSES, false, true)
GONE(a_client_that_closes_during_a_post_stream_is_noticed, HTTP_POST, CLOSES, false, true)
GONE(a_client_that_resets_during_a_post_stream_is_noticed, HTTP_POST, RESETS, false, true)
GONE(it_is_noticed_behind_a_pipelined_request_to_a_get, HTTP_GET, CLOSES, true, false)
GONE(it_is_noticed_behind_a_pipelined_request_to_a_post, HTTP_POST, CLOSES, true, false)
GONE(it_is_noticed_behind_a_pipelined_request_to_a_get_stream, HTTP_GET, HALF_CLOSES, true, true)
GONE(it_is_noticed_behind_a_pipelined_request_to_a_post_stream, HTTP_POST, CLOSES, true, true)

static void
a_client_that_goes_during_its_body_is_noticed(void **state)
{
	for (enum way way = CLOSES; way <= RESETS; way++) {
		unsigned cut = kit.cut;
		struct client *c = client_open();

		client_send(c, "POST /echo HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc");
		UNTIL(kit.heads == (unsigned)way + 1);
		assert_quiet();
		leave(c, way);
		UNTIL(kit.cut == cut + 1);
		UNTIL(http_server_connections(kit.server) == 0);
		if (way == HALF_CLOSES)
			client_close(c);
	}
	assert_int_equal(kit.requests, 0);
}

static void
a_client_that_goes_between_requests_or_before_any_costs_nothing(void **state)
{
	static const char *const texts[] = {"", "G",
	                                    "GET / HTTP/1.1\r\nHost:", "GET / HTTP/1.1\r\n\r\n"};

	for (size_t i = 0; i < NELEM(texts); i++) {
		for (enum way way = CLOSES; way <= RESETS; way++) {
			struct client *c = client_open();

			client_send(c, texts[i]);
			UNTIL(http_server_connections(kit.server) == 1);
			kit_turn();
			leave(c, way);
			UNTIL(http_server_connections(kit.server) == 0);
			if (way == HALF_CLOSES)
				client_close(c);
		}
	}
	assert_quiet();
	assert_int_equal(kit.cut, 0);
}

static void
an_idle_connection_costs_nothing(void **state)
{
	struct client *c = client_open();

	client_get(c, "/");
	assert_answer(c, 200, "hello");
	assert_quiet();
	client_post(c, "/echo", "x");
	assert_answer(c, 200, "x");
	assert_quiet();
	client_send(c, "GET / HT");
	assert_quiet();
}

/* The requests behind one that is being answered are served when it is. */
static void
requests_that_wait_are_served_in_their_order(void **state)
{
	for (unsigned first = 0; first < 2; first++) {
		struct client *c = client_open();

		send_request(c, first == 0 ? HTTP_GET : HTTP_POST);
		UNTIL(kit.held_count == 1);
		(void)kit_turns_in(5); /* so that none comes in one read with the first */
		client_post(c, "/echo", "second");
		client_get(c, "/hold");
		client_get(c, "/fourth");
		client_send(c, "PUT /hold HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
		client_get(c, "/sixth");
		assert_quiet();
		assert_int_equal(kit.held_count, 1);
		reply_text(kit.held[0], 200, "first");
		assert_answer(c, 200, "first");
		assert_answer(c, 200, "second");
		UNTIL(kit.held_count == 1);
		assert_quiet();
		http_stream_begin(kit.held[0], 200, "text/plain");
		assert_true(http_stream_write(kit.held[0], "thi", 3, "rd", 2, NULL, 0));
		assert_quiet();
		http_stream_end(kit.held[0]);
		assert_answer(c, 200, "third");
		assert_answer(c, 200, "hello");
		UNTIL(kit.held_count == 1);
		assert_int_equal(kit.method, HTTP_PUT);
		assert_quiet();
		reply_text(kit.held[0], 200, "5");
		assert_answer(c, 200, "5");
		assert_answer(c, 200, "hello");
		assert_string_equal(kit.path, "/sixth");
		assert_quiet();
		client_close(c);
		UNTIL(http_server_connections(kit.server) == 0);
	}
	assert_int_equal(kit.cut, 0);
}

#define GET_HELD  "GET /hold HTTP/1.1\r\n\r\n"
#define POST_HELD "POST /hold HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"

/* What came in one read with the first request is in our memory; what came later in the kernel's.
 */
static void
requests_that_came_together_wait_quietly(void **state)
{
	static const char *const texts[] = {GET_HELD GET_HELD, POST_HELD GET_HELD};

	for (size_t i = 0; i < NELEM(texts); i++) {
		struct client *c = client_open();
		unsigned cut = kit.cut;

		client_send(c, texts[i]);
		UNTIL(kit.held_count == 1);
		assert_quiet();
		client_get(c, "/hold");
		assert_quiet();
		http_stream_begin(kit.held[0], 200, "text/plain");
		assert_true(http_stream_write(kit.held[0], "one", 3, NULL, 0, NULL, 0));
		UNTIL(client_has(c, "one"));
		assert_quiet();
		assert_int_equal(kit.held_count, 1);
		http_stream_end(kit.held[0]);
		assert_answer(c, 200, "one");
		UNTIL(kit.held_count == 1);
		assert_quiet();
		reply_text(kit.held[0], 200, "two");
		assert_answer(c, 200, "two");
		UNTIL(kit.held_count == 1);
		assert_quiet();
		client_close(c);
		UNTIL(kit.cut == cut + 1);
		assert_quiet();
	}
}

static void
going_away_behind_requests_that_came_together_is_noticed(void **state)
{
	static const char *const texts[] = {GET_HELD GET_HELD, POST_HELD GET_HELD,
	                                    GET_HELD POST_HELD, POST_HELD POST_HELD};

	for (size_t i = 0; i < NELEM(texts); i++) {
		for (enum way way = CLOSES; way <= RESETS; way++) {
			struct client *c = client_open();
			unsigned cut = kit.cut;

			client_send(c, texts[i]);
			UNTIL(kit.held_count == 1);
			(void)kit_turns_in(5);
			leave(c, way);
			UNTIL(kit.cut == cut + 1);
			UNTIL(http_server_connections(kit.server) == 0);
			if (way == HALF_CLOSES)
				client_close(c);
		}
	}
	assert_quiet();
	assert_int_equal(kit.completed, 0);
}

/* See guard_is_head. */
static void
a_body_behind_another_request_in_one_read_is_never_mixed_up(void **state)
{
	static const char *const bodies[] = {
		"POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
		"POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\nh",
		"post /echo HTTP/1.1\r\nContent-Length: 500\r\n\r\nh",
		"PUT /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
		"DELETE /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
		"GET /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
		("POST /hold HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" GET_HELD),
		"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n0\r\n\r\n",
	};

	for (size_t i = 0; i < NELEM(bodies) * 2; i++) {
		struct client *c = client_open();
		unsigned requests = kit.requests;
		char text[512];

		(void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n\r\n%s",
		               i % 2 == 0 ? "/" : "/hold", bodies[i / 2]);
		client_send(c, text);
		if (i % 2 != 0) {
			UNTIL(kit.held_count == 1);
			assert_quiet();
			reply_text(kit.held[0], 200, "hello");
		}
		assert_answer(c, 200, "hello");
		assert_closed(c);
		assert_int_equal(kit.requests, requests + 1);
		client_close(c);
		UNTIL(http_server_connections(kit.server) == 0);
		assert_int_equal(kit.held_count, 0);
	}
}

/* Somebody else's pipelining is not ours. */
static void
a_body_like_a_head_is_a_body(void **state)
{
	struct client *c = client_open();

	for (unsigned i = 0; i < 3; i++) {
		client_post(c, "/echo", "POST /echo HTTP/1.1\r\n\r\n");
		assert_answer(c, 200, "POST /echo HTTP/1.1\r\n\r\n");
		client_post(c, "/echo", "P");
		assert_answer(c, 200, "P");
	}
}

static void
a_request_sent_after_a_held_answer_is_read(void **state)
{
	struct client *c = client_open();

	for (unsigned i = 0; i < 20; i++) {
		send_request(c, i % 3 == 0 ? HTTP_GET : HTTP_POST);
		UNTIL(kit.held_count == 1);
		(void)kit_turns_in(5); /* until it is parked */
		reply_text(kit.held[0], 200, "ok");
		assert_answer(c, 200, "ok");
		if (i % 4 == 0)
			assert_quiet();
		client_get(c, "/");
		assert_answer(c, 200, "hello");
	}
	assert_int_equal(kit.completed, 40);
	assert_int_equal(kit.cut, 0);
}

/* A flood behind an answer must wait in the kernel, not in our memory. */
static void
a_flood_behind_an_answer_stays_in_the_kernel(void **state)
{
	struct client *c = client_open();
	size_t size = 32 << 20;
	char *flood = malloc(size);

	assert_non_null(flood);
	memset(flood, 'x', size);
	send_request(c, HTTP_POST);
	UNTIL(kit.held_count == 1);
	(void)kit_turns_in(5);
	client_send_bytes(c, flood, size);
	free(flood);
	(void)kit_turns_in(50);
	assert_quiet();
	assert_true(c->out_len > size / 2); /* not taken from it */
	reply_text(kit.held[0], 200, "ok");
	next_answer(c);
	assert_int_equal(c->status, 200);
	assert_string_equal(c->body, "ok");
	client_close(c);
	UNTIL(http_server_connections(kit.server) == 0);
}

static void
many_held_requests_are_all_noticed(void **state)
{
	struct client *c[HELD_MAX];

	for (unsigned i = 0; i < HELD_MAX; i++) {
		c[i] = client_open();
		send_request(c[i], i % 2 == 0 ? HTTP_GET : HTTP_POST);
	}
	UNTIL(kit.held_count == HELD_MAX);
	assert_quiet();
	for (unsigned i = 0; i < HELD_MAX; i++)
		leave(c[i], i % 4 == 0 ? RESETS : CLOSES);
	UNTIL(kit.cut == HELD_MAX);
	UNTIL(http_server_connections(kit.server) == 0);
	assert_quiet();
}

/* The handler lets go of its own things in on_done, and answers nobody any more. */
static void
answer_too_late(struct http_exchange *x, bool complete)
{
	http_add_header(x, "x-too", "late");
	reply_text(x, 200, "too late");
	http_stream_begin(x, 200, "text/plain");
	assert_false(http_stream_write(x, "late", 4, NULL, 0, NULL, 0));
	http_stream_end(x);
	http_abort(x);
	http_body_release(x);
}

static void
an_answer_in_on_done_is_harmless(void **state)
{
	for (enum http_method method = HTTP_GET; method <= HTTP_POST; method += HTTP_POST) {
		struct client *c = client_open();

		kit.on_done = answer_too_late;
		send_request(c, method);
		UNTIL(kit.held_count == 1);
		kit_turn();
		client_close(c);
		UNTIL(kit.held_count == 0);
		c = client_open();
		client_get(c, "/");
		assert_answer(c, 200, "hello");
		client_post(c, "/echo", "x");
		assert_answer(c, 200, "x");
		client_close(c);
		UNTIL(http_server_connections(kit.server) == 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_client_that_closes_during_a_silent_get_is_noticed),
		TEST(a_client_that_half_closes_during_a_silent_get_is_noticed),
		TEST(a_client_that_resets_during_a_silent_get_is_noticed),
		TEST(a_client_that_closes_during_a_silent_post_is_noticed),
		TEST(a_client_that_half_closes_during_a_silent_post_is_noticed),
		TEST(a_client_that_resets_during_a_silent_post_is_noticed),
		TEST(a_client_that_closes_during_a_get_stream_is_noticed),
		TEST(a_client_that_half_closes_during_a_post_stream_is_noticed),
		TEST(a_client_that_closes_during_a_post_stream_is_noticed),
		TEST(a_client_that_resets_during_a_post_stream_is_noticed),
		TEST(it_is_noticed_behind_a_pipelined_request_to_a_get),
		TEST(it_is_noticed_behind_a_pipelined_request_to_a_post),
		TEST(it_is_noticed_behind_a_pipelined_request_to_a_get_stream),
		TEST(it_is_noticed_behind_a_pipelined_request_to_a_post_stream),
		TEST_UNIX(a_client_that_closes_during_a_silent_get_is_noticed),
		TEST_UNIX(a_client_that_half_closes_during_a_silent_post_is_noticed),
		TEST_UNIX(it_is_noticed_behind_a_pipelined_request_to_a_get),
		TEST_UNIX(it_is_noticed_behind_a_pipelined_request_to_a_post_stream),
		TEST(a_client_that_goes_during_its_body_is_noticed),
		TEST(a_client_that_goes_between_requests_or_before_any_costs_nothing),
		TEST(an_idle_connection_costs_nothing),
		TEST(requests_that_wait_are_served_in_their_order),
		TEST_UNIX(requests_that_wait_are_served_in_their_order),
		TEST(requests_that_came_together_wait_quietly),
		TEST_UNIX(requests_that_came_together_wait_quietly),
		TEST(going_away_behind_requests_that_came_together_is_noticed),
		TEST(a_body_behind_another_request_in_one_read_is_never_mixed_up),
		TEST(a_body_like_a_head_is_a_body),
		TEST(a_request_sent_after_a_held_answer_is_read),
		TEST(a_flood_behind_an_answer_stays_in_the_kernel),
		TEST(many_held_requests_are_all_noticed),
		TEST(an_answer_in_on_done_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
