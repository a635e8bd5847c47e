/* hook: a page of memory that is a file too, by which a test reaches into a running process that
 * has chaos-hook.so preloaded. CHAOS_HOOK names the file. */
#ifndef SIDECAR_TESTS_HOOK_H
#define SIDECAR_TESTS_HOOK_H

#include <stdatomic.h>
#include <stdint.h>

/* Eight bytes each, as tests/chaos/hook.mjs knows. */
struct hook_page {
	_Atomic int64_t clock_ms;  /* what CLOCK_REALTIME is wrong by */
	_Atomic int64_t fail_at;   /* so many allocations from now one fails; 0: none */
	_Atomic int64_t fail_run;  /* so many more fail after that one */
	_Atomic int64_t fail_size; /* only those of at least so many bytes count */
	_Atomic int64_t failed;    /* how many have failed */
	_Atomic int64_t count;     /* how many there were */
	_Atomic int64_t leak_each; /* a kilobyte is lost at each so many allocations; 0: none is */
	_Atomic int64_t trace;     /* not 0: where one fails is told on stderr */
};

/* Never NULL: without a file it is a page of our own, in which nothing happens. */
extern struct hook_page *hook_page;

#endif
