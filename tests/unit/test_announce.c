/* Telling whoever started us that we are ready. It is told once in a process's life: each test is
 * a child of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/common.h"
#include "common/log.h"
#include "proxy/announce.h"

/* Runs in a child with that environment. True: it ended well. */
static bool
in_a_child(const char *channel, const char *notify_socket, void (*run)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)unsetenv("NODE_CHANNEL_FD");
		(void)unsetenv("NOTIFY_SOCKET");
		if (channel != NULL)
			(void)setenv("NODE_CHANNEL_FD", channel, 1);
		if (notify_socket != NULL)
			(void)setenv("NOTIFY_SOCKET", notify_socket, 1);
		log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
		run();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
ready_twice(void)
{
	announce_ready();
	announce_ready();
}

static void
ready_then_stopping(void)
{
	announce_ready();
	announce_stopping();
}

static void
node_is_told_once_in_its_own_words(void **state)
{
	char text[64], channel[16];
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	(void)snprintf(channel, sizeof(channel), "%d", ends[1]);
	assert_true(in_a_child(channel, NULL, ready_twice));
	(void)close(ends[1]);
	assert_int_equal(recv(ends[0], text, sizeof(text), MSG_WAITALL), 8);
	assert_memory_equal(text, "\"ready\"\n", 8);
	(void)close(ends[0]);
}

static void
a_parent_that_does_not_listen_does_no_harm(void **state)
{
	static const char *const channels[] = {"",   "abc",  "1",  "-1", "99999999999999999999",
	                                       "3x", "1000", "512"};
	char channel[16] = "";
	int ends[2];

	for (size_t i = 0; i < NELEM(channels); i++)
		assert_true(in_a_child(channels[i], NULL, ready_twice));
	/* gone: no SIGPIPE */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	(void)close(ends[0]);
	(void)snprintf(channel, sizeof(channel), "%d", ends[1]);
	assert_true(in_a_child(channel, NULL, ready_twice));
	(void)close(ends[1]);
	/* full: not waited for */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	while (send(ends[1], channel, sizeof(channel), MSG_DONTWAIT) > 0)
		;
	(void)snprintf(channel, sizeof(channel), "%d", ends[1]);
	assert_true(in_a_child(channel, NULL, ready_twice));
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void
systemd_is_told_by_its_protocol(void **state)
{
	char dir[] = "/tmp/test-announce-XXXXXX", text[256];
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ssize_t n;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_true(in_a_child(NULL, addr.sun_path, ready_then_stopping));
	n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	text[n] = '\0';
	assert_string_equal(text, "READY=1");
	n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	text[n] = '\0';
	assert_string_equal(text, "STOPPING=1");
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
	assert_int_equal(unlink(addr.sun_path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
nobody_at_all_is_fine(void **state)
{
	assert_true(in_a_child(NULL, NULL, ready_then_stopping));
	assert_true(in_a_child(NULL, "/nonexistent/notify", ready_then_stopping));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(node_is_told_once_in_its_own_words),
		cmocka_unit_test(a_parent_that_does_not_listen_does_no_harm),
		cmocka_unit_test(systemd_is_told_by_its_protocol),
		cmocka_unit_test(nobody_at_all_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
