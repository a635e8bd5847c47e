/* common: the few macros that every file may use, and nothing else. */
#ifndef SIDECAR_COMMON_H
#define SIDECAR_COMMON_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

#define MUST_CHECK                  __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_at, arg_at) __attribute__((format(printf, fmt_at, arg_at)))

static inline void
auto_free_(void *p)
{
	free(*(void **)p);
}

static inline void
auto_close_(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing was written that close could lose */
}

/* For locals that die with the function. Never for anything that holds a libuv handle. */
#define AUTO_FREE __attribute__((cleanup(auto_free_)))
#define AUTO_FD   __attribute__((cleanup(auto_close_)))

#endif
