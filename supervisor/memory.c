/* memory: how much of it a process has. */
#include "supervisor/memory.h"

#include <stdio.h>
#include <unistd.h>

int64_t
memory_resident_bytes(pid_t pid)
{
	char path[48];
	long pages = 0;
	FILE *f;
	int n;

	if (pid <= 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return -1;
	n = fscanf(f, "%*s %ld", &pages);
	(void)fclose(f); /* read only */
	return n == 1 ? (int64_t)pages * sysconf(_SC_PAGESIZE) : -1;
}
