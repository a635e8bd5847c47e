/* app_run: one process of an app while it runs: executed, heard, and asked whether it is ready. */
#ifndef SIDECAR_APP_RUN_H
#define SIDECAR_APP_RUN_H

#include <uv.h>

#include "supervisor/app.h"
#include "supervisor/process.h"

struct app_run {
	struct process process; /* pid 0: none */
	struct output *output;  /* NULL: none, or read to its end */
	struct readiness *readiness;
	struct herald *herald;
	pid_t session; /* 0: nothing of it can be left */
	uv_loop_t *loop;
	struct reaper *reaper;
	void (*on_exit)(void *arg, int status);
	void (*on_ready)(void *arg);
	void *arg;
};

/* marker: "NAME=value" for the environment, by which its leftovers are recognised. l->env is added
 * to. A negative errno: nothing has been left running. */
int app_run_start(struct app_run *r, const struct app_spec *spec, const char *marker,
                  struct app_launch *l, struct err *err) MUST_CHECK;
/* The process has been reaped: nobody is asked or listened to any more but its output. */
void app_run_ended(struct app_run *r);
void app_run_close_output(struct app_run *r);

#endif
