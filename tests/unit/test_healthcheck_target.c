/* Where codex-healthcheck asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "healthcheck/target.h"

static void
assert_url_of(const char *host, const char *url)
{
	struct settings s = {.host = (char *)(uintptr_t)host, .port = 3460};
	struct target t;

	assert_int_equal(target_from_settings(&t, &s, "/readyz", NULL), 0);
	assert_string_equal(t.url, url);
	assert_null(t.unix_path);
	target_free(&t);
}

static void
the_host_of_the_settings_is_asked(void **state)
{
	assert_url_of("127.0.0.1", "http://127.0.0.1:3460/readyz");
	assert_url_of("localhost", "http://localhost:3460/readyz");
	assert_url_of("10.1.2.3", "http://10.1.2.3:3460/readyz");
	assert_url_of("::1", "http://[::1]:3460/readyz");
	assert_url_of("fd00::12", "http://[fd00::12]:3460/readyz");
}

static void
a_wildcard_is_asked_on_the_loopback_of_its_family(void **state)
{
	assert_url_of("0.0.0.0", "http://127.0.0.1:3460/readyz");
	assert_url_of("0", "http://127.0.0.1:3460/readyz");
	assert_url_of("::", "http://[::1]:3460/readyz");
	assert_url_of("0:0:0:0:0:0:0:0", "http://[::1]:3460/readyz");
}

static void
the_unix_socket_of_the_settings_comes_first(void **state)
{
	char host[] = "127.0.0.1", path[] = "/run/codex/http.sock";
	struct settings s = {.host = host, .port = 3460, .listen_unix = path};
	struct target t;

	assert_int_equal(target_from_settings(&t, &s, "/healthz", NULL), 0);
	assert_string_equal(t.url, "http://localhost/healthz");
	assert_string_equal(t.unix_path, path);
	target_free(&t);
}

static void
a_host_that_cannot_be_one_names_the_setting(void **state)
{
	char host[] = "not a host/";
	struct settings s = {.host = host, .port = 3460};
	struct target t = {.url = NULL};
	struct err err;

	assert_int_equal(target_from_settings(&t, &s, "/readyz", &err), -EINVAL);
	assert_non_null(strstr(err.text, "CODEX_PROXY_HOST"));
	assert_null(t.url);
}

static void
assert_from_url(const char *base, const char *url)
{
	struct target t;

	assert_int_equal(target_from_url(&t, base, "/readyz", NULL), 0);
	assert_string_equal(t.url, url);
	target_free(&t);
}

static void
the_question_goes_behind_the_path_of_a_url(void **state)
{
	assert_from_url("http://h:1", "http://h:1/readyz");
	assert_from_url("http://h:1/", "http://h:1/readyz");
	assert_from_url("https://h/codex//", "https://h/codex/readyz");
}

static void
what_is_no_plain_http_url_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",           "127.0.0.1:3460", "ftp://h",     "file:///etc/passwd",
		"http://",    "http://h/?x=1",  "http://h/#x", "http://user:secret@h/",
		"http://h:x", "http://h:70000", "http:h",
	};

	for (size_t i = 0; i < NELEM(wrong); i++) {
		struct target t = {.url = NULL};
		struct err err = {.code = 0};

		assert_int_equal(target_from_url(&t, wrong[i], "/readyz", &err), -EINVAL);
		assert_null(strstr(err.text, "secret"));
		assert_null(t.url);
	}
}

static void
a_path_too_long_for_a_socket_is_refused(void **state)
{
	char path[200];
	struct target t = {.url = NULL};

	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(target_from_unix(&t, path, "/readyz", NULL), -EINVAL);
	assert_int_equal(target_from_unix(&t, "", "/readyz", NULL), -EINVAL);
	assert_null(t.unix_path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_host_of_the_settings_is_asked),
		cmocka_unit_test(a_wildcard_is_asked_on_the_loopback_of_its_family),
		cmocka_unit_test(the_unix_socket_of_the_settings_comes_first),
		cmocka_unit_test(a_host_that_cannot_be_one_names_the_setting),
		cmocka_unit_test(the_question_goes_behind_the_path_of_a_url),
		cmocka_unit_test(what_is_no_plain_http_url_is_refused),
		cmocka_unit_test(a_path_too_long_for_a_socket_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
