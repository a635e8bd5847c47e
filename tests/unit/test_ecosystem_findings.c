/* The ecosystem file: what is said of keys without use, of other meanings, and of mistakes. */
#include "tests/unit/ecosystem_fixture.h"

static void
keys_of_pm2_without_use_are_warnings_whatever_they_hold(void **state)
{
	static const char *const names[] = {"filter_env",
	                                    "increment_var",
	                                    "name_prefix",
	                                    "namespace",
	                                    "append_env_to_name",
	                                    "log_file",
	                                    "log",
	                                    "pid_file",
	                                    "pid",
	                                    "kill_retry_time",
	                                    "shutdown_with_message",
	                                    "treekill",
	                                    "watch",
	                                    "watch_delay",
	                                    "ignore_watch",
	                                    "watch_options",
	                                    "execute_command",
	                                    "force",
	                                    "install_url",
	                                    "post_update",
	                                    "vizion",
	                                    "source_map_support",
	                                    "disable_source_map_support",
	                                    "trace",
	                                    "disable_trace",
	                                    "v8",
	                                    "event_loop_inspector",
	                                    "deep_monitoring",
	                                    "pmx",
	                                    "automation",
	                                    "io",
	                                    "username",
	                                    "windowsHide",
	                                    "write",
	                                    "env_production",
	                                    "killRetryTime"};

	for (size_t i = 0; i < NELEM(names); i++) {
		char members[64], path[64];
		struct ecosystem *e;

		(void)snprintf(members, sizeof(members), "\"%s\":[{}]", names[i]);
		(void)snprintf(path, sizeof(path), "apps[0].%s", names[i]);
		e = with(members);
		assert_int_equal(e->warnings, 1);
		assert_true(says(e, ECOSYSTEM_WARNING, path, "no use here: "));
		ecosystem_free(e);
	}
}

static void
what_means_something_else_under_pm2_is_noted(void **state)
{
	static const char *const members[][2] = {
		{"\"wait_ready\":true",             "apps[0].wait_ready"               },
		{"\"stop_exit_codes\":1",           "apps[0].stop_exit_codes"          },
		{"\"min_uptime\":1",                "apps[0].min_uptime"               },
		{"\"max_restarts\":1",              "apps[0].max_restarts"             },
		{"\"restart_delay\":1",             "apps[0].restart_delay"            },
		{"\"exp_backoff_restart_delay\":1", "apps[0].exp_backoff_restart_delay"},
		{"\"max_memory_restart\":1",        "apps[0].max_memory_restart"       },
		{"\"cron_restart\":\"0 0 * * *\"",  "apps[0].cron_restart"             },
		{"\"log_date_format\":\"HH\"",      "apps[0].log_date_format"          },
		{"\"log_type\":\"json\"",           "apps[0].log_type"                 },
		{"\"exec_mode\":\"cluster\"",       "apps[0].exec_mode"                },
	};

	for (size_t i = 0; i < NELEM(members); i++) {
		struct ecosystem *e = with(members[i][0]);

		assert_true(says(e, ECOSYSTEM_NOTE, members[i][1], ""));
		assert_int_equal(e->notes, 2); /* and SIGTERM */
		ecosystem_free(e);
	}
	ASSERT_APP("\"exec_mode\":\"fork\"", e_->notes == 1);
	ASSERT_APP("\"stop_signal\":\"SIGTERM\"", e_->notes == 0);
}

static void
a_wrong_key_is_told_the_nearest_right_one(void **state)
{
	refuse("\"max_restart\":1", "apps[0].max_restart", "is max_restarts meant?");
	refuse("\"kil_timout\":1", "apps[0].kil_timout", "is kill_timeout meant?");
	refuse("\"nmae\":\"x\"", "apps[0].nmae", "is name meant?");
	refuse("\"auto_restart\":true", "apps[0].auto_restart", "is autorestart meant?");
	refuse("\"zzzzzzzz\":1", "apps[0].zzzzzzzz", "no such key");
	refuse("\"\":1", "apps[0].", "no such key");
	refuse("\"Name\":\"x\"", "apps[0].Name", "is name meant?");
	refuse("\"an_endless_name_that_no_key_of_anybody_comes_near_to_in_length\":1",
	       "apps[0].an_endless_name_that_no_key_of_anybody_comes_nea", "no such key");
}

static void
wrong_values_are_told_what_would_be_right(void **state)
{
	static const char *const cases[][3] = {
		{"\"kill_timeout\":-5",							  "kill_timeout",       "-5 is no time from 0"    },
		{"\"kill_timeout\":\"soon\"",						    "kill_timeout",       "\"soon\" is no time"     },
		{"\"kill_timeout\":1.5",							 "kill_timeout",       "1.5 is no time"          },
		{"\"kill_timeout\":null",							"kill_timeout",       "null is no time"         },
		{"\"restart_delay\":\"99999d\"",						 "restart_delay",      "is no time"              },
		{"\"listen_timeout\":0",							 "listen_timeout",     "0 is no time from 1"     },
		{"\"max_restarts\":2.7",							 "max_restarts",       "no whole number"         },
		{"\"max_restarts\":\"3\"",						       "max_restarts",       "no whole number"         },
		{"\"max_memory_restart\":\"300MM\"",                                             "max_memory_restart", "is no size"              },
		{"\"port\":0",								   "port",               "no whole number"         },
		{"\"autorestart\":\"false\"",						    "autorestart",        "neither true nor"        },
		{"\"merge_logs\":0",							     "merge_logs",         "neither true nor"        },
		{"\"cwd\":7",								    "cwd",                "not a string"            },
		{"\"cwd\":\"\"",								 "cwd",                "empty"                   },
		{"\"args\":[1]",								 "args",               "list of strings"         },
		{"\"args\":\"'open\"",							   "args",               "quote"                   },
		{"\"env\":[]",								   "env",                "not an object"           },
		{"\"env\":{\"A B\":\"secret\"}",						 "env",                "a name in it"            },
		{"\"env\":{\"A\":null}",							 "env",                "null"                    },
		{"\"env\":{\"A\":\"\\u0000\"}",						  "env",                "NUL"                     },
		{"\"stop_exit_codes\":[256]",						    "stop_exit_codes",    "from 0 to 255"           },
		{"\"stop_exit_codes\":\"0\"",						    "stop_exit_codes",    "from 0 to 255"           },
		{"\"instances\":\"many\"",						       "instances",          "neither a number"        },
		{"\"instances\":65",							     "instances",          "more than 64"            },
		{"\"cron_restart\":\"* * * *\"",						 "cron_restart",       "five fields"             },
		{"\"cron_restart\":\"* * * * * *\"",                                             "cron_restart",       "five fields"             },
		{"\"cron_restart\":\"@daily\"",						  "cron_restart",       "five fields"             },
		{"\"cron_restart\":\"a b c d e\"",                                               "cron_restart",       "its minute"              },
		{"\"cron_restart\":\"0 4 * * MONDAY\"",                                          "cron_restart",       "its day of the week"     },
		{"\"exec_mode\":\"thread\"",						     "exec_mode",          "neither fork"            },
		{"\"log_type\":\"xml\"",							 "log_type",           "neither raw"             },
		{"\"role\":\"proxy\"",							   "role",               "codex-proxy"             },
		{"\"readiness\":\"tcp://h\"",						    "readiness",          "tcp://HOST:PORT"         },
		{"\"readiness\":\"http://:1\"",						  "readiness",          "none of"                 },
		{"\"readiness\":\"tcp://h:99999\"",                                              "readiness",          "none of"                 },
		{"\"readiness\":\"unix://s\"",						   "readiness",          "none of"                 },
		{"\"stop_signal\":\"SIGSTOP\"",						  "stop_signal",        "none of SIGTERM"         },
		{"\"interpreter\":\"node@20\"",						  "interpreter",        "version"                 },
		{"\"node_args\":\"-x\"",							 "interpreter_args",   "no interpreter"          },
		{"\"role\":\"codex-app-server\",\"args\":\"--listen u\"",                        "args",
	         "neither unix:///PATH"													  },
		{"\"role\":\"codex-app-server\",\"recipe\":false",                               "args",               "--listen is needed"      },
		{"\"readiness\":\"codex\"",						      "readiness",          "of role codex-app-server"},
		{"\"role\":\"codex-app-server\",\"args\":\"--listen ws://u:1\",\"instances\":2",
	         "instances",											  "all listen"              },
		{"\"role\":\"codex-proxy\",\"instances\":2",                                     "instances",          "one codex-proxy"         },
		{"\"user\":\"nobody\"",							  "user",               "cannot be done"          },
		{"\"uid\":1000",								 "uid",                "cannot be done"          },
		{"\"gid\":1000",								 "gid",                "cannot be done"          },
		{"\"exec\":\"y\"",							       "exec",               "another name of script"  },
		{"\"killTimeout\":1,\"kill_timeout\":2",                                         "kill_timeout",       "another name of kill"    },
		{"\"after\":\"b\"",							      "after",              "names no app"            },
		{"\"after\":\"a\"",							      "after",              "wait for each other"     },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "apps[0].%s", cases[i][1]);
		refuse(cases[i][0], path, cases[i][2]);
	}
}

static void
names_are_unique_and_fit_to_be_named(void **state)
{
	static const char *const wrong[] = {
		"a b", "",    "-x",      ".x",
		"a/b", "all", "\\u00e4", "a-name-that-is-longer-than-32-char"};
	struct ecosystem *e;

	for (size_t i = 0; i < NELEM(wrong); i++) {
		char text[256];

		(void)snprintf(text, sizeof(text),
		               "{\"apps\":[{\"name\":\"%s\",\"script\":\"x\"}]}", wrong[i]);
		e = parse(text);
		assert_int_equal(e->errors, 1);
		assert_true(says(e, ECOSYSTEM_ERROR, "apps[0].name", ""));
		ecosystem_free(e);
	}
	e = parse("{\"apps\":[{\"script\":\"x\"},{\"script\":\"/bin/x\"},{\"script\":\"y\","
	          "\"instances\":3},{\"script\":\"z\",\"name\":\"y-2\"},{\"script\":\"z\","
	          "\"name\":\"y-3\"}]}");
	assert_int_equal(e->errors, 2);
	assert_true(says(e, ECOSYSTEM_ERROR, "apps[1].name", "two named x"));
	assert_true(says(e, ECOSYSTEM_ERROR, "apps[3].name", "instance of y"));
	ecosystem_free(e);
}

static void
args_that_the_recipe_does_not_take_are_told(void **state)
{
	struct ecosystem *e = with("\"name\":\"a\",\"role\":\"codex-app-server\","
	                           "\"args\":\"app-server --listen ws://h:1 -c a=1\"");

	assert_true(says(e, ECOSYSTEM_NOTE, "apps[0].args", "the recipe's own"));
	ecosystem_free(e);
	e = with("\"role\":\"codex-app-server\",\"args\":\"app-server --listen ws://h:1\"");
	assert_int_equal(e->notes, 1); /* of the signal */
	ecosystem_free(e);
}

static void
there_is_one_proxy_and_not_too_much_of_the_rest(void **state)
{
	struct ecosystem *e = parse("{\"apps\":[{\"name\":\"p\",\"script\":\"codex-proxy\"},"
	                            "{\"name\":\"q\",\"script\":\"codex-proxy\"}]}");

	assert_true(says(e, ECOSYSTEM_ERROR, "apps[1].role", "there is one codex-proxy"));
	ecosystem_free(e);
	e = parse("{\"apps\":[{\"name\":\"a\",\"script\":\"x\",\"instances\":64},"
	          "{\"name\":\"b\",\"script\":\"x\",\"instances\":64}]}");
	assert_int_equal(e->errors, 0);
	ecosystem_free(e);
	e = parse("{\"apps\":[{\"name\":\"a\",\"script\":\"x\",\"instances\":64},"
	          "{\"name\":\"b\",\"script\":\"x\",\"instances\":64},"
	          "{\"name\":\"c\",\"script\":\"x\"}]}");
	assert_true(says(e, ECOSYSTEM_ERROR, "apps", "more than 128 processes"));
	ecosystem_free(e);
}

static void
every_mistake_is_told_at_once(void **state)
{
	struct ecosystem *e = parse("{\"apps\":[{\"kill_timeout\":-1,\"max_restart\":1},7,{},"
	                            "{\"script\":\"a | b\",\"autostart\":1,\"watch\":true},"
	                            "{\"script\":\"c\",\"after\":[\"d\"]},"
	                            "{\"script\":\"d\",\"after\":[\"c\",\"cc\"]}],\"app\":[]}");

	assert_true(says(e, ECOSYSTEM_ERROR, "apps[0].kill_timeout", "-1"));
	assert_true(says(e, ECOSYSTEM_ERROR, "apps[0].max_restart", "max_restarts"));
	assert_true(says(e, ECOSYSTEM_ERROR, "apps[0].script", "is needed"));
	assert_true(says(e, ECOSYSTEM_ERROR, "apps[1]", "not an object"));
	assert_true(says(e, ECOSYSTEM_ERROR, "apps[2]", "empty"));
	assert_true(says(e, ECOSYSTEM_ERROR, "apps[3].script", "needs a shell"));
	assert_true(says(e, ECOSYSTEM_ERROR, "apps[3].autostart", "1 is neither"));
	assert_true(says(e, ECOSYSTEM_WARNING, "apps[3].watch", "no use"));
	assert_true(says(e, ECOSYSTEM_ERROR, "apps[4].after", "wait for each other"));
	assert_true(says(e, ECOSYSTEM_ERROR, "apps[5].after", "is this one meant? c"));
	assert_true(says(e, ECOSYSTEM_ERROR, "app", "is apps meant?"));
	ecosystem_free(e);
}

static void
a_file_that_is_none_is_an_error(void **state)
{
	static const char *const wrong[] = {"",
	                                    "nonsense",
	                                    "[]",
	                                    "{}",
	                                    "{\"apps\":7}",
	                                    "{\"apps\":[]}",
	                                    "{\"a\":1,}",
	                                    "{\"apps\":[1],\"apps\":[2]}",
	                                    "\xff\xfe"};
	static char big[ECOSYSTEM_FILE_MAX + 2];

	for (size_t i = 0; i < NELEM(wrong); i++) {
		struct ecosystem *e = parse(wrong[i]);

		assert_true(e->errors > 0);
		ecosystem_free(e);
	}
	memset(big, ' ', sizeof(big) - 1);
	ecosystem_free(parse(big));
}

static void
no_secret_is_shown(void **state)
{
	struct ecosystem *e = parse("{\"apps\":[{\"script\":\"x\",\"env\":{\"K\":[\"sk-1\"],"
	                            "\"A B\":\"sk-2\"},\"args\":[\"sk-3\",4]}]}");

	assert_int_equal(e->errors, 2);
	for (size_t i = 0; i < e->findings_count; i++)
		assert_null(strstr(e->findings[i].text, "sk-"));
	ecosystem_free(e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_pm2_without_use_are_warnings_whatever_they_hold),
		cmocka_unit_test(what_means_something_else_under_pm2_is_noted),
		cmocka_unit_test(a_wrong_key_is_told_the_nearest_right_one),
		cmocka_unit_test(wrong_values_are_told_what_would_be_right),
		cmocka_unit_test(names_are_unique_and_fit_to_be_named),
		cmocka_unit_test(args_that_the_recipe_does_not_take_are_told),
		cmocka_unit_test(there_is_one_proxy_and_not_too_much_of_the_rest),
		cmocka_unit_test(every_mistake_is_told_at_once),
		cmocka_unit_test(a_file_that_is_none_is_an_error),
		cmocka_unit_test(no_secret_is_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
