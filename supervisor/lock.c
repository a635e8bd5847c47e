/* lock: one supervisor for one runtime folder. */
#include "supervisor/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "common/paths.h"

int
lock_take(int *fd, const char *runtime_dir, pid_t *before, struct err *err)
{
	AUTO_FREE char *path = paths_join(runtime_dir, "lock");
	AUTO_FD int lock = -1;
	char pid[24];
	ssize_t n;
	int len;

	if (path == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	n = read(lock, pid, sizeof(pid) - 1);
	pid[n > 0 ? n : 0] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
	if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			pid[0] = '\0';
		return err_set(err, -EBUSY,
		               "another codex-supervisor%s%s runs on %s (CODEX_RUNTIME_DIR chooses "
		               "another folder)",
		               pid[0] != '\0' ? ", pid " : "", pid, runtime_dir);
	}
	*before = (pid_t)strtol(pid, NULL, 10);
	/* for the sentence above, and for who comes after us: the lock itself is what counts */
	len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(lock, 0) < 0 || pwrite(lock, pid, (size_t)len, 0) != len)
		return err_set(err, -EIO, "%s: cannot write", path);
	*fd = lock;
	lock = -1;
	return 0;
}
