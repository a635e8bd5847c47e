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

#include "fake_clock.h"
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
hear_the_rest(void)
{
	while (heard()[0] != '\0')
		; /* a test before this one may have left something */
}

static void
close_all(struct notify *n, uv_loop_t *loop)
{
	notify_close(n);
	run_loop(loop);
	assert_int_equal(uv_loop_close(loop), 0);
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
	notify_stopping(&n, 1);
	assert_string_equal(heard(), "STOPPING=1");
	close_all(&n, &loop);
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
	run_loop(&loop);
	assert_string_equal(heard(), "WATCHDOG=1");
	close_all(&n, &loop);
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
	hear_the_rest();
	notify_init(&n, &loop, say, &well);
	for (int i = 0; i < 3; i++)
		pass_time(&loop, 1);
	assert_string_equal(heard(), "");
	well = true;
	pass_time(&loop, 1);
	assert_string_equal(heard(), "WATCHDOG=1");
	close_all(&n, &loop);
}

static void
a_reload_is_told_with_the_time_of_its_begin(void **state)
{
	struct notify n;
	uv_loop_t loop;
	char expected[80];

	assert_int_equal(uv_loop_init(&loop), 0);
	notify_init(&n, &loop, NULL, NULL);
	hear_the_rest();
	(void)snprintf(expected, sizeof(expected), "RELOADING=1\nMONOTONIC_USEC=%llu000",
	               (unsigned long long)fake_now_ms);
	notify_reloading(&n);
	assert_string_equal(heard(), expected);
	notify_ready(&n);
	assert_string_equal(heard(), "READY=1");
	close_all(&n, &loop);
}

/* Only this variable may be given to notify_init here. */
static void
without_watchdog(void)
{
	assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
	assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
	hear_the_rest();
}

static void
a_start_that_takes_long_asks_for_more_time_until_it_is_ready(void **state)
{
	struct notify n;
	uv_loop_t loop;

	without_watchdog();
	assert_int_equal(uv_loop_init(&loop), 0);
	notify_init(&n, &loop, NULL, NULL);
	pass_time(&loop, 4999);
	assert_string_equal(heard(), "");
	pass_time(&loop, 1);
	assert_string_equal(heard(), "EXTEND_TIMEOUT_USEC=15000000");
	pass_time(&loop, 5000);
	assert_string_equal(heard(), "EXTEND_TIMEOUT_USEC=15000000");
	notify_ready(&n);
	assert_string_equal(heard(), "READY=1");
	pass_time(&loop, 60000);
	assert_string_equal(heard(), "");
	close_all(&n, &loop);
}

static void
a_start_that_goes_nowhere_asks_for_no_more_time(void **state)
{
	bool well = false;
	struct notify n;
	uv_loop_t loop;

	without_watchdog();
	assert_int_equal(uv_loop_init(&loop), 0);
	notify_init(&n, &loop, say, &well);
	pass_time(&loop, 5000);
	assert_string_equal(heard(), "");
	well = true;
	pass_time(&loop, 5000);
	assert_string_equal(heard(), "EXTEND_TIMEOUT_USEC=15000000");
	pass_time(&loop, NOTIFY_START_MAX_MS);
	assert_string_equal(heard(), "");
	assert_false(uv_is_active((uv_handle_t *)&n.patience));
	close_all(&n, &loop);
}

static void
while_apps_are_replaced_more_time_is_asked_for(void **state)
{
	struct notify n;
	uv_loop_t loop;

	without_watchdog();
	assert_int_equal(uv_loop_init(&loop), 0);
	notify_init(&n, &loop, NULL, NULL);
	notify_busy(&n, false); /* the start asks anyway */
	pass_time(&loop, 5000);
	assert_string_equal(heard(), "EXTEND_TIMEOUT_USEC=15000000");
	notify_ready(&n);
	hear_the_rest();
	notify_busy(&n, true);
	pass_time(&loop, 3000);
	notify_busy(&n, true);
	notify_ready(&n); /* of a reload meanwhile */
	assert_string_equal(heard(), "READY=1");
	pass_time(&loop, 2000);
	assert_string_equal(heard(), "EXTEND_TIMEOUT_USEC=15000000");
	notify_busy(&n, false);
	pass_time(&loop, 60000);
	assert_string_equal(heard(), "");
	close_all(&n, &loop);
}

static void
a_stop_asks_for_as_much_time_as_it_may_take(void **state)
{
	bool well = false; /* what is not well has to be stopped all the same */
	struct notify n;
	uv_loop_t loop;

	without_watchdog();
	assert_int_equal(uv_loop_init(&loop), 0);
	notify_init(&n, &loop, say, &well);
	notify_ready(&n);
	hear_the_rest();
	notify_stopping(&n, 12000);
	assert_string_equal(heard(), "STOPPING=1");
	notify_ready(&n); /* of a reload that was under way */
	assert_string_equal(heard(), "READY=1");
	pass_time(&loop, 5000);
	assert_string_equal(heard(), "EXTEND_TIMEOUT_USEC=7000000");
	pass_time(&loop, 5000);
	assert_string_equal(heard(), "EXTEND_TIMEOUT_USEC=2000000");
	pass_time(&loop, 5000);
	assert_string_equal(heard(), "");
	close_all(&n, &loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ready_stopping_and_each_new_status_are_told),
		cmocka_unit_test(the_watchdog_is_fed_at_half_of_its_time),
		cmocka_unit_test(a_watchdog_is_not_fed_while_the_apps_are_not_well),
		cmocka_unit_test(a_reload_is_told_with_the_time_of_its_begin),
		cmocka_unit_test(a_start_that_takes_long_asks_for_more_time_until_it_is_ready),
		cmocka_unit_test(a_start_that_goes_nowhere_asks_for_no_more_time),
		cmocka_unit_test(while_apps_are_replaced_more_time_is_asked_for),
		cmocka_unit_test(a_stop_asks_for_as_much_time_as_it_may_take),
	};

	return cmocka_run_group_tests(tests, listen_as_systemd, stop_listening);
}
