/* file: the few file operations that programs here share. */
#ifndef SIDECAR_FILE_H
#define SIDECAR_FILE_H

#include <sys/types.h>

#include "common/common.h"
#include "common/err.h"

/* Reads a whole file, NUL added behind it. *out: caller frees. -EFBIG over max_bytes. */
int
file_read(char **out, size_t *len, const char *path, size_t max_bytes, struct err *err) MUST_CHECK;
/* Like file_read, with trailing white space removed: for key files. */
int file_read_secret(char **out, const char *path, struct err *err) MUST_CHECK;
/* Writes beside path, fsyncs, renames over it: readers see the old file or the new one. */
int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode,
                      struct err *err) MUST_CHECK;
/* mkdir -p; the last folder gets mode, and must belong to us. */
int file_make_dir(const char *path, mode_t mode, struct err *err) MUST_CHECK;

#endif
