/* policy_programs: what is known of programs by their names. Pure. */
#ifndef SIDECAR_PROXY_CODEX_POLICY_PROGRAMS_H
#define SIDECAR_PROXY_CODEX_POLICY_PROGRAMS_H

#include <stdbool.h>

#include "proxy/codex/policy_shell.h"

/* The program's name without its folder. */
const char *policy_program_name(const struct policy_shell_command *c);

/* Runs other commands that it is given: what it does cannot be told from its words. */
bool policy_program_launches(const struct policy_shell_command *c);
/* Changes files that its arguments name. */
bool policy_program_writes(const struct policy_shell_command *c);
/* Talks to the network, by its name, its first argument, or an address among its words. */
bool policy_program_talks(const struct policy_shell_command *c);

#endif
