/* hook: maps the page, before main(), and keeps what the process starts free of us. */
#include "tests/chaos/hook.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct hook_page nothing;
struct hook_page *hook_page = &nothing;

__attribute__((constructor)) static void
map(void)
{
	const char *file = getenv("CHAOS_HOOK");
	int fd = file != NULL ? open(file, O_RDWR | O_CLOEXEC) : -1;
	void *page;

	(void)unsetenv("LD_PRELOAD");
	(void)unsetenv("CHAOS_HOOK");
	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(*hook_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (page != MAP_FAILED)
		hook_page = page;
}
