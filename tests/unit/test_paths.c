/* Where the folders are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/paths.h"

static int
clear_environment(void **state)
{
	static const char *const names[] = {"RUNTIME_DIRECTORY", "STATE_DIRECTORY", "HOME",
	                                    "XDG_RUNTIME_DIR", "XDG_STATE_HOME"};

	for (size_t i = 0; i < NELEM(names); i++)
		if (unsetenv(names[i]) != 0)
			return -1;
	return 0;
}

static void
assert_path(char *path, const char *expected)
{
	assert_non_null(path);
	assert_string_equal(path, expected);
	free(path);
}

static void
set(const char *name, const char *value)
{
	assert_int_equal(setenv(name, value, 1), 0);
}

static void
the_runtime_folder_is_the_first_that_is_named(void **state)
{
	struct settings s = {.api_key = NULL};
	char chosen[] = "/chosen";

	assert_path(paths_runtime_dir(&s), "/run/codex-sidecar");
	set("XDG_RUNTIME_DIR", "/run/user/5/");
	assert_path(paths_runtime_dir(&s), "/run/user/5/codex-sidecar");
	set("RUNTIME_DIRECTORY", "/run/unit:/run/other");
	assert_path(paths_runtime_dir(&s), "/run/unit");
	s.runtime_dir = chosen;
	assert_path(paths_runtime_dir(&s), "/chosen");
}

static void
the_state_folder_is_the_first_that_is_named(void **state)
{
	struct settings s = {.api_key = NULL};
	char chosen[] = "/chosen";

	assert_path(paths_state_dir(&s), "/var/lib/codex-sidecar");
	set("HOME", "/home/u");
	assert_path(paths_state_dir(&s), "/home/u/.local/state/codex-sidecar");
	set("XDG_STATE_HOME", "/xdg");
	assert_path(paths_state_dir(&s), "/xdg/codex-sidecar");
	set("STATE_DIRECTORY", "/var/lib/unit");
	assert_path(paths_state_dir(&s), "/var/lib/unit");
	s.state_dir = chosen;
	assert_path(paths_state_dir(&s), "/chosen");
}

static void
relative_and_empty_variables_are_passed_over(void **state)
{
	struct settings s = {.api_key = NULL};

	set("XDG_RUNTIME_DIR", "");
	set("RUNTIME_DIRECTORY", "relative");
	assert_path(paths_runtime_dir(&s), "/run/codex-sidecar");
	set("XDG_STATE_HOME", "relative");
	assert_path(paths_state_dir(&s), "/var/lib/codex-sidecar");
}

static void
the_control_socket_is_in_the_runtime_folder_unless_named(void **state)
{
	struct settings s = {.api_key = NULL};
	char runtime[] = "/r", chosen[] = "/c/s.sock";

	s.runtime_dir = runtime;
	assert_path(paths_control_socket(&s), "/r/control.sock");
	s.control_socket = chosen;
	assert_path(paths_control_socket(&s), "/c/s.sock");
}

static void
codex_lives_in_the_home_folder_unless_named(void **state)
{
	struct settings s = {.api_key = NULL};
	char chosen[] = "/codex";
	char *path = paths_codex_home(&s); /* from the password file */

	assert_non_null(path);
	assert_non_null(strstr(path, "/.codex"));
	free(path);
	set("HOME", "/home/u");
	assert_path(paths_codex_home(&s), "/home/u/.codex");
	s.codex_home = chosen;
	assert_path(paths_codex_home(&s), "/codex");
}

static void
joining_puts_one_slash_between(void **state)
{
	assert_path(paths_join("/a", "b"), "/a/b");
	assert_path(paths_join("/a//", "b"), "/a/b");
	assert_path(paths_join("/", "b"), "/b");
	assert_path(paths_join("a", "b"), "a/b");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_runtime_folder_is_the_first_that_is_named,
	                               clear_environment),
		cmocka_unit_test_setup(the_state_folder_is_the_first_that_is_named,
	                               clear_environment),
		cmocka_unit_test_setup(relative_and_empty_variables_are_passed_over,
	                               clear_environment),
		cmocka_unit_test_setup(the_control_socket_is_in_the_runtime_folder_unless_named,
	                               clear_environment),
		cmocka_unit_test_setup(codex_lives_in_the_home_folder_unless_named,
	                               clear_environment),
		cmocka_unit_test(joining_puts_one_slash_between),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
