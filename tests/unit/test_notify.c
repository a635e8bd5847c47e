/* What systemd is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/notify.h"

static int systemd_fd;
static char dir[] = "/tmp/test-notify-XXXXXX";
static char path[64];

static int
listen_as_systemd(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/notify", dir);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	systemd_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(systemd_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
	return 0;
}

static int
stop_listening(void **state)
{
	(void)close(systemd_fd);
	(void)unlink(path);
	(void)rmdir(dir);
	return 0;
}

static const char *
heard(void)
{
	static char text[512];
	ssize_t n = recv(systemd_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
ready_stopping_and_each_new_status_are_told(void **state)
{
	struct notify n;
	uv_loop_t loop;

	assert_int_equal(uv_loop_init(&loop), 0);
	notify_init(&n, &loop, NULL, NULL);
	notify_ready(&n);
	assert_string_equal(heard(), "READY=1");
	notify_status(&n, "all 100% well");
	assert_string_equal(heard(), "STATUS=all 100% well");
	notify_status(&n, "all 100% well");
	assert_string_equal(heard(), "");
	notify_stopping(&n);
	assert_string_equal(heard(), "STOPPING=1");
	notify_close(&n);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void
the_watchdog_is_fed_at_half_of_its_time(void **state)
{
	struct notify n;
	uv_loop_t loop;
	char pid[24];

	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_int_equal(setenv("WATCHDOG_USEC", "20000", 1), 0);
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	assert_int_equal(uv_loop_init(&loop), 0);
	notify_init(&n, &loop, NULL, NULL);
	assert_null(getenv("WATCHDOG_USEC"));
	assert_int_equal(uv_timer_get_repeat(&n.watchdog), 10);
	(void)uv_run(&loop, UV_RUN_ONCE);
	assert_string_equal(heard(), "WATCHDOG=1");
	notify_close(&n);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static bool
say(void *arg)
{
	return *(bool *)arg;
}

static void
a_watchdog_is_not_fed_while_the_apps_are_not_well(void **state)
{
	bool well = false;
	struct notify n;
	uv_loop_t loop;
	char pid[24];

	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_int_equal(setenv("WATCHDOG_USEC", "2000", 1), 0);
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	assert_int_equal(uv_loop_init(&loop), 0);
	while (heard()[0] != '\0')
		; /* the test before this one may have left something */
	notify_init(&n, &loop, say, &well);
	for (int i = 0; i < 3; i++)
		(void)uv_run(&loop, UV_RUN_ONCE);
	assert_string_equal(heard(), "");
	well = true;
	(void)uv_run(&loop, UV_RUN_ONCE);
	(void)uv_run(&loop, UV_RUN_ONCE);
	assert_string_equal(heard(), "WATCHDOG=1");
	notify_close(&n);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ready_stopping_and_each_new_status_are_told),
		cmocka_unit_test(the_watchdog_is_fed_at_half_of_its_time),
		cmocka_unit_test(a_watchdog_is_not_fed_while_the_apps_are_not_well),
	};

	return cmocka_run_group_tests(tests, listen_as_systemd, stop_listening);
}
