/* log_file: a file that lines are appended to, and that is put aside when it is big or old.
 *
 * FILE.1 is the one put aside last. Another process may move the file too, and ask for a new one
 * by log_file_reopen. What cannot be written (a full disk, a pipe that nobody empties) is dropped
 * and counted, and both is said: nothing waits, and nothing grows. */
#ifndef SIDECAR_LOG_FILE_H
#define SIDECAR_LOG_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct log_file;

struct log_file_spec {
	const char *path;    /* copied; its folder is made when it is missing */
	int64_t max_bytes;   /* 0: not by size */
	int64_t interval_ms; /* by the clock: 86400000 is every midnight, UTC. 0: not by age */
	int64_t retain;      /* how many are kept beside the file itself */
};

int
log_file_open(struct log_file **out, const struct log_file_spec *spec, struct err *err) MUST_CHECK;
/* One line, without its newline. now_ms: since 1970. */
void log_file_write(struct log_file *f, const char *line, size_t len, uint64_t now_ms);
/* Goes on in a file of that name, a new one when there is none. On failure in the old one. */
int log_file_reopen(struct log_file *f, struct err *err) MUST_CHECK;
/* From now on; the path stays as it is. */
void log_file_configure(struct log_file *f, const struct log_file_spec *spec);
/* Is it the same file, under whatever path? A pipe or a device is not asked. */
bool log_file_is(const struct log_file *f, const struct log_file *other);
/* How many lines were dropped so far. */
uint64_t log_file_dropped(const struct log_file *f);
void log_file_close(struct log_file *f); /* NULL is fine */

#endif
