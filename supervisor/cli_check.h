/* cli_check: the command that reads an ecosystem file and says what it thinks of it. */
#ifndef SIDECAR_CLI_CHECK_H
#define SIDECAR_CLI_CHECK_H

/* Findings on stdout. Returns an exit code: EXIT_CONFIGURATION when something is wrong. */
int cli_check(const char *path);

#endif
