/* How an app says that it is ready: on a NOTIFY_SOCKET, and on Node's channel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "supervisor/herald.h"

static uv_loop_t loop;
static struct herald *herald;
static unsigned heard;
static char dir[] = "/tmp/herald-XXXXXX";

static void
on_ready(void *arg)
{
	heard++;
}

static int
setup(void **state)
{
	struct err err;

	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(uv_loop_init(&loop), 0);
	heard = 0;
	return herald_new(&herald, &loop, dir, HERALD_NOTIFY | HERALD_IPC, on_ready, NULL, &err);
}

static int
teardown(void **state)
{
	herald_close(herald);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(rmdir(dir), 0); /* the socket is gone */
	return 0;
}

static void
look(void)
{
	for (int i = 0; i < 3; i++)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void
notify(const void *message, size_t len)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", herald_socket(herald));
	assert_int_equal(sendto(fd, message, len, 0, (struct sockaddr *)&addr, sizeof(addr)), len);
	(void)close(fd);
	look();
}

static void
send_ipc(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	look();
}

static void
ready_is_a_line_of_its_own_on_the_socket(void **state)
{
	static const char *const others[] = {
		"",
		"\n",
		"READY=0",
		"READY=12",
		"XREADY=1",
		"STATUS=READY=1",
		"WATCHDOG=1\nSTATUS=x",
	};
	char flood[8000];

	for (size_t i = 0; i < NELEM(others); i++)
		notify(others[i], strlen(others[i]));
	memset(flood, 'x', sizeof(flood));
	notify(flood, sizeof(flood));
	assert_int_equal(heard, 0);
	notify("READY=1", 7);
	assert_int_equal(heard, 1);
	notify("STATUS=here\nREADY=1\nMAINPID=1\n", 30);
	assert_int_equal(heard, 2);
}

static void
only_the_user_itself_may_say_so(void **state)
{
	struct stat st;

	assert_int_equal(stat(herald_socket(herald), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void
ready_is_a_line_of_its_own_on_the_channel_cut_anywhere(void **state)
{
	static const char *const others[] = {
		"\n",
		"ready\n",
		"\"ready \"\n",
		"\"already\"\n",
		"{\"type\":\"ready\"}\n",
		"a line that is longer than any that we know, and then \"ready\"\n",
	};
	static const char ready[] = "\"ready\"\n";
	int fd = herald_child_fd(herald);

	for (size_t i = 0; i < NELEM(others); i++)
		send_ipc(fd, others[i]);
	assert_int_equal(heard, 0);
	for (size_t cut = 0; cut < strlen(ready); cut++) {
		char first[sizeof(ready)];

		(void)snprintf(first, sizeof(first), "%.*s", (int)cut, ready);
		send_ipc(fd, first);
		assert_int_equal(heard, cut);
		send_ipc(fd, ready + cut);
		assert_int_equal(heard, cut + 1);
	}
}

static void
a_channel_that_ends_leaves_the_socket_open(void **state)
{
	herald_release_child_fd(herald);
	look();
	notify("READY=1", 7);
	assert_int_equal(heard, 1);
}

static void
a_folder_that_is_too_deep_is_said(void **state)
{
	struct herald *other;
	char deep[200];
	struct err err;

	memset(deep, 'd', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_int_equal(herald_new(&other, &loop, deep, HERALD_NOTIFY, on_ready, NULL, &err),
	                 -ENAMETOOLONG);
	assert_int_equal(
		herald_new(&other, &loop, "/nonexistent", HERALD_NOTIFY, on_ready, NULL, &err),
		-ENOENT);
}

int
main(void)
{
#define with_herald(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		with_herald(ready_is_a_line_of_its_own_on_the_socket),
		with_herald(only_the_user_itself_may_say_so),
		with_herald(ready_is_a_line_of_its_own_on_the_channel_cut_anywhere),
		with_herald(a_channel_that_ends_leaves_the_socket_open),
		with_herald(a_folder_that_is_too_deep_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
