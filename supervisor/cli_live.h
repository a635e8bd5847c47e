/* cli_live: the commands that show what apps write, and how they change. */
#ifndef SIDECAR_CLI_LIVE_H
#define SIDECAR_CLI_LIVE_H

#include "supervisor/cli.h"

#define CLI_LINES_DEFAULT 20

int cli_logs(const struct cli_options *o, const char *app);
int cli_events(const struct cli_options *o, const char *none);

#endif
