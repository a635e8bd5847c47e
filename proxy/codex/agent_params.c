/* agent_params: what a thread of the agent profile may do, in codex's words.
 *
 * It all goes with each thread, and not onto the app-server's command line: so it holds for an
 * app-server that somebody else has started too, and a policy that is read again holds from the
 * next thread on. A codex that does not take it refuses the thread. Which tools there are is the
 * launch recipe's part: "features" here would be all of them, and undo those of the command line.
 */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "proxy/codex/agent.h"

#define PROFILE    "sidecar"
#define GLOB_DEPTH 16 /* folders below the workspace in which protected names are looked for */

static bool
is_glob(const char *path)
{
	return strpbrk(path, "*?[") != NULL;
}

static bool
give(json_t *places, const char *path, const char *access)
{
	return json_object_set_new(places, path, json_string(access)) == 0;
}

/* A name, wherever it is below a folder. */
static bool
deny_name(json_t *places, const char *folder, const char *name)
{
	char *glob = NULL;
	bool ok;

	if (asprintf(&glob, "%s/**/%s", folder, name) < 0)
		return false;
	ok = give(places, glob, "deny");
	free(glob);
	return ok;
}

/* The order does not matter: for each file the longest path wins, and "deny" over all.
 * One place that is denied keeps codex from repeating outside the sandbox a command that failed
 * inside, which it does without asking again: the secrets are there even without a policy. */
static json_t *
file_system(const struct agent *a)
{
	const struct agent_config *config = agent_config(a);
	const struct policy_places p = agent_places(a);
	json_t *places = json_pack("{s:s,s:s,s:i}", ":root", "read", config->workspace, "read",
	                           "glob_scan_max_depth", GLOB_DEPTH);
	bool ok = places != NULL;

	for (size_t i = 0; i < p.write_count; i++)
		if (!is_glob(p.write[i])) /* codex takes none there */
			ok = ok && give(places, p.write[i], "write");
	for (size_t i = 0; i < p.path_count; i++)
		ok = ok && give(places, p.paths[i], "deny");
	for (size_t i = 0; i < p.file_count; i++)
		ok = ok && deny_name(places, config->workspace, p.files[i]);
	for (const char *const *s = config->secrets; *s != NULL; s++)
		ok = ok && give(places, *s, "deny");
	if (config->policy_path != NULL)
		ok = ok && give(places, config->policy_path, "deny");
	if (ok)
		return places;
	json_decref(places);
	return NULL;
}

/* Nothing of ours reaches a command, no file of a shell runs before it, and "cd NAME" means what it
 * says. A shell that is given a socket as input takes itself for a remote one and reads ~/.bashrc,
 * unless SHLVL says that it is not the first. */
static json_t *
shell_environment(void)
{
	return json_pack("{s:s,s:{s:s,s:s}}", "inherit", "core", "set", "CDPATH", "", "SHLVL", "1");
}

/* The workspace is data: a configuration, rules or servers in it are nobody's word. (A thread that
 * may write is otherwise the sign for codex that its folder can be trusted.) */
static json_t *
settings(const struct agent *a)
{
	const struct policy_places p = agent_places(a);

	return json_pack("{s:{s:{s:o,s:{s:b}}},s:{s:{s:s}},s:o,s:b}", "permissions", PROFILE,
	                 "filesystem", file_system(a), "network", "enabled", p.network, "projects",
	                 agent_config(a)->workspace, "trust_level", "untrusted",
	                 "shell_environment_policy", shell_environment(), "allow_login_shell", 0);
}

bool
agent_params_add(const struct agent *a, json_t *params)
{
	json_t *config = json_object_get(params, "config");
	json_auto_t *more = settings(a);

	if (more == NULL)
		return false;
	if (config == NULL ? json_object_set(params, "config", more) < 0
	                   : json_object_update(config, more) < 0)
		return false;
	(void)json_object_del(params, "sandbox"); /* goes by the other name: not both */
	return json_object_set_new(params, "approvalPolicy", json_string("untrusted")) == 0 &&
	       json_object_set_new(params, "approvalsReviewer", json_string("user")) == 0 &&
	       json_object_set_new(params, "permissions", json_string(PROFILE)) == 0;
}
