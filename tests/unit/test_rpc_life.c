/* How a connection opens, and every way it can end. */
#include "tests/unit/rpc_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

static void
assert_fails_to_open(void)
{
	unsigned before = owner.closes;

	open_rpc();
	RUN_UNTIL(owner.closes == before + 1);
	assert_int_equal(owner.opens, 0);
	assert_true(owner.reason[0] != '\0');
}

/* --- opening -------------------------------------------------------------------------------- */

static void
a_connection_opens_over_a_unix_socket(void **state)
{
	connect_rpc();
	assert_memory_equal(peer.head, "GET / HTTP/1.1\r\n", 16);
	/* codex refuses a handshake that names an origin */
	assert_null(strcasestr(peer.head, "\r\norigin:"));
	settle();
}

static void
a_connection_opens_over_tcp(void **state)
{
	struct asker a = {.answers = 0};
	char host[64];
	int port = peer_listen_tcp(&loop);

	(void)snprintf(url, sizeof(url), "ws://127.0.0.1:%d/some/path?x=y", port);
	open_rpc();
	RUN_UNTIL(owner.opens == 1 || owner.closes == 1);
	assert_memory_equal(peer.head, "GET /some/path?x=y HTTP/1.1\r\n", 29);
	(void)snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%d\r\n", port);
	assert_non_null(strcasestr(peer.head, host));
	(void)call("m", &a, LONG_MS);
	RUN_UNTIL(peer.count == 1);
	peer_answers(0, "\"result\":1");
	RUN_UNTIL(a.answers == 1);
}

/* Its first address may be one where nobody listens, as ::1 is here. */
static void
a_host_is_found_by_its_name(void **state)
{
	int port = peer_listen_tcp(&loop);

	(void)snprintf(url, sizeof(url), "ws://localhost:%d", port);
	open_rpc();
	RUN_UNTIL(owner.opens == 1 || owner.closes == 1);
	assert_int_equal(owner.opens, 1);
	settle();
}

static void
a_name_that_nobody_has_is_no_connection(void **state)
{
	(void)snprintf(url, sizeof(url), "ws://nobody.invalid:1");
	assert_fails_to_open();
	open_rpc(); /* and while it is looked for, it may be closed */
	rpc_close(owner.rpc);
	RUN_UNTIL(owner.closes == 2);
}

static void
a_path_too_long_for_a_socket_is_no_connection(void **state)
{
	(void)snprintf(url, sizeof(url), "unix:///%0110d", 0);
	assert_fails_to_open();
	assert_non_null(strstr(owner.reason, "too long"));
}

static void
a_url_that_cannot_be_is_refused_at_once(void **state)
{
	struct rpc *rpc = NULL;
	struct err err = {.code = 0};

	assert_int_equal(rpc_open(&rpc, &loop, "http://x", &handlers, &owner, &err), -EINVAL);
	assert_non_null(strstr(err.text, "http://x"));
	assert_null(rpc);
}

static void
without_a_socket_it_fails_later_and_once(void **state)
{
	assert_fails_to_open();
	assert_fails_to_open();
	assert_int_equal(owner.closes, 2);
}

static void
a_socket_where_nobody_listens_is_no_connection(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	(void)close(fd);
	assert_fails_to_open();
}

static void
a_port_where_nobody_listens_is_no_connection(void **state)
{
	int port = peer_listen_tcp(&loop);

	peer_stop();
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	(void)snprintf(url, sizeof(url), "ws://127.0.0.1:%d", port);
	assert_fails_to_open();
}

static void
a_handshake_refused_is_no_connection(void **state)
{
	peer_listen_unix(&loop, socket_path);
	peer.answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
	assert_fails_to_open();
	RUN_UNTIL(peer.gone);
}

/* And what is wrong with it is told. */
static void
a_handshake_answered_wrongly_is_no_connection(void **state)
{
	static const struct {
		const char *answer, *reason;
	} wrong[] = {
		{"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",                          "answered with 401"},
		{"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
	         "answered with 200"										   },
		{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"
	         "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", "not rightly"      },
		{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"
	         "\r\n\r\n",	                                               "not rightly"      },
		{"HTTP/1.1 101 Switching Protocols\r\n\r\n",                                        "not rightly"      },
		{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade"
	         "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",       "extension"        },
		{"what do you want?\r\n\r\n",						       "no HTTP"          },
		{"\x81\x02{}",								      "no HTTP"          },
	};

	peer_listen_unix(&loop, socket_path);
	for (size_t i = 0; i < NELEM(wrong); i++) {
		peer.answer = wrong[i].answer;
		assert_fails_to_open();
		if (strstr(owner.reason, wrong[i].reason) == NULL)
			fail_msg("%s: %s", wrong[i].answer, owner.reason);
		RUN_UNTIL(peer.gone && peer_is_free());
	}
}

static void
a_handshake_answered_without_end_is_no_connection(void **state)
{
	size_t len = 100000;
	AUTO_FREE char *answer = malloc(len + 1);
	int n;

	peer_listen_unix(&loop, socket_path);
	n = snprintf(answer, len, "HTTP/1.1 101 Switching Protocols\r\nX: ");
	memset(answer + n, 'x', len - (size_t)n);
	answer[len] = '\0';
	peer.answer = answer;
	assert_fails_to_open();
	assert_non_null(strstr(owner.reason, "too much"));
}

static void
a_handshake_answered_with_garbage_is_no_connection(void **state)
{
	peer_listen_unix(&loop, socket_path);
	peer.answer = "what do you want?\r\n\r\n";
	assert_fails_to_open();
}

static void
a_handshake_never_answered_is_given_up(void **state)
{
	peer_listen_unix(&loop, socket_path);
	peer.answer = "";
	assert_fails_to_open(); /* after 5 s */
	assert_non_null(strstr(owner.reason, "handshake"));
	RUN_UNTIL(peer.gone);
}

static void
a_peer_that_hangs_up_in_the_handshake_is_no_connection(void **state)
{
	peer_listen_unix(&loop, socket_path);
	peer.answer = "";
	open_rpc();
	RUN_UNTIL(peer.head[0] != '\0');
	peer_hang_up();
	RUN_UNTIL(owner.closes == 1);
	assert_int_equal(owner.opens, 0);
}

/* --- ending --------------------------------------------------------------------------------- */

static struct asker last_wish;

/* What an owner may try while all its calls are lost. */
static void
try_everything(struct asker *self)
{
	assert_int_equal(call("too late", self, LONG_MS), 0);
	rpc_abandon(owner.rpc, 1);
	rpc_notify(owner.rpc, "too late");
	rpc_close(owner.rpc);
}

static void
a_lost_connection_fails_every_call_before_it_says_so(void **state)
{
	struct asker a[3] = {{.then = try_everything}, {.answers = 0}, {.answers = 0}};

	connect_rpc();
	for (unsigned i = 0; i < NELEM(a); i++)
		(void)call("m", &a[i], LONG_MS);
	RUN_UNTIL(peer.count == 3);
	peer_hang_up();
	RUN_UNTIL(owner.closes == 1);
	for (unsigned i = 0; i < NELEM(a); i++) {
		assert_int_equal(a[i].answers, 1);
		assert_int_equal(a[i].code, RPC_LOST);
		assert_string_equal(a[i].text, owner.reason);
	}
	assert_int_equal(owner.answers_when_closed, 3);
}

static void
a_close_frame_of_the_server_ends_it_too(void **state)
{
	struct asker a = {.answers = 0};

	connect_rpc();
	(void)call("m", &a, LONG_MS);
	peer_send_frame(WS_CLOSE, true, "\x03\xe9", 2);
	RUN_UNTIL(owner.closes == 1);
	assert_int_equal(a.code, RPC_LOST);
	RUN_UNTIL(peer.gone);
	assert_int_equal(peer.closes, 1); /* it is answered */
}

static void
bytes_that_are_no_frame_end_it(void **state)
{
	connect_rpc();
	peer_send_bytes("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
	RUN_UNTIL(owner.closes == 1);
}

static void
closing_sends_first_what_is_queued(void **state)
{
	struct asker a = {.answers = 0};

	connect_rpc();
	(void)call("last call", &a, LONG_MS);
	rpc_notify(owner.rpc, "last word");
	rpc_close(owner.rpc);
	rpc_close(owner.rpc);
	assert_int_equal(call("too late", NULL, LONG_MS), 0);
	rpc_notify(owner.rpc, "too late");
	assert_int_equal(owner.closes, 0); /* never from inside */
	RUN_UNTIL(owner.closes == 1 && peer.gone);
	assert_int_equal(peer.count, 2);
	assert_string_equal(peer_method(0), "last call");
	assert_string_equal(peer_method(1), "last word");
	assert_int_equal(peer.closes, 1);
	assert_int_equal(a.code, RPC_LOST);
	assert_int_equal(owner.answers_when_closed, 1);
}

/* An interrupt that is held back would let the model go on for nobody. */
static void
closing_sends_what_was_held_back_as_well(void **state)
{
	connect_rpc();
	for (unsigned i = 0; i < RPC_IN_FLIGHT_MAX + 5; i++)
		(void)call(i < RPC_IN_FLIGHT_MAX ? "m" : "held", NULL, LONG_MS);
	rpc_close(owner.rpc);
	RUN_UNTIL(owner.closes == 1 && peer.gone);
	assert_int_equal(peer.count, RPC_IN_FLIGHT_MAX + 5);
	assert_string_equal(peer_method(RPC_IN_FLIGHT_MAX), "held");
}

static void
closing_sends_large_messages_whole(void **state)
{
	size_t len = (size_t)3 << 20;
	AUTO_FREE char *params = malloc(len);

	connect_rpc();
	memset(params, '7', len);
	(void)rpc_call(owner.rpc, "m", params, len, LONG_MS, NULL, NULL);
	rpc_close(owner.rpc);
	RUN_UNTIL(owner.closes == 1 && peer.gone);
	assert_int_equal(peer.count, 1);
	assert_true(peer.lens[0] > len);
}

static void
closing_does_not_wait_for_one_who_does_not_read(void **state)
{
	size_t len = (size_t)8 << 20;
	AUTO_FREE char *params = malloc(len);
	uint64_t begun;

	connect_rpc();
	(void)uv_read_stop(&peer.conn.stream);
	memset(params, '7', len);
	(void)rpc_call(owner.rpc, "m", params, len, LONG_MS, NULL, NULL);
	begun = uv_now(&loop);
	rpc_close(owner.rpc);
	RUN_UNTIL(owner.closes == 1);
	assert_true(uv_now(&loop) - begun < 5000);
}

static void
it_may_be_closed_before_it_is_open(void **state)
{
	peer_listen_unix(&loop, socket_path);
	open_rpc();
	rpc_close(owner.rpc);
	rpc_close(owner.rpc);
	RUN_UNTIL(owner.closes == 1 && peer.gone && peer_is_free());
	assert_int_equal(owner.opens, 0);
	peer.answer = ""; /* in the handshake */
	open_rpc();
	RUN_UNTIL(peer.connections == 2 && peer.head[0] != '\0');
	assert_int_equal(call("m", NULL, LONG_MS), 0);
	rpc_close(owner.rpc);
	RUN_UNTIL(owner.closes == 2 && peer.gone);
}

static void
close_now(struct asker *self)
{
	rpc_close(owner.rpc);
}

static void
it_may_be_closed_from_inside_every_callback(void **state)
{
	static const char *const messages[] = {"{\"method\":\"n\"}", "{\"id\":1,\"method\":\"r\"}",
	                                       "{\"method\":\"f\"}"};
	static const char where[] = "nrf";

	peer_listen_unix(&loop, socket_path);
	owner.close_in = 'o';
	open_rpc();
	RUN_UNTIL(owner.closes == 1 && peer_is_free());
	for (unsigned i = 0; i < NELEM(messages); i++) {
		unsigned notifications = owner.notifications;

		owner.close_in = where[i];
		open_rpc();
		RUN_UNTIL(owner.opens == i + 2);
		peer_send(messages[i]);
		peer_send("{\"method\":\"not heard\"}");
		RUN_UNTIL(owner.closes == i + 2 && peer_is_free());
		assert_string_not_equal(owner.last_method, "not heard");
		assert_int_equal(owner.notifications - notifications, where[i] == 'n');
	}
	owner.close_in = '\0';
	peer_forget_messages();
	open_rpc();
	RUN_UNTIL(owner.opens == 5);
	last_wish = (struct asker){.then = close_now};
	(void)call("m", &last_wish, LONG_MS);
	RUN_UNTIL(peer.count == 1);
	peer_answers(0, "\"result\":1");
	peer_send("{\"method\":\"not heard\"}");
	RUN_UNTIL(owner.closes == 5);
	assert_int_equal(last_wish.answers, 1);
	assert_string_not_equal(owner.last_method, "not heard");
}

static void
nothing_is_left_of_a_message_that_never_ended(void **state)
{
	connect_rpc();
	peer_send_frame(WS_TEXT, false, "{\"method\":", 10);
	peer_send_bytes("\x80\x7e\x10", 3); /* half a frame header */
	RUN_UNTIL(uv_stream_get_write_queue_size(&peer.conn.stream) == 0);
	peer_hang_up();
	RUN_UNTIL(owner.closes == 1);
	assert_int_equal(owner.frames, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_rpc(a_connection_opens_over_a_unix_socket),
		with_rpc(a_connection_opens_over_tcp),
		with_rpc(a_host_is_found_by_its_name),
		with_rpc(a_name_that_nobody_has_is_no_connection),
		with_rpc(a_path_too_long_for_a_socket_is_no_connection),
		with_rpc(a_url_that_cannot_be_is_refused_at_once),
		with_rpc(without_a_socket_it_fails_later_and_once),
		with_rpc(a_socket_where_nobody_listens_is_no_connection),
		with_rpc(a_port_where_nobody_listens_is_no_connection),
		with_rpc(a_handshake_refused_is_no_connection),
		with_rpc(a_handshake_answered_wrongly_is_no_connection),
		with_rpc(a_handshake_answered_without_end_is_no_connection),
		with_rpc(a_handshake_answered_with_garbage_is_no_connection),
		with_rpc(a_handshake_never_answered_is_given_up),
		with_rpc(a_peer_that_hangs_up_in_the_handshake_is_no_connection),
		with_rpc(a_lost_connection_fails_every_call_before_it_says_so),
		with_rpc(a_close_frame_of_the_server_ends_it_too),
		with_rpc(bytes_that_are_no_frame_end_it),
		with_rpc(closing_sends_first_what_is_queued),
		with_rpc(closing_sends_what_was_held_back_as_well),
		with_rpc(closing_sends_large_messages_whole),
		with_rpc(closing_does_not_wait_for_one_who_does_not_read),
		with_rpc(it_may_be_closed_before_it_is_open),
		with_rpc(it_may_be_closed_from_inside_every_callback),
		with_rpc(nothing_is_left_of_a_message_that_never_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
