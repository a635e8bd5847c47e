/* agent: the agent profile: what codex's own tools ask for is answered by the policy. */
#include "proxy/codex/agent.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "proxy/codex/policy_path.h"

#define POLICY_MAX  ((size_t)1 << 20) /* 1000 rules of 1 KB */
#define PATCH_FILES 1000

#define COMMAND "item/commandExecution/requestApproval"
#define PATCH   "item/fileChange/requestApproval"

struct agent {
	const struct agent_config *config;
	struct policy *policy; /* NULL: everything is denied, because of: */
	const char *problem;
};

/* --- the policy ------------------------------------------------------------------------------ */

static void
complain(const char *path, char *mistakes)
{
	char *save = NULL;

	for (char *line = strtok_r(mistakes, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save))
		log_error("tool policy: %s: %s", path, line);
}

static const char *
read_policy(struct agent *a)
{
	const char *path = a->config->policy_path;
	struct json_buf mistakes = {.data = NULL};
	AUTO_FREE char *text = NULL;
	struct err err;
	size_t len;

	if (a->config->deny_all)
		return "CODEX_TOOL_APPROVAL=deny";
	if (path == NULL)
		return "there is no tool policy";
	if (file_read(&text, &len, path, POLICY_MAX, &err) < 0) {
		log_error("tool policy: %s", err.text);
		return "the tool policy cannot be read";
	}
	a->policy = policy_parse(text, len, a->config->home, &mistakes);
	if (a->policy == NULL) {
		json_buf_append(&mistakes, "", 1);
		if (mistakes.failed)
			log_error("tool policy: %s: out of memory", path);
		else
			complain(path, mistakes.data);
	}
	json_buf_free(&mistakes);
	if (a->policy == NULL)
		return "the tool policy has a mistake";
	return policy_is_killed(a->policy) ? "the kill switch of the tool policy is on" : NULL;
}

void
agent_reload(struct agent *a)
{
	policy_free(a->policy);
	a->policy = NULL;
	a->problem = read_policy(a);
	if (a->problem != NULL)
		log_warning("tool policy: %s: every command and every patch is declined",
		            a->problem);
	else
		log_info("tool policy: read from %s", a->config->policy_path);
}

struct agent *
agent_new(const struct agent_config *config)
{
	struct agent *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->config = config;
	agent_reload(a);
	return a;
}

void
agent_free(struct agent *a)
{
	if (a == NULL)
		return;
	policy_free(a->policy);
	free(a);
}

const char *
agent_problem(const struct agent *a)
{
	return a->problem;
}

const struct agent_config *
agent_config(const struct agent *a)
{
	return a->config;
}

struct policy_places
agent_places(const struct agent *a)
{
	return policy_places(a->policy);
}

/* --- its answers ----------------------------------------------------------------------------- */

static struct policy_decision
no(const char *reason)
{
	struct policy_decision d = {.allow = false};

	strncat(d.reason, reason, sizeof(d.reason) - 1);
	return d;
}

/* Asks for more than to run a command as commands run here. */
static const char *
what_else(const json_t *params)
{
	static const char *const more[] = {"additionalPermissions", "networkApprovalContext"};
	const char *kind = json_get_string(params, "kind");
	const json_t *environment = json_object_get(params, "environmentId");
	const char *where = json_text(environment);

	if (kind == NULL || strcmp(kind, "command") != 0)
		return "something that is not a command";
	if (environment != NULL && !json_is_null(environment) &&
	    (where == NULL || strcmp(where, "local") != 0))
		return "a command somewhere else";
	for (size_t i = 0; i < NELEM(more); i++) {
		const json_t *value = json_object_get(params, more[i]);

		if (value != NULL && !json_is_null(value))
			return "a command with more permissions";
	}
	return NULL;
}

static struct policy_decision
decide_command(const struct agent *a, const json_t *params)
{
	const json_t *command = json_object_get(params, "command");
	const char *cwd = json_get_string(params, "cwd");
	const char *more = what_else(params);

	if (more != NULL)
		return no(more);
	if (!json_is_string(command) || cwd == NULL)
		return no("a command that is not told");
	return policy_decide_command(a->policy, json_string_value(command),
	                             json_string_length(command), cwd);
}

/* What git or Codex would run, or obey, later and outside of any sandbox; and the policy itself. */
static const char *
why_never(const struct agent *a, const char *path)
{
	static const char *const names[] = {".git", ".codex", ".agents"};
	const char *policy = a->config->policy_path;

	for (size_t i = 0; i < NELEM(names); i++)
		if (policy_path_has_name(names[i], path))
			return "a file that git or Codex obeys";
	return policy != NULL && strcmp(policy, path) == 0 ? "the tool policy itself" : NULL;
}

static struct policy_decision
decide_patch(const struct agent *a, const json_t *params, const json_t *files)
{
	const char *paths[PATCH_FILES];
	const json_t *root = json_object_get(params, "grantRoot");
	json_t *file;
	size_t i;

	if (root != NULL && !json_is_null(root))
		return no("a patch that asks for a whole folder");
	if (files == NULL || json_array_size(files) > PATCH_FILES)
		return no("a patch whose files are not known");
	json_array_foreach((json_t *)(uintptr_t)files, i, file) {
		char path[POLICY_PATH_MAX];
		const char *never;

		paths[i] = json_string_value(file);
		if (paths[i][0] != '/' ||
		    policy_path_resolve(path, paths[i], strlen(paths[i]), NULL, NULL) < 0)
			return no("a path that cannot be resolved");
		never = why_never(a, path);
		if (never != NULL)
			return no(never);
	}
	return policy_decide_patch(a->policy, paths, json_array_size(files), NULL);
}

bool
agent_is_asked(const char *method)
{
	return strcmp(method, COMMAND) == 0 || strcmp(method, PATCH) == 0;
}

struct policy_decision
agent_decide(const struct agent *a, const struct agent_calls *calls, const char *method,
             const json_t *params)
{
	const char *id = json_get_string(params, "itemId");
	const char *objection;

	if (a->problem != NULL)
		return no(a->problem);
	if (id == NULL)
		return no("a call that is not known");
	objection = agent_calls_objection(calls, id);
	if (objection != NULL)
		return no(objection);
	return strcmp(method, COMMAND) == 0 ? decide_command(a, params)
	                                    : decide_patch(a, params, agent_calls_patch(calls, id));
}
