/* Limits of connections and files, aborts, draining, closing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/http_kit.h"

/* --- aborts --------------------------------------------------------------------------------- */

static void
abort_twice(struct http_exchange *x)
{
	http_abort(x);
	http_abort(x);
	reply_text(x, 200, "too late");
	http_stream_begin(x, 200, "text/plain");
	assert_false(http_stream_write(x, "x", 1, NULL, 0, NULL, 0));
}

static void
abort_a_stream(struct http_exchange *x)
{
	http_stream_begin(x, 200, "text/plain");
	assert_true(http_stream_write(x, "x", 1, NULL, 0, NULL, 0));
	http_abort(x);
}

static void
abort_a_reply(struct http_exchange *x)
{
	reply_text(x, 200, "never seen");
	http_abort(x);
}

static int
abort_at_head(struct http_exchange *x)
{
	http_abort(x);
	return 500;
}

static void
is_aborted(struct client *c, const char *request, unsigned times)
{
	unsigned cut = kit.cut;

	for (unsigned i = 0; i < times; i++)
		client_send(c, request);
	UNTIL(kit.cut == cut + 1);
	UNTIL(c->eof);
	UNTIL(http_server_connections(kit.server) == 0);
	assert_false(client_has(c, "never"));
	assert_quiet();
	assert_int_equal(kit.cut, cut + 1);
	assert_int_equal(kit.completed, 0);
	client_close(c);
}

#define GET     "GET / HTTP/1.1\r\n\r\n"
#define POST    "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"
#define HALF    "POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\nhi"
#define CHUNKED "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"

static void
an_abort_inside_a_call_cuts_the_connection(void **state)
{
	static const char *const requests[] = {
		GET,
		POST,
		CHUNKED,
		"PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
	};
	static void (*const ways[])(struct http_exchange *) = {abort_twice, abort_a_stream,
	                                                       abort_a_reply};

	for (size_t i = 0; i < NELEM(requests); i++) {
		for (size_t k = 0; k < NELEM(ways); k++) {
			kit.on_request = ways[k];
			is_aborted(client_open(), requests[i], 1);
		}
	}
	kit.on_request = abort_twice;
	is_aborted(client_open(), GET, 3);
	kit.on_head = abort_at_head;
	for (size_t i = 0; i < NELEM(requests); i++)
		is_aborted(client_open(), requests[i], 1);
	is_aborted(client_open(), HALF, 1);
}

static void
on_abort_timer(uv_timer_t *timer)
{
	http_abort(kit.held[0]);
	http_abort(kit.held[0]);
	assert_int_equal(kit.held_count, 1); /* told later, not from inside the call */
}

static void
an_abort_from_a_timer_cuts_the_connection(void **state)
{
	uv_timer_t timer;

	(void)uv_timer_init(&kit.loop, &timer);
	for (unsigned i = 0; i < 8; i++) {
		struct client *c = client_open();

		if (i % 2 == 0)
			client_get(c, "/hold");
		else
			client_post(c, "/hold", "x");
		UNTIL(kit.held_count == 1);
		if (i & 4) {
			http_stream_begin(kit.held[0], 200, "text/plain");
			assert_true(http_stream_write(kit.held[0], "x", 1, NULL, 0, NULL, 0));
		}
		(void)uv_timer_start(&timer, on_abort_timer, i & 2 ? 20 : 0, 0);
		UNTIL(kit.cut == i + 1);
		UNTIL(c->eof);
		assert_false(client_has(c, "\r\n0\r\n\r\n"));
		client_close(c);
	}
	uv_close((uv_handle_t *)&timer, NULL);
	UNTIL(http_server_connections(kit.server) == 0);
	assert_quiet();
	assert_int_equal(kit.cut, 8);
	assert_int_equal(kit.completed, 0);
}

/* --- limits --------------------------------------------------------------------------------- */

static void
connections_over_the_limit_wait_for_their_turn(void **state)
{
	struct client *c[6];

	kit.limits.max_connections = 3;
	kit_start(kit_listen_tcp());
	for (unsigned i = 0; i < NELEM(c); i++) {
		c[i] = client_open();
		client_get(c[i], "/hold");
	}
	UNTIL(kit.held_count == 3);
	assert_quiet();
	assert_int_equal(kit.held_count, 3);
	assert_int_equal(http_server_connections(kit.server), 3);
	for (unsigned i = 0; i < 3; i++) {
		client_close(c[i]);
		UNTIL(kit.requests == 4 + i);
		assert_int_equal(http_server_connections(kit.server), 3);
	}
	UNTIL(kit.held_count == 3);
	assert_quiet();
	while (kit.held_count > 0) {
		unsigned before = kit.completed;

		reply_text(kit.held[0], 200, "ok");
		UNTIL(kit.completed == before + 1);
	}
	for (unsigned i = 3; i < 6; i++)
		assert_answer(c[i], 200, "ok");
}

static int
highest_file(void)
{
	int fd = dup(0);

	assert_true(fd >= 0);
	(void)close(fd);
	return fd;
}

static void
without_files_accepting_pauses_and_goes_on(void **state)
{
	struct rlimit limit, low;
	struct client *first, *second;

	if (under_valgrind())
		skip(); /* it has files of its own in that range */
	first = client_open();
	second = client_open();
	client_get(first, "/");
	assert_answer(first, 200, "hello");
	client_get(second, "/");
	assert_answer(second, 200, "hello");
	client_close(first);
	UNTIL(http_server_connections(kit.server) == 1);

	first = client_open();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)highest_file();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	client_get(first, "/");
	assert_quiet(); /* it knocks, and is not let in */
	assert_int_equal(http_server_connections(kit.server), 1);
	/* Those who are in go on, though nobody can be watched. */
	client_get(second, "/hold");
	UNTIL(kit.held_count == 1);
	assert_quiet();
	reply_text(kit.held[0], 200, "held");
	assert_answer(second, 200, "held");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_answer(first, 200, "hello");
}

/* --- the end -------------------------------------------------------------------------------- */

static void
after_stop_listening_answers_ask_for_the_end(void **state)
{
	struct client *idle = client_open(), *held = client_open(), *stream = client_open();

	client_get(idle, "/");
	assert_answer(idle, 200, "hello");
	assert_null(client_header(idle, "connection"));
	client_post(held, "/hold", "x");
	UNTIL(kit.held_count == 1);
	client_post(stream, "/hold", "x");
	UNTIL(kit.held_count == 2);
	http_stream_begin(kit.held[1], 200, "text/plain");
	UNTIL(client_has(stream, "\r\n\r\n"));

	http_server_stop_listening(kit.server);
	http_server_stop_listening(kit.server);
	kit_turn();
	client_get(idle, "/"); /* was on its way */
	assert_answer(idle, 200, "hello");
	assert_string_equal(client_header(idle, "connection"), "close");
	assert_closed(idle);
	assert_true(http_stream_write(kit.held[1], "more", 4, NULL, 0, NULL, 0));
	http_stream_end(kit.held[1]);
	assert_answer(stream, 200, "more");
	assert_closed(stream);
	reply_text(kit.held[0], 200, "done");
	assert_answer(held, 200, "done");
	assert_string_equal(client_header(held, "connection"), "close");
	assert_closed(held);
	UNTIL(http_server_connections(kit.server) == 0);
	assert_int_equal(kit.completed, 4);
}

static void
a_request_is_expected_of_who_has_just_connected_and_of_who_sends_its_body(void **state)
{
	struct client *c, *half;

	assert_false(http_server_expects_requests(kit.server));
	half = client_open();
	UNTIL(http_server_expects_requests(kit.server));
	(void)kit_turns_in(300);
	assert_false(http_server_expects_requests(kit.server)); /* not for ever */
	client_send(half, HALF);
	UNTIL(http_server_expects_requests(kit.server));
	client_close(half);
	UNTIL(!http_server_expects_requests(kit.server));
	c = client_open();
	client_get(c, "/");
	assert_answer(c, 200, "hello");
	client_get(c, "/hold");
	UNTIL(kit.held_count == 1);
	assert_false(http_server_expects_requests(kit.server));
	reply_text(kit.held[0], 200, "done");
	assert_answer(c, 200, "done");
}

static void
a_server_that_leaves_still_serves_and_asks_for_other_connections(void **state)
{
	struct client *old = client_open(), *stream = client_open(), *fresh;

	client_get(old, "/");
	assert_answer(old, 200, "hello");
	client_post(stream, "/hold", "x");
	UNTIL(kit.held_count == 1);
	http_stream_begin(kit.held[0], 200, "text/plain");
	UNTIL(client_has(stream, "\r\n\r\n"));

	http_server_leave(kit.server);
	client_get(old, "/");
	assert_answer(old, 200, "hello");
	assert_string_equal(client_header(old, "connection"), "close");
	assert_closed(old);
	fresh = client_open();
	client_get(fresh, "/");
	assert_answer(fresh, 200, "hello");
	assert_string_equal(client_header(fresh, "connection"), "close");
	assert_closed(fresh);
	/* this one had not been told when its answer began: it may be used again until it has */
	http_stream_end(kit.held[0]);
	assert_answer(stream, 200, "");
	client_get(stream, "/");
	assert_answer(stream, 200, "hello");
	assert_closed(stream);
}

static void
after_stop_listening_nobody_is_let_in(void **state)
{
	int fd;

	http_server_stop_listening(kit.server);
	kit_turn();
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&kit.address, kit.address_len), -1);
	assert_int_equal(errno, ECONNREFUSED);
	(void)close(fd);
}

/* The teardown shuts everything down after it: their owners have heard of each one's end, no
 * callback may come any more, and nothing may be left on the loop or on the heap. */
static void
a_close_with_all_kinds_of_connections_leaves_nothing(void **state)
{
	static const char *const halves[] = {
		"", "GET / HT", HALF,
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab"};
	struct client *c;
	static char piece[65536];

	for (size_t i = 0; i < NELEM(halves); i++)
		client_send(client_open(), halves[i]);
	c = client_open();
	client_get(c, "/");
	assert_answer(c, 200, "hello"); /* idle now */
	for (unsigned i = 0; i < 6; i++) {
		c = client_open();
		if (i % 2 == 0)
			client_get(c, "/hold");
		else
			client_post(c, "/hold", "x");
		UNTIL(kit.held_count == i + 1);
		if (i < 2)
			continue;
		http_stream_begin(kit.held[i], 200, "text/plain");
		c->deaf = i >= 4; /* with a full queue */
		client_poll(c);
		for (unsigned k = 0; i >= 4 && k < 200; k++) {
			(void)http_stream_write(kit.held[i], piece, i * 1000, NULL, 0, NULL, 0);
			kit_turn();
		}
	}
	kit.cut = kit.completed = 0;
	http_server_close(kit.server);
	http_server_close(kit.server);
	assert_int_equal(kit.held_count, 0);
	assert_int_equal(kit.cut, 6 + 2); /* and the two whose bodies were still to come */
	assert_int_equal(http_server_exchanges(kit.server), 0);
	kit_turn();
	assert_int_equal(kit.cut, 6 + 2);
	assert_int_equal(kit.completed, 0);
}

static void
after_close_requests_are_refused(void **state)
{
	struct client *c = client_open(), *half = client_open();
	unsigned heads;

	client_get(c, "/");
	assert_answer(c, 200, "hello");
	client_send(half, HALF);
	UNTIL(kit.heads == 2);
	heads = kit.heads;
	http_server_close(kit.server);
	assert_int_equal(kit.cut, 1); /* the half one's owner has heard; no callback after that */
	client_get(c, "/");
	assert_answer(c, 503, "{\"error\":503}");
	assert_string_equal(client_header(c, "connection"), "close");
	assert_closed(c);
	client_close(half);
	UNTIL(http_server_connections(kit.server) == 0);
	assert_int_equal(kit.heads, heads);
	assert_int_equal(kit.requests, 1);
	assert_int_equal(kit.cut, 1);
}

static void
a_server_that_served_nobody_closes(void **state)
{
	assert_int_equal(http_server_connections(kit.server), 0);
}

static void
two_sockets_serve_the_same(void **state)
{
	struct client *tcp = client_open(), *local;
	struct err err;

	assert_int_equal(http_server_listen(kit.server, kit_listen_unix(), &err), 0);
	local = client_open();
	client_get(local, "/");
	client_get(tcp, "/");
	assert_answer(local, 200, "hello");
	assert_answer(tcp, 200, "hello");
	assert_int_equal(http_server_connections(kit.server), 2);
}

static void
what_is_no_socket_is_refused(void **state)
{
	struct err err;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(http_server_listen(kit.server, fd, &err) < 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was given away */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_abort_inside_a_call_cuts_the_connection),
		TEST(an_abort_from_a_timer_cuts_the_connection),
		TEST_UNIX(an_abort_from_a_timer_cuts_the_connection),
		TEST_WITH_LIMITS(connections_over_the_limit_wait_for_their_turn),
		TEST(without_files_accepting_pauses_and_goes_on),
		TEST(after_stop_listening_answers_ask_for_the_end),
		TEST(a_server_that_leaves_still_serves_and_asks_for_other_connections),
		TEST(a_request_is_expected_of_who_has_just_connected_and_of_who_sends_its_body),
		TEST(after_stop_listening_nobody_is_let_in),
		TEST(a_close_with_all_kinds_of_connections_leaves_nothing),
		TEST_UNIX(a_close_with_all_kinds_of_connections_leaves_nothing),
		TEST(after_close_requests_are_refused),
		TEST(a_server_that_served_nobody_closes),
		TEST(two_sockets_serve_the_same),
		TEST(what_is_no_socket_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
