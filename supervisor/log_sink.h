/* log_sink: where the lines of one app go when it has log files of its own. */
#ifndef SIDECAR_LOG_SINK_H
#define SIDECAR_LOG_SINK_H

#include <stdbool.h>

#include "supervisor/log_file.h"
#include "supervisor/output.h"

struct log_sink;

struct log_sink_spec {
	const char *app;
	int instance;
	/* NULL: this stream has no file; "/dev/null" and "NULL": it is thrown away. The same path
	 * twice is one file. */
	const char *out_file, *error_file;
	bool own_files;          /* of each instance: "-N" before the ending ".log" */
	bool json;               /* one object a line, with PM2's member names */
	const char *date_format; /* NULL: no time before the line */
	int64_t max_bytes, interval_ms, retain; /* as log_file has them */
};

/* Everything in spec is copied. */
int
log_sink_new(struct log_sink **out, const struct log_sink_spec *spec, struct err *err) MUST_CHECK;
/* False: this stream has no file, the line is the caller's. now_ms: since 1970. */
bool
log_sink_line(struct log_sink *s, enum output_stream stream, const char *text, uint64_t now_ms);
/* After somebody moved the files away. Both are tried. */
int log_sink_reopen(struct log_sink *s, struct err *err) MUST_CHECK;
uint64_t log_sink_dropped(const struct log_sink *s);
void log_sink_free(struct log_sink *s); /* NULL is fine */

#endif
