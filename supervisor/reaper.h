/* reaper: collects every child that ends, ours and adopted, and finds what a dead app left behind.
 */
#ifndef SIDECAR_REAPER_H
#define SIDECAR_REAPER_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "common/common.h"

struct reaper;

typedef void (*reaper_fn)(void *arg, int status);

int reaper_new(struct reaper **out, uv_loop_t *loop) MUST_CHECK;
/* fn once, when pid has ended and been reaped. 0 or -ENOMEM. */
int reaper_watch(struct reaper *r, pid_t pid, reaper_fn fn, void *arg) MUST_CHECK;
/* Forgets the watch; the pid is reaped all the same. */
void reaper_unwatch(struct reaper *r, pid_t pid);
/* Looks at once, without waiting for SIGCHLD to come round the loop. */
void reaper_collect(struct reaper *r);
/* Sends sig to every orphan that is left of a dead app: of its session, or with `marker` (a whole
 * "NAME=value") in its environment. All that is left of an app hangs below children of ours, since
 * we are their subreaper: killing one brings its own children up, so repeat until 0.
 * Returns how many there were. */
unsigned reaper_sweep(struct reaper *r, pid_t session, const char *marker, int sig);
/* Kills what a supervisor that was killed has left behind: all with a marker that begins with
 * `prefix` ("NAME=PID."), whoever has adopted them, and waits for their end, for 2 s at most.
 * Returns how many there were. */
unsigned reaper_sweep_strangers(const char *prefix);
/* Kills every orphan, whosever it was, and reaps what can be reaped. */
void reaper_sweep_all(struct reaper *r);
void reaper_close(struct reaper *r, void (*fn)(void *arg), void *arg);

#endif
