/* cli: the commands that ask a running supervisor. */
#ifndef SIDECAR_CLI_H
#define SIDECAR_CLI_H

#include <stdbool.h>

struct cli_options {
	const char *socket; /* --socket; NULL: the usual places */
	bool json;
	bool exit_code; /* of `status`: 1 when not ready */
	bool no_wait;
};

/* Each returns an exit code. */
int cli_status(const struct cli_options *o);
int cli_restart(const struct cli_options *o, const char *app);
int cli_shutdown(const struct cli_options *o);

#endif
