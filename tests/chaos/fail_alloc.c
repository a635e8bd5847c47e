/* fail_alloc: malloc and its kin, of which the one that the page names fails; or some are lost. */
#include <errno.h>
#include <execinfo.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "tests/chaos/hook.h"

#define LOST_BYTES 1024

/* backtrace() loads a library when it is first called, and that allocates. */
__attribute__((constructor)) static void
prepare(void)
{
	void *frame;

	(void)backtrace(&frame, 1);
}

/* glibc's own, under the names by which they can be called from here. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t align, size_t size);

void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *old, size_t size);
void *aligned_alloc(size_t align, size_t size);
int posix_memalign(void **out, size_t align, size_t size);

static void
lose(int64_t count)
{
	int64_t each = atomic_load(&hook_page->leak_each);
	void *lost = each > 0 && count % each == 0 ? __libc_malloc(LOST_BYTES) : NULL;

	if (lost != NULL)
		memset(lost, 1, LOST_BYTES);
}

/* For addr2line. */
static void
tell(void)
{
	void *frames[24];

	if (atomic_load(&hook_page->trace) != 0)
		backtrace_symbols_fd(frames, backtrace(frames, 24), STDERR_FILENO);
}

static bool
fails(size_t size)
{
	int64_t left;

	if (size < (size_t)atomic_load(&hook_page->fail_size))
		return false;
	lose(atomic_fetch_add(&hook_page->count, 1));
	left = atomic_load(&hook_page->fail_at);
	if (left == 0 || atomic_fetch_sub(&hook_page->fail_at, 1) > 1)
		return false;
	/* The next one too, while the run lasts. */
	if (atomic_fetch_sub(&hook_page->fail_run, 1) > 0)
		atomic_store(&hook_page->fail_at, 1);
	else
		atomic_store(&hook_page->fail_at, 0);
	atomic_fetch_add(&hook_page->failed, 1);
	tell();
	errno = ENOMEM;
	return true;
}

void *
malloc(size_t size)
{
	return fails(size) ? NULL : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	return fails(n * size) ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *old, size_t size)
{
	return size > 0 && fails(size) ? NULL : __libc_realloc(old, size);
}

void *
aligned_alloc(size_t align, size_t size)
{
	return fails(size) ? NULL : __libc_memalign(align, size);
}

int
posix_memalign(void **out, size_t align, size_t size)
{
	void *p = fails(size) ? NULL : __libc_memalign(align, size);

	if (p == NULL)
		return ENOMEM;
	*out = p;
	return 0;
}
