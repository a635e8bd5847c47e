/* The answer that opens a WebSocket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proxy/codex/ws_upgrade.h"

static struct ws_upgrade upgrade;
static char request[1024], answer[1024];

/* As codex gives it, with the right answer to our key. */
static size_t
begin(const char *more)
{
	int n = ws_upgrade_begin(&upgrade, request, sizeof(request), "localhost", "/");

	assert_true(n > 0);
	n = snprintf(
		answer, sizeof(answer),
		"HTTP/1.1 101 Switching Protocols\r\nEmpty:\r\nconnection: keep-alive, Upgrade\r\n"
		"UPGRADE: WebSocket\r\nsec-websocket-ACCEPT: %s\r\n%s\r\n",
		upgrade.accept, more);
	return (size_t)n;
}

static void
the_right_answer_opens_it_in_pieces_of_any_size(void **state)
{
	for (size_t piece = 1; piece < 200; piece++) {
		size_t len = begin("Content-Length: 5\r\nX: y\r\n"), at = 0;

		memcpy(answer + len, "\x81\x02{}", 4); /* the first frame is right behind it */
		while (upgrade.state == WS_UPGRADE_WAITS && at < len + 4) {
			size_t n = len + 4 - at < piece ? len + 4 - at : piece;

			at += ws_upgrade_feed(&upgrade, answer + at, n);
		}
		assert_int_equal(upgrade.state, WS_UPGRADE_DONE);
		assert_int_equal(at, len); /* the frame is not eaten */
	}
}

static void
each_key_is_another_one(void **state)
{
	char first[WS_ACCEPT_SIZE];
	size_t len;

	(void)begin("");
	(void)snprintf(first, sizeof(first), "%s", upgrade.accept);
	len = begin("");
	assert_string_not_equal(first, upgrade.accept);
	memcpy(strstr(answer, upgrade.accept), first, strlen(first));
	(void)ws_upgrade_feed(&upgrade, answer, len);
	assert_int_equal(upgrade.state, WS_UPGRADE_REFUSED);
	assert_string_equal(upgrade.problem,
	                    "the handshake was answered with 101, but not rightly");
}

static void
a_path_that_does_not_fit_is_no_request(void **state)
{
	char path[2000];

	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_true(ws_upgrade_begin(&upgrade, request, sizeof(request), "h", path) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_answer_opens_it_in_pieces_of_any_size),
		cmocka_unit_test(each_key_is_another_one),
		cmocka_unit_test(a_path_that_does_not_fit_is_no_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
