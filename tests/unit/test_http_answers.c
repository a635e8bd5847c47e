/* How answers are written: whole ones, streams, headers; keep-alive; slow readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/http_kit.h"

static void
one_connection_serves_many_requests(void **state)
{
	struct client *c = client_open();

	for (unsigned i = 0; i < 300; i++) {
		char body[32];

		(void)snprintf(body, sizeof(body), "body %u", i);
		if (i % 3 == 0) {
			client_get(c, "/");
			assert_answer(c, 200, "hello");
		} else {
			client_post(c, "/echo", body);
			assert_answer(c, 200, body);
		}
		assert_null(client_header(c, "connection"));
	}
	assert_int_equal(kit.completed, 300);
	assert_int_equal(kit.cut, 0);
	assert_int_equal(http_server_connections(kit.server), 1);
}

static void
requests_sent_together_are_answered_in_order(void **state)
{
	struct client *c = client_open();
	char text[8192] = "";

	for (unsigned i = 0; i < 100; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
		               "%s /n%u HTTP/1.1\r\n\r\n", i % 2 == 0 ? "GET" : "DELETE", i);
	client_send(c, text);
	for (unsigned i = 0; i < 100; i++) {
		assert_answer(c, 200, "hello");
		assert_in_range(kit.requests, i + 1, 100);
	}
	assert_string_equal(kit.path, "/n99");
	assert_int_equal(kit.completed, 100);
}

static void
many_clients_are_served_at_once(void **state)
{
	struct client *c[90];

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < NELEM(c); i++) {
			if (round == 0)
				c[i] = client_open();
			client_post(c[i], "/echo", i % 2 == 0 ? "even" : "odd");
		}
		for (unsigned i = 0; i < NELEM(c); i++)
			assert_answer(c[i], 200, i % 2 == 0 ? "even" : "odd");
	}
	assert_int_equal(http_server_connections(kit.server), NELEM(c));
	assert_int_equal(kit.completed, 3 * NELEM(c));
}

static void
is_whole(struct client *c)
{
	c->status = 0;
	next_answer(c);
	assert_int_equal(c->status, 200);
	assert_int_equal(c->body_len, kit.size);
	for (size_t i = 0; i < kit.size; i++)
		if (c->body[i] != (char)('a' + i % 23))
			fail_msg("byte %zu is wrong", i);
}

static void
an_answer_of_any_size_arrives_whole(void **state)
{
	static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 200000, 20 << 20};
	struct client *c = client_open();
	/* the largest one would take minutes there */
	size_t count = under_valgrind() ? NELEM(sizes) - 1 : NELEM(sizes);

	for (size_t i = 0; i < count; i++) {
		kit.size = sizes[i];
		client_get(c, "/size");
		is_whole(c);
		client_post(c, "/size", "body");
		is_whole(c);
	}
	kit.size = 3 << 20;
	client_send(c, "GET /size HTTP/1.1\r\nConnection: close\r\n\r\n");
	is_whole(c);
	assert_closed(c);
}

static void
large_answers_to_requests_sent_together_arrive_whole(void **state)
{
	struct client *c = client_open();

	kit.size = 1 << 20;
	client_send(c, "GET /size HTTP/1.1\r\n\r\nGET /size HTTP/1.1\r\n\r\n"
	               "HEAD /size HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
	is_whole(c);
	is_whole(c);
	c->head = true;
	assert_answer(c, 200, "");
	assert_string_equal(client_header(c, "content-length"), "1048576");
	c->head = false;
	assert_answer(c, 200, "hello");
}

static void
answer_with_odd_headers(struct http_exchange *x)
{
	http_add_header(x, "x-echo", "a\r\nx-evil: 1\r\n\r\nbody\t\x01\x7f.");
	http_add_header(x, "x-empty", "");
	for (int i = 0; i < 100; i++)
		http_add_header(x, "x-many", "0123456789012345678901234567890123456789");
	reply_text(x, 200, "ok");
}

static void
a_header_value_cannot_break_out(void **state)
{
	struct client *c = client_open();

	kit.on_request = answer_with_odd_headers;
	client_get(c, "/");
	assert_answer(c, 200, "ok");
	assert_null(client_header(c, "x-evil"));
	assert_string_equal(client_header(c, "x-echo"), "ax-evil: 1body.");
	assert_string_equal(client_header(c, "x-empty"), "");
	assert_non_null(client_header(c, "x-many"));
	assert_non_null(client_header(c, "x-request-id"));
	client_post(c, "/", "x");
	assert_answer(c, 200, "ok");
}

static void
answer_without_body(struct http_exchange *x)
{
	http_reply(x, kit.path[1] == '2' ? 204 : 304, "text/plain", "never sent", 10);
}

static void
answers_that_have_no_body_have_none(void **state)
{
	struct client *c = client_open();

	kit.on_request = answer_without_body;
	client_get(c, "/2");
	assert_answer(c, 204, "");
	assert_null(client_header(c, "content-length"));
	client_get(c, "/3");
	assert_answer(c, 304, "");
	client_get(c, "/2");
	assert_answer(c, 204, "");
}

static void
answer_twice(struct http_exchange *x)
{
	reply_text(x, 200, "first");
	http_stream_begin(x, 200, "text/plain");
	assert_false(http_stream_write(x, "second", 6, NULL, 0, NULL, 0));
	http_stream_end(x);
	reply_text(x, 500, "third");
}

static void
only_the_first_answer_counts(void **state)
{
	struct client *c = client_open();

	kit.on_request = answer_twice;
	client_get(c, "/");
	assert_answer(c, 200, "first");
	client_post(c, "/", "x");
	assert_answer(c, 200, "first");
	assert_int_equal(kit.completed, 2);
}

/* Writes a stream within the callback. */
static void
stream_at_once(struct http_exchange *x)
{
	http_add_header(x, "x-kind", "stream");
	http_stream_begin(x, 200, "text/event-stream");
	assert_true(http_stream_begun(x));
	assert_true(http_stream_write(x, "one ", 4, NULL, 0, "two ", 4));
	assert_true(http_stream_write(x, NULL, 0, NULL, 0, NULL, 0));
	assert_true(http_stream_write(x, "three", 5, NULL, 0, NULL, 0));
	http_stream_end(x);
}

static void
a_stream_may_be_written_at_once(void **state)
{
	struct client *c = client_open();

	kit.on_request = stream_at_once;
	for (unsigned i = 0; i < 4; i++) {
		if (i % 2 == 0)
			client_get(c, "/");
		else
			client_post(c, "/", "x");
		assert_answer(c, 200, "one two three");
		assert_string_equal(client_header(c, "transfer-encoding"), "chunked");
		assert_string_equal(client_header(c, "x-kind"), "stream");
		assert_null(client_header(c, "content-length"));
	}
	client_send(c, "HEAD / HTTP/1.1\r\n\r\n");
	c->head = true;
	assert_answer(c, 200, "");
	c->head = false;
	client_get(c, "/");
	assert_answer(c, 200, "one two three");
	assert_int_equal(kit.completed, 6);
}

static void
a_stream_to_http_1_0_ends_with_the_connection(void **state)
{
	struct client *c = client_open();

	kit.on_request = stream_at_once;
	client_send(c, "GET / HTTP/1.0\r\n\r\n");
	assert_answer(c, 200, "one two three");
	assert_null(client_header(c, "transfer-encoding"));
	assert_string_equal(client_header(c, "connection"), "close");
	UNTIL(c->eof);
}

static void
writes_of_one_turn_leave_as_one_chunk(void **state)
{
	struct client *c = client_open();

	client_post(c, "/hold", "x");
	UNTIL(kit.held_count == 1);
	http_stream_begin(kit.held[0], 200, "text/plain");
	UNTIL(client_has(c, "\r\n\r\n"));
	for (unsigned i = 0; i < 3; i++) {
		assert_true(http_stream_write(kit.held[0], "a", 1, "b", 1, "c", 1));
		assert_true(http_stream_write(kit.held[0], "d", 1, NULL, 0, NULL, 0));
		UNTIL(client_has(c, "00000004\r\nabcd\r\n"));
		assert_quiet();
		if (i < 2)
			c->in_len = c->at; /* forget it */
	}
	http_stream_end(kit.held[0]);
	UNTIL(client_has(c, "\r\n0\r\n\r\n"));
	c->at = c->in_len;
	client_get(c, "/");
	assert_answer(c, 200, "hello");
}

/* A stream to a client that reads as fast as it can: all of it arrives, whatever its size. */
static void
a_long_stream_arrives_whole(void **state)
{
	struct client *c = client_open();
	char piece[1000];
	size_t sent = 0;

	memset(piece, 's', sizeof(piece));
	client_post(c, "/hold", "x");
	UNTIL(kit.held_count == 1);
	http_stream_begin(kit.held[0], 200, "text/plain");
	for (unsigned i = 0; i < 400; i++) {
		for (unsigned k = 0; k < 50; k++, sent += sizeof(piece))
			assert_true(http_stream_write(kit.held[0], piece, sizeof(piece), NULL, 0,
			                              NULL, 0));
		UNTIL(c->in_len >= sent);
	}
	http_stream_end(kit.held[0]);
	next_answer(c);
	assert_int_equal(c->body_len, sent);
	assert_int_equal(kit.completed, 1);
	client_get(c, "/");
	assert_answer(c, 200, "hello");
}

static void
stop_reading(struct client *c)
{
	c->deaf = true;
	client_poll(c);
}

/* More than the kernel takes for a client that does not read. */
#define MUCH ((size_t)40 << 20)

static void
a_reader_too_slow_is_cut_at_the_limit(void **state)
{
	struct client *c = client_open();
	static char piece[16384];
	size_t taken = 0;

	stop_reading(c);
	client_post(c, "/hold", "x");
	UNTIL(kit.held_count == 1);
	http_stream_begin(kit.held[0], 200, "text/plain");
	while (http_stream_write(kit.held[0], piece, sizeof(piece), NULL, 0, NULL, 0)) {
		taken += sizeof(piece);
		kit_turn();
		assert_true(taken < 100 << 20);
	}
	/* The handler is not told from inside its own call. */
	assert_int_equal(kit.held_count, 1);
	assert_false(http_stream_write(kit.held[0], "x", 1, NULL, 0, NULL, 0));
	UNTIL(kit.cut == 1);
	assert_int_equal(kit.held_count, 0);
	assert_true(taken >= kit.limits.max_stream_bytes);
	UNTIL(http_server_connections(kit.server) == 0);
	assert_quiet();
	client_listen_again(c);
	UNTIL(c->eof);
	assert_false(client_has(c, "\r\n0\r\n\r\n")); /* never looks complete */
}

static void
a_reader_that_stops_is_cut_after_a_while(void **state)
{
	struct client *c;
	char *much = calloc(1, MUCH);
	uint64_t began;

	assert_non_null(much);
	kit.limits.write_stall_ms = 200;
	kit.limits.max_stream_bytes = MUCH;
	kit_start(kit_listen_tcp());
	for (unsigned streaming = 0; streaming < 2; streaming++) {
		c = client_open();
		stop_reading(c);
		client_post(c, "/hold", "x");
		UNTIL(kit.held_count == 1);
		began = uv_hrtime();
		if (streaming) {
			http_stream_begin(kit.held[0], 200, "text/plain");
			assert_true(http_stream_write(kit.held[0], much, MUCH, NULL, 0, NULL, 0));
		} else {
			http_reply(kit.held[0], 200, "text/plain", much, MUCH);
		}
		(void)kit_turns_in(30); /* while the kernel takes its share */
		assert_quiet();
		UNTIL(kit.cut == streaming + 1);
		assert_in_range((uv_hrtime() - began) / 1000000, 150, 2000);
		UNTIL(http_server_connections(kit.server) == 0);
		client_close(c);
	}
	free(much);
}

/* Slower than the stall limit in all, but never silent for so long. */
static void
a_reader_that_is_only_slow_is_not_cut(void **state)
{
	struct client *c;
	char *much = calloc(1, MUCH);
	uint64_t began;

	assert_non_null(much);
	kit.limits.write_stall_ms = 200;
	kit.limits.max_stream_bytes = MUCH;
	kit_start(kit_listen_tcp());
	c = client_open();
	stop_reading(c);
	client_post(c, "/hold", "x");
	UNTIL(kit.held_count == 1);
	began = uv_hrtime();
	http_reply(kit.held[0], 200, "text/plain", much, MUCH);
	while ((uv_hrtime() - began) / 1000000 < 800) {
		static char some[200000];

		(void)kit_turns_in(20);
		assert_true(recv(c->fd, some, sizeof(some), MSG_DONTWAIT) > 0);
	}
	assert_int_equal(kit.cut, 0);
	client_listen_again(c);
	UNTIL(kit.completed == 1);
	free(much);
}

/* A stream that has nothing to say is not a reader that takes nothing. */
static void
a_silent_stream_is_not_cut(void **state)
{
	struct client *c;

	kit.limits.write_stall_ms = 50;
	kit_start(kit_listen_tcp());
	c = client_open();
	client_post(c, "/hold", "x");
	UNTIL(kit.held_count == 1);
	http_stream_begin(kit.held[0], 200, "text/plain");
	assert_true(http_stream_write(kit.held[0], "x", 1, NULL, 0, NULL, 0));
	(void)kit_turns_in(300);
	assert_int_equal(kit.cut, 0);
	http_stream_end(kit.held[0]);
	assert_answer(c, 200, "x");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_connection_serves_many_requests),
		TEST(requests_sent_together_are_answered_in_order),
		TEST(many_clients_are_served_at_once),
		TEST(an_answer_of_any_size_arrives_whole),
		TEST(large_answers_to_requests_sent_together_arrive_whole),
		TEST_UNIX(one_connection_serves_many_requests),
		TEST_UNIX(an_answer_of_any_size_arrives_whole),
		TEST(a_header_value_cannot_break_out),
		TEST(answers_that_have_no_body_have_none),
		TEST(only_the_first_answer_counts),
		TEST(a_stream_may_be_written_at_once),
		TEST(a_stream_to_http_1_0_ends_with_the_connection),
		TEST(writes_of_one_turn_leave_as_one_chunk),
		TEST(a_long_stream_arrives_whole),
		TEST_UNIX(a_long_stream_arrives_whole),
		TEST(a_reader_too_slow_is_cut_at_the_limit),
		TEST_UNIX(a_reader_too_slow_is_cut_at_the_limit),
		TEST_WITH_LIMITS(a_reader_that_stops_is_cut_after_a_while),
		TEST_WITH_LIMITS(a_reader_that_is_only_slow_is_not_cut),
		TEST_WITH_LIMITS(a_silent_stream_is_not_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
