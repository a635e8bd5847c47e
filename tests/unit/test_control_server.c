/* The control server against rude clients, other processes, and what lies on disk already. */
#include "tests/unit/control_fixture.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/control_client.h"

/* --- rude clients --------------------------------------------------------------------------- */

static void
garbage_is_answered_and_the_connection_goes_on(void **state)
{
	int fd = raw_client();
	const char *text;

	raw_send(
		fd,
		"what?\n{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":1}\n"
		"{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":1,\"error\":2}\n"
		"{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":1}\n"
		"{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"echo\",\"params\":{\"text\":\"x\"}}\n");
	text = raw_read(fd, 4);
	assert_non_null(strstr(text, "\"id\":null,\"error\":{\"code\":-32700"));
	assert_non_null(strstr(text, "\"id\":5,\"error\":{\"code\":-32600"));
	/* the third is no request: its id is not ours to answer */
	assert_non_null(strstr(text, "\"id\":null,\"error\":{\"code\":-32600"));
	assert_non_null(strstr(text, "{\"jsonrpc\":\"2.0\",\"id\":6,\"result\":\"x\"}\n"));
	(void)close(fd);
}

static void
a_stream_cut_anywhere_gives_the_same_answers(void **state)
{
	static const char stream[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"a\"}}\n"
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\",\"params\":{\"text\":\"b\"}}\n";

	for (size_t cut = 0; cut < sizeof(stream) - 1; cut++) {
		int fd = raw_client();

		assert_int_equal(write(fd, stream, cut), cut);
		for (int i = 0; i < 3; i++)
			(void)uv_run(&loop, UV_RUN_NOWAIT);
		raw_send(fd, stream + cut);
		assert_string_equal(raw_read(fd, 2),
		                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"a\"}\n"
		                    "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"b\"}\n");
		(void)close(fd);
		RUN_UNTIL(seen.closed == cut + 1);
	}
}

static void
a_line_without_end_ends_the_connection(void **state)
{
	static char big[1 << 16];
	int fd = raw_client();
	const char *text;

	memset(big, 'x', sizeof(big));
	while (seen.closed == 0) {
		ssize_t n = write(fd, big, sizeof(big));

		if (n < 0 && errno != EAGAIN)
			break;
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	RUN_UNTIL(seen.closed == 1);
	text = raw_read(fd, 1);
	assert_non_null(strstr(text, "line too long"));
	assert_int_equal(seen.requests, 0);
	(void)close(fd);
}

static void
a_peer_that_never_reads_is_cut_off(void **state)
{
	int fd = raw_client();
	AUTO_FREE char *text = malloc(100000);
	size_t sent = 0;

	memset(text, 'x', 100000);
	raw_send(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"hello\"}\n");
	RUN_UNTIL(seen.notifications == 1);
	while (seen.closed == 0) {
		control_notify(seen.conn, "n", json_pack("{s:s%}", "t", text, (size_t)100000));
		sent += 100000;
		assert_true(sent < 2 * CONTROL_QUEUE_MAX);
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	(void)close(fd);
}

static void
requests_without_end_are_refused_before_they_fill_the_memory(void **state)
{
	int fd = raw_client();
	const char *text;
	size_t sent = NELEM(seen.all_held);

	for (size_t i = 0; i < sent; i++) {
		raw_send(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hold\"}\n");
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	text = raw_read(fd, 1);
	assert_non_null(strstr(text, "too many requests"));
	(void)close(fd);
	RUN_UNTIL(seen.closed == 1);
	assert_in_range(seen.held_count, 64, sent - 1);
	for (size_t i = 0; i < seen.held_count; i++)
		control_reply(seen.all_held[i], NULL);
}

static void
a_peer_that_closed_its_side_still_gets_its_answers(void **state)
{
	int fd = raw_client();

	raw_send(
		fd,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"text\":\"x\"}}\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_string_equal(raw_read(fd, 99), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"x\"}\n");
	RUN_UNTIL(seen.closed == 1);
	(void)close(fd);
}

static void
requests_of_a_peer_that_does_not_read_its_answers_wait_unread(void **state)
{
	static const char request[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"close\\u0020it not\"}\n";
	int fd = raw_client();
	unsigned sent = 0, stuck = 0, read_lines = 0;
	char text[4096];

	/* short ones: each goes whole, or not at all */
	while (stuck < 50) {
		bool went = send(fd, request, sizeof(request) - 1, MSG_DONTWAIT) > 0;

		sent += went;
		stuck = went ? 0 : stuck + 1;
		assert_in_range(sent, 0, 100000); /* it would go on for ever */
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(seen.closed, 0);
	assert_true(seen.requests < sent);
	while (read_lines < sent) {
		ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);

		for (ssize_t i = 0; i < n; i++)
			read_lines += text[i] == '\n';
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(seen.requests, sent);
	(void)close(fd);
	RUN_UNTIL(seen.closed == 1);
}

static void
the_oldest_that_waits_for_nothing_makes_room_for_one_more(void **state)
{
	int fds[CONTROL_CLIENTS_MAX + 1];

	for (size_t i = 0; i < NELEM(fds); i++) {
		fds[i] = raw_client();
		raw_send(fds[i], i == 0 ? "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hold\"}\n"
		                        : "{\"jsonrpc\":\"2.0\",\"method\":\"hello\"}\n");
		RUN_UNTIL(seen.requests + seen.notifications == i + 1);
	}
	assert_string_equal(raw_read(fds[1], 1), ""); /* closed */
	assert_int_equal(seen.closed, 1);
	control_reply(seen.held, json_true());
	assert_string_equal(raw_read(fds[0], 1),
	                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}\n");
	for (size_t i = 0; i < NELEM(fds); i++)
		(void)close(fds[i]);
	RUN_UNTIL(seen.closed == NELEM(fds));
}

static void
more_clients_that_wait_than_there_can_be_are_refused(void **state)
{
	int fds[CONTROL_CLIENTS_MAX + 1];

	for (size_t i = 0; i < NELEM(fds); i++) {
		fds[i] = raw_client();
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		if (i == 1) {
			raw_send(fds[i], "{\"jsonrpc\":\"2.0\",\"method\":\"hello\"}\n");
			RUN_UNTIL(seen.notifications == 1);
			control_conn_keep(seen.conn);
		} else if (i < CONTROL_CLIENTS_MAX) {
			raw_send(fds[i], "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hold\"}\n");
			RUN_UNTIL(seen.requests + seen.notifications == i + 1);
		}
	}
	assert_string_equal(raw_read(fds[CONTROL_CLIENTS_MAX], 1), "");
	for (size_t i = 0; i < NELEM(fds); i++)
		(void)close(fds[i]);
	RUN_UNTIL(seen.closed == CONTROL_CLIENTS_MAX); /* the refused one was never shown */
	for (size_t i = 0; i < seen.held_count; i++)
		control_reply(seen.all_held[i], NULL);
}

static void
the_server_answers(void)
{
	connect_client();
	control_call(client.conn, "echo", json_pack("{s:s}", "text", "hello"), 5000, on_answer,
	             NULL);
	RUN_UNTIL(client.answers == 1);
	assert_int_equal(client.status, 0);
	assert_string_equal(client.text, "hello");
}

/* --- the socket file ------------------------------------------------------------------------ */

static mode_t
mode_of(const char *file)
{
	struct stat st;

	assert_int_equal(stat(file, &st), 0);
	return st.st_mode & 07777;
}

static void
the_socket_is_ours_alone_whatever_the_umask_and_goes_with_the_server(void **state)
{
	mode_t before;

	close_server();
	assert_int_equal(access(path, F_OK), -1);
	before = umask(0);
	assert_int_equal(
		control_server_new(&server, &loop, path, (gid_t)-1, &server_handlers, NULL, NULL),
		0);
	assert_int_equal(umask(before), 0); /* put back */
	assert_int_equal(mode_of(path), 0600);
	close_server();
	assert_int_equal(
		control_server_new(&server, &loop, path, getegid(), &server_handlers, NULL, NULL),
		0);
	assert_int_equal(mode_of(path), 0660);
}

static void
a_stale_socket_is_replaced(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	close_server();
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	(void)close(fd); /* as after a crash: the file stays */
	assert_int_equal(
		control_server_new(&server, &loop, path, (gid_t)-1, &server_handlers, NULL, NULL),
		0);
	the_server_answers();
}

/* By the folder's own account: the name comes with a socket that listens already, by a rename. */
static void
who_sees_the_socket_can_connect_to_it(void **state)
{
	union {
		struct inotify_event first;
		char bytes[4096];
	} events;
	const char *name = strrchr(path, '/') + 1;
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	bool moved = false;
	ssize_t len;

	close_server();
	assert_true(inotify_add_watch(fd, dir, IN_CREATE | IN_MOVED_TO) >= 0);
	assert_int_equal(
		control_server_new(&server, &loop, path, (gid_t)-1, &server_handlers, NULL, NULL),
		0);
	len = read(fd, events.bytes, sizeof(events.bytes));
	assert_true(len > 0);
	for (ssize_t at = 0; at < len;) {
		struct inotify_event e;

		memcpy(&e, events.bytes + at, sizeof(e));
		if (strcmp(events.bytes + at + sizeof(e), name) == 0) {
			assert_int_equal(e.mask, IN_MOVED_TO);
			moved = true;
		}
		at += (ssize_t)(sizeof(e) + e.len);
	}
	assert_true(moved);
	(void)close(fd);
}

static void
a_live_socket_is_refused_and_left_alone(void **state)
{
	struct control_server *other = NULL;
	struct err err = {.code = 0};

	assert_int_equal(
		control_server_new(&other, &loop, path, (gid_t)-1, &server_handlers, NULL, &err),
		-EADDRINUSE);
	assert_null(other);
	assert_non_null(strstr(err.text, path));
	the_server_answers();
}

static void
a_file_that_is_no_socket_is_left_alone(void **state)
{
	int fd;

	close_server();
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(
		control_server_new(&server, &loop, path, (gid_t)-1, &server_handlers, NULL, NULL),
		-EEXIST);
	assert_int_equal(access(path, F_OK), 0);
}

static void
a_folder_that_is_not_there_is_named(void **state)
{
	struct control_server *other = NULL;
	struct err err = {.code = 0};
	char below[256];

	(void)snprintf(below, sizeof(below), "%s/none/control.sock", dir);
	assert_int_equal(
		control_server_new(&other, &loop, below, (gid_t)-1, &server_handlers, NULL, &err),
		-ENOENT);
	assert_non_null(strstr(err.text, below));
}

static void
a_socket_made_by_another_since_is_not_removed(void **state)
{
	struct control_server *other;

	assert_int_equal(unlink(path), 0);
	assert_int_equal(
		control_server_new(&other, &loop, path, (gid_t)-1, &server_handlers, NULL, NULL),
		0);
	close_server();
	assert_int_equal(access(path, F_OK), 0);
	server = other;
}

static void
a_server_that_closes_takes_its_connections_with_it(void **state)
{
	connect_client();
	control_notify(client.conn, "hello", NULL);
	RUN_UNTIL(seen.notifications == 1);
	close_server();
	assert_int_equal(seen.closed, 1);
	RUN_UNTIL(client.closed == 1);
}

/* --- other processes ------------------------------------------------------------------------ */

static void
on_child_poll(uv_timer_t *timer)
{
}

/* Runs fn in another process while the loop serves it; its exit code. */
static int
in_child(int (*fn)(void))
{
	pid_t pid = fork();
	uv_timer_t tick; /* the loop has to look up now and then: a child's end is no event of it */
	int status = -1;

	if (pid == 0)
		_exit(fn());
	assert_true(pid > 0);
	(void)uv_timer_init(&loop, &tick);
	(void)uv_timer_start(&tick, on_child_poll, 5, 5);
	while (waitpid(pid, &status, WNOHANG) == 0)
		(void)uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
ask_three_things(void)
{
	json_t *result = NULL;
	struct err err = {.code = 0};
	int code = 0;

	if (control_ask(&result, path, "echo", json_pack("{s:s}", "text", "x"), 5000, &code,
	                &err) != 0 ||
	    strcmp(json_string_value(result), "x") != 0)
		return 1;
	json_decref(result);
	if (control_ask(&result, path, "nonsense", NULL, 5000, &code, &err) != -EPROTO ||
	    code != CONTROL_METHOD_NOT_FOUND || strcmp(err.text, "no method nonsense") != 0)
		return 2;
	if (control_ask(&result, path, "close", NULL, 5000, &code, &err) != -ECONNRESET)
		return 3;
	return control_ask(&result, path, "hold", NULL, 30, &code, &err) == -ETIMEDOUT ? 0 : 4;
}

static void
a_command_line_tool_can_ask_and_wait(void **state)
{
	json_t *result;
	struct err err = {.code = 0};

	assert_int_equal(in_child(ask_three_things), 0);
	RUN_UNTIL(seen.closed == 4);
	control_reply(seen.held, NULL);
	close_server();
	assert_int_equal(control_ask(&result, path, "version", json_object(), 100, NULL, &err),
	                 -ENOENT);
	assert_non_null(strstr(err.text, path));
}

static gid_t stranger_gid;

static int
ask_as_stranger(void)
{
	json_t *result = NULL;
	int r;

	if (setgroups(0, NULL) != 0 || setgid(stranger_gid) != 0 || setuid(12345) != 0)
		return 99;
	r = control_ask(&result, path, "echo", json_pack("{s:s}", "text", "x"), 5000, NULL, NULL);
	json_decref(result);
	return r == 0 ? 0 : r == -ECONNRESET ? 1 : 2;
}

static void
strangers_are_refused_even_where_the_file_lets_them_in(void **state)
{
	if (geteuid() != 0)
		skip();
	close_server();
	assert_int_equal(
		control_server_new(&server, &loop, path, 23456, &server_handlers, NULL, NULL), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	stranger_gid = 23456;
	assert_int_equal(in_child(ask_as_stranger), 0);
	assert_int_equal(chmod(path, 0666), 0);
	stranger_gid = 34567;
	assert_int_equal(in_child(ask_as_stranger), 1);
	assert_int_equal(seen.requests, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_server(garbage_is_answered_and_the_connection_goes_on),
		with_server(a_stream_cut_anywhere_gives_the_same_answers),
		with_server(a_line_without_end_ends_the_connection),
		with_server(a_peer_that_never_reads_is_cut_off),
		with_server(requests_without_end_are_refused_before_they_fill_the_memory),
		with_server(a_peer_that_closed_its_side_still_gets_its_answers),
		with_server(requests_of_a_peer_that_does_not_read_its_answers_wait_unread),
		with_server(the_oldest_that_waits_for_nothing_makes_room_for_one_more),
		with_server(more_clients_that_wait_than_there_can_be_are_refused),
		with_server(the_socket_is_ours_alone_whatever_the_umask_and_goes_with_the_server),
		with_server(a_stale_socket_is_replaced),
		with_server(who_sees_the_socket_can_connect_to_it),
		with_server(a_live_socket_is_refused_and_left_alone),
		with_server(a_file_that_is_no_socket_is_left_alone),
		with_server(a_folder_that_is_not_there_is_named),
		with_server(a_socket_made_by_another_since_is_not_removed),
		with_server(a_server_that_closes_takes_its_connections_with_it),
		with_server(a_command_line_tool_can_ask_and_wait),
		with_server(strangers_are_refused_even_where_the_file_lets_them_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
