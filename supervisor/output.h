/* output: what one run of an app writes to stdout and stderr, line by line into our log. */
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

/* Takes both descriptors over, also on failure. name is copied. */
int output_new(struct output **out, uv_loop_t *loop, const char *name, int out_fd, int err_fd,
               output_lift_fn lift) MUST_CHECK;
/* fn once, when both streams have come to their end. */
void output_on_end(struct output *o, void (*fn)(void *arg), void *arg);
/* Reads what is there now, without going round the loop. True: both have come to their end. */
bool output_drain(struct output *o);
/* The last line that reads like an error, or the last one of stderr; "" if there was none. */
const char *output_last_words(const struct output *o);
/* Logs unterminated rests and lets go; o is freed later, on_end is not called any more. */
void output_close(struct output *o);

#endif
