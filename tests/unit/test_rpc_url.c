/* Where an app-server may listen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proxy/codex/rpc_url.h"

static void
assert_url(const char *url, const char *address, int port, const char *host, const char *path)
{
	struct rpc_url u;

	assert_int_equal(rpc_url_parse(&u, url, NULL), 0);
	assert_string_equal(u.address, address);
	assert_int_equal(u.port, port);
	assert_string_equal(u.host, host);
	assert_string_equal(u.path, path);
	assert_int_equal(u.tcp, port != 0);
	rpc_url_free(&u);
	rpc_url_free(&u);
}

static void
unix_sockets_and_tcp_are_understood(void **state)
{
	assert_url("unix:///run/a.sock", "/run/a.sock", 0, "localhost", "/");
	assert_url("unix:///run/a b/ä?x#y.sock", "/run/a b/ä?x#y.sock", 0, "localhost", "/");
	assert_url("ws://127.0.0.1:3498", "127.0.0.1", 3498, "127.0.0.1:3498", "/");
	assert_url("ws://127.0.0.1:3498/", "127.0.0.1", 3498, "127.0.0.1:3498", "/");
	assert_url("ws://host:1/a/b?c=d", "host", 1, "host:1", "/a/b?c=d");
	assert_url("ws://[::1]:3498/x", "::1", 3498, "[::1]:3498", "/x");
	assert_url("ws://host", "host", 80, "host:80", "/");
}

static void
anything_else_is_refused_with_a_reason(void **state)
{
	static const char *const urls[] = {
		"",
		"/run/a.sock",
		"unix://",
		"unix://run/a.sock",
		"unix:/run/a.sock",
		"ws://",
		"ws:///x",
		"wss://host:1",
		"http://host:1",
		"host:1",
		"ws://:1",
		"ws://host:0",
		"ws://host:99999",
	};

	for (size_t i = 0; i < NELEM(urls); i++) {
		struct rpc_url u;
		struct err err = {.code = 0};

		if (rpc_url_parse(&u, urls[i], &err) != -EINVAL)
			fail_msg("taken: %s", urls[i]);
		assert_non_null(strstr(err.text, urls[i]));
	}
}

static void
a_host_too_long_for_its_header_is_refused(void **state)
{
	char url[1000] = "ws://";
	struct rpc_url u;

	memset(url + 5, 'h', 900);
	strcpy(url + 905, ":1");
	assert_int_equal(rpc_url_parse(&u, url, NULL), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unix_sockets_and_tcp_are_understood),
		cmocka_unit_test(anything_else_is_refused_with_a_reason),
		cmocka_unit_test(a_host_too_long_for_its_header_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
