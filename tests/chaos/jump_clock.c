/* jump_clock: the time of day is wrong by what the page says; CLOCK_MONOTONIC goes on as ever. */
#include <dlfcn.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/chaos/hook.h"

static void
move(struct timespec *ts)
{
	int64_t ms = ts->tv_nsec / 1000000 + atomic_load(&hook_page->clock_ms);

	ts->tv_sec += ms / 1000;
	ms %= 1000;
	if (ms < 0) {
		ms += 1000;
		ts->tv_sec--;
	}
	ts->tv_nsec = ms * 1000000 + ts->tv_nsec % 1000000;
}

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	static int (*real)(clockid_t clock, struct timespec * ts);
	int r;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	r = real != NULL ? real(clock, ts) : (int)syscall(SYS_clock_gettime, clock, ts);
	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		move(ts);
	return r;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone; /* nobody asks for it any more */
	if (clock_gettime(CLOCK_REALTIME, &ts) < 0)
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *out)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) < 0)
		return (time_t)-1;
	if (out != NULL)
		*out = ts.tv_sec;
	return ts.tv_sec;
}
