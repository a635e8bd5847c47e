/* What is taken over of Codex's model catalog and of its user's configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "supervisor/codex/binary.h"
#include "supervisor/codex/catalog.h"
#include "supervisor/codex/log_line.h"
#include "supervisor/codex/user_config.h"

/* --- catalog -------------------------------------------------------------------------------- */

static const char catalog[] =
	"{\"models\":[{\"slug\":\"m-1\",\"display_name\":\"M\",\"priority\":2,"
	"\"base_instructions\":\"You are Codex\",\"tool_mode\":\"code_mode_only\","
	"\"model_messages\":{\"x\":\"y\"},\"shell_type\":\"unified_exec\","
	"\"apply_patch_tool_type\":\"freeform\",\"experimental_supported_tools\":[\"clock\"],"
	"\"context_window\":272000,\"max_context_window\":872000,\"default_verbosity\":\"low\","
	"\"truncation_policy\":{\"mode\":\"tokens\",\"limit\":10000}}],\"etag\":\"x\"}";

static json_t *
transformed(bool keep)
{
	struct err err = {.code = 0};
	char *text = NULL;
	size_t len;
	json_t *root;

	assert_int_equal(
		catalog_transform(&text, &len, catalog, strlen(catalog), keep, false, &err), 0);
	root = json_loadb(text, len, 0, NULL);
	free(text);
	assert_non_null(root);
	return root;
}

static void
the_catalog_has_no_prompt_no_tool_and_no_limit(void **state)
{
	json_auto_t *root = transformed(false);
	const json_t *m = json_array_get(json_object_get(root, "models"), 0);
	const json_t *policy = json_object_get(m, "truncation_policy");

	assert_string_equal(json_string_value(json_object_get(m, "slug")), "m-1");
	assert_string_equal(json_string_value(json_object_get(m, "base_instructions")), "");
	assert_string_equal(json_string_value(json_object_get(m, "shell_type")), "disabled");
	assert_null(json_object_get(m, "tool_mode"));
	assert_null(json_object_get(m, "model_messages"));
	assert_null(json_object_get(m, "default_verbosity"));
	assert_true(json_is_null(json_object_get(m, "apply_patch_tool_type")));
	assert_int_equal(json_array_size(json_object_get(m, "experimental_supported_tools")), 0);
	assert_true(json_integer_value(json_object_get(m, "context_window")) >= 1000000000);
	assert_true(json_integer_value(json_object_get(m, "max_context_window")) >= 1000000000);
	assert_true(json_integer_value(json_object_get(policy, "limit")) >= 1000000000);
}

static void
codex_own_instructions_stay_when_asked_for(void **state)
{
	json_auto_t *root = transformed(true);
	const json_t *m = json_array_get(json_object_get(root, "models"), 0);

	assert_string_equal(json_string_value(json_object_get(m, "base_instructions")),
	                    "You are Codex");
}

static void
a_catalog_that_is_none_is_refused(void **state)
{
	static const char *const bad[] = {"",
	                                  "{}",
	                                  "[]",
	                                  "{\"models\":[]}",
	                                  "{\"models\":[{}]}",
	                                  "{\"models\":[1]}",
	                                  "warning\n{}"};

	for (size_t i = 0; i < NELEM(bad); i++) {
		struct err err = {.code = 0};
		char *text = NULL;
		size_t len;

		assert_true(catalog_transform(&text, &len, bad[i], strlen(bad[i]), false, false,
		                              &err) < 0);
		assert_true(err.text[0] != '\0');
		assert_null(text);
	}
}

/* --- the user's configuration --------------------------------------------------------------- */

static struct user_config
derived_as(const char *text, enum user_config_tuning tuning)
{
	json_auto_t *read = json_loads(text, 0, NULL);
	struct err err = {.code = 0};
	struct user_config c;

	assert_non_null(read);
	assert_int_equal(user_config_derive(&c, read, tuning, &err), 0);
	return c;
}

static struct user_config
derived(const char *text)
{
	return derived_as(text, USER_CONFIG_AS_IS);
}

static void
the_tuned_form_follows_the_login(void **state)
{
	struct user_config c = derived_as("{\"config\":{}}", USER_CONFIG_TUNED_CHATGPT);

	assert_non_null(strstr(c.toml, "model_provider = \"sidecar\""));
	assert_non_null(strstr(c.toml, "https://chatgpt.com/backend-api/codex"));
	assert_non_null(strstr(c.toml, "\"stream_max_retries\" = 0"));
	user_config_free(&c);
	c = derived_as("{\"config\":{\"model_provider\":\"openai\"}}", USER_CONFIG_TUNED);
	assert_non_null(strstr(c.toml, "https://api.openai.com/v1"));
	user_config_free(&c);
	c = derived_as("{\"config\":{\"model_provider\":\"up\",\"model_providers\":{\"up\":{"
	               "\"base_url\":\"http://x\",\"stream_max_retries\":5}}}}",
	               USER_CONFIG_TUNED);
	assert_non_null(strstr(c.toml, "model_provider = \"up\""));
	assert_non_null(strstr(c.toml, "\"stream_max_retries\" = 0"));
	user_config_free(&c);
}

static void
only_the_provider_and_its_login_are_taken_over(void **state)
{
	struct user_config c = derived(
		"{\"config\":{\"model_provider\":\"up\",\"model\":null,"
		"\"mcp_servers\":{\"foo\":{\"command\":\"LEAK\"}},\"notify\":[\"LEAK\"],"
		"\"developer_instructions\":\"LEAK\",\"instructions\":\"LEAK\","
		"\"model_instructions_file\":\"LEAK\",\"features\":{\"shell_tool\":true},"
		"\"model_providers\":{\"up\":{\"name\":\"up\",\"env_key\":\"UP_KEY\","
		"\"request_max_retries\":0,\"requires_openai_auth\":false,\"aws\":null,"
		"\"env_http_headers\":{\"X-A\":\"UP_HEADER\"}},\"b\":{\"env_key\":null}}}}");

	assert_non_null(strstr(c.toml, "model_provider = \"up\"\n"));
	assert_non_null(strstr(c.toml, "\"request_max_retries\" = 0"));
	assert_non_null(strstr(c.toml, "\"requires_openai_auth\" = false"));
	assert_null(strstr(c.toml, "LEAK"));
	assert_null(strstr(c.toml, "null"));
	assert_null(strstr(c.toml, "features"));
	assert_string_equal(c.env_keys[0], "UP_KEY");
	assert_string_equal(c.env_keys[1], "UP_HEADER");
	assert_null(c.env_keys[2]);
	user_config_free(&c);
}

static void
strings_and_keys_are_valid_toml(void **state)
{
	struct user_config c =
		derived("{\"config\":{\"model_providers\":{\"a \\\"b\\\"\":{\"http_headers\":{"
	                "\"X\":\"tab\\tnl\\nquote\\\"back\\\\del\\u007f \\u00e9\"},"
	                "\"list\":[1,null,\"two\"],\"ratio\":0.5}}}}");

	assert_non_null(strstr(c.toml, "\"a \\\"b\\\"\" = {"));
	assert_non_null(strstr(c.toml, "tab\\tnl\\nquote\\\"back\\\\del\\u007F \xc3\xa9\""));
	assert_non_null(strstr(c.toml, "\"list\" = [1, \"two\"]"));
	assert_non_null(strstr(c.toml, "\"ratio\" = 5.00000000000000000e-01"));
	user_config_free(&c);
}

static void
no_configuration_at_all_is_an_empty_one(void **state)
{
	struct user_config c = derived("{\"config\":{\"model_providers\":{},\"model\":null}}");

	assert_null(strstr(c.toml, "="));
	assert_null(c.env_keys[0]);
	user_config_free(&c);
}

/* --- binary --------------------------------------------------------------------------------- */

static void
write_file(const char *dir, const char *below, const char *data, size_t len)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, below);
	for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		(void)mkdir(path, 0755);
		*p = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	(void)close(fd);
}

static void
check_shim(const char *package, const char *link)
{
	static const char script[] = "#!/usr/bin/env node\n";
	char dir[] = "/tmp/test-binary-XXXXXX", path[PATH_MAX], want[PATH_MAX], cmd[PATH_MAX];
	struct err err = {.code = 0};
	char *found = NULL, *real;

	assert_non_null(mkdtemp(dir));
	real = realpath(dir, NULL);
	write_file(real, "lib/node_modules/@openai/codex/bin/codex.js", script, strlen(script));
	write_file(real, package, "\177ELFxxxx", 8);
	(void)snprintf(path, sizeof(path), "%s/%s", real, link);
	if (strcmp(link, "codex") == 0)
		assert_int_equal(symlink("lib/node_modules/@openai/codex/bin/codex.js", path), 0);
	(void)snprintf(want, sizeof(want), "%s/%s", real, package);
	assert_int_equal(codex_binary_find(&found, path, &err), 0);
	assert_string_equal(found, want);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", real);
	assert_int_equal(system(cmd), 0);
	free(found);
	free(real);
}

#if defined(__aarch64__)
#define PACKAGE "codex-linux-arm64/vendor/aarch64-unknown-linux-musl/bin/codex"
#else
#define PACKAGE "codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex"
#endif

static void
the_native_binary_is_found_behind_the_shim(void **state)
{
	check_shim("lib/node_modules/@openai/" PACKAGE, "codex");
	check_shim("lib/node_modules/@openai/codex/node_modules/@openai/" PACKAGE, "codex");
	check_shim("lib/node_modules/@openai/" PACKAGE,
	           "lib/node_modules/@openai/codex/bin/codex.js");
}

static void
a_missing_binary_is_named(void **state)
{
	struct err err = {.code = 0};
	char *found = NULL;

	assert_true(codex_binary_find(&found, "no-such-codex-anywhere", &err) < 0);
	assert_non_null(strstr(err.text, "no-such-codex-anywhere"));
	assert_true(codex_binary_find(&found, "/etc/passwd", &err) < 0);
}

/* --- log lines ------------------------------------------------------------------------------ */

static void
a_json_line_gives_its_message_and_level(void **state)
{
	char buf[256];
	struct output_line line = {
		.level = LOG_LEVEL_INFO,
		.text = "{\"level\":\"WARN\",\"fields\":{\"message\":\"a\",\"message\":\"b\","
			"\"error\":\"c\"}}"};

	codex_log_line_lift(&line, buf, sizeof(buf));
	assert_int_equal(line.level, LOG_LEVEL_WARNING);
	assert_string_equal(line.text, "b: c");
}

static void
other_lines_stay_as_they_are(void **state)
{
	char buf[256];
	struct output_line line = {.level = LOG_LEVEL_INFO, .text = "{not json"};

	codex_log_line_lift(&line, buf, sizeof(buf));
	assert_string_equal(line.text, "{not json");
	assert_int_equal(line.level, LOG_LEVEL_INFO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_catalog_has_no_prompt_no_tool_and_no_limit),
		cmocka_unit_test(codex_own_instructions_stay_when_asked_for),
		cmocka_unit_test(a_catalog_that_is_none_is_refused),
		cmocka_unit_test(only_the_provider_and_its_login_are_taken_over),
		cmocka_unit_test(the_tuned_form_follows_the_login),
		cmocka_unit_test(strings_and_keys_are_valid_toml),
		cmocka_unit_test(no_configuration_at_all_is_an_empty_one),
		cmocka_unit_test(the_native_binary_is_found_behind_the_shim),
		cmocka_unit_test(a_missing_binary_is_named),
		cmocka_unit_test(a_json_line_gives_its_message_and_level),
		cmocka_unit_test(other_lines_stay_as_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
