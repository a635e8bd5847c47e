/* process_figures: what the kernel says of this process. */
#include "proxy/process_figures.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Of /proc/self/stat, counted from the one after the name. */
#define FIELD_STARTED 20
#define FIELD_RSS     22

static int64_t
count_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int64_t n = 0;

	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n - 3; /* ".", "..", and the one that was read */
}

static double
seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* The kernel tells the start in ticks since it booted. */
static double
unix_time_of(unsigned long long ticks)
{
	struct timespec now, up;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* neither can fail */
	(void)clock_gettime(CLOCK_BOOTTIME, &up);
	return (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9 +
	       (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static void
read_stat(struct metrics_process *out)
{
	char text[1024] = "";
	FILE *f = fopen("/proc/self/stat", "re");
	const char *at;

	if (f == NULL)
		return;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);         /* it was read only */
	at = strrchr(text, ')'); /* behind the name, which may hold anything */
	for (int field = 1; at != NULL; field++) {
		at = strchr(at + 1, ' ');
		if (at != NULL && field == FIELD_STARTED)
			out->started = unix_time_of(strtoull(at, NULL, 10));
		if (at != NULL && field == FIELD_RSS)
			out->rss_bytes = strtoll(at, NULL, 10) * sysconf(_SC_PAGESIZE);
	}
}

void
process_figures(struct metrics_process *out)
{
	struct rusage usage;
	struct rlimit files;

	*out = (struct metrics_process){.files = count_files()};
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		out->cpu_seconds = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		out->files_max = (int64_t)files.rlim_cur;
	read_stat(out);
}
