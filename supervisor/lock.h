/* lock: one supervisor for one runtime folder. */
#ifndef SIDECAR_LOCK_H
#define SIDECAR_LOCK_H

#include <sys/types.h>

#include "common/common.h"
#include "common/err.h"

/* *before: the last one that held it; 0: unknown. The lock is held while *fd is open. -EBUSY:
 * another one holds it, and the sentence names it. */
int lock_take(int *fd, const char *runtime_dir, pid_t *before, struct err *err) MUST_CHECK;

#endif
