/* cli_ask: how a command finds a running supervisor, asks it, and listens to it. */
#ifndef SIDECAR_CLI_ASK_H
#define SIDECAR_CLI_ASK_H

#include <jansson.h>

#include "supervisor/cli.h"

#define CLI_ANSWER_MS 5000

/* Asks the first usual place that answers. Returns an exit code; *result is new on EXIT_WELL. What
 * went wrong has been told on stderr. params: borrowed, may be NULL. */
int cli_ask(const struct cli_options *o, const char *method, json_t *params, unsigned timeout_ms,
            json_t **result);

struct cli_stream {
	const char *method;
	json_t *params; /* borrowed, may be NULL */
	bool follow;    /* go on until the connection ends */
	void (*on_result)(const struct cli_options *o, const json_t *result);
	void (*on_notification)(const struct cli_options *o, const char *method,
	                        const json_t *params);
};

/* The same, and what is sent after the answer. The end of a followed one is EXIT_UNREACHABLE. */
int cli_stream(const struct cli_options *o, const struct cli_stream *stream);

/* Text of the supervisor's, fit for a terminal. */
void cli_put_text(const char *text);

#endif
