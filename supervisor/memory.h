/* memory: how much of it a process has. */
#ifndef SIDECAR_MEMORY_H
#define SIDECAR_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* Resident bytes; -1: not known, as of a process that is gone. */
int64_t memory_resident_bytes(pid_t pid);

#endif
