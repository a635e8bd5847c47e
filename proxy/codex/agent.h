/* agent: the agent profile: what codex's own tools ask for is answered by the policy.
 *
 * Two walls. Codex asks before each command and each patch (approvalPolicy "untrusted", measured on
 * 0.169.0: there is no command that runs unasked), and the policy answers. What is approved runs in
 * codex's sandbox, which is told the same rules, and never outside of it. */
#ifndef SIDECAR_PROXY_CODEX_AGENT_H
#define SIDECAR_PROXY_CODEX_AGENT_H

#include <jansson.h>
#include <stdbool.h>

#include "common/common.h"
#include "proxy/codex/policy.h"

struct agent;       /* one for the process */
struct agent_calls; /* of one thread: what the model has called */

/* Borrowed for the agent's life. */
struct agent_config {
	const char *policy_path; /* NULL: everything is denied */
	const char *workspace;
	const char *home;           /* "~" in the policy; NULL: none */
	const char *const *secrets; /* files and folders no command may read, then NULL */
	bool deny_all;              /* without asking the policy */
};

/* agent.c */

/* Reads the policy. NULL: no memory. */
struct agent *agent_new(const struct agent_config *config) MUST_CHECK;
void agent_free(struct agent *a); /* NULL is fine */
/* Reads the policy again: one with a mistake denies everything, whatever the one before said. */
void agent_reload(struct agent *a);
/* Why everything is denied; NULL: it is not. */
const char *agent_problem(const struct agent *a);
/* method, params: of a request of the app-server in a thread with these calls. Only those two ask
 * for an approval that may be given. */
bool agent_is_asked(const char *method);
struct policy_decision agent_decide(const struct agent *a, const struct agent_calls *calls,
                                    const char *method, const json_t *params);

/* agent_calls.c: codex's questions do not say all that matters: whether a command would run
 * outside the sandbox, or which files a patch changes. The items of the calls do. */

struct agent_calls *agent_calls_new(void) MUST_CHECK; /* NULL: no memory */
void agent_calls_free(struct agent_calls *c);         /* NULL is fine */
/* A Responses item. What cannot be kept is not known later, and denied. */
void agent_calls_hear_raw(struct agent_calls *c, const json_t *item);
/* An item of codex, begun. */
void agent_calls_hear_item(struct agent_calls *c, const json_t *item);
/* Why this call may not run whatever its command is; NULL: nothing is against it. */
const char *agent_calls_objection(const struct agent_calls *c, const char *id);
/* The files of a patch: an array of strings; NULL: unknown. */
const json_t *agent_calls_patch(const struct agent_calls *c, const char *id);

/* agent_params.c */

/* Adds to the params of thread/start what such a thread may do. False: no memory. */
bool agent_params_add(const struct agent *a, json_t *params) MUST_CHECK;
/* For agent_params.c. */
const struct agent_config *agent_config(const struct agent *a);
struct policy_places agent_places(const struct agent *a);

#endif
