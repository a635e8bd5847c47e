/* The HTTP listening socket: where it is, who may reach it, and what it says when it cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/listen.h"

static char dir[64], path[96];
static char text[LISTEN_TEXT_MAX];
static struct err err;

static int
setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/test-listen-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/http.sock", dir);
	err.text[0] = text[0] = '\0';
	return 0;
}

static int
teardown(void **state)
{
	(void)unlink(path);
	return rmdir(dir);
}

static void
assert_accepts(int fd, const void *address, socklen_t len, int family)
{
	AUTO_FD int client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO_FD int peer = -1;

	assert_int_equal(connect(client, address, len), 0);
	peer = accept(fd, NULL, NULL);
	assert_true(peer >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void
assert_accepts_unix(int fd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_accepts(fd, &addr, sizeof(addr), AF_UNIX);
}

/* --- tcp ------------------------------------------------------------------------------------ */

static void
port_0_is_the_kernels_choice_and_it_is_told(void **state)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	char expected[64];
	int port = 0;
	AUTO_FD int fd = listen_tcp("127.0.0.1", &port, text, &err);

	assert_true(fd >= 0);
	assert_true(port > 0);
	(void)snprintf(expected, sizeof(expected), "http://127.0.0.1:%d", port);
	assert_string_equal(text, expected);
	addr.sin_port = htons((uint16_t)port);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_accepts(fd, &addr, sizeof(addr), AF_INET);
}

static void
an_ipv6_address_is_told_in_brackets(void **state)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	char expected[64];
	int port = 0;
	AUTO_FD int fd = listen_tcp("::1", &port, text, &err);

	if (fd == -EADDRNOTAVAIL || fd == -EAFNOSUPPORT)
		skip(); /* no IPv6 here */
	assert_true(fd >= 0);
	(void)snprintf(expected, sizeof(expected), "http://[::1]:%d", port);
	assert_string_equal(text, expected);
	addr.sin6_port = htons((uint16_t)port);
	assert_accepts(fd, &addr, sizeof(addr), AF_INET6);
}

static void
a_port_in_use_names_the_setting(void **state)
{
	int port = 0, same;
	AUTO_FD int fd = listen_tcp("127.0.0.1", &port, text, &err);

	assert_true(fd >= 0);
	same = port;
	assert_int_equal(listen_tcp("127.0.0.1", &same, text, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "CODEX_PROXY_PORT"));
	assert_int_equal(same, port);
}

static void
a_host_that_is_none_names_the_setting(void **state)
{
	int port = 0;

	assert_int_equal(listen_tcp("no such host", &port, text, &err), -EINVAL);
	assert_non_null(strstr(err.text, "CODEX_PROXY_HOST: no such host"));
	assert_true(listen_tcp("192.0.2.1", &port, text, &err) < 0); /* of nobody's */
	assert_non_null(strstr(err.text, "192.0.2.1"));
}

/* --- unix ----------------------------------------------------------------------------------- */

static void
a_unix_socket_is_for_owner_and_group(void **state)
{
	struct stat st;
	mode_t mask = umask(0);
	AUTO_FD int fd = listen_unix(path, text, &err);

	assert_int_equal(umask(mask), 0); /* as it was */
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_true(strncmp(text, "unix://", 7) == 0);
	assert_string_equal(text + 7, path);
	assert_accepts_unix(fd);
}

static void
a_stale_socket_is_replaced(void **state)
{
	int stale = listen_unix(path, text, &err);

	assert_true(stale >= 0);
	(void)close(stale);
	AUTO_FD int fd = listen_unix(path, text, &err);

	assert_true(fd >= 0);
	assert_accepts_unix(fd);
}

static void
a_live_socket_is_refused_also_when_its_queue_is_full(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int clients[8], last = 0;

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(listen_unix(path, text, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, path));
	for (size_t i = 0; i < NELEM(clients); i++) {
		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		last = connect(clients[i], (struct sockaddr *)&addr, sizeof(addr));
	}
	assert_int_equal(last, -1);
	assert_int_equal(listen_unix(path, text, &err), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
	for (size_t i = 0; i < NELEM(clients); i++)
		(void)close(clients[i]);
}

static void
a_file_that_is_no_socket_is_kept(void **state)
{
	int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct stat st;

	assert_true(file >= 0);
	(void)close(file);
	assert_int_equal(listen_unix(path, text, &err), -EEXIST);
	assert_non_null(strstr(err.text, "no socket"));
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void
a_path_that_is_too_long_or_nowhere_is_told(void **state)
{
	char longest[200];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(listen_unix(longest, text, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "CODEX_PROXY_LISTEN_UNIX"));
	assert_int_equal(listen_unix("/nonexistent/folder/http.sock", text, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/folder/http.sock"));
}

int
main(void)
{
#define with_dir(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		with_dir(port_0_is_the_kernels_choice_and_it_is_told),
		with_dir(an_ipv6_address_is_told_in_brackets),
		with_dir(a_port_in_use_names_the_setting),
		with_dir(a_host_that_is_none_names_the_setting),
		with_dir(a_unix_socket_is_for_owner_and_group),
		with_dir(a_stale_socket_is_replaced),
		with_dir(a_live_socket_is_refused_also_when_its_queue_is_full),
		with_dir(a_file_that_is_no_socket_is_kept),
		with_dir(a_path_that_is_too_long_or_nowhere_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
