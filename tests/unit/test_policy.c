/* The tool policy: what is allowed, and every way round it that is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/common.h"
#include "common/json.h"
#include "proxy/codex/policy.h"

static const char rules[] =
	"{\"version\": 1, \"deny\": [\"rm +-[a-z]*r\", \"push.*--force\"],"
	"\"allow\": [\"git\", \"ls\", \"cat\", \"cd\", \"rm\", \"cp\", \"tee\", \"sed\", \"grep\","
	"\"make test\", \"echo\", \"find\", \"sh scripts/test.sh\", \"xargs\", \"env\", \"npm\","
	"\"curl\", \"printf\", \"dd\", \"'a b'\", \"time make\", \"tar\", \"sort\"],"
	"\"protected_paths\": [\"/etc\", \"~/.ssh\", \"/srv/*/keys\", \"/proj/.git/hooks\"],"
	"\"protected_files\": [\".env\", \"*.pem\"],"
	"\"write_paths\": [\"/proj\", \"/tmp/out*\"]}";

static struct policy *
parse(const char *text)
{
	struct json_buf mistakes = {.data = NULL};
	struct policy *p = policy_parse(text, strlen(text), "/home/u", &mistakes);

	if (p == NULL)
		fail_msg("%.*s", (int)mistakes.len, mistakes.data);
	json_buf_free(&mistakes);
	return p;
}

/* The beginning of the reason; NULL: allowed. In /proj/src. */
struct row {
	const char *command;
	const char *reason;
};

static void
check_rows(const struct row *rows, size_t count)
{
	struct policy *p = parse(rules);

	for (size_t i = 0; i < count; i++) {
		struct policy_decision d = policy_decide_command(
			p, rows[i].command, strlen(rows[i].command), "/proj/src");
		const char *want = rows[i].reason != NULL ? rows[i].reason : "allowed";

		if (d.allow != (rows[i].reason == NULL) ||
		    strncmp(d.reason, want, strlen(want)) != 0)
			fail_msg("%s\n  is %s, not %s", rows[i].command, d.reason, want);
	}
	policy_free(p);
}

#define CHECK(rows) check_rows(rows, NELEM(rows))

static void
what_is_allowed_runs(void **state)
{
	static const struct row rows[] = {
		{"git status",                             NULL},
		{"  git\tstatus  ",                        NULL},
		{"git log | grep fix",                     NULL},
		{"git status && ls src; cat a || echo no", NULL},
		{"ls\n\ncat a\n",                          NULL},
		{"ls &&\ncat a",                           NULL},
		{"ls & cat a &",                           NULL},
		{"make test",			      NULL},
		{"make test V=1",                          NULL},
		{"'a b' c",				NULL},
		{"grep 'a*$(b)`c`' x",                     NULL},
		{"grep \"foo$\" x",                        NULL},
		{"echo \"it's fine!\" 'a;b|c&d>e'",        NULL},
		{"git commit -m 'say x; and y > z'",       NULL},
		{"git log HEAD~1",                         NULL},
		{"g'i't st\"at\"us",                       NULL},
		{"g\\it status",                           NULL},
		{"ls ~/src",			       NULL},
		{"ls >/dev/null 2>&1",                     NULL},
		{"ls > out.txt",                           NULL},
		{"ls >>../out.txt 2>/tmp/out1",            NULL},
		{"cat <in.txt",                            NULL},
		{"cd sub && ls | cat",                     NULL},
		{"rm -f a b",			      NULL},
		{"cp a ../b",			      NULL},
		{"sed -i s/a/b/ x",                        NULL},
		{"tar cf x.tar src",                       NULL},
		{"tar -tf x.tar",                          NULL},
		{"sort -n a",			      NULL},
		{"sort -uo b a",                           NULL},
		{"sort /var/a",                            NULL},
		{"sed -n 1,5p /usr/share/x",               NULL},
		{"bash -lc 'git status && ls'",            NULL},
		{"/bin/bash -lc 'ls > out'",               NULL},
		{"sh -c ls",			       NULL},
		{"sh scripts/test.sh",                     NULL},
		{"time make",			      NULL},
		{"find . -name x",                         NULL},
		{"find sub -name x",                       NULL},
		{"npm test",			       NULL},
		{"echo 'gr\xc3\xbc\xc3\x9f"
	         "e'",	            NULL},
	};

	CHECK(rows);
}

static void
what_no_prefix_allows_does_not_run(void **state)
{
	static const struct row rows[] = {
		{"python3 x.py",                           "a command that no prefix"  },
		{"gitk",				   "a command that no prefix"  },
		{"git-evil",			       "a command that no prefix"  },
		{"/tmp/git status",                        "a command that no prefix"  },
		{"./git status",                           "a command that no prefix"  },
		{"make",				   "a command that no prefix"  },
		{"make testing",                           "a command that no prefix"  },
		{"make 'test x'",                          "a command that no prefix"  },
		{"'git status'",                           "a command that no prefix"  },
		{"a b",				    "a command that no prefix"  },
		{"if ls; then ls; fi",                     "a command that no prefix"  },
		{"git status; python3",                    "a command that no prefix"  },
		{"git status\npython3",                    "a command that no prefix"  },
		{"git status&python3",                     "a command that no prefix"  },
		{"git status|python3",                     "a command that no prefix"  },
		{"git status||python3",                    "a command that no prefix"  },
		{"git status&&python3",                    "a command that no prefix"  },
		{"GIT status",                             "a command that no prefix"  },
		{"sh -c 'python3'",                        "a command that no prefix"  },
		{"bash -c 'sh -c ls'",                     "a command that runs others"},
		{"sh -c ls x",                             "a command that runs others"},
		{"sh -xc ls",			      "a command that runs others"},
		{"sh",				     "a command that runs others"},
		{"ls | sh",				"a command that runs others"},
		{"sh scripts/test.sh x",                   "a command that runs others"},
		{"time make test",                         "a command that runs others"},
		{"echo x | xargs rm",                      "a command that runs others"},
		{"env ls",				 "a command that runs others"},
		{"env A=b ls",                             "a command that runs others"},
		{"eval ls",				"a command that runs others"},
		{"exec ls",				"a command that runs others"},
		{"command ls",                             "a command that runs others"},
		{". ./x",				  "a command that runs others"},
		{"sudo ls",				"a command that runs others"},
		{"export PATH=/tmp; ls",                   "a command that runs others"},
		{"alias ls=python3",                       "a command that runs others"},
		{"find sub -exec ls ';'",                  "a command that runs others"},
		{"find sub -delete",                       "a command that runs others"},
		{"tar -I sh -xf a",                        "a command that runs others"},
		{"tar xIf sh a",                           "a command that runs others"},
		{"tar -xIsh -f a",                         "a command that runs others"},
		{"tar --use-compress-program=sh -xf a",    "a command that runs others"},
		{"tar --to-command=sh -xf a",              "a command that runs others"},
		{"tar --checkpoint-action=exec=sh cf a b", "a command that runs others"},
		{"sort --compress-program=sh a",           "a command that runs others"},
		{"sort --comp sh a",                       "a command that runs others"},
		{"printf -v PATH x",                       "a command that runs others"},
	};

	CHECK(rows);
}

static void
what_is_not_understood_does_not_run(void **state)
{
	static const struct row rows[] = {
		{"",                  "not understood: an empty"     },
		{" \n ",              "not understood: an empty"     },
		{"ls;;ls",            "not understood: an operator"  },
		{"; ls",              "not understood: an empty"     },
		{"ls &&",             "not understood: an empty"     },
		{"ls |",              "not understood: an empty"     },
		{"ls && && ls",       "not understood: an empty"     },
		{"ls |& cat",         "not understood: an operator"  },
		{"> out",             "not understood: an empty"     },
		{"ls $(python3)",     "not understood: an expansion" },
		{"ls \"$(python3)\"", "not understood: an expansion" },
		{"ls `python3`",      "not understood: a command sub"},
		{"ls \"`python3`\"",  "not understood: an expansion" },
		{"$CMD",              "not understood: an expansion" },
		{"ls ${HOME}",        "not understood: an expansion" },
		{"ls $'\\x2f'",       "not understood: an expansion" },
		{"ls $\"x\"",         "not understood: an expansion" },
		{"ls $((1))",         "not understood: an expansion" },
		{"(ls)",              "not understood: a subshell"   },
		{"ls() { python3; }", "not understood: a subshell"   },
		{"cat <(python3)",    "not understood: a subshell"   },
		{"{ ls; }",           "not understood: a brace"      },
		{"cat {a,b}",         "not understood: a brace"      },
		{"cat *",             "not understood: a glob"       },
		{"cat .en?",          "not understood: a glob"       },
		{"cat .en[v]",        "not understood: a glob"       },
		{"! ls",              "not understood: a negation"   },
		{"ls # x",            "not understood: a comment"    },
		{"=ls",               "not understood: a word that"  },
		{"A=b ls",            "not understood: an assignment"},
		{"PATH=/tmp ls",      "not understood: an assignment"},
		{"LD_PRELOAD=./x ls", "not understood: an assignment"},
		{"A+=b ls",           "not understood: an assignment"},
		{"A=b",               "not understood: an assignment"},
	};

	CHECK(rows);
}

static void
what_shells_read_differently_does_not_run(void **state)
{
	static const struct row rows[] = {
		{"cat <<E\nx\nE",      "not understood: a here-document"  },
		{"cat <<-E\nx\nE",     "not understood: a here-document"  },
		{"cat <<<x",           "not understood: a here-document"  },
		{"ls >|out",           "not understood: a redirection"    },
		{"ls <>out",           "not understood: a redirection"    },
		{"ls >&out",           "not understood: a redirection"    },
		{"ls >",               "not understood: a redirection"    },
		{"echo 'x",            "not understood: a quote"          },
		{"echo \"x",           "not understood: a quote"          },
		{"echo \\",            "not understood: a backslash"      },
		{"l\\\ns",             "not understood: a broken line"    },
		{"\"l\\\ns\"",         "not understood: a broken line"    },
		{"ls '~/x'",           "not understood: a quoted ~"       },
		{"ls ~\"\"/x",         "not understood: a quoted ~"       },
		{"ls ~\\/x",           "not understood: a quoted ~"       },
		{"ls \\~/x",           "not understood: a quoted ~"       },
		{"'' ls",              "not understood: a command without"},
		{"ls\rpython3",        "not understood: a control"        },
		{"ls \x1b[0m",         "not understood: a control"        },
		{"ls\xc2\xa0-l",       "not understood: a hidden"         },
		{"ls\xe3\x80\x80-l",   "not understood: a hidden"         },
		{"l\xe2\x80\x8bs",     "not understood: a hidden"         },
		{"ls \xe2\x81\xa0"
	         "x", "not understood: a hidden"         },
		{"ls \xe2\x80\xa8"
	         "x", "not understood: a hidden"         },
		{"ls \xff",            "not understood: no valid UTF-8"   },
		{"ls \xc0\xaf",        "not understood: no valid UTF-8"   },
		{"bash -lc 'ls $(x)'", "not understood: an expansion"     },
	};

	CHECK(rows);
}

static void
what_is_denied_or_protected_stays_so(void **state)
{
	static const struct row rows[] = {
		{"rm -rf x",                   "deny[0]"                   },
		{"rm  -rf x",                  "deny[0]"                   },
		{"r'm' -r\"f\" x",             "deny[0]"                   },
		{"r\\m -rf x",                 "deny[0]"                   },
		{"ls; rm -fr x",               "deny[0]"                   },
		{"bash -lc 'rm -rf x'",        "deny[0]"                   },
		{"bash -lc 'r\"m\" -rf x'",    "deny[0]"                   },
		{"git push origin --force",    "deny[1]"                   },
		{"cat /etc/passwd",            "protected_paths[0]"        },
		{"cat /etc",                   "protected_paths[0]"        },
		{"cat //etc/./passwd",         "protected_paths[0]"        },
		{"cat /usr/../etc/passwd",     "protected_paths[0]"        },
		{"cat ../../etc/passwd",       "protected_paths[0]"        },
		{"cat '/e'tc/passwd",          "protected_paths[0]"        },
		{"grep --file=/etc/passwd x",  "protected_paths[0]"        },
		{"grep -f/etc/passwd x",       "protected_paths[0]"        },
		{"grep -rf/etc/passwd x",      "protected_paths[0]"        },
		{"grep -f /etc/passwd x",      "protected_paths[0]"        },
		{"git show a:b:/etc/x",        "protected_paths[0]"        },
		{"git -c 'a=b /etc/x' status", "protected_paths[0]"        },
		{"cat < /etc/passwd",          "protected_paths[0]"        },
		{"ls > /etc/x",                "protected_paths[0]"        },
		{"ls 2>>/etc/x",               "protected_paths[0]"        },
		{"ls &>/etc/x",                "protected_paths[0]"        },
		{"ls > /proj/../etc/x",        "protected_paths[0]"        },
		{"cat ~/.ssh/id",              "protected_paths[1]"        },
		{"cat a=~/.ssh/id",            "protected_paths[1]"        },
		{"cat /home/u/.ssh/id",        "protected_paths[1]"        },
		{"cat ~root/x",                "not understood: a quoted ~"},
		{"cat a=~root/x",              "a path that cannot"        },
		{"cat ~+/x",                   "not understood: a quoted ~"},
		{"cat /srv/a/keys/k",          "protected_paths[2]"        },
		{"cat /srv/a/b/keys",          NULL                        },
		{"ls /",                       "a folder that holds"       },
		{"ls ~",                       "a folder that holds"       },
		{"ls ..",                      "a folder that holds"       },
		{"grep -r x /srv",             "a folder that holds"       },
		{"cat .env",                   "protected_files[0]"        },
		{"cat sub/.env/x",             "protected_files[0]"        },
		{"git show HEAD:.env",         "protected_files[0]"        },
		{"grep -f.env x",              "protected_files[0]"        },
		{"cat a.pem",                  "protected_files[1]"        },
		{"ls > a.pem",                 "protected_files[1]"        },
		{"cat .environment",           NULL                        },
	};

	CHECK(rows);
}

static void
writes_folders_and_the_network_are_held(void **state)
{
	static const struct row rows[] = {
		{"ls > /usr/x",                  "a file outside"      },
		{"ls > ../../x",                 "a file outside"      },
		{"ls > ~/x",                     "a file outside"      },
		{"ls > /projshop",               "a file outside"      },
		{"rm /usr/x",                    "a file outside"      },
		{"rm -- -x /usr/x",              "a file outside"      },
		{"cp a /usr/b",                  "a file outside"      },
		{"cp --target-directory=/usr a", "an option that could"},
		{"cp -t/usr a",                  "an option that could"},
		{"ls | tee /usr/x",              "a file outside"      },
		{"tar cf /usr/x a",              "a file outside"      },
		{"tar xf a -C /usr",             "a file outside"      },
		{"tar xf a --directory=/usr",    "an option that could"},
		{"sort -o /usr/x a",             "a file outside"      },
		{"sort --output=/usr/x a",       "an option that could"},
		{"dd if=a of=/usr/x",            "a file outside"      },
		{"sed -ni s/a/b/ /usr/x",        "a file outside"      },
		{"cd /etc && cat passwd",        "protected_paths[0]"  },
		{"cd .. && cat .git/hooks/x",    "a folder that holds" },
		{"cd /usr && ls > x",            "a file outside"      },
		{"cd sub; ls",                   "a change of folder"  },
		{"cd sub && ls; cat ../x",       "a change of folder"  },
		{"cd sub && ls || cat ../x",     "a change of folder"  },
		{"ls && cd sub && cat x",        "a change of folder"  },
		{"cd - && ls",                   "a change of folder"  },
		{"cd",			   "a change of folder"  },
		{"git fetch",                    "network"             },
		{"git -C x clone y",             "network"             },
		{"npm install x",                "network"             },
		{"curl x",                       "network"             },
		{"cat http://x/y",               "network"             },
		{"echo x > /dev/tcp/h/80",       "a file outside"      },
		{"cat < /dev/tcp/h/80",          "network"             },
	};

	CHECK(rows);
}

static void
long_input_and_nul_are_denied(void **state)
{
	struct policy *p = parse(rules);
	char text[20000];

	memset(text, 'x', sizeof(text));
	memcpy(text, "ls ", 3);
	assert_true(policy_decide_command(p, text, 3000, "/").allow == false);
	assert_true(policy_decide_command(p, text, 3000, "/proj/src").allow);
	assert_false(policy_decide_command(p, text, 5000, "/proj/src").allow);
	assert_false(policy_decide_command(p, text, sizeof(text), "/proj/src").allow);
	for (size_t i = 3; i + 1 < sizeof(text); i += 2)
		text[i] = ' ';
	assert_false(policy_decide_command(p, text, 16000, "/proj/src").allow);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "ls;"[i % 3];
	assert_true(policy_decide_command(p, text, 3 * 64, "/proj/src").allow);
	assert_false(policy_decide_command(p, text, 3 * 65, "/proj/src").allow);
	memset(text, ':', sizeof(text));
	memcpy(text, "ls ", 3);
	assert_false(policy_decide_command(p, text, 4000, "/proj/src").allow);
	assert_false(policy_decide_command(p, "ls\0x", 4, "/proj/src").allow);
	assert_false(policy_decide_command(p, "ls 'a\0b'", 8, "/proj/src").allow);
	policy_free(p);
}

static void
what_would_take_long_to_compare_is_denied(void **state)
{
	struct policy *p = parse(rules);
	char text[15000] = "ls";
	size_t len = 2;
	struct policy_decision d;

	while (len < sizeof(text) - 4000) {
		text[len++] = ' ';
		for (size_t i = 0; i < 200; i++)
			text[len++] = ',';
		for (size_t i = 0; i < 1500; i++) {
			text[len++] = 'a';
			text[len++] = '/';
		}
	}
	d = policy_decide_command(p, text, len, "/proj/src");
	assert_string_equal(d.reason, "too much to compare");
	assert_false(d.allow);
	policy_free(p);
}

static void
a_command_cut_anywhere_never_does_more(void **state)
{
	static const char text[] =
		"ls 'a b' \"c\\\"d\" e\\ f 2>&1 >out | cat && cd x || rm -rf /etc";
	struct policy *p = parse(rules);

	for (size_t len = 0; len <= strlen(text); len++) {
		char *copy = malloc(len + 1); /* exact, for the sanitizer */

		assert_non_null(copy);
		memcpy(copy, text, len);
		(void)policy_decide_command(p, copy, len, "/proj/src");
		if (len > strlen(text) - 10)
			assert_false(policy_decide_command(p, copy, len, "/proj/src").allow);
		free(copy);
	}
	policy_free(p);
}

static void
the_folder_counts_too(void **state)
{
	struct policy *p = parse(rules);

	assert_false(policy_decide_command(p, "ls", 2, "/etc/x").allow);
	assert_false(policy_decide_command(p, "ls", 2, "/proj/../etc").allow);
	assert_false(policy_decide_command(p, "ls", 2, "/").allow);
	assert_false(policy_decide_command(p, "ls", 2, "work").allow);
	assert_false(policy_decide_command(p, "ls", 2, "~").allow);
	assert_false(policy_decide_command(p, "ls", 2, "").allow);
	assert_false(policy_decide_command(p, "ls", 2, NULL).allow);
	policy_free(p);
}

static bool
patch_allowed(const struct policy *p, const char *a, const char *b, const char *cwd)
{
	const char *const paths[] = {a, b};

	return policy_decide_patch(p, paths, b != NULL ? 2 : 1, cwd).allow;
}

static void
patches_stay_in_the_write_paths(void **state)
{
	struct policy *p = parse(rules);

	assert_true(patch_allowed(p, "/proj/a", "/proj/b/c", NULL));
	assert_true(patch_allowed(p, "a", "../b", "/proj/src"));
	assert_true(patch_allowed(p, "/tmp/out1/x", NULL, NULL));
	assert_false(patch_allowed(p, "a", NULL, NULL));
	assert_false(patch_allowed(p, "a", NULL, "work"));
	assert_false(patch_allowed(p, "/proj/a", "/usr/b", NULL));
	assert_false(patch_allowed(p, "/proj/../usr/a", NULL, NULL));
	assert_false(patch_allowed(p, "/projshop/a", NULL, NULL));
	assert_false(patch_allowed(p, "/proj/.git/hooks/x", NULL, NULL));
	assert_false(patch_allowed(p, "/proj/.git", NULL, NULL));
	assert_false(patch_allowed(p, "/proj/.env", NULL, NULL));
	assert_false(patch_allowed(p, "/proj/a\xe2\x80\x8b", NULL, NULL));
	assert_false(patch_allowed(p, "", NULL, "/proj"));
	assert_false(patch_allowed(p, "~/a", NULL, "/proj"));
	assert_false(policy_decide_patch(p, NULL, 0, "/proj").allow);
	policy_free(p);
}

static void
no_policy_an_empty_one_and_the_kill_switch_deny_all(void **state)
{
	static const char *const texts[] = {
		"{\"version\":1}",
		"{\"version\":1,\"kill_switch\":true,\"allow\":[\"ls\"],\"write_paths\":[\"/\"]}",
	};

	for (size_t i = 0; i <= NELEM(texts); i++) {
		struct policy *p = i < NELEM(texts) ? parse(texts[i]) : NULL;

		assert_false(policy_decide_command(p, "ls", 2, "/proj").allow);
		assert_false(patch_allowed(p, "/proj/a", NULL, NULL));
		policy_free(p);
	}
}

static void
the_network_can_be_allowed(void **state)
{
	struct policy *p = parse("{\"version\":1,\"network\":\"allow\",\"allow\":[\"git fetch\"]}");

	assert_true(policy_decide_command(p, "git fetch https://h/x", 21, "/w").allow);
	policy_free(p);
}

static void
a_deny_pattern_sees_the_whole_script_too(void **state)
{
	struct policy *p =
		parse("{\"version\":1,\"deny\":[\"^ls.*[|].*cat\"],\"allow\":[\"ls\",\"cat\"]}");

	assert_true(policy_decide_command(p, "bash -lc 'cat a | ls'", 21, "/w").allow);
	assert_false(policy_decide_command(p, "bash -lc 'ls | cat'", 19, "/w").allow);
	assert_false(policy_decide_command(p, "ls | cat", 8, "/w").allow);
	policy_free(p);
}

static void
the_root_as_a_rule_is_everything(void **state)
{
	struct policy *p = parse("{\"version\":1,\"write_paths\":[\"/\"]}");

	assert_true(patch_allowed(p, "/a/b", "/c", NULL));
	policy_free(p);
	p = parse("{\"version\":1,\"allow\":[\"ls\"],\"protected_paths\":[\"/\"]}");
	assert_false(policy_decide_command(p, "ls", 2, "/w").allow);
	policy_free(p);
}

static void
every_mistake_in_the_file_is_told(void **state)
{
	static const char text[] =
		"{\"version\":2,\"kill_switch\":1,\"network\":true,\"deny\":[\"(\",\"(a)\\\\1\",1],"
		"\"allow\":[\"\",\"a;b\",\"a>b\",\"$a\",\"a\\u0000\"],\"protected_paths\":[\"a\","
		"\"~x\",\"/a/**\"],\"protected_files\":[\"a/b\"],\"write_paths\":\"/"
		"a\",\"more\":1}";
	static const char *const lines[] = {
		"version: must be 1\n",
		"kill_switch: must be true or false\n",
		"network: must be \"deny\" or \"allow\"\n",
		"deny[0]: Unmatched ( or \\(\n",
		"deny[1]: back-references are not supported\n",
		"deny[2]: must be a string without NUL\n",
		"allow[0]: is empty\n",
		"allow[1]: not the words of one command: a list or a redirection\n",
		"allow[2]: not the words of one command: a list or a redirection\n",
		"allow[3]: not the words of one command: an expansion\n",
		"allow[4]: must be a string without NUL\n",
		"protected_paths[0]: not an absolute path, nor one below ~\n",
		"protected_paths[1]: not an absolute path, nor one below ~\n",
		"protected_paths[2]: ** is not supported\n",
		"protected_files[0]: a name, without /\n",
		"write_paths: must be an array of strings\n",
		"more: unknown key\n",
	};
	struct json_buf mistakes = {.data = NULL};
	size_t total = 0;

	assert_null(policy_parse(text, strlen(text), "/home/u", &mistakes));
	json_buf_append(&mistakes, "", 1);
	for (size_t i = 0; i < NELEM(lines); i++) {
		if (strstr(mistakes.data, lines[i]) == NULL)
			fail_msg("%s is missing in\n%s", lines[i], mistakes.data);
		total += strlen(lines[i]);
	}
	assert_int_equal(strlen(mistakes.data), total);
	json_buf_free(&mistakes);
}

static void
what_is_no_policy_at_all_is_told_too(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"null",
		"{}",
		"{\"version\":1,\"version\":1}",
		"{\"version\":1} x",
		"{\"version\":1,\"write_paths\":[\"~/x\"]}",
	};

	for (size_t i = 0; i < NELEM(texts); i++) {
		struct json_buf mistakes = {.data = NULL};

		assert_null(policy_parse(texts[i], strlen(texts[i]), NULL, &mistakes));
		assert_true(mistakes.len > 0);
		json_buf_free(&mistakes);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_allowed_runs),
		cmocka_unit_test(what_no_prefix_allows_does_not_run),
		cmocka_unit_test(what_is_not_understood_does_not_run),
		cmocka_unit_test(what_shells_read_differently_does_not_run),
		cmocka_unit_test(what_is_denied_or_protected_stays_so),
		cmocka_unit_test(writes_folders_and_the_network_are_held),
		cmocka_unit_test(long_input_and_nul_are_denied),
		cmocka_unit_test(what_would_take_long_to_compare_is_denied),
		cmocka_unit_test(a_command_cut_anywhere_never_does_more),
		cmocka_unit_test(the_folder_counts_too),
		cmocka_unit_test(patches_stay_in_the_write_paths),
		cmocka_unit_test(no_policy_an_empty_one_and_the_kill_switch_deny_all),
		cmocka_unit_test(the_network_can_be_allowed),
		cmocka_unit_test(a_deny_pattern_sees_the_whole_script_too),
		cmocka_unit_test(the_root_as_a_rule_is_everything),
		cmocka_unit_test(every_mistake_in_the_file_is_told),
		cmocka_unit_test(what_is_no_policy_at_all_is_told_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
