/* lock: one supervisor for one runtime folder. */
#ifndef SIDECAR_LOCK_H
#define SIDECAR_LOCK_H

#include "common/common.h"
#include "common/err.h"

/* The lock is held while *fd is open. -EBUSY: another one holds it, and the sentence names it. */
int lock_take(int *fd, const char *runtime_dir, struct err *err) MUST_CHECK;

#endif
