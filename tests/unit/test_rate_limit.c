/* rate_limit: the bucket holds a minute's requests, and fills up again steadily. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/rate_limit.h"

#define NOW 1000000u /* a clock does not begin at 0 */

static void
a_burst_of_a_minutes_requests_passes_and_no_more(void **state)
{
	struct rate_limit r = {.per_minute = 60};
	struct rate_limit_state s;

	for (unsigned i = 0; i < 60; i++) {
		assert_true(rate_limit_take(&r, NOW, &s));
		assert_int_equal(s.remaining, 59 - i);
		assert_int_equal(s.reset_ms, (i + 1) * 1000);
		assert_int_equal(s.next_token_ms, 0);
	}
	assert_false(rate_limit_take(&r, NOW, &s));
	assert_int_equal(s.remaining, 0);
	assert_int_equal(s.next_token_ms, 1000);
}

static void
a_refused_request_is_let_in_when_it_was_told_to_come_back(void **state)
{
	struct rate_limit r = {.per_minute = 7}; /* 60000 / 7 is no whole number */
	struct rate_limit_state s;
	uint64_t now = NOW;

	for (unsigned i = 0; i < 7; i++)
		assert_true(rate_limit_take(&r, now, &s));
	for (unsigned i = 0; i < 100; i++) {
		struct rate_limit_state early;

		assert_false(rate_limit_take(&r, now, &s));
		assert_false(rate_limit_take(&r, now + s.next_token_ms - 1, &early));
		assert_int_equal(early.next_token_ms, 1);
		now += s.next_token_ms;
		assert_true(rate_limit_take(&r, now, &s));
	}
}

static void
the_average_holds_over_an_hour_of_asking_all_the_time(void **state)
{
	struct rate_limit r = {.per_minute = 7};
	struct rate_limit_state s;
	unsigned taken = 0;

	for (uint64_t ms = 0; ms < 3600000; ms += 10)
		taken += rate_limit_take(&r, NOW + ms, &s);
	assert_in_range(taken, 7 * 60 + 6, 7 * 60 + 7); /* the bucket was full at first */
}

static void
zero_is_no_limit(void **state)
{
	struct rate_limit r = {.per_minute = 0};
	struct rate_limit_state s;

	for (unsigned i = 0; i < 1000; i++)
		assert_true(rate_limit_take(&r, NOW, &s));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_of_a_minutes_requests_passes_and_no_more),
		cmocka_unit_test(a_refused_request_is_let_in_when_it_was_told_to_come_back),
		cmocka_unit_test(the_average_holds_over_an_hour_of_asking_all_the_time),
		cmocka_unit_test(zero_is_no_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
