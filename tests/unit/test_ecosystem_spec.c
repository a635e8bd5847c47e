/* What the ecosystem file says of an app, in the words of those who run it. */
#include "ecosystem_fixture.h"

#include <signal.h>

#include "supervisor/ecosystem_spec.h"

static char name[ECOSYSTEM_SPEC_NAME_MAX];
static struct ecosystem *e;

/* Of an app with these members; e is to be freed. */
static struct app_spec
spec_of(const char *members, unsigned i)
{
	e = with(members);
	return ecosystem_spec(&e->apps[0], i, name);
}

#define ASSERT_SPEC(members, condition)                                                            \
	do {                                                                                       \
		struct app_spec s = spec_of(members, 0);                                           \
		assert_true(condition);                                                            \
		ecosystem_free(e);                                                                 \
	} while (0)

static void
one_is_named_as_it_is_and_several_are_numbered(void **state)
{
	ASSERT_SPEC("\"name\":\"web\"", strcmp(s.name, "web") == 0 && strcmp(s.group, "web") == 0);
	(void)spec_of("\"name\":\"web\",\"instances\":3", 2);
	assert_string_equal(name, "web-2");
	ecosystem_free(e);
	e = with("\"name\":\"web\"");
	e->apps[0].numbered = true;
	(void)ecosystem_spec(&e->apps[0], 0, name);
	assert_string_equal(name, "web-0");
	ecosystem_free(e);
}

static void
the_longest_name_has_room(void **state)
{
	struct app_spec s =
		spec_of("\"name\":\"abcdefghijklmnopqrstuvwxyzabcdef\",\"instances\":64", 63);

	assert_string_equal(s.name, "abcdefghijklmnopqrstuvwxyzabcdef-63");
	ecosystem_free(e);
}

static void
each_way_to_be_ready_has_its_own(void **state)
{
	static const struct {
		const char *members;
		enum app_readiness readiness;
	} cases[] = {
		{"",				       APP_READY_NONE     },
		{"\"wait_ready\":true",                    APP_READY_TOLD     },
		{"\"readiness\":\"none\"",                 APP_READY_NONE     },
		{"\"readiness\":\"control\"",              APP_READY_CONTROL  },
		{"\"readiness\":\"notify\"",               APP_READY_NOTIFY   },
		{"\"readiness\":\"ipc\"",                  APP_READY_IPC      },
		{"\"readiness\":\"http://127.0.0.1:80/\"", APP_READY_HTTP     },
		{"\"readiness\":\"tcp://127.0.0.1:80\"",   APP_READY_CONNECT  },
		{"\"readiness\":\"unix:///a\"",            APP_READY_CONNECT  },
		{"\"role\":\"codex-app-server\"",          APP_READY_WEBSOCKET},
		{"\"role\":\"codex-proxy\"",               APP_READY_CONTROL  },
	};

	for (size_t i = 0; i < NELEM(cases); i++)
		ASSERT_SPEC(cases[i].members, s.readiness == cases[i].readiness);
}

static void
what_it_does_after_an_end_goes_by_the_file(void **state)
{
	ASSERT_SPEC("\"autorestart\":false", s.one_shot);
	ASSERT_SPEC("\"max_memory_restart\":\"1M\"", s.max_memory_bytes == 1 << 20);
	ASSERT_SPEC("\"cron_restart\":\"5 * * * *\"", s.cron.minutes == 1u << 5);
	ASSERT_SPEC("", s.max_memory_bytes == 0 && s.cron.minutes == 0);
	ASSERT_SPEC("", !s.one_shot && !s.stop_exit[0] && s.restart.limit == 10);
	ASSERT_SPEC("\"stop_exit_codes\":[0,3]",
	            s.stop_exit[0] && s.stop_exit[3] && !s.stop_exit[1]);
	ASSERT_SPEC("\"max_restarts\":3,\"min_uptime\":\"2s\",\"restart_window\":\"1m\","
	            "\"restart_delay\":100,\"backoff_max\":800,\"crash_loop_rest\":\"7s\"",
	            s.restart.limit == 3 && s.restart.min_uptime_ms == 2000 &&
	                    s.restart.window_ms == 60000 && s.restart.base_ms == 100 &&
	                    s.restart.max_ms == 800 && s.restart.rest_ms == 7000);
}

static void
zero_values_are_values(void **state)
{
	ASSERT_SPEC("\"max_restarts\":0", s.restart.limit == 0);
	ASSERT_SPEC("\"restart_delay\":0", s.restart.base_ms == 0);
	ASSERT_SPEC("\"kill_timeout\":0", s.kill_timeout_ms == 0 && s.drain_timeout_ms == 0);
	ASSERT_SPEC("\"min_uptime\":0", s.restart.min_uptime_ms == 0);
}

static void
how_it_is_stopped_goes_by_the_file(void **state)
{
	ASSERT_SPEC("", s.stop_signal == SIGTERM && s.kill_timeout_ms == 10000 &&
	                        s.drain_timeout_ms == 0);
	ASSERT_SPEC("\"stop_signal\":\"SIGINT\",\"kill_timeout\":\"1s\"",
	            s.stop_signal == SIGINT && s.kill_timeout_ms == 1000 &&
	                    s.term_again_ms >= s.kill_timeout_ms);
	/* one with a role drains first, and has time left after that */
	ASSERT_SPEC("\"role\":\"codex-proxy\"", s.kill_timeout_ms == 35000 &&
	                                                s.drain_timeout_ms == 30000 &&
	                                                s.term_again_ms > s.drain_timeout_ms);
	ASSERT_SPEC("\"role\":\"codex-app-server\"",
	            s.kill_timeout_ms == 905000 && s.drain_timeout_ms == 900000 &&
	                    s.term_again_ms == 2000 && s.term_kill_ms == 5000);
	ASSERT_SPEC("\"role\":\"codex-app-server\",\"kill_timeout\":3000",
	            s.kill_timeout_ms == 3000 && s.drain_timeout_ms == 0);
}

static void
only_what_can_be_there_twice_is_replaced_without_a_gap(void **state)
{
	ASSERT_SPEC("", s.surge == APP_SURGE_NEVER);
	ASSERT_SPEC("\"role\":\"codex-proxy\"", s.surge == APP_SURGE_RELOAD);
	ASSERT_SPEC("\"role\":\"codex-app-server\"", s.surge == APP_SURGE_ALWAYS);
	ASSERT_SPEC("\"role\":\"codex-app-server\",\"args\":\"--listen ws://127.0.0.1:1\"",
	            s.surge == APP_SURGE_NEVER);
	ASSERT_SPEC("\"role\":\"codex-app-server\",\"recipe\":false,"
	            "\"args\":\"--listen ws://127.0.0.1:1\"",
	            s.surge == APP_SURGE_NEVER);
}

static void
the_proxy_stops_before_the_app_servers_it_works_with(void **state)
{
	e = parse("{\"apps\":[{\"name\":\"p\",\"script\":\"codex-proxy\"},"
	          "{\"name\":\"s\",\"script\":\"codex\",\"args\":\"app-server\"},"
	          "{\"name\":\"x\",\"script\":\"x\"}]}");
	assert_int_equal(e->errors, 0);
	assert_int_equal(e->apps[0].tier, 1);
	assert_int_equal(e->apps[1].tier, 0);
	assert_int_equal(e->apps[2].tier, 0);
	ecosystem_free(e);
	/* and what is odd is no error */
	e = parse(
		"{\"apps\":[{\"name\":\"p\",\"script\":\"codex-proxy\"},"
		"{\"name\":\"s\",\"script\":\"codex\",\"args\":\"app-server\",\"after\":\"p\"}]}");
	assert_int_equal(e->errors, 0);
	assert_int_equal(e->apps[1].tier, 1);
	ecosystem_free(e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_is_named_as_it_is_and_several_are_numbered),
		cmocka_unit_test(the_longest_name_has_room),
		cmocka_unit_test(each_way_to_be_ready_has_its_own),
		cmocka_unit_test(what_it_does_after_an_end_goes_by_the_file),
		cmocka_unit_test(zero_values_are_values),
		cmocka_unit_test(how_it_is_stopped_goes_by_the_file),
		cmocka_unit_test(only_what_can_be_there_twice_is_replaced_without_a_gap),
		cmocka_unit_test(the_proxy_stops_before_the_app_servers_it_works_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
