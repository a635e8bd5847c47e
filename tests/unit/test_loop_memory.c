/* A loop goes on to take descriptors while there is no memory for its table of them. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "common/loop_memory.h"

static bool no_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *
__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

void *
__wrap_realloc(void *old, size_t size)
{
	return no_memory ? NULL : __real_realloc(old, size);
}

static void
on_readable(uv_poll_t *poll, int status, int events)
{
	assert_int_equal(status, 0);
	(*(int *)poll->data)++;
	(void)uv_poll_stop(poll);
}

/* Descriptors from `first` on, each twice the one before. */
static int
poll_at(uv_loop_t *loop, uv_poll_t *polls, size_t count, int first, int readable, int *heard)
{
	int fd = first;

	for (size_t i = 0; i < count; i++, fd *= 2) {
		assert_int_equal(fcntl(readable, F_DUPFD_CLOEXEC, fd), fd);
		assert_int_equal(uv_poll_init(loop, &polls[i], fd), 0);
		polls[i].data = heard;
		assert_int_equal(uv_poll_start(&polls[i], UV_READABLE, on_readable), 0);
	}
	return fd;
}

static void
its_table_grows_with_and_without_memory(void **state)
{
	struct rlimit limit;
	uv_poll_t polls[6];
	uv_loop_t loop;
	int ends[2], fd, heard = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur <= 64 << 5)
		skip(); /* too few are allowed here */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	no_memory = true;
	assert_int_equal(uv_loop_init(&loop), 0);
	fd = poll_at(&loop, polls, 2, 64, ends[0], &heard);
	no_memory = false;
	fd = poll_at(&loop, polls + 2, 2, fd, ends[0], &heard);
	no_memory = true;
	(void)poll_at(&loop, polls + 4, 2, fd, ends[0], &heard);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(heard, 6); /* none was lost on the way */
	for (size_t i = 0; i < 6; i++)
		uv_close((uv_handle_t *)&polls[i], NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	no_memory = false;
	for (fd = 64; fd <= 64 << 5; fd *= 2)
		(void)close(fd);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_table_grows_with_and_without_memory),
	};

	loop_memory_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
