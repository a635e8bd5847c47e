/* capture: run a program once, with a deadline, and keep what it prints. */
#ifndef SIDECAR_CAPTURE_H
#define SIDECAR_CAPTURE_H

#include <stdbool.h>
#include <uv.h>

#include "common/err.h"
#include "supervisor/reaper.h"

struct capture;

struct capture_spec {
	const char *file;
	const char *const *argv;
	char *const *envp;
	const char *cwd;
	const char *input; /* written to its stdin, which then stays open; NULL: /dev/null.
	                    * Under 4 KB: it must fit into a pipe at once */
	uint64_t deadline_ms;
	size_t max_bytes;
	/* The answer is complete: the program is killed, and that is no failure. NULL: its exit
	 * says so. text is NUL-terminated. */
	bool (*enough)(const char *text, size_t len);
};

/* code 0: text is what it printed, valid during the call. Negative: err->text says why not, with
 * the program's last words; -ECHILD when it exited with a code of its own. */
typedef void (*capture_fn)(void *arg, int code, const char *text, size_t len,
                           const struct err *err);

/* fn exactly once, later; capture is freed after it. */
int capture_start(struct capture **out, uv_loop_t *loop, struct reaper *reaper,
                  const struct capture_spec *spec, capture_fn fn, void *arg,
                  struct err *err) MUST_CHECK;
/* Ends it early: fn is called with -ECANCELED, later. */
void capture_cancel(struct capture *c);

#endif
