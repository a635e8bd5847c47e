/* How request bodies are read: their framing, limits and deadline; what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/http_kit.h"

/* Sends the text on a connection of its own and wants this answer, then the end. */
static void
refused(const char *text, int status)
{
	struct client *c = client_open();
	char body[64];

	(void)snprintf(body, sizeof(body), "{\"error\":%d}", status);
	client_send(c, text);
	assert_answer(c, status, body);
	assert_string_equal(client_header(c, "content-type"), "application/json");
	assert_string_equal(client_header(c, "connection"), "close");
	assert_closed(c);
	client_close(c);
}

static void
a_length_that_is_none_is_refused(void **state)
{
	static const char *const lengths[] = {
		"-5",
		"+5",
		"5x",
		"abc",
		"0x10",
		"5, 7",
		"5,5",
		"",
		"1 2",
		"1e3",
		"5.0",
		"99999999999999999999999999",
		"18446744073709551616",
		"9223372036854775808",
	};

	for (size_t i = 0; i < NELEM(lengths); i++) {
		char text[256];

		(void)snprintf(text, sizeof(text),
		               "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: %s\r\n\r\nhello",
		               lengths[i]);
		/* An empty one is as good as none. */
		refused(text, lengths[i][0] == '\0' ? 411 : 400);
	}
	refused("POST /echo HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello", 400);
	refused("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400);
	assert_int_equal(kit.heads, 0);
}

static void
a_body_needs_a_length(void **state)
{
	refused("POST /echo HTTP/1.1\r\nHost: t\r\n\r\n", 411);
	refused("PUT /echo HTTP/1.1\r\nHost: t\r\n\r\n", 411);
	refused("PATCH /echo HTTP/1.1\r\nHost: t\r\n\r\nwhat is this", 411);
	assert_int_equal(kit.heads, 0);
}

static void
two_framings_at_once_are_refused(void **state)
{
	refused("POST /echo HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
	        "0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
	        400);
	refused("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"
	        "5\r\nhello\r\n0\r\n\r\n",
	        400);
	assert_int_equal(kit.heads, 0);
}

/* The bytes that follow are on the way when it is refused: were they answered by a reset, the
 * client could lose the answer. */
static void
a_refusal_of_the_head_arrives_whole_whatever_follows_it(void **state)
{
	static const char *const heads[] = {
		"POST /echo HTTP/1.1\r\n\r\n",
		"POST /echo HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST /echo HTTP/1.1\r\nContent-Length: many\r\n\r\n",
	};
	char *body = calloc(1, 4 << 20);

	assert_non_null(body);
	for (size_t i = 0; i < NELEM(heads); i++) {
		struct client *c = client_open();

		c->deaf = true;
		client_send(c, heads[i]);
		client_send_bytes(c, body, 4 << 20);
		(void)kit_turns_in(50);
		client_listen_again(c);
		next_answer(c);
		assert_true(c->status == 411 || c->status == 400);
		assert_memory_equal(c->body, "{\"error\"", 8);
		UNTIL(c->eof);
		assert_false(c->reset);
		client_close(c);
	}
	free(body);
	UNTIL(http_server_connections(kit.server) == 0);
}

static void
other_transfer_encodings_are_refused(void **state)
{
	refused("POST /echo HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501);
	refused("POST /echo HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501);
	refused("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
	        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	        501);
	refused("POST /echo HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501);
	refused("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411);
	refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411);
	assert_int_equal(kit.heads, 0);
}

/* A header that is looked for, present but empty. */
static void
an_empty_transfer_encoding_hides_no_body(void **state)
{
	struct client *c = client_open();

	client_send(c,
	            "POST /echo HTTP/1.1\r\nTransfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello");
	next_answer(c);
	assert_true(c->status == 400 || c->status == 200);
}

static void
a_chunked_body_is_put_together(void **state)
{
	static const char head[] =
		"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
	static const char body[] = "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: x\r\n\r\n";

	for (size_t cut = 0; cut < sizeof(body); cut++) {
		struct client *c = client_open();

		client_send(c, head);
		client_send_bytes(c, body, cut);
		kit_turn();
		client_send(c, body + cut);
		assert_answer(c, 200, "hello world");
		assert_string_equal(client_header(c, "connection"), "close");
		assert_closed(c);
		client_close(c);
	}
	assert_int_equal(kit.completed, sizeof(body));
}

static void
a_malformed_chunked_body_is_refused(void **state)
{
	static const char head[] = "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
	char text[256];

	kit.limits.body_timeout_ms = 300; /* so long the rest of the body is read over */
	kit_start(kit_listen_tcp());
	(void)snprintf(text, sizeof(text), "%s5\nhello\r\n0\r\n\r\n", head);
	refused(text, 400);
	(void)snprintf(text, sizeof(text), "%s5\r\nhello there\r\n0\r\n\r\n", head);
	refused(text, 400);
	assert_int_equal(kit.requests, 0);
	assert_int_equal(kit.completed, kit.heads);
}

static void
a_chunked_body_over_the_limit_is_refused(void **state)
{
	struct client *c = client_open();
	size_t head = strlen("1000\r\n"), size = head + 4096 + 2, count = 2000;
	char *chunks = malloc(size * count); /* 8 MB against 1 MB, and no end */

	assert_non_null(chunks);
	for (size_t i = 0; i < count; i++) {
		memcpy(chunks + i * size, "1000\r\n", head);
		memset(chunks + i * size + head, 'x', 4096);
		memcpy(chunks + i * size + head + 4096, "\r\n", 2);
	}
	client_send(c, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	client_send_bytes(c, chunks, size * count);
	free(chunks);
	assert_answer(c, 413, "{\"error\":413}");
	assert_int_equal(kit.requests, 0);
}

/* libwebsockets keeps its timer for bodies running on a chunked one. */
static void
a_request_with_a_chunked_body_may_be_answered_later(void **state)
{
	struct client *c = client_open();

	client_send(
		c, "POST /hold HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
	UNTIL(kit.held_count == 1);
	assert_string_equal(kit.body, "hi");
	assert_quiet();
	reply_text(kit.held[0], 200, "later");
	assert_answer(c, 200, "later");
	assert_closed(c);
}

static void
a_client_that_waits_for_our_word_gets_it_at_once(void **state)
{
	struct client *c = client_open();

	for (unsigned i = 0; i < 3; i++) {
		client_send(c, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n"
		               "Expect: 100-continue\r\n\r\n");
		assert_answer(c, 100, "");
		assert_null(client_header(c, "x-request-id"));
		assert_int_equal(kit.requests, i);
		client_send(c, "hello");
		assert_answer(c, 200, "hello");
		assert_null(client_header(c, "connection"));
	}
	client_send(c, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
	               "Expect: 100-continue\r\n\r\n");
	assert_answer(c, 100, "");
	client_send(c, "3\r\nabc\r\n0\r\n\r\n");
	assert_answer(c, 200, "abc");
	assert_closed(c);
	client_close(c);
	c = client_open();
	client_send(c, "POST /echo HTTP/1.1\r\nConnection: close\r\nContent-Length: 5\r\n"
	               "Expect: 100-Continue\r\n\r\n");
	assert_answer(c, 100, "");
	client_send(c, "hello");
	assert_answer(c, 200, "hello");
	assert_closed(c);
}

static void
only_that_word_is_given_and_only_to_http_1_1(void **state)
{
	struct client *c = client_open();

	client_send(c, "POST /echo HTTP/1.1\r\nContent-Length: 2\r\nExpect: miracles\r\n\r\nhi");
	assert_answer(c, 200, "hi");
	client_send(c,
	            "POST /echo HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi");
	assert_answer(c, 200, "hi");
	assert_closed(c);
}

static int
refuse_by_head(struct http_exchange *x)
{
	http_add_header(x, "x-why", "because");
	reply_text(x, 404, "not here");
	return 404;
}

static void
a_client_that_waits_is_refused_before_it_sends(void **state)
{
	struct client *c = client_open();

	kit.on_head = refuse_by_head;
	client_send(c, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n"
	               "Expect: 100-continue\r\n\r\n");
	assert_answer(c, 404, "not here");
	assert_string_equal(client_header(c, "connection"), "close");
	UNTIL(kit.completed == 1);
	client_close(c);

	c = client_open();
	client_send(c, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999\r\n"
	               "Expect: 100-continue\r\n\r\n");
	kit.on_head = NULL;
	assert_answer(c, 413, "{\"error\":413}");
	assert_string_equal(client_header(c, "connection"), "close");
}

/* A refusal by the handler does not cost the connection: the body is read over. */
static void
after_a_refusal_of_the_handler_the_connection_goes_on(void **state)
{
	struct client *c = client_open();

	kit.on_head = refuse_by_head;
	client_get(c, "/x");
	assert_answer(c, 404, "not here");
	assert_string_equal(client_header(c, "x-why"), "because");
	client_post(c, "/x", "with a body");
	assert_answer(c, 404, "not here");
	client_send(c, "PUT /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
	assert_answer(c, 404, "not here");
	client_send(c, "POST /x HTTP/1.1\r\nContent-Length: 4\r\n\r\n");
	assert_answer(c, 404, "not here"); /* before its body */
	client_send(c, "bodyPOST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
	assert_answer(c, 404, "not here");
	kit.on_head = NULL;
	client_post(c, "/echo", "works");
	assert_answer(c, 200, "works");
	assert_int_equal(kit.requests, 1);
	assert_int_equal(kit.completed, 6);
}

static void
a_body_over_the_limit_is_refused_and_the_whole_answer_arrives(void **state)
{
	struct client *c = client_open();
	size_t len = 20 << 20;
	char *body = calloc(1, len);

	assert_non_null(body);
	client_send(c, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 20971520\r\n\r\n");
	client_send_bytes(c, body, len); /* does not look at answers meanwhile */
	free(body);
	assert_answer(c, 413, "{\"error\":413}");
	assert_string_equal(client_header(c, "connection"), "close");
	assert_false(c->reset);
	assert_int_equal(kit.requests, 0);
	UNTIL(c->eof);
	UNTIL(http_server_connections(kit.server) == 0);
}

static void
a_body_of_exactly_the_limit_is_taken(void **state)
{
	struct client *c = client_open();
	size_t len = kit.limits.max_body_bytes;
	char *body = malloc(len);

	assert_non_null(body);
	memset(body, 'b', len);
	client_send(c, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1048576\r\n\r\n");
	client_send_bytes(c, body, len);
	next_answer(c);
	assert_int_equal(c->status, 200);
	assert_int_equal(c->body_len, len);
	assert_memory_equal(c->body, body, len);
	free(body);
	client_send(c, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1048577\r\n\r\n");
	assert_answer(c, 413, "{\"error\":413}");
}

/* Each byte would put off a timer between reads. */
static void
a_body_that_trickles_is_ended_by_the_deadline(void **state)
{
	struct client *c;
	uint64_t began;

	kit.limits.body_timeout_ms = 300;
	kit_start(kit_listen_tcp());
	c = client_open();
	began = uv_hrtime();
	client_send(c, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n");
	while (c->in_len == 0 && uv_hrtime() - began < 5000000000ull) {
		client_send(c, "x");
		kit_turn();
	}
	assert_answer(c, 408, "{\"error\":408}");
	assert_in_range((uv_hrtime() - began) / 1000000, 250, 2000);
	assert_string_equal(client_header(c, "connection"), "close");
	UNTIL(c->eof);
	assert_int_equal(kit.requests, 0);
	assert_int_equal(kit.heads, 1);
	assert_int_equal(kit.completed + kit.cut, 1);
}

static void
a_body_that_stops_is_ended_by_the_deadline(void **state)
{
	struct client *c;

	kit.limits.body_timeout_ms = 200;
	kit_start(kit_listen_tcp());
	c = client_open();
	client_send(c, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc");
	assert_answer(c, 408, "{\"error\":408}");
	assert_closed(c);
	client_close(c);
	c = client_open();
	client_send(c, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
	assert_answer(c, 408, "{\"error\":408}");
	assert_closed(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_length_that_is_none_is_refused),
		TEST(a_body_needs_a_length),
		TEST(two_framings_at_once_are_refused),
		TEST(a_refusal_of_the_head_arrives_whole_whatever_follows_it),
		TEST(other_transfer_encodings_are_refused),
		TEST(an_empty_transfer_encoding_hides_no_body),
		TEST(a_chunked_body_is_put_together),
		TEST_WITH_LIMITS(a_malformed_chunked_body_is_refused),
		TEST(a_chunked_body_over_the_limit_is_refused),
		TEST(a_request_with_a_chunked_body_may_be_answered_later),
		TEST(a_client_that_waits_for_our_word_gets_it_at_once),
		TEST(only_that_word_is_given_and_only_to_http_1_1),
		TEST(a_client_that_waits_is_refused_before_it_sends),
		TEST(after_a_refusal_of_the_handler_the_connection_goes_on),
		TEST(a_body_over_the_limit_is_refused_and_the_whole_answer_arrives),
		TEST(a_body_of_exactly_the_limit_is_taken),
		TEST_WITH_LIMITS(a_body_that_trickles_is_ended_by_the_deadline),
		TEST_WITH_LIMITS(a_body_that_stops_is_ended_by_the_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
