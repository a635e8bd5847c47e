/* shared_log: the log files of all apps: one for each path, whoever writes into it.
 *
 * The instances of an app, and the two processes of one that is being replaced, may write into the
 * same file. If each had it open for itself, the first one to put it aside would leave the others
 * writing into the old one. */
#ifndef SIDECAR_SHARED_LOG_H
#define SIDECAR_SHARED_LOG_H

#include <stdbool.h>

#include "supervisor/log_file.h"

struct shared_log;

/* Opens it, or joins those who have it open: then they too go on by this spec. One that cannot be
 * opened is said so, and tried again each minute. NULL: no memory. */
struct shared_log *shared_log_get(const struct log_file_spec *spec) MUST_CHECK;
/* The last one closes it. */
void shared_log_put(struct shared_log *s); /* NULL is fine */
bool shared_log_is_open(const struct shared_log *s);
/* One line, without its newline. False: it is not open, the line is the caller's. */
bool
shared_log_write(struct shared_log *s, const char *line, size_t len, uint64_t now_ms) MUST_CHECK;
/* All there are, after somebody moved them away. What cannot be opened is said. Returns how many
 * are open now. */
size_t shared_log_reopen_all(void);

#endif
