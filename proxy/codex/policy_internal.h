/* policy_internal: the rules as parsed, shared by policy_parse.c and policy.c. */
#ifndef SIDECAR_PROXY_CODEX_POLICY_INTERNAL_H
#define SIDECAR_PROXY_CODEX_POLICY_INTERNAL_H

#include <regex.h>
#include <stdbool.h>

#include "proxy/codex/policy.h"
#include "proxy/codex/policy_shell.h"

/* More of a kind is a mistake in the file: it bounds what one decision costs. */
#define POLICY_MAX_RULES 256

struct policy_list {
	char **items; /* owned, normalised */
	size_t count;
};

struct policy {
	bool kill_switch;
	bool network;
	char *home;
	regex_t *deny;
	size_t deny_count;
	struct policy_shell **allow; /* each is one command: the words that begin an allowed one */
	size_t allow_count;
	struct policy_list protected_paths;
	struct policy_list protected_files;
	struct policy_list write_paths;
};

#endif
