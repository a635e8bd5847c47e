/* Whose key opens the door. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "proxy/api/auth.h"

static char path[64];

/* A file with that text; its path is valid until the next. */
static char *
key_file(const char *text)
{
	int fd;

	(void)snprintf(path, sizeof(path), "/tmp/test-auth-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
	return path;
}

static void
without_keys_everybody_is_let_in(void **state)
{
	const struct settings s = {.port = 1};
	struct auth *a = NULL;

	assert_int_equal(auth_new(&a, &s, NULL), 0);
	assert_true(auth_key(a, NULL) >= 0);
	assert_true(auth_key(a, "Bearer whatever") >= 0);
	auth_free(a);
	auth_free(NULL);
}

static void
only_the_whole_key_is_let_in(void **state)
{
	char key[] = "sk-secret";
	const struct settings s = {.api_key = key};
	struct auth *a = NULL;
	static const char *const wrong[] = {
		"",
		"Bearer",
		"Bearer ",
		"Bearer sk-secre",
		"Bearer sk-secrets",
		"Bearer sk-secret sk-secret",
		"Bearer SK-SECRET",
		"Bearer s",
		"sk-secret",
		"Basic sk-secret",
		"Bearer sk-secret ",
		"Bearersk-secret",
		"Bearer sk-secret\tx",
	};

	assert_int_equal(auth_new(&a, &s, NULL), 0);
	assert_true(auth_key(a, "Bearer sk-secret") >= 0);
	assert_true(auth_key(a, "bearer   sk-secret") >= 0);
	assert_int_equal(auth_key(a, NULL), -1);
	for (size_t i = 0; i < NELEM(wrong); i++)
		assert_int_equal(auth_key(a, wrong[i]), -1);
	/* longer than the key, and the same as far as it goes round and round */
	assert_int_equal(auth_key(a, "Bearer sk-secret\nsk-secret"), -1);
	auth_free(a);
}

static void
every_key_of_every_source_is_let_in(void **state)
{
	char key[] = "one";
	struct settings s = {.api_key = key};
	struct auth *a = NULL;
	char second[64];

	(void)snprintf(second, sizeof(second), "%s", key_file("two\n"));
	s.api_key_file = second;
	s.api_keys_file = key_file("# a comment\n\n  three  the rest is a note\r\n#four\nfive");
	assert_int_equal(auth_new(&a, &s, NULL), 0);
	assert_true(auth_key(a, "Bearer one") >= 0);
	assert_true(auth_key(a, "Bearer two") >= 0);
	assert_true(auth_key(a, "Bearer three") >= 0);
	assert_true(auth_key(a, "Bearer five") >= 0);
	assert_int_equal(auth_key(a, "Bearer four"), -1);
	assert_int_equal(auth_key(a, "Bearer #four"), -1);
	assert_int_equal(auth_key(a, "Bearer the"), -1);
	auth_free(a);
	assert_int_equal(unlink(second), 0);
	assert_int_equal(unlink(s.api_keys_file), 0);
}

static void
a_file_without_a_key_stops_the_start(void **state)
{
	struct auth *a = NULL;
	struct err err = {.code = 0};
	struct settings s = {.api_key_file = key_file("\n")};

	assert_int_equal(auth_new(&a, &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(auth_new(&a, &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
	s = (struct settings){.api_keys_file = key_file("# nothing\n\n")};
	assert_int_equal(auth_new(&a, &s, &err), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_null(a);
}

static void
a_keys_file_beside_a_key_must_hold_one_as_well(void **state)
{
	char key[] = "one";
	struct settings s = {.api_key = key, .api_keys_file = key_file("# all gone\n")};
	struct auth *a = NULL;
	struct err err = {.code = 0};

	assert_int_equal(auth_new(&a, &s, &err), -EINVAL);
	assert_int_equal(unlink(path), 0);
}

static void
more_keys_than_can_be_compared_are_refused(void **state)
{
	char text[1001 * 6 + 1], *at = text;
	struct settings s = {.port = 1};
	struct auth *a = NULL;
	struct err err = {.code = 0};

	for (int i = 0; i < 1001; i++)
		at += sprintf(at, "k%04d\n", i);
	s.api_keys_file = key_file(text);
	assert_int_equal(auth_new(&a, &s, &err), -E2BIG);
	assert_int_equal(unlink(path), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_keys_everybody_is_let_in),
		cmocka_unit_test(only_the_whole_key_is_let_in),
		cmocka_unit_test(every_key_of_every_source_is_let_in),
		cmocka_unit_test(a_file_without_a_key_stops_the_start),
		cmocka_unit_test(a_keys_file_beside_a_key_must_hold_one_as_well),
		cmocka_unit_test(more_keys_than_can_be_compared_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
