/* How much of the account is used, and when it can be used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/json.h"
#include "proxy/codex/account_limits.h"

#define NOW 1795624610

static struct account_limits l;

static int
setup(void **state)
{
	memset(&l, 0, sizeof(l));
	return 0;
}

static void
hear(const char *text)
{
	json_auto_t *params = json_parse(text, strlen(text), NULL);

	assert_non_null(params);
	account_limits_hear(&l, params);
}

static void
assert_window(size_t limit, enum limit_window_name name, int64_t used, int64_t sec, int64_t resets)
{
	const struct limit_window *w = &l.limits[limit].windows[name];

	assert_true(w->known);
	assert_int_equal(w->used_percent, used);
	assert_int_equal(w->window_sec, sec);
	assert_int_equal(w->resets_at, resets);
}

static void
both_windows_are_kept(void **state)
{
	hear("{\"rateLimits\":{\"limitId\":\"codex\",\"limitName\":null,"
	     "\"primary\":{\"usedPercent\":43,\"windowDurationMins\":300,\"resetsAt\":1795628210},"
	     "\"secondary\":{\"usedPercent\":7,\"windowDurationMins\":10080,"
	     "\"resetsAt\":1795724609},\"credits\":null}}");
	assert_int_equal(l.count, 1);
	assert_string_equal(l.limits[0].id, "codex");
	assert_window(0, LIMIT_PRIMARY, 43, 18000, 1795628210);
	assert_window(0, LIMIT_SECONDARY, 7, 604800, 1795724609);
	assert_int_equal(account_limits_wait_sec(&l, NOW), -1);
}

static void
what_is_not_said_stays(void **state)
{
	hear("{\"rateLimits\":{\"limitId\":\"codex\",\"primary\":{\"usedPercent\":43,"
	     "\"windowDurationMins\":300,\"resetsAt\":1795628210},\"secondary\":null}}");
	hear("{\"rateLimits\":{\"limitId\":\"codex\",\"primary\":null,\"secondary\":null}}");
	hear("{\"rateLimits\":{\"limitId\":\"codex\",\"secondary\":{\"usedPercent\":1,"
	     "\"windowDurationMins\":null,\"resetsAt\":null}}}");
	assert_window(0, LIMIT_PRIMARY, 43, 18000, 1795628210);
	assert_window(0, LIMIT_SECONDARY, 1, 0, 0);
}

static void
a_window_that_is_over_is_unknown_again(void **state)
{
	const struct limit_window *w = &l.limits[0].windows[LIMIT_PRIMARY];

	assert_false(limit_window_holds(w, NOW));
	hear("{\"rateLimits\":{\"primary\":{\"usedPercent\":100,\"resetsAt\":1795624620}}}");
	assert_true(limit_window_holds(w, NOW));
	assert_int_equal(account_limits_wait_sec(&l, NOW), 10);
	assert_true(limit_window_holds(w, NOW + 9));
	assert_false(limit_window_holds(w, NOW + 10));
	assert_int_equal(account_limits_wait_sec(&l, NOW + 10), -1);
}

static void
the_wait_is_until_the_last_full_window_is_over(void **state)
{
	hear("{\"rateLimits\":{\"limitId\":\"codex\","
	     "\"primary\":{\"usedPercent\":100,\"windowDurationMins\":300,\"resetsAt\":1795624670},"
	     "\"secondary\":{\"usedPercent\":99,\"windowDurationMins\":10080,"
	     "\"resetsAt\":1795724609}}}");
	assert_int_equal(account_limits_wait_sec(&l, NOW), 60);
	hear("{\"rateLimits\":{\"limitId\":\"codex\",\"secondary\":{\"usedPercent\":103,"
	     "\"windowDurationMins\":10080,\"resetsAt\":1795724610}}}");
	assert_int_equal(account_limits_wait_sec(&l, NOW), 100000);
}

static void
of_several_limits_the_one_spoken_of_last_counts(void **state)
{
	hear("{\"rateLimits\":{\"limitId\":\"codex_other\",\"primary\":{\"usedPercent\":100,"
	     "\"resetsAt\":1795624620}}}");
	hear("{\"rateLimits\":{\"limitId\":\"codex\",\"primary\":{\"usedPercent\":50,"
	     "\"resetsAt\":1795624640}}}");
	assert_int_equal(l.count, 2);
	assert_int_equal(account_limits_wait_sec(&l, NOW), -1);
	hear("{\"rateLimits\":{\"limitId\":\"codex_other\"}}");
	assert_int_equal(account_limits_wait_sec(&l, NOW), 10);
}

static void
a_time_that_cannot_be_is_no_answer(void **state)
{
	static const char *const times[] = {
		"0", "-5", "null", "\"soon\"", "9223372036854775807", "1800000000"};

	for (size_t i = 0; i < NELEM(times); i++) {
		char text[128];

		memset(&l, 0, sizeof(l));
		(void)snprintf(text, sizeof(text),
		               "{\"rateLimits\":{\"primary\":{\"usedPercent\":100,"
		               "\"resetsAt\":%s}}}",
		               times[i]);
		hear(text);
		assert_int_equal(account_limits_wait_sec(&l, NOW), -1);
	}
}

static void
what_cannot_be_is_ignored(void **state)
{
	static const char *const wrong[] = {
		"null",
		"{}",
		"[]",
		"{\"rateLimits\":7}",
		"{\"rateLimits\":{\"limitId\":\"\",\"primary\":{\"usedPercent\":1}}}",
		"{\"rateLimits\":{\"limitId\":\"a\\\"b\",\"primary\":{\"usedPercent\":1}}}",
		"{\"rateLimits\":{\"limitId\":\"a234567890123456789012345678901\\u0000\"}}",
		"{\"rateLimits\":{\"limitId\":\"a2345678901234567890123456789012\"}}",
	};

	for (size_t i = 0; i < NELEM(wrong); i++) {
		json_auto_t *params = json_loads(wrong[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

		assert_non_null(params);
		account_limits_hear(&l, params);
		if (l.count > 0)
			assert_string_equal(l.limits[0].id, "codex"); /* one without a usable id */
		memset(&l, 0, sizeof(l));
	}
	hear("{\"rateLimits\":{\"primary\":{\"usedPercent\":-1},"
	     "\"secondary\":{\"usedPercent\":\"9\"}}}");
	assert_false(l.limits[0].windows[LIMIT_PRIMARY].known);
	assert_false(l.limits[0].windows[LIMIT_SECONDARY].known);
}

static void
limits_without_end_cost_no_memory(void **state)
{
	for (int i = 0; i < 100; i++) {
		char text[96];

		(void)snprintf(text, sizeof(text),
		               "{\"rateLimits\":{\"limitId\":\"l%d\",\"primary\":{"
		               "\"usedPercent\":1}}}",
		               i);
		hear(text);
	}
	assert_int_equal(l.count, ACCOUNT_LIMITS_MAX);
	assert_string_equal(l.limits[ACCOUNT_LIMITS_MAX - 1].id, "l7");
	assert_int_equal(l.last, ACCOUNT_LIMITS_MAX - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(both_windows_are_kept, setup),
		cmocka_unit_test_setup(what_is_not_said_stays, setup),
		cmocka_unit_test_setup(a_window_that_is_over_is_unknown_again, setup),
		cmocka_unit_test_setup(the_wait_is_until_the_last_full_window_is_over, setup),
		cmocka_unit_test_setup(of_several_limits_the_one_spoken_of_last_counts, setup),
		cmocka_unit_test_setup(a_time_that_cannot_be_is_no_answer, setup),
		cmocka_unit_test_setup(what_cannot_be_is_ignored, setup),
		cmocka_unit_test_setup(limits_without_end_cost_no_memory, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
