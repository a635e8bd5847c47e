/* When a process that ended by itself is started again, and when not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor/restart_policy.h"

#define RANDOM 0x123456789abcdefULL

static const struct restart_policy usual = {
	.min_uptime_ms = 5000,
	.base_ms = 500,
	.max_ms = 30000,
	.limit = 10,
	.window_ms = 600000,
	.rest_ms = 300000,
};

static void
the_first_failure_after_a_stable_spell_restarts_at_once(void **state)
{
	struct restart_policy p = usual;
	struct restart_record rec = {.ends = 0};
	uint64_t delay = 1;

	assert_true(restart_decide(&rec, &p, 10000, 5000, RANDOM, &delay));
	assert_int_equal(delay, 0);
}

static void
failures_without_a_stable_spell_wait_longer_and_longer(void **state)
{
	struct restart_policy p = usual;
	struct restart_record rec = {.ends = 0};
	uint64_t full = 500, delay, now = 0;

	for (int i = 0; i < 9; i++) {
		assert_true(restart_decide(&rec, &p, now, 4999, RANDOM, &delay));
		assert_in_range(delay, full / 2, full);
		full = full * 2 > 30000 ? 30000 : full * 2;
		now += delay;
	}
}

static void
ten_failures_in_the_window_are_a_crash_loop(void **state)
{
	struct restart_policy p = usual;
	struct restart_record rec = {.ends = 0};
	uint64_t delay;

	for (int i = 0; i < 9; i++)
		assert_true(restart_decide(&rec, &p, (uint64_t)i * 60000, 6000, RANDOM, &delay));
	assert_false(restart_decide(&rec, &p, 9 * 60000, 6000, RANDOM, &delay));
}

static void
failures_far_apart_are_none(void **state)
{
	struct restart_policy p = usual;
	struct restart_record rec = {.ends = 0};
	uint64_t delay;

	for (int i = 0; i < 200; i++)
		assert_true(restart_decide(&rec, &p, (uint64_t)i * 70000, 60000, RANDOM, &delay));
}

/* A delay near the window would else keep the count below the limit for ever. */
static void
a_long_restart_delay_does_not_switch_the_limit_off(void **state)
{
	struct restart_policy p = usual;
	struct restart_record rec = {.ends = 0};
	uint64_t delay, now = 0;
	int starts = 0;

	p.base_ms = p.max_ms = 120000;
	while (starts < 100 && restart_decide(&rec, &p, now, 0, UINT64_MAX, &delay)) {
		now += delay;
		starts++;
	}
	assert_int_equal(starts, 9);
}

static void
a_limit_of_zero_means_never(void **state)
{
	struct restart_policy p = usual;
	struct restart_record rec = {.ends = 0};
	uint64_t delay;

	p.limit = 0;
	assert_false(restart_decide(&rec, &p, 0, 0, RANDOM, &delay));
}

static void
a_failure_before_ready_counts_with_min_uptime_zero_too(void **state)
{
	struct restart_policy p = usual;
	struct restart_record rec = {.ends = 0};
	uint64_t delay;

	p.min_uptime_ms = 0;
	assert_true(restart_decide(&rec, &p, 0, 0, RANDOM, &delay));
	assert_true(delay > 0);
}

static void
forgiving_clears_the_record(void **state)
{
	struct restart_policy p = usual;
	struct restart_record rec = {.ends = 0};
	uint64_t delay;

	for (int i = 0; i < 9; i++)
		assert_true(restart_decide(&rec, &p, 0, 0, RANDOM, &delay));
	restart_forgive(&rec);
	assert_true(restart_decide(&rec, &p, 0, 0, RANDOM, &delay));
	assert_in_range(delay, 250, 500);
}

static void
the_first_spaced_restart_is_due_at_once_the_next_ones_ever_later(void **state)
{
	struct restart_spacing s = {.base_ms = 5000, .max_ms = 300000};
	uint64_t now = 1000, step = 5000;

	assert_int_equal(restart_spacing_wait(&s, now), 0);
	restart_spacing_take(&s, now);
	for (int i = 0; i < 12; i++) {
		assert_int_equal(restart_spacing_wait(&s, now), step);
		assert_int_equal(restart_spacing_wait(&s, now + step - 1), 1);
		assert_int_equal(restart_spacing_wait(&s, now + step), 0);
		now += step;
		restart_spacing_take(&s, now);
		step = step * 2 > 300000 ? 300000 : step * 2;
	}
	assert_int_equal(step, 300000);
}

static void
after_a_long_quiet_time_a_spaced_restart_is_the_first_again(void **state)
{
	struct restart_spacing s = {.base_ms = 5000, .max_ms = 300000};

	restart_spacing_take(&s, 1000);
	restart_spacing_take(&s, 10000);
	assert_int_equal(restart_spacing_wait(&s, 10000), 10000);
	restart_spacing_take(&s, 610000);
	assert_int_equal(restart_spacing_wait(&s, 610000), 5000);
	restart_spacing_forgive(&s);
	assert_int_equal(restart_spacing_wait(&s, 610000), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_failure_after_a_stable_spell_restarts_at_once),
		cmocka_unit_test(failures_without_a_stable_spell_wait_longer_and_longer),
		cmocka_unit_test(ten_failures_in_the_window_are_a_crash_loop),
		cmocka_unit_test(failures_far_apart_are_none),
		cmocka_unit_test(a_long_restart_delay_does_not_switch_the_limit_off),
		cmocka_unit_test(a_limit_of_zero_means_never),
		cmocka_unit_test(a_failure_before_ready_counts_with_min_uptime_zero_too),
		cmocka_unit_test(forgiving_clears_the_record),
		cmocka_unit_test(the_first_spaced_restart_is_due_at_once_the_next_ones_ever_later),
		cmocka_unit_test(after_a_long_quiet_time_a_spaced_restart_is_the_first_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
