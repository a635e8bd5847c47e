/* log_sink: where the lines of one app go when it has log files of its own. */
#ifndef SIDECAR_LOG_SINK_H
#define SIDECAR_LOG_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/common.h"
#include "supervisor/output.h"

struct log_sink;

struct log_sink_spec {
	/* NULL: this stream has no file; "/dev/null" and "NULL": it is thrown away. The same path
	 * twice is one file, and so is the path that another sink has too. */
	const char *out_file, *error_file;
	bool own_files;          /* of each instance: "-N" before the ending ".log" */
	bool json;               /* one object a line, with PM2's member names */
	const char *date_format; /* NULL: no time before the line */
	int64_t max_bytes, interval_ms, retain; /* as log_file has them */
};

/* Everything is copied. A file that cannot be opened is a warning. NULL: no memory. */
struct log_sink *
log_sink_new(const struct log_sink_spec *spec, const char *app, int instance) MUST_CHECK;
/* False: this stream has no file, the next line will be the caller's. */
bool log_sink_takes(const struct log_sink *s, enum output_stream stream);
/* The same, and the line is written. now_ms: since 1970. */
bool
log_sink_line(struct log_sink *s, enum output_stream stream, const char *text, uint64_t now_ms);
void log_sink_free(struct log_sink *s); /* NULL is fine */

#endif
