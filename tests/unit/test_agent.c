/* The agent profile's answers to codex's questions, and what its threads are told that they may do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "common/log.h"
#include "proxy/codex/agent.h"

#define COMMAND "item/commandExecution/requestApproval"
#define PATCH   "item/fileChange/requestApproval"

static const char rules[] =
	"{\"version\": 1, \"allow\": [\"ls\"], \"protected_paths\": [\"/opt/*/keys\"],"
	"\"protected_files\": [\".env\"], \"write_paths\": [\"/srv/ws\", \"/srv/out*\"]}";
static const char *const secrets[] = {"/home/u/.codex", NULL};

static char path[] = "/tmp/test-agent-XXXXXX";
static struct agent_config config;
static struct agent *agent;
static struct agent_calls *calls;

static void
write_policy(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int
setup(void **state)
{
	int fd;

	strcpy(path, "/tmp/test-agent-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	(void)close(fd);
	write_policy(rules);
	config = (struct agent_config){
		.policy_path = path, .workspace = "/srv/ws", .home = "/home/u", .secrets = secrets};
	agent = agent_new(&config);
	calls = agent_calls_new();
	assert_non_null(agent);
	assert_non_null(calls);
	return 0;
}

static int
teardown(void **state)
{
	agent_free(agent);
	agent_calls_free(calls);
	(void)unlink(path);
	return 0;
}

static json_t *
parsed(const char *text)
{
	json_t *value = json_parse(text, strlen(text), NULL);

	if (value == NULL)
		fail_msg("no JSON: %s", text);
	return value;
}

static void
hear_raw(const char *text)
{
	json_auto_t *item = parsed(text);

	agent_calls_hear_raw(calls, item);
}

static void
hear_item(const char *text)
{
	json_auto_t *item = parsed(text);

	agent_calls_hear_item(calls, item);
}

/* reason: its beginning; NULL: allowed. */
static void
assert_decision(const char *method, const char *params, const char *reason)
{
	json_auto_t *value = parsed(params);
	struct policy_decision d = agent_decide(agent, calls, method, value);

	if (reason == NULL && !d.allow)
		fail_msg("%s: %s", params, d.reason);
	if (reason != NULL && (d.allow || strncmp(d.reason, reason, strlen(reason)) != 0))
		fail_msg("%s: %s, expected %s", params, d.reason, reason);
}

#define CALL(id, arguments)                                                                        \
	"{\"type\":\"function_call\",\"call_id\":\"" id                                            \
	"\",\"name\":\"exec_command\",\"arguments\":\"" arguments "\"}"
#define ASK(id, more)                                                                              \
	"{\"kind\":\"command\",\"itemId\":\"" id                                                   \
	"\",\"command\":\"/bin/bash -c ls\",\"cwd\":\"/srv/ws\"" more "}"

static void
only_a_plain_command_whose_call_is_known_is_decided_by_the_policy(void **state)
{
	hear_raw(CALL("a", "{\\\"cmd\\\":\\\"ls\\\",\\\"tty\\\":false,\\\"sandbox_permissions\\\":"
	                   "\\\"use_default\\\"}"));
	assert_decision(COMMAND, ASK("a", ""), NULL);
	assert_decision(COMMAND, ASK("a", ",\"additionalPermissions\":null"), NULL);
	assert_decision(COMMAND, ASK("b", ""), "a call that is not known");
	assert_decision(COMMAND, ASK("a", ",\"additionalPermissions\":{}"), "a command with more");
	assert_decision(COMMAND, ASK("a", ",\"networkApprovalContext\":{\"host\":\"h\"}"),
	                "a command with more");
	assert_decision(COMMAND, ASK("a", ",\"environmentId\":\"remote\""), "a command somewhere");
	assert_decision(COMMAND, ASK("a", ",\"environmentId\":5"), "a command somewhere");
	assert_decision(COMMAND, ASK("a", ",\"environmentId\":\"local\\u0000\""),
	                "a command somewhere");
	assert_decision(COMMAND, ASK("a", ",\"environmentId\":\"local\""), NULL);
	assert_decision(COMMAND, ASK("a", ",\"environmentId\":null"), NULL);
	assert_decision(COMMAND, "{\"kind\":\"stdin\",\"itemId\":\"a\"}", "something that is not");
	assert_decision(COMMAND, "{\"itemId\":\"a\",\"command\":\"ls\",\"cwd\":\"/\"}",
	                "something that is not");
	assert_decision(COMMAND, "{\"kind\":\"command\",\"itemId\":\"a\",\"cwd\":\"/\"}",
	                "a command that is not told");
	assert_decision(COMMAND,
	                "{\"kind\":\"command\",\"itemId\":\"a\",\"command\":\"touch "
	                "x\",\"cwd\":\"/srv/ws\"}",
	                "a command that no prefix allows");
	hear_raw("{\"type\":\"function_call_output\",\"call_id\":\"a\",\"output\":\"\"}");
	assert_decision(COMMAND, ASK("a", ""), "a call that is not known");
}

static void
a_call_that_asks_for_more_is_declined_whatever_its_command(void **state)
{
	static const struct {
		const char *call;
		const char *reason;
	} rows[] = {
		{CALL("a",				 "{\\\"sandbox_permissions\\\":\\\"require_escalated\\\"}"),
	         "a command outside"},
		{CALL("a",					"{\\\"sandbox_permissions\\\":1}"),												    "a command outside"},
		{CALL("a",                     "{\\\"additional_permissions\\\":{}}"),"a command with more"},
		{CALL("a","{\\\"sandbox_permissions\\\":\\\"use_default\\\\u0000\\\"}"),
	         "a command outside"},
		{CALL("a",				 "{\\\"tty\\\":true}"),							  "a command that could be typed"},
		{CALL("a",					"{\\\"tty\\\":false,\\\"tty\\\":true}"),												    "a call that cannot be read"},
		{CALL("a",         "[]"),                   "a call that cannot be read"},
		{CALL("a","{"),"a call that cannot be read"},
		{"{\"type\":\"function_call\",\"call_id\":\"a\"}",                                 "a call that cannot be read"                                                                                      },
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		agent_calls_free(calls);
		calls = agent_calls_new();
		assert_non_null(calls);
		hear_raw(rows[i].call);
		assert_decision(COMMAND, ASK("a", ""), rows[i].reason);
	}
	/* a second call of the same name does not clear the first */
	hear_raw(CALL("a", "{}"));
	assert_decision(COMMAND, ASK("a", ""), "a call whose id is used twice");
}

#define FILES(list) "{\"type\":\"fileChange\",\"id\":\"p\",\"changes\":[" list "]}"
#define FILE_AT(at) "{\"path\":\"" at "\",\"kind\":{\"type\":\"add\"},\"diff\":\"\"}"

static void
a_patch_is_decided_by_all_of_its_files(void **state)
{
	static const struct {
		const char *item;
		const char *reason;
	} rows[] = {
		{FILES(FILE_AT("/srv/ws/a")),                           NULL                               },
		{FILES(FILE_AT("/srv/ws/a") "," FILE_AT("/srv/other")), "a file outside"                   },
		{FILES("{\"path\":\"/srv/ws/a\",\"kind\":{\"type\":\"update\",\"move_path\":"
	               "\"/srv/b\"}}"),
	         "a file outside"									  },
		{FILES(FILE_AT("/srv/ws/../b")),                        "a file outside"                   },
		{FILES(FILE_AT("/srv/ws/sub/.git/config")),             "a file that git"                  },
		{FILES(FILE_AT("/srv/ws/.codex/config.toml")),          "a file that git"                  },
		{FILES(FILE_AT("/srv/ws/x/../.agents/x")),              "a file that git"                  },
		{FILES(FILE_AT("/srv/ws/.env")),                        "protected_files[0]"               },
		{FILES(FILE_AT("a")),                                   "a path that cannot"               },
		{FILES(FILE_AT("/srv/ws/a\\u0000/../../x")),            "a patch whose files are not known"},
		{FILES("{\"path\":\"/srv/ws/a\"}"),                     "a patch whose files are not known"},
		{FILES(""),					     "no file"                          },
	};
	static const char ask[] = "{\"itemId\":\"p\",\"grantRoot\":null}";

	assert_decision(PATCH, ask, "a call that is not known");
	hear_raw("{\"type\":\"custom_tool_call\",\"call_id\":\"p\",\"name\":\"apply_patch\"}");
	assert_decision(PATCH, ask, "a patch whose files are not known");
	for (size_t i = 0; i < NELEM(rows); i++) {
		hear_item(rows[i].item);
		assert_decision(PATCH, ask, rows[i].reason);
	}
	hear_item(FILES(FILE_AT("/srv/ws/a")));
	assert_decision(PATCH, "{\"itemId\":\"p\",\"grantRoot\":\"/\"}", "a patch that asks");
}

static void
without_a_policy_that_holds_everything_is_declined(void **state)
{
	static const struct {
		const char *text;
		const char *problem;
	} rows[] = {
		{"{\"version\": 1, \"alow\": []}",                               "the tool policy has a mistake"},
		{"",							     "the tool policy has a mistake"},
		{"{\"version\": 1, \"kill_switch\": true, \"allow\": [\"ls\"]}", "the kill switch"              },
	};

	hear_raw(CALL("a", "{}"));
	for (size_t i = 0; i < NELEM(rows); i++) {
		write_policy(rows[i].text);
		agent_reload(agent);
		assert_memory_equal(agent_problem(agent), rows[i].problem, strlen(rows[i].problem));
		assert_decision(COMMAND, ASK("a", ""), rows[i].problem);
	}
	assert_int_equal(unlink(path), 0);
	agent_reload(agent);
	assert_decision(COMMAND, ASK("a", ""), "the tool policy cannot be read");
	write_policy(rules);
	agent_reload(agent);
	assert_null(agent_problem(agent));
	assert_decision(COMMAND, ASK("a", ""), NULL);
	config.deny_all = true;
	agent_reload(agent);
	assert_decision(COMMAND, ASK("a", ""), "CODEX_TOOL_APPROVAL=deny");
	config.deny_all = false;
	config.policy_path = NULL;
	agent_reload(agent);
	assert_decision(COMMAND, ASK("a", ""), "there is no tool policy");
}

static void
assert_places(const char *expected)
{
	json_auto_t *params = json_pack("{s:s,s:{s:s}}", "sandbox", "read-only", "config",
	                                "model_verbosity", "low");
	json_auto_t *wanted = parsed(expected);
	const json_t *profile, *c;

	assert_true(agent_params_add(agent, params));
	assert_null(json_object_get(params, "sandbox"));
	assert_string_equal(json_get_string(params, "approvalPolicy"), "untrusted");
	assert_string_equal(json_get_string(params, "permissions"), "sidecar");
	c = json_get_object(params, "config");
	assert_string_equal(json_get_string(c, "model_verbosity"), "low");
	profile = json_get_object(json_get_object(c, "permissions"), "sidecar");
	if (config.policy_path != NULL)
		assert_int_equal(json_object_set_new(wanted, path, json_string("deny")), 0);
	assert_true(json_equal(json_get_object(profile, "filesystem"), wanted));
	assert_false(json_get_bool(json_get_object(profile, "network"), "enabled", true));
	assert_string_equal(
		json_get_string(json_get_object(json_get_object(c, "projects"), "/srv/ws"),
	                        "trust_level"),
		"untrusted");
}

static void
the_sandbox_has_the_rules_too_and_the_secrets_without_any(void **state)
{
	assert_places("{\":root\":\"read\",\"/srv/ws\":\"write\",\"/opt/*/keys\":\"deny\","
	              "\"/srv/ws/**/.env\":\"deny\",\"/home/u/.codex\":\"deny\","
	              "\"glob_scan_max_depth\":16}");
	config.policy_path = NULL;
	agent_reload(agent);
	assert_places("{\":root\":\"read\",\"/srv/ws\":\"read\",\"/home/u/.codex\":\"deny\","
	              "\"glob_scan_max_depth\":16}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_a_plain_command_whose_call_is_known_is_decided_by_the_policy),
		TEST(a_call_that_asks_for_more_is_declined_whatever_its_command),
		TEST(a_patch_is_decided_by_all_of_its_files),
		TEST(without_a_policy_that_holds_everything_is_declined),
		TEST(the_sandbox_has_the_rules_too_and_the_secrets_without_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
