/* cli_status: the commands that show what runs, once or again and again. */
#ifndef SIDECAR_CLI_STATUS_H
#define SIDECAR_CLI_STATUS_H

#include "supervisor/cli.h"

int cli_status(const struct cli_options *o, const char *none);

#endif
