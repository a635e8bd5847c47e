/* The proxy's end of the control socket: what it is told, and asked. */
#include "tests/unit/supervisor_link_fixture.h"

static void
backends_come_and_go(void **state)
{
	connect_link();
	told[0] = '\0';
	control_notify(heard.conn, "backend/down",
	               json_pack("{s:i,s:s,s:i}", "id", 0, "reason", "exited with code 1",
	                         "next_retry_ms", 500));
	control_notify(heard.conn, "backend/down",
	               json_pack("{s:i,s:s,s:n}", "id", 1, "reason", "stopped", "next_retry_ms"));
	control_notify(heard.conn, "something/new", NULL);
	control_notify(heard.conn, "backend/up", NULL);
	control_notify(heard.conn, "backend/up", json_pack("{s:i,s:i}", "id", 1, "generation", 4));
	control_notify(heard.conn, "backend/up",
	               json_pack("{s:i,s:s,s:i}", "id", 0, "url", "unix:///a", "generation", 4));
	RUN_UNTIL(strstr(told, "up 0") != NULL);
	assert_string_equal(told, "down 0 exited with code 1 500; down 1 stopped -1; "
	                          "up 0 unix:///a 4; ");
}

static void
the_end_of_the_login_is_told_at_first_and_when_it_changes(void **state)
{
	hello_answer = "{\"backends\":[],\"login\":{\"expires_at\":1795687200}}";
	connect_link();
	assert_int_equal(login_expires_at, 1795687200);
	control_notify(heard.conn, "login/changed", json_pack("{s:i}", "expires_at", 1795690000));
	RUN_UNTIL(login_expires_at == 1795690000);
	control_notify(heard.conn, "login/changed", json_pack("{s:n}", "expires_at"));
	RUN_UNTIL(login_expires_at == 0);
	control_notify(heard.conn, "login/changed", json_pack("{s:i}", "expires_at", 1795690000));
	RUN_UNTIL(login_expires_at == 1795690000);
	control_notify(heard.conn, "login/changed", NULL);
	RUN_UNTIL(login_expires_at == 0);
}

static void
a_reload_is_passed_on(void **state)
{
	connect_link();
	told[0] = '\0';
	control_notify(heard.conn, "reload", NULL);
	RUN_UNTIL(told[0] != '\0');
	assert_string_equal(told, "reload; ");
}

static void
one_that_is_gone_is_forgotten(void **state)
{
	hello_answer = "{\"backends\":["
		       "{\"id\":0,\"url\":\"unix:///a\",\"generation\":3,\"state\":\"up\"}]}";
	connect_link();
	told[0] = '\0';
	control_notify(heard.conn, "backend/gone", json_pack("{s:i}", "id", 5));
	control_notify(heard.conn, "backend/gone", json_pack("{s:i}", "id", -1));
	control_notify(heard.conn, "backend/up",
	               json_pack("{s:i,s:s,s:i}", "id", 1, "url", "unix:///b", "generation", 4));
	control_notify(heard.conn, "backend/gone", json_pack("{s:i}", "id", 0));
	RUN_UNTIL(strstr(told, "all") != NULL);
	assert_string_equal(told, "up 1 unix:///b 4; all 1; ");
}

static void
a_drain_is_answered_when_it_is_done(void **state)
{
	connect_link();
	told[0] = '\0';
	ask("drain", "{\"deadline_ms\":30000}");
	RUN_UNTIL(drain_req != NULL);
	assert_string_equal(told, "drain 30000; ");
	control_reply(drain_req, json_pack("{s:i}", "in_flight", 2));
	RUN_UNTIL(answer.count == 1);
	assert_int_equal(answer.in_flight, 2);
	drain_req = NULL;
	told[0] = '\0';
	ask("drain", "{\"deadline_ms\":30000,\"delay_ms\":5000}");
	RUN_UNTIL(drain_req != NULL);
	assert_string_equal(told, "drain 30000 after 5000; ");
	control_reply(drain_req, json_pack("{s:i}", "in_flight", 0));
	RUN_UNTIL(answer.count == 1);
	drain_req = NULL;
	told[0] = '\0';
	ask("backend/drain", "{\"id\":1,\"deadline_ms\":0}");
	RUN_UNTIL(drain_req != NULL);
	assert_string_equal(told, "drain 1 0; ");
	control_reply(drain_req, json_pack("{s:i}", "in_flight", 0));
	RUN_UNTIL(answer.count == 1);
}

static void
wrong_params_are_told_by_name(void **state)
{
	static const struct {
		const char *method, *params, *name;
		int code;
	} rows[] = {
		{"drain",         NULL,					  "deadline_ms", CONTROL_INVALID_PARAMS  },
		{"drain",         "{}",					  "deadline_ms", CONTROL_INVALID_PARAMS  },
		{"drain",         "{\"deadline_ms\":-1}",                        "deadline_ms", CONTROL_INVALID_PARAMS  },
		{"drain",         "{\"deadline_ms\":1.5}",                       "deadline_ms", CONTROL_INVALID_PARAMS  },
		{"drain",         "{\"deadline_ms\":\"1\"}",                     "deadline_ms", CONTROL_INVALID_PARAMS  },
		{"drain",         "{\"deadline_ms\":1,\"id\":0}",                "id",          CONTROL_INVALID_PARAMS  },
		{"drain",         "{\"deadline_ms\":1,\"dead\":0}",              "dead",        CONTROL_INVALID_PARAMS  },
		{"drain",         "{\"deadline_ms\":1,\"delay_ms\":-1}",         "delay_ms",
	         CONTROL_INVALID_PARAMS										 },
		{"drain",         "{\"deadline_ms\":1,\"delay_ms\":true}",       "delay_ms",
	         CONTROL_INVALID_PARAMS										 },
		{"backend/drain", "{\"id\":1,\"deadline_ms\":1,\"delay_ms\":1}", "delay_ms",
	         CONTROL_INVALID_PARAMS										 },
		{"backend/drain", "{\"deadline_ms\":1}",                         "id",          CONTROL_INVALID_PARAMS  },
		{"backend/drain", "{\"deadline_ms\":1,\"id\":128}",              "id",          CONTROL_INVALID_PARAMS  },
		{"backend/drain", "{\"deadline_ms\":1,\"id\":\"0\"}",            "id",          CONTROL_INVALID_PARAMS  },
		{"backend/drain", "{\"id\":0}",                                  "deadline_ms", CONTROL_INVALID_PARAMS  },
		{"backend/drain", "{\"deadline_ms\":1,\"id\":0,\"x\":1}",        "x",
	         CONTROL_INVALID_PARAMS										 },
		{"nonsense",      "{}",					  "nonsense",    CONTROL_METHOD_NOT_FOUND},
	};

	connect_link();
	for (size_t i = 0; i < NELEM(rows); i++) {
		ask(rows[i].method, rows[i].params);
		RUN_UNTIL(answer.count == 1);
		assert_int_equal(answer.code, rows[i].code);
		assert_non_null(strstr(answer.message, rows[i].name));
	}
	assert_null(drain_req);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_loop(backends_come_and_go),
		with_loop(the_end_of_the_login_is_told_at_first_and_when_it_changes),
		with_loop(a_reload_is_passed_on),
		with_loop(one_that_is_gone_is_forgotten),
		with_loop(a_drain_is_answered_when_it_is_done),
		with_loop(wrong_params_are_told_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
