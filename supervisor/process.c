/* process: start one program in a session of its own, by our own fork and exec. */
#include "supervisor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LISTEN_FDS_START 3                      /* sd_listen_fds(3) */
#define FIRST_FREE_FD    (LISTEN_FDS_START + 3) /* above all that the child has its own for */

/* Where in the child something failed; sent with the errno through the close-on-exec pipe. */
enum child_step { STEP_SETUP, STEP_PARENT_GONE, STEP_CWD, STEP_EXEC };

struct child_failure {
	int step;
	int error;
};

static int
pidfd_open_(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Runs in the child between fork and exec: async-signal-safe calls only, from here to the end of
 * child_run. */
static void
child_fail(int report_fd, enum child_step step)
{
	struct child_failure f = {(int)step, errno};

	/* nobody is left to tell if this fails */
	if (write(report_fd, &f, sizeof(f)) < 0)
		_exit(126);
	_exit(127);
}

static void
child_reset_signals(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &dfl, NULL); /* KILL and STOP refuse, as they should */
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Writes our pid behind "LISTEN_PID=" in the space that spawn has reserved. */
static void
child_set_listen_pid(char *value)
{
	char digits[24];
	size_t n = 0;

	for (pid_t pid = getpid(); pid > 0; pid /= 10)
		digits[n++] = (char)('0' + pid % 10);
	for (size_t i = 0; i < n; i++)
		value[i] = digits[n - 1 - i];
	value[n] = '\0';
}

/* dup2 that leaves the copy open over exec also when both are the same. */
static int
child_move_fd(int from, int to)
{
	if (from == to)
		return fcntl(to, F_SETFD, 0);
	return dup2(from, to) < 0 ? -1 : 0;
}

struct child_fds {
	int in, out, err, listen, ipc, report;
};

static void
child_run(const struct process_spec *spec, char *listen_pid, struct child_fds fds, pid_t parent)
{
	int next_fd = 3;

	child_reset_signals();
	if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		child_fail(fds.report, STEP_SETUP);
	/* the parent may have died before PDEATHSIG was set */
	if (getppid() != parent)
		child_fail(fds.report, STEP_PARENT_GONE);
	if (spec->cwd != NULL && chdir(spec->cwd) < 0)
		child_fail(fds.report, STEP_CWD);

	/* spawn has seen to it that all of fds are above the targets */
	if (child_move_fd(fds.in, 0) < 0 || child_move_fd(fds.out, 1) < 0 ||
	    child_move_fd(fds.err, 2) < 0)
		child_fail(fds.report, STEP_SETUP);
	if (fds.listen >= 0) {
		child_set_listen_pid(listen_pid);
		if (child_move_fd(fds.listen, LISTEN_FDS_START) < 0)
			child_fail(fds.report, STEP_SETUP);
		next_fd = LISTEN_FDS_START + 1;
	}
	if (fds.ipc >= 0 && child_move_fd(fds.ipc, next_fd++) < 0)
		child_fail(fds.report, STEP_SETUP);
	if (child_move_fd(fds.report, next_fd) < 0 || fcntl(next_fd, F_SETFD, FD_CLOEXEC) < 0)
		child_fail(fds.report, STEP_SETUP);
	/* everything of ours is close-on-exec; this is for what a library forgot */
	(void)syscall(SYS_close_range, next_fd + 1, ~0U, 0);

	execve(spec->file, spec->argv, spec->envp);
	child_fail(next_fd, STEP_EXEC);
}

/* Low fds may be free in us; a pipe that landed there would be overwritten in the child. */
static int
above_targets(int fd)
{
	int copy;

	if (fd < 0 || fd >= FIRST_FREE_FD)
		return fd;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	(void)close(fd); /* only a pipe end or /dev/null */
	return copy;
}

/* fd -1: nothing to copy. */
static int
copy_above(int *out, int fd)
{
	if (fd < 0)
		return 0;
	*out = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	return *out < 0 ? -errno : 0;
}

static int
pipe_above(int fds[2])
{
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	fds[0] = above_targets(fds[0]);
	fds[1] = above_targets(fds[1]);
	return fds[0] < 0 || fds[1] < 0 ? -EMFILE : 0;
}

static const char *
step_name(int step)
{
	switch ((enum child_step)step) {
	case STEP_SETUP:
		return "setting up the process";
	case STEP_PARENT_GONE:
		return "the supervisor went away";
	case STEP_CWD:
		return "entering the working directory";
	case STEP_EXEC:
		return "executing it";
	}
	return "starting";
}

/* Waits until the child has executed the program, or says why not. */
static int
read_report(int fd, pid_t pid, const struct process_spec *spec, struct err *err)
{
	struct child_failure f;
	ssize_t n;

	do
		n = read(fd, &f, sizeof(f));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0; /* closed by exec */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)sizeof(f))
		return err_set(err, -EIO, "%s: the child died before it was executed", spec->file);
	return err_set(err, -f.error, "%s: %s: %s", f.step == STEP_CWD ? spec->cwd : spec->file,
	               step_name(f.step), strerror(f.error));
}

/* A copy of the caller's pointers with our own LISTEN_PID entry, which the child fills in. */
static char **
environment_with_listen_pid(char *const *envp, char *entry)
{
	size_t n = 0;
	char **copy;

	while (envp[n] != NULL)
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	if (copy == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		copy[i] = strncmp(envp[i], "LISTEN_PID=", 11) == 0 ? entry : envp[i];
	return copy;
}

int
process_spawn(struct process *p, int *out_fd, int *err_fd, const struct process_spec *spec,
              struct err *err)
{
	char listen_pid[40] = "LISTEN_PID=";
	AUTO_FREE char **envp = environment_with_listen_pid(spec->envp, listen_pid);
	int out[2] = {-1, -1}, errp[2] = {-1, -1}, report[2] = {-1, -1};
	int null_fd = -1, listen_fd = -1, ipc_fd = -1, r;
	struct process_spec mine = *spec;
	pid_t self = getpid(), pid;

	if (envp == NULL)
		return err_set(err, -ENOMEM, "%s: out of memory", spec->file);
	mine.envp = envp;
	r = pipe_above(out);
	if (r == 0)
		r = pipe_above(errp);
	if (r == 0)
		r = pipe_above(report);
	if (r == 0) {
		null_fd = spec->stdin_fd >= 0
		                  ? fcntl(spec->stdin_fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD)
		                  : above_targets(open("/dev/null", O_RDONLY | O_CLOEXEC));
		r = null_fd < 0 ? -errno : 0;
	}
	if (r == 0)
		r = copy_above(&listen_fd, spec->listen_fd);
	if (r == 0)
		r = copy_above(&ipc_fd, spec->ipc_fd);
	if (r < 0) {
		err_set(err, r, "%s: %s", spec->file, strerror(-r));
		goto done;
	}

	pid = fork();
	if (pid == 0)
		child_run(
			&mine, listen_pid + strlen("LISTEN_PID="),
			(struct child_fds){null_fd, out[1], errp[1], listen_fd, ipc_fd, report[1]},
			self);
	if (pid < 0) {
		r = err_set(err, -errno, "%s: fork: %s", spec->file, strerror(errno));
		goto done;
	}
	(void)close(report[1]);
	report[1] = -1;
	r = read_report(report[0], pid, spec, err);
	if (r < 0)
		goto done;

	p->pid = pid;
	p->pidfd = pidfd_open_(pid); /* -1 before Linux 5.3: signals go by pid then */
	if (fcntl(out[0], F_SETFL, O_NONBLOCK) < 0 || fcntl(errp[0], F_SETFL, O_NONBLOCK) < 0)
		err_set(err, -errno, "%s: %s", spec->file, strerror(errno)); /* cannot be */
	*out_fd = out[0];
	*err_fd = errp[0];
	out[0] = errp[0] = -1;
done:
	for (int i = 0; i < 2; i++) {
		auto_close_(&out[i]);
		auto_close_(&errp[i]);
		auto_close_(&report[i]);
	}
	auto_close_(&null_fd);
	auto_close_(&listen_fd);
	auto_close_(&ipc_fd);
	return r;
}

int
process_signal(const struct process *p, int sig)
{
	long r;

	if (p->pid <= 0)
		return 0;
	if (p->pidfd >= 0)
		r = syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0);
	else
		r = kill(p->pid, sig); /* not reaped yet, so the pid is still its own */
	return r < 0 && errno != ESRCH ? -errno : 0;
}

void
process_signal_group(const struct process *p, int sig)
{
	if (p->pid > 1)
		(void)kill(-p->pid, sig); /* ESRCH: nobody is left, which is the aim */
}

void
process_fini(struct process *p)
{
	auto_close_(&p->pidfd);
	*p = (struct process){.pid = 0, .pidfd = -1};
}

int
process_become_subreaper(struct err *err)
{
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_set(err, -errno, "PR_SET_CHILD_SUBREAPER: %s", strerror(errno));
	return 0;
}

const char *
process_signal_name(int sig, char buf[static 16])
{
	const char *abbrev = sigabbrev_np(sig);

	if (abbrev == NULL)
		(void)snprintf(buf, 16, "signal %d", sig);
	else
		(void)snprintf(buf, 16, "SIG%s", abbrev);
	return buf;
}

void
process_describe_status(char *text, size_t size, int status)
{
	char name[16];

	if (WIFSIGNALED(status))
		(void)snprintf(text, size, "killed by %s%s",
		               process_signal_name(WTERMSIG(status), name),
		               WCOREDUMP(status) ? " (core dumped)" : "");
	else
		(void)snprintf(text, size, "exited with code %d", WEXITSTATUS(status));
}
