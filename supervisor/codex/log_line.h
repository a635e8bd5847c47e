/* log_line: the message and the level inside a line of codex's JSON log. Pure. */
#ifndef SIDECAR_CODEX_LOG_LINE_H
#define SIDECAR_CODEX_LOG_LINE_H

#include "supervisor/output.h"

/* An output_lift_fn. What codex complains about by our own design is debug. */
void codex_log_line_lift(struct output_line *line, char *buf, size_t size);

#endif
