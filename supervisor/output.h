/* output: what one run of an app writes to stdout and stderr, line by line into its log files or
 * into ours.
 *
 * While the reader of our log lags behind, the app's pipe is left full, and the app waits; but not
 * for one who does not read at all: then lines are lost, and counted by the log. */
#ifndef SIDECAR_OUTPUT_H
#define SIDECAR_OUTPUT_H

#include <stdbool.h>
#include <uv.h>

#include "common/common.h"
#include "common/log.h"

/* A longer line is cut in pieces of this size: memory stays bounded, nothing is lost. */
#define OUTPUT_LINE_MAX 8192

enum output_stream { OUTPUT_STDOUT, OUTPUT_STDERR };

/* A line as it will be logged. */
struct output_line {
	enum log_level level;
	const char *text; /* NUL-terminated */
};

/* Reads what a program put into its line: may change level, and text to a string that lives until
 * the next call (in buf, or in the line itself). NULL: lines are logged as they are. */
typedef void (*output_lift_fn)(struct output_line *line, char *buf, size_t size);

struct output;
struct log_sink;

struct output_spec {
	const char *name; /* copied */
	int out_fd, err_fd;
	output_lift_fn lift;
	struct log_sink *sink; /* the caller's, outlives the output; NULL: no files. It gets the
	                        * lines as they are */
};

/* Takes both descriptors over, also on failure. */
int output_new(struct output **out, uv_loop_t *loop, const struct output_spec *spec) MUST_CHECK;
/* fn once, when both streams have come to their end. */
void output_on_end(struct output *o, void (*fn)(void *arg), void *arg);
/* Reads what is there now, a limited amount, without going round the loop. True: both have come to
 * their end. */
bool output_drain(struct output *o);
/* The last line that reads like an error, or the last one of stderr; "" if there was none. */
const char *output_last_words(const struct output *o);
/* Logs what is still there, without regard to who reads it, and lets go; o is freed later, on_end
 * is not called any more. */
void output_close(struct output *o);

#endif
