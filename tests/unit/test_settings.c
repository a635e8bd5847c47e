/* The table of settings, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/settings.h"

/* An environment: NAME=VALUE texts up to a NULL. */
static const char *
from_list(void *arg, const char *name)
{
	size_t len = strlen(name);

	for (const char *const *at = arg; *at != NULL; at++)
		if (strncmp(*at, name, len) == 0 && (*at)[len] == '=')
			return *at + len + 1;
	return NULL;
}

#define ENV(...) ((const char *[]){__VA_ARGS__, NULL})
#define KEY      "CODEX_PROXY_API_KEY=sk-test"

static struct settings
loaded(unsigned owners, const char **env)
{
	struct settings s;

	assert_int_equal(settings_load(&s, owners, from_list, env, stderr), 0);
	return s;
}

/* Loads, and gives the complaints; caller frees. */
static char *
complaints(int expected, unsigned owners, const char **env)
{
	static const struct settings empty;
	struct settings s;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(settings_load(&s, owners, from_list, env, f), expected);
	(void)fclose(f);
	assert_memory_equal(&s, &empty, sizeof(s)); /* nothing is left behind */
	return text;
}

static void
assert_complaint(unsigned owners, const char **env, const char *line)
{
	char *text = complaints(1, owners, env);

	assert_string_equal(text, line);
	free(text);
}

static void
the_documented_defaults_hold(void **state)
{
	struct settings s = loaded(SETTING_ALL, ENV(KEY));

	assert_string_equal(s.host, "127.0.0.1");
	assert_int_equal(s.port, 3460);
	assert_string_equal(s.default_effort, "medium");
	assert_int_equal(s.max_concurrent, 5);
	assert_int_equal(s.max_queue_depth, 20);
	assert_int_equal(s.queue_timeout_ms, 120000);
	assert_int_equal(s.proxy_timeout_ms, 900000);
	assert_int_equal(s.rate_limit_per_min, 60);
	assert_int_equal(s.orphan_sweep_interval_ms, 900000);
	assert_int_equal(s.degradation_threshold, 5);
	assert_int_equal(s.max_response_bytes, 5242880);
	assert_int_equal(s.max_request_bytes, 10485760);
	assert_int_equal(s.keepalive_ms, 10000);
	assert_int_equal(s.first_event_timeout_ms, 300000);
	assert_int_equal(s.idle_timeout_ms, 300000);
	assert_int_equal(s.drain_timeout_ms, 30000);
	assert_int_equal(s.sse_header_delay_ms, 1000);
	assert_int_equal(s.tool_approval, TOOL_APPROVAL_POLICY);
	assert_string_equal(s.codex_bin, "codex");
	assert_int_equal(s.instances, 1);
	assert_int_equal(s.profile, PROFILE_CHAT);
	assert_int_equal(s.history_mode, HISTORY_ITEMS);
	assert_int_equal(s.provider_mode, PROVIDER_AS_IS);
	assert_false(s.no_auth);
	assert_false(s.metrics_no_auth);
	assert_null(s.default_model);
	assert_null(s.app_server_url);
	assert_null(s.base_instructions);
	settings_free(&s);
	assert_null(s.host);
	settings_free(&s); /* an empty one is fine */
}

static void
every_kind_of_value_is_taken(void **state)
{
	struct settings s = loaded(
		SETTING_ALL, ENV(KEY, "CODEX_PROXY_PORT=8080", "CODEX_PROXY_NO_AUTH=Yes",
	                         "CODEX_PROVIDER_MODE=tuned", "CODEX_LOG_LEVEL=debug",
	                         "CODEX_LOG_FORMAT=journal", "CODEX_HOME=/home/u/.codex",
	                         "CODEX_MODEL_ALIASES=gpt-4o=gpt-5.5,small=gpt-5-mini",
	                         "CODEX_APP_SERVER_URL=unix:///run/a.sock",
	                         "CODEX_PROXY_RATE_LIMIT=0", "CODEX_BASE_INSTRUCTIONS=codex"));

	assert_string_equal(s.api_key, "sk-test");
	assert_int_equal(s.port, 8080);
	assert_true(s.no_auth);
	assert_int_equal(s.provider_mode, PROVIDER_TUNED);
	assert_int_equal(s.log_level, 3);
	assert_int_equal(s.log_format, 3);
	assert_string_equal(s.codex_home, "/home/u/.codex");
	assert_string_equal(s.model_aliases, "gpt-4o=gpt-5.5,small=gpt-5-mini");
	assert_int_equal(s.rate_limit_per_min, 0);
	settings_free(&s);
}

static void
an_empty_value_counts_as_unset(void **state)
{
	struct settings s =
		loaded(SETTING_ALL, ENV(KEY, "CODEX_PROXY_PORT=", "CODEX_DEFAULT_MODEL="));

	assert_int_equal(s.port, 3460);
	assert_null(s.default_model);
	settings_free(&s);
}

static void
all_wrong_values_are_reported_at_once(void **state)
{
	char *text = complaints(7, SETTING_ALL,
	                        ENV(KEY, "CODEX_PROXY_PORT=70000", "CODEX_MAX_CONCURRENT=many",
	                            "CODEX_METRICS_NO_AUTH=maybe", "CODEX_PROFILE=butler",
	                            "CODEX_HOME=here", "CODEX_PROXY_TLS_CERT=/cert.pem",
	                            "CODEX_MODEL_ALIASES=a=b,c"));

	assert_string_equal(
		text, "CODEX_PROXY_PORT: \"70000\" is not a whole number from 1 to 65535\n"
		      "CODEX_PROFILE: \"butler\" is none of chat|agent\n"
		      "CODEX_MAX_CONCURRENT: \"many\" is not a whole number from 1 to 10000\n"
		      "CODEX_METRICS_NO_AUTH: \"maybe\" is neither 1 nor 0\n"
		      "CODEX_HOME: \"here\" is not an absolute path\n"
		      "CODEX_MODEL_ALIASES: is not a list of alias=model, with commas between "
		      "them\n"
		      "CODEX_PROXY_TLS_KEY: is needed with CODEX_PROXY_TLS_CERT\n");
	free(text);
}

static void
web_origins_are_checked(void **state)
{
	static const char *const good[] = {
		"CODEX_CORS_ORIGINS=*", "CODEX_CORS_ORIGINS=http://localhost:5173",
		"CODEX_CORS_ORIGINS=https://a.example, app://obsidian.md ,null"};
	static const char *const bad[] = {"CODEX_CORS_ORIGINS=a.example",
	                                  "CODEX_CORS_ORIGINS=https://a.example/",
	                                  "CODEX_CORS_ORIGINS=https://a.example https://b.example",
	                                  "CODEX_CORS_ORIGINS=https://a.example,,https://b.example",
	                                  "CODEX_CORS_ORIGINS=https://",
	                                  "CODEX_CORS_ORIGINS=://x"};

	for (size_t i = 0; i < NELEM(good); i++) {
		struct settings s = loaded(SETTING_PROXY, ENV(KEY, good[i]));

		assert_non_null(s.cors_origins);
		settings_free(&s);
	}
	for (size_t i = 0; i < NELEM(bad); i++) {
		char *text = complaints(1, SETTING_PROXY, ENV(KEY, bad[i]));

		assert_non_null(strstr(text, "CODEX_CORS_ORIGINS: is neither * nor a list"));
		free(text);
	}
}

static void
the_agent_profile_needs_a_workspace_and_items(void **state)
{
	char *text = complaints(3, SETTING_PROXY,
	                        ENV(KEY, "CODEX_PROFILE=agent", "CODEX_HISTORY_MODE=transcript",
	                            "CODEX_TOOL_APPROVAL=allow"));

	assert_string_equal(text, "CODEX_TOOL_APPROVAL: \"allow\" is none of policy|deny\n"
	                          "CODEX_WORKSPACE: is needed with CODEX_PROFILE=agent\n"
	                          "CODEX_HISTORY_MODE: transcript is not available with "
	                          "CODEX_PROFILE=agent\n");
	free(text);
}

static void
hosts_of_images_are_hosts(void **state)
{
	static const char *const good[] = {
		"CODEX_IMAGE_FETCH_HOSTS=example.com",
		"CODEX_IMAGE_FETCH_HOSTS=*",
		"CODEX_IMAGE_FETCH_HOSTS=*:8443",
		"CODEX_IMAGE_FETCH_HOSTS=*.example.com , "
		"a-b.example:8443,192.0.2.7:1,[::1],[::1]:443",
	};
	static const char *const bad[] = {
		"CODEX_IMAGE_FETCH_HOSTS=https://example.com",
		"CODEX_IMAGE_FETCH_HOSTS=example.com/",
		"CODEX_IMAGE_FETCH_HOSTS=example.com:",
		"CODEX_IMAGE_FETCH_HOSTS=example.com:https",
		"CODEX_IMAGE_FETCH_HOSTS=example.com:123456",
		"CODEX_IMAGE_FETCH_HOSTS=a.example,,b.example",
		"CODEX_IMAGE_FETCH_HOSTS=a.example b.example",
		"CODEX_IMAGE_FETCH_HOSTS=*example.com",
		"CODEX_IMAGE_FETCH_HOSTS=*.",
		"CODEX_IMAGE_FETCH_HOSTS=a.*.example",
		"CODEX_IMAGE_FETCH_HOSTS=[::1",
		"CODEX_IMAGE_FETCH_HOSTS=::1",
		"CODEX_IMAGE_FETCH_HOSTS= ",
	};

	for (size_t i = 0; i < NELEM(good); i++) {
		struct settings s = loaded(SETTING_PROXY, ENV(KEY, good[i]));

		assert_non_null(s.image_fetch_hosts);
		settings_free(&s);
	}
	for (size_t i = 0; i < NELEM(bad); i++) {
		char *text = complaints(1, SETTING_PROXY, ENV(KEY, bad[i]));

		if (strstr(text, "CODEX_IMAGE_FETCH_HOSTS: is not a list of hosts") == NULL)
			fail_msg("%s: %s", bad[i], text);
		free(text);
	}
}

static void
numbers_must_be_whole_and_in_range(void **state)
{
	static const char *const wrong[] = {"0",     "65536", "-1",   "8080 ",
	                                    " 8080", "80.5",  "0x50", "99999999999999999999"};

	for (size_t i = 0; i < NELEM(wrong); i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "CODEX_PROXY_PORT=%s", wrong[i]);
		free(complaints(1, SETTING_PROXY, ENV(KEY, text)));
	}
}

static void
a_wrong_value_is_shown_on_one_line_and_not_whole(void **state)
{
	char value[300] = "CODEX_PROXY_PORT=1\n\x1b[31m";
	char *text;

	memset(value + strlen(value), 'x', 200);
	text = complaints(1, SETTING_PROXY, ENV(KEY, value));
	assert_non_null(strstr(text, "\"1??[31mxxx"));
	assert_non_null(strstr(text, "...\" is not"));
	assert_true(strlen(text) < 200);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	free(text);
}

static void
a_secret_is_never_shown(void **state)
{
	assert_complaint(SETTING_PROXY, ENV("CODEX_PROXY_API_KEY=sk secret\n"),
	                 "CODEX_PROXY_API_KEY: holds white space or control characters\n");
	assert_complaint(SETTING_PROXY, ENV(KEY, "CODEX_APP_SERVER_URL=http://u:secret@h/"),
	                 "CODEX_APP_SERVER_URL: is neither unix:///PATH nor ws://HOST:PORT\n");
}

static void
the_proxy_needs_a_key_or_a_reason_to_have_none(void **state)
{
	static const char *const fine[][2] = {
		{"CODEX_PROXY_API_KEY=k",           NULL                        },
		{"CODEX_PROXY_API_KEY_FILE=/k",     NULL                        },
		{"CODEX_PROXY_API_KEYS_FILE=/k",    NULL                        },
		{"CODEX_PROXY_LISTEN_UNIX=/p.sock", NULL                        },
		{"CODEX_PROXY_NO_AUTH=1",           NULL                        },
		{"CODEX_PROXY_NO_AUTH=1",           "CODEX_PROXY_HOST=localhost"},
		{"CODEX_PROXY_NO_AUTH=1",           "CODEX_PROXY_HOST=::1"      },
		{"CODEX_PROXY_API_KEY=k",           "CODEX_PROXY_HOST=0.0.0.0"  },
	};

	for (size_t i = 0; i < NELEM(fine); i++) {
		struct settings s = loaded(SETTING_PROXY, ENV(fine[i][0], fine[i][1]));

		settings_free(&s);
	}
	free(complaints(1, SETTING_PROXY, ENV("X=1")));
	free(complaints(1, SETTING_PROXY, ENV("CODEX_PROXY_NO_AUTH=0")));
	free(complaints(1, SETTING_PROXY,
	                ENV("CODEX_PROXY_NO_AUTH=1", "CODEX_PROXY_HOST=0.0.0.0")));
	free(complaints(1, SETTING_PROXY, ENV("CODEX_PROXY_NO_AUTH=1", "CODEX_PROXY_HOST=::")));
	/* a name, which may lead anywhere */
	free(complaints(1, SETTING_PROXY,
	                ENV("CODEX_PROXY_NO_AUTH=1", "CODEX_PROXY_HOST=127.example.com")));
}

static void
only_the_owner_reads_and_checks_its_settings(void **state)
{
	struct settings s = loaded(SETTING_HEALTHCHECK,
	                           ENV("CODEX_MAX_CONCURRENT=many", "CODEX_PROXY_PORT=1234"));

	assert_int_equal(s.port, 1234);
	assert_int_equal(s.max_concurrent, 5); /* the default of what is not ours */
	settings_free(&s);
	s = loaded(SETTING_SUPERVISOR, ENV("CODEX_PROXY_TLS_KEY=x"));
	settings_free(&s);
}

static void
aliases_have_one_name_and_one_model_each(void **state)
{
	static const char *const wrong[] = {"a", "a=", "=b", "a=b,,c=d", "a=b=c", ",a=b"};
	static const char *const right[] = {"a=b", "a=b,c=d", "a=b,"};
	char text[64];

	for (size_t i = 0; i < NELEM(wrong); i++) {
		(void)snprintf(text, sizeof(text), "CODEX_MODEL_ALIASES=%s", wrong[i]);
		free(complaints(1, SETTING_PROXY, ENV(KEY, text)));
	}
	for (size_t i = 0; i < NELEM(right); i++) {
		struct settings s;

		(void)snprintf(text, sizeof(text), "CODEX_MODEL_ALIASES=%s", right[i]);
		s = loaded(SETTING_PROXY, ENV(KEY, text));
		settings_free(&s);
	}
}

static void
what_is_sent_as_json_must_be_utf_8(void **state)
{
	static const char *const names[] = {"CODEX_MODEL_ALIASES", "CODEX_DEFAULT_MODEL",
	                                    "CODEX_DEFAULT_EFFORT", "CODEX_WORKSPACE"};
	char text[64], expected[64];

	for (size_t i = 0; i < NELEM(names); i++) {
		char *told;
		struct settings s;

		(void)snprintf(text, sizeof(text), "%s=/a=\xff", names[i]);
		(void)snprintf(expected, sizeof(expected), "%s: is not UTF-8\n", names[i]);
		told = complaints(1, SETTING_PROXY, ENV(KEY, text));
		assert_string_equal(told, expected);
		free(told);
		(void)snprintf(text, sizeof(text), "%s=/a=\xc3\xa4", names[i]);
		s = loaded(SETTING_PROXY, ENV(KEY, text));
		settings_free(&s);
	}
}

static void
server_urls_and_socket_paths_must_be_usable(void **state)
{
	static const char *const wrong[] = {"unix://run/a.sock", "http://h", "ws://",
	                                    "/run/a.sock"};
	char text[256], tail[121];

	for (size_t i = 0; i < NELEM(wrong); i++) {
		(void)snprintf(text, sizeof(text), "CODEX_APP_SERVER_URL=%s", wrong[i]);
		free(complaints(1, SETTING_PROXY, ENV(KEY, text)));
	}
	memset(tail, 'a', sizeof(tail) - 1);
	tail[sizeof(tail) - 1] = '\0';
	(void)snprintf(text, sizeof(text), "CODEX_APP_SERVER_URL=unix:///%s", tail);
	free(complaints(1, SETTING_PROXY, ENV(KEY, text)));
	(void)snprintf(text, sizeof(text), "CODEX_CONTROL_SOCKET=/%s", tail);
	free(complaints(1, SETTING_SUPERVISOR, ENV(text)));
	(void)snprintf(text, sizeof(text), "CODEX_PROXY_LISTEN_UNIX=/%s", tail);
	free(complaints(1, SETTING_HEALTHCHECK, ENV(text)));
}

static void
every_row_is_complete_and_named_once(void **state)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];

		assert_int_equal(strncmp(row->name, "CODEX_", 6), 0);
		assert_true(row->owners != 0 && (row->owners & ~SETTING_ALL) == 0);
		assert_true(row->help != NULL && row->help[0] != '\0');
		assert_true(row->kind != SETTING_INTEGER || row->min < row->max);
		assert_true((row->kind == SETTING_CHOICE) == (row->choices != NULL));
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(row->name, settings_table[k].name);
			assert_int_not_equal(row->offset, settings_table[k].offset);
		}
	}
}

static void
help_shows_the_settings_of_one_program_a_line_each(void **state)
{
	char *text = NULL;
	size_t len = 0, lines = 0, rows = 0;
	FILE *f = open_memstream(&text, &len);

	settings_help(f, SETTING_HEALTHCHECK);
	(void)fclose(f);
	for (const char *c = text; *c != '\0'; c++)
		lines += *c == '\n';
	for (size_t i = 0; i < settings_count; i++)
		rows += (settings_table[i].owners & SETTING_HEALTHCHECK) != 0;
	assert_int_equal(lines, rows);
	assert_non_null(strstr(text, "CODEX_PROXY_PORT"));
	assert_non_null(strstr(text, "3460"));
	assert_null(strstr(text, "CODEX_MAX_CONCURRENT"));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_documented_defaults_hold),
		cmocka_unit_test(every_kind_of_value_is_taken),
		cmocka_unit_test(an_empty_value_counts_as_unset),
		cmocka_unit_test(all_wrong_values_are_reported_at_once),
		cmocka_unit_test(web_origins_are_checked),
		cmocka_unit_test(hosts_of_images_are_hosts),
		cmocka_unit_test(the_agent_profile_needs_a_workspace_and_items),
		cmocka_unit_test(numbers_must_be_whole_and_in_range),
		cmocka_unit_test(a_wrong_value_is_shown_on_one_line_and_not_whole),
		cmocka_unit_test(a_secret_is_never_shown),
		cmocka_unit_test(the_proxy_needs_a_key_or_a_reason_to_have_none),
		cmocka_unit_test(only_the_owner_reads_and_checks_its_settings),
		cmocka_unit_test(aliases_have_one_name_and_one_model_each),
		cmocka_unit_test(what_is_sent_as_json_must_be_utf_8),
		cmocka_unit_test(server_urls_and_socket_paths_must_be_usable),
		cmocka_unit_test(every_row_is_complete_and_named_once),
		cmocka_unit_test(help_shows_the_settings_of_one_program_a_line_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
