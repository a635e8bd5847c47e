/* reaper: collects every child that ends, ours and adopted, and finds what a dead app left behind.
 */
#include "supervisor/reaper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "common/log.h"

#define STRANGERS_TICKS                                                                            \
	200 /* of 10 ms: what survives SIGKILL for so long is stuck in the kernel                  \
	     */
#define ENVIRON_MAX (256 * 1024) /* twice ARG_MAX of old; the marker comes first in it */

struct watch {
	struct watch *next;
	pid_t pid;
	reaper_fn fn;
	void *arg;
};

struct reaper {
	uv_signal_t sigchld;
	struct watch *watches;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
	bool closing;
};

static struct watch **
find_watch(struct reaper *r, pid_t pid)
{
	struct watch **w = &r->watches;

	while (*w != NULL && (*w)->pid != pid)
		w = &(*w)->next;
	return w;
}

void
reaper_collect(struct reaper *r)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct watch **at = find_watch(r, pid), *w = *at;

		if (w == NULL) {
			log_debug("reaped an orphan, pid %d", (int)pid);
			continue;
		}
		*at = w->next;
		w->fn(w->arg, status);
		free(w);
	}
}

static void
on_sigchld(uv_signal_t *handle, int signum)
{
	reaper_collect(handle->data);
}

int
reaper_new(struct reaper **out, uv_loop_t *loop)
{
	struct reaper *r = calloc(1, sizeof(*r));
	int err;

	if (r == NULL)
		return -ENOMEM;
	err = uv_signal_init(loop, &r->sigchld);
	if (err < 0) {
		free(r);
		return err;
	}
	r->sigchld.data = r;
	err = uv_signal_start(&r->sigchld, on_sigchld, SIGCHLD);
	if (err < 0) {
		reaper_close(r, NULL, NULL);
		return err;
	}
	*out = r;
	return 0;
}

int
reaper_watch(struct reaper *r, pid_t pid, reaper_fn fn, void *arg)
{
	struct watch *w = malloc(sizeof(*w));

	if (w == NULL)
		return -ENOMEM;
	*w = (struct watch){.next = r->watches, .pid = pid, .fn = fn, .arg = arg};
	r->watches = w;
	return 0;
}

void
reaper_unwatch(struct reaper *r, pid_t pid)
{
	struct watch **at = find_watch(r, pid), *w = *at;

	if (w != NULL) {
		*at = w->next;
		free(w);
	}
}

static ssize_t
read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n, total = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((size_t)total < size - 1 &&
	       (n = read(fd, buf + total, size - 1 - (size_t)total)) > 0)
		total += n;
	buf[total] = '\0';
	return total;
}

/* proc(5): the command may hold spaces and parentheses, so count from the last ')'. */
static int
read_stat(pid_t pid, char *state, pid_t *ppid, pid_t *session)
{
	char buf[1024], *p;
	int parent, sid;

	if (read_proc(pid, "stat", buf, sizeof(buf)) <= 0)
		return -ESRCH;
	p = strrchr(buf, ')');
	if (p == NULL || sscanf(p + 1, " %c %d %*d %d", state, &parent, &sid) != 3)
		return -ESRCH;
	*ppid = parent;
	*session = sid;
	return 0;
}

/* Is there a variable that is marker, or begins with its first len bytes? */
static bool
has_marker(pid_t pid, const char *marker, size_t len)
{
	AUTO_FREE char *env = malloc(ENVIRON_MAX);
	ssize_t n;

	if (env == NULL)
		return false;
	n = read_proc(pid, "environ", env, ENVIRON_MAX);
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(env + at) + 1)
		if (strncmp(env + at, marker, len) == 0)
			return true;
	return false;
}

typedef void (*orphan_fn)(void *arg, pid_t pid, pid_t session);

static void
visit_child(struct reaper *r, pid_t pid, orphan_fn fn, void *arg)
{
	pid_t ppid, session;
	char state;

	if (*find_watch(r, pid) != NULL || read_stat(pid, &state, &ppid, &session) < 0)
		return;
	if (ppid == getpid() && state != 'Z' && state != 'X')
		fn(arg, pid, session);
}

/* Kernels without CONFIG_PROC_CHILDREN. */
static void
each_orphan_slowly(struct reaper *r, orphan_fn fn, void *arg)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;

	if (dir == NULL)
		return;
	while ((e = readdir(dir)) != NULL) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid > 0)
			visit_child(r, pid, fn, arg);
	}
	(void)closedir(dir); /* read only */
}

static void
each_orphan(struct reaper *r, orphan_fn fn, void *arg)
{
	char name[48], buf[16384], *p = buf, *end;

	(void)snprintf(name, sizeof(name), "task/%d/children", (int)getpid());
	if (read_proc(getpid(), name, buf, sizeof(buf)) < 0) {
		each_orphan_slowly(r, fn, arg);
		return;
	}
	for (;; p = end) {
		pid_t pid = (pid_t)strtol(p, &end, 10);

		if (end == p)
			return;
		visit_child(r, pid, fn, arg);
	}
}

struct sweep {
	pid_t session;
	const char *marker;
	int sig;
	bool all;
	unsigned count;
};

static void
sweep_one(void *arg, pid_t pid, pid_t session)
{
	struct sweep *s = arg;

	if (!s->all && session != s->session &&
	    (s->marker == NULL || !has_marker(pid, s->marker, strlen(s->marker) + 1)))
		return;
	s->count++;
	(void)kill(pid, s->sig); /* a child of ours, not reaped: the pid is its own */
}

unsigned
reaper_sweep(struct reaper *r, pid_t session, const char *marker, int sig)
{
	struct sweep s = {.session = session, .marker = marker, .sig = sig};

	each_orphan(r, sweep_one, &s);
	return s.count;
}

void
reaper_sweep_all(struct reaper *r)
{
	struct sweep s = {.sig = SIGKILL, .all = true};

	each_orphan(r, sweep_one, &s);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static unsigned
kill_marked(const char *prefix)
{
	DIR *dir = opendir("/proc");
	unsigned count = 0;
	struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10), ppid, session;
		char state;

		if (pid <= 0 || pid == getpid() || !has_marker(pid, prefix, strlen(prefix)) ||
		    read_stat(pid, &state, &ppid, &session) < 0 || state == 'Z')
			continue;
		count++;
		(void)kill(pid, SIGKILL); /* gone meanwhile is as good */
	}
	if (dir != NULL)
		(void)closedir(dir); /* read only */
	return count;
}

unsigned
reaper_sweep_strangers(const char *prefix)
{
	static const struct timespec tick = {.tv_nsec = 10000000};
	unsigned found = kill_marked(prefix), left = found;

	for (int i = 0; i < STRANGERS_TICKS && left > 0; i++) {
		(void)nanosleep(&tick, NULL); /* a signal only makes it shorter */
		left = kill_marked(prefix);
	}
	return found;
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct reaper *r = handle->data;

	if (r->on_closed != NULL)
		r->on_closed(r->on_closed_arg);
	free(r);
}

void
reaper_close(struct reaper *r, void (*fn)(void *arg), void *arg)
{
	if (r->closing)
		return;
	r->closing = true;
	r->on_closed = fn;
	r->on_closed_arg = arg;
	while (r->watches != NULL)
		reaper_unwatch(r, r->watches->pid);
	uv_close((uv_handle_t *)&r->sigchld, on_handle_closed);
}
