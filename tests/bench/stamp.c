/* stamp: an app for measuring supervisors: tells when it began and when it was asked to end.
 *
 *   stamp FIFO TAG      writes "TAG start|end PID NANOSECONDS" of CLOCK_MONOTONIC as its first and
 *                       its last act
 *
 * Linked statically: what is measured is the supervisor, not the loading of libraries. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void
stamp(int fd, const char *tag, const char *what)
{
	struct timespec now;
	char line[128];
	int n;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	n = snprintf(line, sizeof(line), "%.32s %s %d %lld\n", tag, what, (int)getpid(),
	             (long long)now.tv_sec * 1000000000 + now.tv_nsec);
	if (write(fd, line, (size_t)n) != n)
		_exit(1);
}

int
main(int argc, char **argv)
{
	sigset_t set;
	int fd, sig;

	if (argc != 3 || (fd = open(argv[1], O_WRONLY | O_CLOEXEC)) < 0)
		return 64;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	stamp(fd, argv[2], "start");
	if (sigwait(&set, &sig) != 0)
		return 1;
	stamp(fd, argv[2], "end");
	return 0;
}
