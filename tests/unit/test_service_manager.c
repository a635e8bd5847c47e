/* What systemd says to a program that it starts, and hears from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/common.h"
#include "proxy/service_manager.h"

static int
socket_with(const char *pid, const char *fds)
{
	char own[16];

	(void)snprintf(own, sizeof(own), "%d", (int)getpid());
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	if (pid != NULL)
		(void)setenv("LISTEN_PID", strcmp(pid, "own") == 0 ? own : pid, 1);
	if (fds != NULL)
		(void)setenv("LISTEN_FDS", fds, 1);
	return service_manager_socket();
}

static void
a_socket_is_taken_by_the_process_it_is_meant_for(void **state)
{
	static const char *const wrong[][2] = {
		{NULL,   NULL                  },
		{"own",  NULL                  },
		{NULL,   "1"                   },
		{"own",  "0"                   },
		{"own",  "-1"                  },
		{"own",  ""                    },
		{"own",  "x"                   },
		{"own",  "1x"                  },
		{"1",    "1"                   },
		{"own ", "1"                   },
		{"",     "1"                   },
		{"-1",   "1"                   },
		{"own",  "99999999999999999999"},
	};
	int kept = dup(3), fd = open("/dev/null", O_RDONLY);

	assert_true(fd >= 0 && dup2(fd, 3) == 3); /* no close-on-exec */
	for (size_t i = 0; i < NELEM(wrong); i++)
		assert_int_equal(socket_with(wrong[i][0], wrong[i][1]), -1);
	assert_int_equal(fcntl(3, F_GETFD), 0);
	assert_int_equal(socket_with("own", "1"), 3);
	assert_int_equal(fcntl(3, F_GETFD), FD_CLOEXEC);
	assert_null(getenv("LISTEN_PID")); /* not for its children */
	assert_null(getenv("LISTEN_FDS"));
	assert_int_equal(socket_with("own", "2"), 3); /* the first of several */
	(void)close(3);
	assert_int_equal(socket_with("own", "1"), -1); /* it is not there */
	if (kept >= 0)
		(void)dup2(kept, 3);
}

static void
an_abstract_socket_is_told_as_well(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char name[64], text[32];
	int n = snprintf(name, sizeof(name), "@test-service-manager-%d", (int)getpid());

	memcpy(addr.sun_path + 1, name + 1, (size_t)n - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr,
	                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
	                 0);
	(void)setenv("NOTIFY_SOCKET", name, 1);
	service_manager_notify("READY=1");
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 7);
	assert_memory_equal(text, "READY=1", 7);
}

static void
a_name_that_is_none_does_no_harm(void **state)
{
	static const char *const names[] = {"", "@", "/", "relative", "vsock:2:1"};
	char name[200];

	for (size_t i = 0; i < NELEM(names); i++) {
		(void)setenv("NOTIFY_SOCKET", names[i], 1);
		service_manager_notify("READY=1");
	}
	memset(name, '/', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	(void)setenv("NOTIFY_SOCKET", name, 1);
	service_manager_notify("READY=1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_is_taken_by_the_process_it_is_meant_for),
		cmocka_unit_test(an_abstract_socket_is_told_as_well),
		cmocka_unit_test(a_name_that_is_none_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
