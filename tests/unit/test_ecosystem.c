/* The ecosystem file: what each key comes to. */
#include "tests/unit/ecosystem_fixture.h"

#include <signal.h>

#include "common/file.h"

/* --- what is taken -------------------------------------------------------------------------- */

static void
an_app_that_says_nothing_has_the_documented_defaults(void **state)
{
	struct ecosystem *e = with("");
	const struct ecosystem_app *a = &e->apps[0];

	assert_string_equal(a->name, "x");
	assert_string_equal(a->script, "x");
	assert_list(a->args, "");
	assert_list(a->interpreter_args, "");
	assert_list(a->env, "");
	assert_list(a->env_pass, "");
	assert_list(a->after, "");
	assert_null(a->interpreter);
	assert_null(a->cwd);
	assert_null(a->listen);
	assert_null(a->readiness_target);
	assert_null(a->cron_restart);
	assert_null(a->out_file);
	assert_null(a->error_file);
	assert_null(a->log_date_format);
	assert_int_equal(a->role, ECOSYSTEM_PLAIN);
	assert_false(a->recipe);
	assert_string_equal(a->instance_var, "NODE_APP_INSTANCE");
	assert_int_equal(a->instances, 1);
	assert_true(a->autostart);
	assert_true(a->autorestart);
	assert_int_equal(a->readiness, ECOSYSTEM_READY_NONE);
	assert_int_equal(a->listen_timeout_ms, 15000);
	assert_int_equal(a->min_uptime_ms, 5000);
	assert_int_equal(a->backoff_ms, 500);
	assert_int_equal(a->backoff_max_ms, 30000);
	assert_int_equal(a->max_restarts, 10);
	assert_int_equal(a->restart_window_ms, 600000);
	assert_int_equal(a->crash_loop_rest_ms, 300000);
	assert_int_equal(a->max_memory_bytes, 0);
	assert_int_equal(a->stop_signal, SIGTERM);
	assert_int_equal(a->drain_timeout_ms, 0);
	assert_int_equal(a->kill_timeout_ms, 10000);
	assert_int_equal(a->tier, 0);
	assert_true(a->merge_logs);
	assert_false(a->disable_logs);
	assert_false(a->log_json);
	assert_int_equal(a->log_rotate_max_bytes, 0);
	assert_int_equal(a->log_rotate_interval_ms, 0);
	assert_int_equal(a->log_rotate_retain, 30);
	assert_int_equal(e->warnings, 0);
	assert_int_equal(e->notes, 1); /* SIGTERM, not SIGINT */
	assert_true(says(e, ECOSYSTEM_NOTE, "apps[0]", "SIGTERM"));
	ecosystem_free(e);
}

static void
what_to_execute(void **state)
{
	struct ecosystem *e;

	ASSERT_APP("\"name\":\"web_1.a-b\"", strcmp(a->name, "web_1.a-b") == 0);
	ASSERT_APP("\"cwd\":\"/srv\"", strcmp(a->cwd, "/srv") == 0);
	ASSERT_APP("\"interpreter\":\"none\"", a->interpreter == NULL);
	ASSERT_APP("\"interpreter\":\"lua\"", strcmp(a->interpreter, "lua") == 0);
	ASSERT_APP("\"exec_interpreter\":\"lua\"", strcmp(a->interpreter, "lua") == 0);
	e = with("\"args\":\"-a 'b c'  \\\"d e\\\"f \"");
	assert_list(e->apps[0].args, "-a|b c|d ef|");
	ecosystem_free(e);
	e = with("\"args\":[\"a b\",\"\"]");
	assert_list(e->apps[0].args, "a b||");
	ecosystem_free(e);
	e = parse("{\"apps\":[{\"script\":\"/srv/app.js\",\"nodeArgs\":\"--inspect\"}]}");
	assert_int_equal(e->errors, 0);
	assert_string_equal(e->apps[0].name, "app");
	assert_string_equal(e->apps[0].interpreter, "node");
	assert_list(e->apps[0].interpreter_args, "--inspect|");
	ecosystem_free(e);
	e = parse("{\"apps\":{\"cmd\":\"tail -f '/a b'\",\"args\":[\"c\"],\"name\":\"t\"}}");
	assert_int_equal(e->errors, 0);
	assert_string_equal(e->apps[0].script, "tail");
	assert_list(e->apps[0].args, "-f|/a b|c|");
	assert_true(says(e, ECOSYSTEM_NOTE, "apps[0].script", "shell"));
	ecosystem_free(e);
}

static void
variables_are_for_the_app_and_no_settings(void **state)
{
	struct ecosystem *e = with("\"env\":{\"A\":\"1\",\"B\":2,\"C\":true,\"D\":{\"x\":[1.5]},"
	                           "\"max_restarts\":\"3\",\"E\":\"\"},\"port\":8080,"
	                           "\"env_pass\":[\"HTTP_PROXY\"]");

	assert_list(e->apps[0].env, "A=1|B=2|C=true|D={\"x\":[1.5]}|max_restarts=3|E=|PORT=8080|");
	assert_list(e->apps[0].env_pass, "HTTP_PROXY|");
	assert_int_equal(e->apps[0].max_restarts, 10);
	assert_true(says(e, ECOSYSTEM_NOTE, "apps[0].env.max_restarts", "no setting"));
	ecosystem_free(e);
	ASSERT_APP("\"instance_var\":\"N\"", strcmp(a->instance_var, "N") == 0);
}

static void
instances_may_be_counted_from_the_cpus(void **state)
{
	ASSERT_APP("\"instances\":3", a->instances == 3);
	ASSERT_APP("\"instances\":\"max\"", a->instances == CPUS);
	ASSERT_APP("\"instances\":0", a->instances == CPUS);
	ASSERT_APP("\"instances\":-1", a->instances == CPUS - 1);
	ASSERT_APP("\"instances\":-64", a->instances == 1);
}

static void
restarts(void **state)
{
	ASSERT_APP("\"autostart\":false", !a->autostart);
	ASSERT_APP("\"autorestart\":false", !a->autorestart);
	ASSERT_APP("\"stop_exit_codes\":[0,143]",
	           a->stop_exit[0] && a->stop_exit[143] && !a->stop_exit[1]);
	ASSERT_APP("\"stop_exit_codes\":0", a->stop_exit[0] && !a->stop_exit[255]);
	ASSERT_APP("\"stop_exit_codes\":[]", !a->stop_exit[0]);
	ASSERT_APP("\"min_uptime\":\"1h\"", a->min_uptime_ms == 3600000);
	ASSERT_APP("\"max_restarts\":5", a->max_restarts == 5);
	ASSERT_APP("\"restart_delay\":2000", a->backoff_ms == 2000);
	ASSERT_APP("\"restart_delay\":\"1m\"",
	           a->backoff_ms == 60000 && a->backoff_max_ms == 60000);
	ASSERT_APP("\"restart_delay\":2000,\"exp_backoff_restart_delay\":100",
	           a->backoff_ms == 100);
	ASSERT_APP("\"restart_delay\":2000,\"exp_backoff_restart_delay\":0", a->backoff_ms == 2000);
	ASSERT_APP("\"backoff_max\":\"15s\"", a->backoff_max_ms == 15000);
	ASSERT_APP("\"restart_window\":\"2m\"", a->restart_window_ms == 120000);
	ASSERT_APP("\"crash_loop_rest\":\"10m\"", a->crash_loop_rest_ms == 600000);
	ASSERT_APP("\"max_memory_restart\":\"300M\"", a->max_memory_bytes == 300 << 20);
	ASSERT_APP("\"max_memory_restart\":\"1.5G\"", a->max_memory_bytes == (int64_t)3 << 29);
	ASSERT_APP("\"max_memory_restart\":104857600", a->max_memory_bytes == 100 << 20);
	ASSERT_APP("\"cron_restart\":\"*/5 0-6 1,15 * 1-5\"",
	           strcmp(a->cron_restart, "*/5 0-6 1,15 * 1-5") == 0);
	ASSERT_APP("\"cron\":\"0 4 * jan-mar Mon,Fri\"",
	           strcmp(a->cron_restart, "0 4 * jan-mar Mon,Fri") == 0);
	ASSERT_APP("\"cron\":0", a->cron_restart == NULL);
	ASSERT_APP("\"cron_restart\":\"0\"", a->cron_restart == NULL);
}

static void
zero_is_a_value(void **state)
{
	struct ecosystem *e = with("\"max_restarts\":0,\"kill_timeout\":0,\"restart_delay\":0,"
	                           "\"min_uptime\":0,\"merge_logs\":false,\"backoff_max\":0");
	const struct ecosystem_app *a = &e->apps[0];

	assert_int_equal(a->max_restarts, 0);
	assert_int_equal(a->kill_timeout_ms, 0);
	assert_int_equal(a->backoff_ms, 0);
	assert_int_equal(a->backoff_max_ms, 0);
	assert_int_equal(a->min_uptime_ms, 0);
	assert_false(a->merge_logs);
	assert_true(says(e, ECOSYSTEM_NOTE, "apps[0].max_restarts", "0 is a value"));
	assert_true(says(e, ECOSYSTEM_NOTE, "apps[0].kill_timeout", "0 is a value"));
	assert_true(says(e, ECOSYSTEM_NOTE, "apps[0].merge_logs", "false is a value"));
	ecosystem_free(e);
}

static void
starting_and_stopping(void **state)
{
	ASSERT_APP("\"wait_ready\":true", a->readiness == ECOSYSTEM_READY_TOLD);
	ASSERT_APP("\"listen_timeout\":\"1.5s\"", a->listen_timeout_ms == 1500);
	ASSERT_APP("\"kill_timeout\":35000", a->kill_timeout_ms == 35000);
	ASSERT_APP("\"killTimeout\":\"2m\"", a->kill_timeout_ms == 120000);
	ASSERT_APP("\"drain_timeout\":\"3s\"", a->drain_timeout_ms == 3000);
	ASSERT_APP("\"drain_timeout\":\"1m\"", a->drain_timeout_ms == 10000);
	ASSERT_APP("\"stop_signal\":\"SIGINT\"", a->stop_signal == SIGINT);
	ASSERT_APP("\"stop_signal\":\"QUIT\"", a->stop_signal == SIGQUIT);
	ASSERT_APP("\"readiness\":\"none\",\"wait_ready\":true",
	           a->readiness == ECOSYSTEM_READY_NONE);
	ASSERT_APP("\"readiness\":\"notify\"", a->readiness == ECOSYSTEM_READY_NOTIFY);
	ASSERT_APP("\"readiness\":\"ipc\"", a->readiness == ECOSYSTEM_READY_IPC);
	ASSERT_APP("\"readiness\":\"control\"", a->readiness == ECOSYSTEM_READY_CONTROL);
	ASSERT_APP("\"readiness\":\"codex\",\"role\":\"codex-app-server\"",
	           a->readiness == ECOSYSTEM_READY_CODEX);
	ASSERT_APP("\"readiness\":\"http://[::1]:80/z\"",
	           a->readiness == ECOSYSTEM_READY_HTTP &&
	                   strcmp(a->readiness_target, "http://[::1]:80/z") == 0);
	ASSERT_APP("\"readiness\":\"tcp://h:80\"",
	           a->readiness == ECOSYSTEM_READY_TCP && strcmp(a->readiness_target, "h:80") == 0);
	ASSERT_APP("\"readiness\":\"unix:///s\"",
	           a->readiness == ECOSYSTEM_READY_UNIX && strcmp(a->readiness_target, "/s") == 0);
}

static void
logs(void **state)
{
	ASSERT_APP("\"out_file\":\"/o\",\"error_file\":\"/e\"",
	           strcmp(a->out_file, "/o") == 0 && strcmp(a->error_file, "/e") == 0);
	ASSERT_APP("\"output\":\"/o\",\"err\":\"/e\"",
	           strcmp(a->out_file, "/o") == 0 && strcmp(a->error_file, "/e") == 0);
	ASSERT_APP("\"combine_logs\":true", a->merge_logs);
	ASSERT_APP("\"disable_logs\":true", a->disable_logs);
	ASSERT_APP("\"log_type\":\"json\"", a->log_json);
	ASSERT_APP("\"log_type\":\"raw\"", !a->log_json);
	ASSERT_APP("\"time\":true", strcmp(a->log_date_format, "YYYY-MM-DDTHH:mm:ss") == 0);
	ASSERT_APP("\"time\":true,\"log_date_format\":\"HH\"",
	           strcmp(a->log_date_format, "HH") == 0);
	ASSERT_APP("\"log_rotate_max_size\":\"10M\",\"log_rotate_interval\":\"1d\","
	           "\"log_rotate_retain\":7",
	           a->log_rotate_max_bytes == 10 << 20 && a->log_rotate_interval_ms == 86400000 &&
	                   a->log_rotate_retain == 7);
}

static void
roles_are_seen_or_said(void **state)
{
	struct ecosystem *e =
		parse("{\"apps\":["
	              "{\"name\":\"s\",\"script\":\"/opt/codex\",\"args\":\"app-server --listen "
	              "ws://127.0.0.1:1\"},"
	              "{\"name\":\"p\",\"script\":\"./codex-proxy\",\"after\":\"s\"},"
	              "{\"name\":\"c\",\"script\":\"codex\",\"args\":\"exec\"},"
	              "{\"name\":\"t\",\"script\":\"codex\",\"args\":[\"app-server\",\"--listen="
	              "unix:///u\"],"
	              "\"recipe\":false},"
	              "{\"name\":\"n\",\"script\":\"codex-proxy\",\"role\":\"none\"},"
	              "{\"name\":\"r\",\"script\":\"y\",\"role\":\"codex-app-server\"}]}");
	const struct ecosystem_app *a = e->apps;

	if (e->errors > 0)
		dump(e);
	assert_int_equal(e->errors, 0);
	assert_int_equal(a[0].role, ECOSYSTEM_APP_SERVER);
	assert_true(a[0].recipe);
	assert_string_equal(a[0].listen, "ws://127.0.0.1:1");
	assert_int_equal(a[0].readiness, ECOSYSTEM_READY_CODEX);
	assert_int_equal(a[0].listen_timeout_ms, 60000);
	assert_int_equal(a[1].role, ECOSYSTEM_PROXY);
	assert_false(a[1].recipe);
	assert_int_equal(a[1].readiness, ECOSYSTEM_READY_CONTROL);
	assert_int_equal(a[1].kill_timeout_ms, 35000);
	assert_int_equal(a[1].drain_timeout_ms, 30000);
	assert_int_equal(a[1].tier, 1);
	assert_int_equal(a[2].role, ECOSYSTEM_PLAIN);
	assert_int_equal(a[3].role, ECOSYSTEM_APP_SERVER);
	assert_false(a[3].recipe);
	assert_string_equal(a[3].listen, "unix:///u");
	assert_int_equal(a[4].role, ECOSYSTEM_PLAIN);
	assert_int_equal(a[5].role, ECOSYSTEM_APP_SERVER);
	ecosystem_free(e);
	e = parse("{\"apps\":[{\"name\":\"p\",\"script\":\"x\",\"after\":\"z\"},"
	          "{\"name\":\"q\",\"script\":\"y\",\"role\":\"codex-proxy\",\"wait_ready\":true,"
	          "\"after\":[\"p\"]},{\"name\":\"z\",\"script\":\"z\"}]}");
	assert_int_equal(e->errors, 0);
	assert_int_equal(e->apps[1].role, ECOSYSTEM_PROXY);
	assert_int_equal(e->apps[1].readiness, ECOSYSTEM_READY_TOLD);
	assert_int_equal(e->apps[1].tier, 2);
	ecosystem_free(e);
}

/* --- files ---------------------------------------------------------------------------------- */

static void
the_shipped_file_has_warnings_only(void **state)
{
	AUTO_FREE char *text = NULL;
	size_t len;
	struct err err;
	struct ecosystem *e;

	assert_int_equal(file_read(&text, &len, "units/pm2/ecosystem.json", 1 << 20, &err), 0);
	e = parse(text);
	if (e->errors > 0)
		dump(e);
	assert_int_equal(e->errors, 0);
	assert_int_equal(e->count, 2);
	assert_int_equal(e->apps[0].role, ECOSYSTEM_APP_SERVER);
	assert_string_equal(e->apps[0].listen, "ws://127.0.0.1:3459");
	assert_int_equal(e->apps[1].role, ECOSYSTEM_PROXY);
	assert_int_equal(e->apps[1].kill_timeout_ms, 35000);
	assert_int_equal(e->apps[1].listen_timeout_ms, 60000);
	assert_int_equal(e->apps[1].readiness, ECOSYSTEM_READY_TOLD);
	assert_int_equal(e->apps[1].log_rotate_max_bytes, 10 << 20);
	assert_int_equal(e->apps[1].log_rotate_interval_ms, 86400000);
	ecosystem_free(e);
}

static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Torn, and with bytes changed, it is read without harm. */
static void
garbage_is_read_without_harm(void **state)
{
	static const char sample[] =
		"{\"apps\":[{\"name\":\"a\",\"script\":\"codex b\",\"args\":[\"app-server\",\"x\"],"
		"\"env\":{\"A\":1,\"max_restarts\":\"2\"},\"instances\":-2,\"cron\":\"0 1 * * *\","
		"\"readiness\":\"http://a:1/\",\"kill_timeout\":\"1.5s\",\"stop_exit_codes\":[0,9],"
		"\"after\":\"b\",\"watch\":true,\"max_memory_restart\":\"1G\",\"port\":80},"
		"{\"name\":\"b\",\"script\":\"/x/y.js\",\"role\":\"none\",\"time\":true}]}";
	char text[sizeof(sample)];
	uint32_t seed = 1;

	for (size_t n = 0; n < sizeof(sample); n++) {
		struct ecosystem *e = ecosystem_parse(sample, n, CPUS);

		assert_non_null(e);
		assert_true(n == sizeof(sample) - 1 ? e->errors == 0 : e->errors > 0);
		ecosystem_free(e);
	}
	for (int round = 0; round < 20000; round++) {
		struct ecosystem *e;

		memcpy(text, sample, sizeof(text));
		for (uint32_t k = next_random(&seed) % 4; k < 4; k++)
			text[next_random(&seed) % (sizeof(text) - 1)] =
				round % 2 == 0 ? (char)next_random(&seed)
					       : sample[next_random(&seed) % (sizeof(text) - 1)];
		e = ecosystem_parse(text, sizeof(text) - 1, CPUS);
		assert_non_null(e);
		ecosystem_free(e);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_app_that_says_nothing_has_the_documented_defaults),
		cmocka_unit_test(what_to_execute),
		cmocka_unit_test(variables_are_for_the_app_and_no_settings),
		cmocka_unit_test(instances_may_be_counted_from_the_cpus),
		cmocka_unit_test(restarts),
		cmocka_unit_test(zero_is_a_value),
		cmocka_unit_test(starting_and_stopping),
		cmocka_unit_test(logs),
		cmocka_unit_test(roles_are_seen_or_said),
		cmocka_unit_test(the_shipped_file_has_warnings_only),
		cmocka_unit_test(garbage_is_read_without_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
