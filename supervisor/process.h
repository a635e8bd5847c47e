/* process: start one program in a session of its own, by our own fork and exec.
 *
 * Not uv_spawn: it has no place to set PR_SET_PDEATHSIG, and does not reap adopted orphans. */
#ifndef SIDECAR_PROCESS_H
#define SIDECAR_PROCESS_H

#include <sys/types.h>

#include "common/common.h"
#include "common/err.h"

struct process_spec {
	const char *file;  /* absolute path */
	char *const *argv; /* NULL-terminated */
	char *const
		*envp;   /* NULL-terminated. An entry LISTEN_PID= is replaced by the child's pid */
	const char *cwd; /* NULL: ours */
	int stdin_fd;    /* -1: /dev/null */
	int listen_fd;   /* becomes fd 3; -1: none */
	int ipc_fd;      /* becomes the next fd, 3 or 4; -1: none */
};

struct process {
	pid_t pid; /* also its session and process group id; 0: none */
	int pidfd; /* -1 where the kernel has none */
};

/* 0 once the program has been executed: an error of exec, chdir and the like is returned here as
 * a negative errno with its sentence. *out_fd, *err_fd: the reading ends of its stdout and stderr,
 * non-blocking, close-on-exec; the caller owns them. The child dies with us (PDEATHSIG). */
int process_spawn(struct process *p, int *out_fd, int *err_fd, const struct process_spec *spec,
                  struct err *err) MUST_CHECK;
/* To the process itself, by pidfd: never to one that got the same pid later. Gone already: 0. */
int process_signal(const struct process *p, int sig);
/* To what is left of its process group. */
void process_signal_group(const struct process *p, int sig);
/* Forgets a reaped process. */
void process_fini(struct process *p);

/* Makes us the parent of orphans below us. Once, at start. */
int process_become_subreaper(struct err *err) MUST_CHECK;

/* "exited with code 1" / "killed by SIGKILL" */
void process_describe_status(char *text, size_t size, int status);
/* "SIGKILL"; "signal 40" for the nameless. Static or in *buf. */
const char *process_signal_name(int sig, char buf[static 16]);

#endif
