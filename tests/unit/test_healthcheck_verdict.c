/* What codex-healthcheck says of an answer that is no good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "healthcheck/verdict.h"

static void
assert_line(int status, const char *body, const char *expected)
{
	struct http_answer a = {.status = status,
	                        .body = (char *)(uintptr_t)body,
	                        .len = body != NULL ? strlen(body) : 0};
	char line[VERDICT_LINE_MAX];

	verdict_not_well(line, &a, "ready");
	assert_string_equal(line, expected);
}

static void
the_reasons_of_the_answer_are_shown(void **state)
{
	assert_line(503, "{\"status\":\"not_ready\",\"reasons\":[\"no app-server is connected\"]}",
	            "not ready: no app-server is connected");
	assert_line(503, "{\"reasons\":[\"one\",7,\"\",\"two\"]}", "not ready: one; two");
}

static void
without_reasons_the_status_is_shown(void **state)
{
	static const char *const bodies[] = {NULL,
	                                     "",
	                                     "gateway",
	                                     "[]",
	                                     "{",
	                                     "{\"reasons\":\"x\"}",
	                                     "{\"reasons\":[]}",
	                                     "{\"reasons\":[1,null]}"};

	for (size_t i = 0; i < NELEM(bodies); i++)
		assert_line(502, bodies[i], "not ready: answered with HTTP status 502");
}

static void
an_answer_cannot_write_control_characters(void **state)
{
	assert_line(503, "{\"reasons\":[\"a\\u001b[31m\\nb\\u009bc\\u007f\"]}",
	            "not ready: a [31m b  c ");
	assert_line(503, "{\"reasons\":[\"caf\xc3\xa9\"]}", "not ready: caf\xc3\xa9");
}

static void
a_long_answer_is_cut_between_characters(void **state)
{
	for (size_t shift = 0; shift < 4; shift++) {
		char body[4096] = "{\"reasons\":[\"", line[VERDICT_LINE_MAX];
		struct http_answer a = {.status = 503, .body = body};
		size_t at = strlen(body), len;

		for (size_t i = 0; i < shift; i++)
			body[at++] = 'x';
		for (size_t i = 0; i < 500; i++) {
			memcpy(body + at, "\xe2\x82\xac", 3); /* a euro sign */
			at += 3;
		}
		memcpy(body + at, "\"]}", 4);
		a.len = strlen(body);
		verdict_not_well(line, &a, "ready");
		len = strlen(line);
		assert_in_range(len, 400, VERDICT_LINE_MAX - 1);
		assert_memory_equal(line + len - 3, "\xe2\x82\xac", 3);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reasons_of_the_answer_are_shown),
		cmocka_unit_test(without_reasons_the_status_is_shown),
		cmocka_unit_test(an_answer_cannot_write_control_characters),
		cmocka_unit_test(a_long_answer_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
