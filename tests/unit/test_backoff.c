/* Delays between tries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/backoff.h"

static void
delays_double_up_to_the_limit(void **state)
{
	static const uint64_t expected[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
	struct backoff low = {.base_ms = 500, .max_ms = 30000}, high = low;

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		assert_int_equal(backoff_next_ms(&low, 0), expected[i] / 2);
		/* the highest remainder gives the whole delay */
		assert_int_equal(backoff_next_ms(&high, expected[i] / 2), expected[i]);
	}
}

static void
every_delay_lies_between_half_and_whole(void **state)
{
	struct backoff b = {.base_ms = 7, .max_ms = 1000};

	for (int i = 0; i < 2000; i++) {
		uint64_t d;

		b.attempts = 3;
		d = backoff_next_ms(&b, backoff_random());
		assert_in_range(d, 28, 56);
	}
}

static void
a_reset_starts_again_from_the_base(void **state)
{
	struct backoff b = {.base_ms = 100, .max_ms = 10000};

	for (int i = 0; i < 5; i++)
		(void)backoff_next_ms(&b, 0);
	backoff_reset(&b);
	assert_int_equal(b.attempts, 0);
	assert_int_equal(backoff_next_ms(&b, 0), 50);
}

static void
no_number_of_failures_overflows(void **state)
{
	struct backoff b = {.base_ms = 1, .max_ms = UINT64_MAX - 1, .attempts = UINT32_MAX};
	struct backoff none = {.base_ms = 0, .max_ms = 0};

	assert_int_equal(backoff_next_ms(&b, 0), (UINT64_MAX - 1) / 2);
	assert_int_equal(b.attempts, UINT32_MAX);
	assert_int_equal(backoff_next_ms(&none, UINT64_MAX), 0);
}

static void
the_kernel_gives_different_bits_each_time(void **state)
{
	assert_int_not_equal(backoff_random(), backoff_random());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delays_double_up_to_the_limit),
		cmocka_unit_test(every_delay_lies_between_half_and_whole),
		cmocka_unit_test(a_reset_starts_again_from_the_base),
		cmocka_unit_test(no_number_of_failures_overflows),
		cmocka_unit_test(the_kernel_gives_different_bits_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
