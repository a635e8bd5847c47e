/* sidecar_log_line: the message and the level inside a JSON line of our own programs' log. Pure. */
#ifndef SIDECAR_SIDECAR_LOG_LINE_H
#define SIDECAR_SIDECAR_LOG_LINE_H

#include "supervisor/output.h"

/* An output_lift_fn. */
void sidecar_log_line_lift(struct output_line *line, char *buf, size_t size);

#endif
