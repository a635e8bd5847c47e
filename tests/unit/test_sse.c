/* Streams of server-sent events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/http/sse.h"
#include "tests/unit/http_kit.h"

#define NEVER 600000 /* ms */

static struct {
	struct sse *sse;
	unsigned opened;
} stub;

static void
on_open(void *arg)
{
	assert_ptr_equal(arg, &stub);
	assert_true(sse_is_open(stub.sse));
	stub.opened++;
	assert_true(sse_event(stub.sse, "role", 4));
}

/* A request whose answer is a stream that has not begun yet. */
static struct client *
begin(uint64_t header_delay_ms, uint64_t keepalive_ms)
{
	struct client *c = client_open();

	memset(&stub, 0, sizeof(stub));
	client_post(c, "/hold", "x");
	UNTIL(kit.held_count == 1);
	stub.sse = sse_new(&kit.loop, kit.held[0], header_delay_ms, keepalive_ms, on_open, &stub);
	assert_non_null(stub.sse);
	return c;
}

static void
finish(struct client *c, const char *wanted)
{
	sse_end(stub.sse);
	assert_answer(c, 200, wanted);
	assert_string_equal(client_header(c, "content-type"), "text/event-stream; charset=utf-8");
	assert_string_equal(client_header(c, "cache-control"), "no-cache");
	assert_string_equal(client_header(c, "x-accel-buffering"), "no");
	sse_free(stub.sse);
	/* The connection is good for another request. */
	client_get(c, "/");
	assert_answer(c, 200, "hello");
}

static void
headers_wait_for_the_first_event(void **state)
{
	struct client *c = begin(NEVER, NEVER);

	sse_start_delay(stub.sse);
	assert_quiet();
	assert_false(sse_is_open(stub.sse));
	assert_false(http_stream_begun(kit.held[0]));
	assert_int_equal(c->in_len, 0);
	sse_open(stub.sse);
	assert_true(sse_is_open(stub.sse));
	sse_open(stub.sse);
	assert_true(sse_event(stub.sse, "{\"a\":1}", 7));
	assert_true(sse_write(stub.sse, "data: ", 6, "b", 1, "\n\n", 2));
	UNTIL(client_has(c, "data: b\n\n"));
	finish(c, "data: {\"a\":1}\n\ndata: b\n\n");
	assert_int_equal(stub.opened, 0);
}

static void
headers_go_out_when_the_delay_is_over(void **state)
{
	struct client *c = begin(60, NEVER);
	uint64_t began;

	(void)kit_turns_in(100);
	assert_int_equal(stub.opened, 0); /* it has not begun */
	began = uv_hrtime();
	sse_start_delay(stub.sse);
	UNTIL(stub.opened == 1);
	assert_in_range((uv_hrtime() - began) / 1000000, 40, 1000);
	UNTIL(client_has(c, "data: role\n\n"));
	assert_true(sse_event(stub.sse, "x", 1));
	(void)kit_turns_in(100);
	finish(c, "data: role\n\ndata: x\n\n");
	assert_int_equal(stub.opened, 1);
}

static void
the_delay_ends_with_the_opening(void **state)
{
	struct client *c = begin(40, NEVER);

	sse_start_delay(stub.sse);
	sse_open(stub.sse);
	sse_start_delay(stub.sse);
	assert_true(sse_event(stub.sse, "x", 1));
	(void)kit_turns_in(100);
	assert_int_equal(stub.opened, 0);
	finish(c, "data: x\n\n");
}

static void
without_a_keep_alive_the_delay_ends_too(void **state)
{
	struct client *c = begin(40, 0);

	sse_start_delay(stub.sse);
	sse_open(stub.sse);
	(void)kit_turns_in(100);
	assert_int_equal(stub.opened, 0);
	assert_true(sse_event(stub.sse, "x", 1));
	finish(c, "data: x\n\n");
}

static void
an_early_failure_is_a_status(void **state)
{
	struct client *c = begin(60, 10);

	sse_start_delay(stub.sse);
	reply_text(kit.held[0], 429, "later");
	sse_free(stub.sse);
	assert_answer(c, 429, "later");
	(void)kit_turns_in(100);
	assert_int_equal(stub.opened, 0);
	client_get(c, "/");
	assert_answer(c, 200, "hello");
}

static unsigned
comments_in(const char *text)
{
	unsigned n = 0;

	while ((text = strstr(text, ": keep-alive\n\n")) != NULL) {
		n++;
		text++;
	}
	return n;
}

static void
a_silent_stream_is_kept_alive_with_comments(void **state)
{
	struct client *c = begin(NEVER, 50);

	sse_open(stub.sse);
	(void)kit_turns_in(330);
	sse_end(stub.sse);
	next_answer(c);
	assert_in_range(comments_in(c->body), 2, 6);
	sse_free(stub.sse);
}

static void
a_stream_that_speaks_needs_no_comments(void **state)
{
	struct client *c = begin(NEVER, 150);

	sse_open(stub.sse);
	for (unsigned i = 0; i < 30; i++) {
		assert_true(sse_event(stub.sse, "x", 1));
		(void)kit_turns_in(10);
	}
	sse_end(stub.sse);
	next_answer(c);
	assert_int_equal(comments_in(c->body), 0);
	sse_free(stub.sse);
}

static void
events_of_one_turn_leave_as_one_chunk(void **state)
{
	struct client *c = begin(NEVER, NEVER);

	sse_open(stub.sse);
	UNTIL(client_has(c, "\r\n\r\n"));
	for (unsigned i = 0; i < 3; i++)
		assert_true(sse_event(stub.sse, "event", 5));
	UNTIL(client_has(c, "00000027\r\ndata: event\n\ndata: event\n\ndata: event\n\n\r\n"));
	finish(c, "data: event\n\ndata: event\n\ndata: event\n\n");
}

static void
free_in_done(struct http_exchange *x, bool complete)
{
	if (stub.sse != NULL) {
		(void)sse_event(stub.sse, "too late", 8);
		sse_end(stub.sse);
		sse_free(stub.sse);
	}
	stub.sse = NULL;
}

static void
a_client_that_goes_ends_it(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct client *c = begin(20, 10);

		kit.on_done = free_in_done;
		if (i > 0)
			sse_start_delay(stub.sse);
		if (i > 1)
			UNTIL(client_has(c, "data: role\n\n"));
		client_close(c);
		UNTIL(stub.sse == NULL);
		(void)kit_turns_in(50);
		assert_int_equal(kit.cut, i + 1);
	}
}

static void
a_client_too_slow_is_cut(void **state)
{
	struct client *c = begin(NEVER, 5);
	static char data[10000];

	memset(data, 'd', sizeof(data));
	kit.on_done = free_in_done;
	c->deaf = true;
	client_poll(c);
	sse_open(stub.sse);
	while (stub.sse != NULL && sse_event(stub.sse, data, sizeof(data)))
		kit_turn();
	UNTIL(stub.sse == NULL);
	assert_int_equal(kit.cut, 1);
}

static void
nobody_is_freed_twice(void **state)
{
	sse_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(headers_wait_for_the_first_event),
		TEST(headers_go_out_when_the_delay_is_over),
		TEST(the_delay_ends_with_the_opening),
		TEST(without_a_keep_alive_the_delay_ends_too),
		TEST(an_early_failure_is_a_status),
		TEST(a_silent_stream_is_kept_alive_with_comments),
		TEST(a_stream_that_speaks_needs_no_comments),
		TEST(events_of_one_turn_leave_as_one_chunk),
		TEST(a_client_that_goes_ends_it),
		TEST(a_client_too_slow_is_cut),
		TEST(nobody_is_freed_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
