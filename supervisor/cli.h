/* cli: the commands that ask a running supervisor to do something with its apps. */
#ifndef SIDECAR_CLI_H
#define SIDECAR_CLI_H

#include <stdbool.h>
#include <stdint.h>

struct cli_options {
	const char *socket; /* --socket; NULL: the usual places */
	bool json;
	bool exit_code; /* of `status`: 1 when not ready */
	bool watch;     /* `status`, again and again */
	bool no_wait;
	bool follow;
	int64_t lines;       /* of `logs` */
	int64_t deadline_ms; /* of `drain`; 0: the supervisor's own */
};

/* Each returns an exit code. app: an app, a group, or "all". */
int cli_start(const struct cli_options *o, const char *app);
int cli_stop(const struct cli_options *o, const char *app);
int cli_restart(const struct cli_options *o, const char *app);
int cli_reload(const struct cli_options *o, const char *app);
int cli_drain(const struct cli_options *o, const char *app);
int cli_describe(const struct cli_options *o, const char *app);
int cli_shutdown(const struct cli_options *o, const char *none);

#endif
