/* fake_clock: the loop's time stands still until the test moves it.
 *
 * libuv reads the clock with clock_gettime(); the test program's own definition is found first.
 * Include it in one file of the program. */
#ifndef SIDECAR_TESTS_FAKE_CLOCK_H
#define SIDECAR_TESTS_FAKE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

static uint64_t fake_now_ms = 1000000;

int
clock_gettime(clockid_t id, struct timespec *out)
{
	if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
		return (int)syscall(SYS_clock_gettime, id, out);
	out->tv_sec = (time_t)(fake_now_ms / 1000);
	out->tv_nsec = (long)(fake_now_ms % 1000) * 1000000;
	return 0;
}

/* Everything that is due now happens. */
static inline void
run_loop(uv_loop_t *loop)
{
	for (int i = 0; i < 4; i++) /* what one turn of the loop starts, the next ends */
		(void)uv_run(loop, UV_RUN_NOWAIT);
}

static inline void
pass_time(uv_loop_t *loop, uint64_t ms)
{
	fake_now_ms += ms;
	run_loop(loop);
}

#endif
