/* approvals_check: an agent that allows something, and what must hold of each approval: the call
 * was told before, asked for nothing more, and the policy has a rule for all of it. */
#ifndef SIDECAR_TESTS_APPROVALS_CHECK_H
#define SIDECAR_TESTS_APPROVALS_CHECK_H

#include <sys/mman.h>
#include <unistd.h>

#include "proxy/codex/agent.h"
#include "tests/fuzz/policy_check.h"

#define APPROVALS_THREAD "t1"

/* What was told of the thread. */
struct approvals {
	bool allowed;  /* the policy is one that allows something */
	json_t *calls; /* Responses items, in their order; NULL: none */
	json_t *items; /* those of codex, begun */
	json_int_t asked;
};

/* With policy_rules. Once. */
static inline struct agent *
approvals_agent(void)
{
	static const char *const secrets[] = {NULL};
	static char path[64];
	static struct agent_config config = {
		.policy_path = path, .workspace = "/proj", .home = POLICY_HOME, .secrets = secrets};
	int fd = memfd_create("policy", MFD_CLOEXEC);
	struct agent *agent;

	HOLDS(fd >= 0);
	HOLDS(write(fd, policy_rules, strlen(policy_rules)) == (ssize_t)strlen(policy_rules));
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	agent = agent_new(&config);
	HOLDS(agent != NULL && agent_problem(agent) == NULL);
	return agent;
}

static inline void
approvals_forget(struct approvals *a)
{
	json_decref(a->calls);
	json_decref(a->items);
	memset(a, 0, sizeof(*a));
}

static inline void
approvals_add(json_t **list, json_t *item)
{
	if (*list == NULL)
		*list = json_array();
	HOLDS(item == NULL || json_array_append(*list, item) == 0);
}

static inline void
approvals_hear(struct approvals *a, const json_t *root)
{
	const char *method = json_get_string(root, "method");
	const json_t *params = json_object_get(root, "params");
	const char *thread = json_get_string(params, "threadId");

	if (method == NULL || thread == NULL || strcmp(thread, APPROVALS_THREAD) != 0)
		return;
	if (strcmp(method, "rawResponseItem/completed") == 0)
		approvals_add(&a->calls, json_object_get(params, "item"));
	if (strcmp(method, "item/started") == 0)
		approvals_add(&a->items, json_object_get(params, "item"));
}

/* Not there, or as much as that. */
static inline bool
says_nothing(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return value == NULL || json_is_null(value);
}

static inline bool
is_no(const json_t *object, const char *key)
{
	return says_nothing(object, key) || json_is_false(json_object_get(object, key));
}

/* A call that asks for nothing more than to run as calls run here. */
static inline bool
is_innocent(const json_t *call)
{
	const char *type = json_get_string(call, "type");
	const json_t *text = json_object_get(call, "arguments");
	const json_t *sandbox;
	json_t *arguments;
	bool innocent;

	if (type != NULL && strcmp(type, "custom_tool_call") == 0)
		return true;
	if (type == NULL || strcmp(type, "function_call") != 0 || !json_is_string(text))
		return false;
	arguments = json_loadb(json_string_value(text), json_string_length(text),
	                       JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	sandbox = json_object_get(arguments, "sandbox_permissions");
	innocent = json_is_object(arguments) &&
	           (is_no(arguments, "sandbox_permissions") ||
	            fuzz_same("use_default", 11, sandbox)) &&
	           is_no(arguments, "with_escalated_permissions") &&
	           is_no(arguments, "additional_permissions") && is_no(arguments, "tty");
	json_decref(arguments);
	return innocent;
}

/* Some call of that name was told, and asked for nothing. */
static inline void
check_call(const struct approvals *a, const char *id)
{
	const json_t *call;
	size_t i;
	bool innocent = false;

	json_array_foreach(a->calls, i, call) {
		const char *call_id = json_get_string(call, "call_id");

		if (call_id != NULL && strcmp(call_id, id) == 0)
			innocent |= is_innocent(call);
	}
	HOLDS(innocent);
}

static inline void
check_patched(const json_t *path)
{
	static const char *const never[] = {"/.git/", "/.codex/", "/.agents/"};
	const char *text = json_text(path);
	char *whole = NULL;

	HOLDS(text != NULL && text[0] == '/');
	check_written("", text);
	HOLDS(asprintf(&whole, "%s/", meant_path("", text)) > 0);
	for (size_t i = 0; i < NELEM(never); i++)
		HOLDS(strstr(whole, never[i]) == NULL);
	free(whole);
}

/* The files of the last one that was told: all are such as may be written. */
static inline void
check_patch(const struct approvals *a, const json_t *params, const char *id)
{
	const json_t *item, *last = NULL;
	json_t *change;
	size_t i;

	HOLDS(says_nothing(params, "grantRoot"));
	json_array_foreach(a->items, i, item) {
		const char *type = json_get_string(item, "type");
		const char *item_id = json_get_string(item, "id");

		if (type != NULL && item_id != NULL && strcmp(type, "fileChange") == 0 &&
		    strcmp(item_id, id) == 0)
			last = item;
	}
	HOLDS(json_array_size(json_object_get(last, "changes")) > 0);
	json_array_foreach(json_object_get(last, "changes"), i, change) {
		const json_t *kind = json_object_get(change, "kind");

		HOLDS(json_is_object(kind));
		check_patched(json_object_get(change, "path"));
		if (!says_nothing(kind, "move_path"))
			check_patched(json_object_get(kind, "move_path"));
	}
}

static inline void
check_asked_command(const json_t *params)
{
	const json_t *command = json_object_get(params, "command");
	const char *kind = json_get_string(params, "kind");
	const char *cwd = json_get_string(params, "cwd");

	HOLDS(kind != NULL && strcmp(kind, "command") == 0);
	HOLDS(says_nothing(params, "environmentId") ||
	      fuzz_same("local", 5, json_object_get(params, "environmentId")));
	HOLDS(says_nothing(params, "additionalPermissions"));
	HOLDS(says_nothing(params, "networkApprovalContext"));
	HOLDS(json_is_string(command) && cwd != NULL);
	check_allowed_command(json_string_value(command), json_string_length(command), cwd);
}

/* question was answered by something else than a no. */
static inline void
approvals_check(const struct approvals *a, const json_t *question, const char *word)
{
	const char *method = json_get_string(question, "method");
	const json_t *params = json_object_get(question, "params");
	const char *thread = json_get_string(params, "threadId");
	const char *id = json_get_string(params, "itemId");

	HOLDS(a->allowed && word != NULL && strcmp(word, "accept") == 0);
	HOLDS(method != NULL && thread != NULL && strcmp(thread, APPROVALS_THREAD) == 0);
	HOLDS(id != NULL);
	check_call(a, id);
	if (strcmp(method, "item/fileChange/requestApproval") == 0) {
		check_patch(a, params, id);
		return;
	}
	HOLDS(strcmp(method, "item/commandExecution/requestApproval") == 0);
	check_asked_command(params);
}

/* An answer to question: nothing is granted but a command or a patch, once. */
static inline void
approvals_check_reply(const struct approvals *a, const json_t *question, const json_t *result)
{
	const json_t *decision = json_object_get(result, "decision");
	const char *word = json_string_value(decision);

	HOLDS(json_object_size(json_object_get(result, "permissions")) == 0);
	HOLDS(json_object_size(json_object_get(result, "answers")) == 0);
	if (json_object_get(result, "action") != NULL)
		HOLDS(strcmp(json_get_string(result, "action"), "decline") == 0);
	if (json_is_object(decision))
		HOLDS(json_object_size(decision) == 1 &&
		      json_object_get(decision, "denied") != NULL);
	else if (decision != NULL && strcmp(word, "decline") != 0)
		approvals_check(a, question, word);
}

/* --- what asks ------------------------------------------------------------------------------- */

/* params: taken over. NULL: it could not be made, for the text is no UTF-8. */
static inline char *
approvals_frame(const char *method, json_t *params, json_int_t id)
{
	json_t *frame =
		params == NULL ? NULL
		: id > 0 ? json_pack("{s:I,s:s,s:o}", "id", id, "method", method, "params", params)
			 : json_pack("{s:s,s:o}", "method", method, "params", params);
	char *text = frame != NULL ? json_dumps(frame, JSON_COMPACT) : NULL;

	json_decref(frame);
	return text;
}

/* A call of the model's, and the question whether it may run. n: a number of its own. */
static inline void
approvals_ask_command(char *frames[2], const char *command, size_t len, json_int_t n)
{
	char id[16];

	(void)snprintf(id, sizeof(id), "k%d", (int)n);
	frames[0] = approvals_frame("rawResponseItem/completed",
	                            json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:s}}", "threadId",
	                                      APPROVALS_THREAD, "turnId", "u1", "item", "type",
	                                      "function_call", "name", "exec_command", "arguments",
	                                      "{}", "call_id", id),
	                            0);
	frames[1] = approvals_frame("item/commandExecution/requestApproval",
	                            json_pack("{s:s,s:s,s:s,s:s,s:s%,s:s}", "threadId",
	                                      APPROVALS_THREAD, "turnId", "u1", "kind", "command",
	                                      "itemId", id, "command", command, len, "cwd",
	                                      "/proj/src"),
	                            n);
}

/* The same of a patch of this file, which may be moved there ("": is not). */
static inline void
approvals_ask_patch(char *frames[3], const char *path, const char *to, json_int_t n)
{
	char id[16];

	(void)snprintf(id, sizeof(id), "k%d", (int)n);
	frames[0] = approvals_frame(
		"rawResponseItem/completed",
		json_pack("{s:s,s:s,s:{s:s,s:s,s:s}}", "threadId", APPROVALS_THREAD, "turnId", "u1",
	                  "item", "type", "custom_tool_call", "name", "apply_patch", "call_id", id),
		0);
	frames[1] = approvals_frame("item/started",
	                            json_pack("{s:s,s:s,s:{s:s,s:s,s:[{s:s,s:{s:s,s:s*}}]}}",
	                                      "threadId", APPROVALS_THREAD, "turnId", "u1", "item",
	                                      "type", "fileChange", "id", id, "changes", "path",
	                                      path, "kind", "type", "update", "move_path",
	                                      to[0] != '\0' ? to : NULL),
	                            0);
	frames[2] = approvals_frame("item/fileChange/requestApproval",
	                            json_pack("{s:s,s:s,s:s}", "threadId", APPROVALS_THREAD,
	                                      "turnId", "u1", "itemId", id),
	                            n);
}

/* 'k': a command that the model calls; else the file of a patch, a tab, where it is moved to. */
static inline void
approvals_ask(struct approvals *a, char what, const char *text, size_t len,
              void (*say)(const char *frame, size_t len))
{
	char *frames[3] = {NULL};
	char *copy = strndup(text, len), *tab;

	HOLDS(copy != NULL);
	tab = strchr(copy, '\t');
	if (what == 'k') {
		approvals_ask_command(frames, text, len, ++a->asked);
	} else {
		if (tab != NULL)
			*tab = '\0';
		approvals_ask_patch(frames, copy, tab != NULL ? tab + 1 : "", ++a->asked);
	}
	for (size_t i = 0; i < NELEM(frames); i++) {
		if (frames[i] != NULL)
			say(frames[i], strlen(frames[i]));
		free(frames[i]);
	}
	free(copy);
}

#endif
