/* policy: what the agent profile lets codex's own tools do, by a file of rules. Pure.
 *
 * The default is deny: a command runs only if all of it is understood, each of its simple commands
 * is allowed, and nothing in it is forbidden. What the rules mean: docs/agent.md. Paths are
 * resolved as text; no link is followed, nothing is looked up. */
#ifndef SIDECAR_PROXY_CODEX_POLICY_H
#define SIDECAR_PROXY_CODEX_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/common.h"
#include "common/json.h"

struct policy; /* opaque; the layout is in policy_internal.h */

/* Names the rule, never what was asked: fit for the log. */
struct policy_decision {
	bool allow;
	char reason[160];
	char program[32]; /* the one that it is about; "" unknown, or not fit for the log */
};

/* Of the rules, what a sandbox can enforce too. Borrowed; normalised. */
struct policy_places {
	const char *const *write;
	size_t write_count;
	const char *const *paths; /* protected */
	size_t path_count;
	const char *const *files; /* protected names */
	size_t file_count;
	bool network;
};

/* home: what "~" means, an absolute path; NULL: it means nothing, and is denied. On error NULL, and
 * every mistake is appended to mistakes, each on a line of its own: "allow[2]: is empty". */
struct policy *
policy_parse(const char *text, size_t len, const char *home, struct json_buf *mistakes) MUST_CHECK;
void policy_free(struct policy *p); /* NULL is fine */
bool policy_is_killed(const struct policy *p);
/* NULL: none, and no network. */
struct policy_places policy_places(const struct policy *p);

/* All of them: a NULL policy (none could be read) denies. cwd: absolute, of the command. */

/* A command line as a POSIX shell reads it. [ba]sh -c or -lc around a whole one is taken off. */
struct policy_decision
policy_decide_command(const struct policy *p, const char *command, size_t len, const char *cwd);
/* Files to be written, created, moved from or to, or removed. cwd NULL: relative ones are denied.
 */
struct policy_decision policy_decide_patch(const struct policy *p, const char *const *paths,
                                           size_t count, const char *cwd);

#endif
