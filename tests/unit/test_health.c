/* Which app-servers cannot be relied on, and how they become well again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proxy/health.h"

static struct health h;
static struct outcomes o;
static uint64_t now;

static int
setup(void **state)
{
	memset(&h, 0, sizeof(h));
	o = (struct outcomes){.upstream_threshold = 3};
	now = 1000;
	return 0;
}

static bool
ended(int backend, int64_t generation, const struct failure *f)
{
	return health_note(&h, backend, generation, f, outcomes_add(&o, backend, generation, f),
	                   now);
}

static bool
failed(int backend, int64_t generation, enum failure_kind kind)
{
	struct failure f;

	failure_set(&f, kind, "because of %d", (int)kind);
	return ended(backend, generation, &f);
}

static void
assert_reason(int backend, const char *expected)
{
	char text[256];

	health_reason(&h, backend, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void
a_refused_login_is_told_at_once_and_gone_with_the_first_success(void **state)
{
	struct failure f;

	failure_set(&f, FAILURE_UPSTREAM_AUTH, "log in again");
	assert_int_equal(health_of(&h, 0, 1, now), HEALTH_WELL);
	assert_true(ended(0, 1, &f));
	assert_int_equal(health_of(&h, 0, 1, now), HEALTH_AUTH);
	assert_reason(0, "the login of app-server 0 is refused: log in again");
	assert_false(ended(0, 1, &f)); /* nothing new */
	assert_int_equal(health_of(&h, 1, 1, now), HEALTH_WELL);
	assert_true(ended(0, 1, NULL));
	assert_int_equal(health_of(&h, 0, 1, now), HEALTH_WELL);
	assert_reason(0, "");
	assert_false(ended(0, 1, NULL));
}

static void
the_provider_is_told_after_so_many_failures_in_a_row(void **state)
{
	assert_false(failed(0, 1, FAILURE_UPSTREAM_ERROR));
	assert_false(failed(0, 1, FAILURE_UPSTREAM_ERROR));
	assert_int_equal(health_of(&h, 0, 1, now), HEALTH_WELL);
	assert_true(failed(0, 1, FAILURE_UPSTREAM_TIMEOUT));
	assert_int_equal(health_of(&h, 0, 1, now), HEALTH_DEGRADED);
	/* the next ones change nothing */
	for (int i = 0; i < 7; i++)
		assert_false(failed(0, 1, FAILURE_UPSTREAM_ERROR));
	assert_int_equal(health_of(&h, 0, 1, now), HEALTH_DEGRADED);
	assert_true(ended(0, 1, NULL));
	assert_int_equal(health_of(&h, 0, 1, now), HEALTH_WELL);
}

static void
what_a_caller_did_wrong_changes_nothing(void **state)
{
	static const enum failure_kind kinds[] = {FAILURE_INVALID_REQUEST,   FAILURE_CONTEXT_LENGTH,
	                                          FAILURE_MODEL_NOT_FOUND,   FAILURE_CONTENT_POLICY,
	                                          FAILURE_TOTAL_TIMEOUT,     FAILURE_RATE_LIMITED,
	                                          FAILURE_INSUFFICIENT_QUOTA};

	for (int round = 0; round < 10; round++)
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			assert_false(failed(0, 1, kinds[i]));
	assert_int_equal(health_of(&h, 0, 1, now), HEALTH_WELL);
	/* nor does it make well what is not */
	assert_true(failed(0, 1, FAILURE_UPSTREAM_AUTH));
	assert_false(failed(0, 1, FAILURE_INVALID_REQUEST));
	assert_int_equal(health_of(&h, 0, 1, now), HEALTH_AUTH);
}

static void
a_new_generation_begins_well_and_the_old_one_is_not_heard(void **state)
{
	assert_true(failed(0, 1, FAILURE_UPSTREAM_AUTH));
	assert_int_equal(health_of(&h, 0, 2, now), HEALTH_WELL);
	assert_true(failed(0, 2, FAILURE_UPSTREAM_AUTH));
	assert_false(ended(0, 1, NULL)); /* a late word */
	assert_int_equal(health_of(&h, 0, 2, now), HEALTH_AUTH);
}

static void
what_nobody_confirms_is_forgotten(void **state)
{
	for (int i = 0; i < 3; i++)
		(void)failed(0, 1, FAILURE_UPSTREAM_ERROR);
	now += HEALTH_MEMORY_MS - 1;
	assert_int_equal(health_of(&h, 0, 1, now), HEALTH_DEGRADED);
	(void)failed(0, 1, FAILURE_UPSTREAM_ERROR); /* confirmed */
	now += HEALTH_MEMORY_MS - 1;
	assert_int_equal(health_of(&h, 0, 1, now), HEALTH_DEGRADED);
	now++;
	assert_int_equal(health_of(&h, 0, 1, now), HEALTH_WELL);
}

static void
a_turn_that_reached_no_backend_is_ignored(void **state)
{
	assert_false(failed(-1, 0, FAILURE_UPSTREAM_AUTH));
	assert_false(failed(OUTCOMES_BACKENDS_MAX, 0, FAILURE_UPSTREAM_AUTH));
	assert_int_equal(health_of(&h, -1, 0, now), HEALTH_WELL);
	assert_reason(OUTCOMES_BACKENDS_MAX, "");
	assert_true(failed(OUTCOMES_BACKENDS_MAX - 1, 0, FAILURE_UPSTREAM_AUTH));
}

static void
a_long_reason_is_cut(void **state)
{
	char text[48];
	struct failure f;

	failure_set(&f, FAILURE_UPSTREAM_AUTH, "%0500d", 1);
	(void)ended(0, 1, &f);
	health_reason(&h, 0, text, sizeof(text));
	assert_int_equal(strlen(text), sizeof(text) - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			a_refused_login_is_told_at_once_and_gone_with_the_first_success, setup),
		cmocka_unit_test_setup(the_provider_is_told_after_so_many_failures_in_a_row, setup),
		cmocka_unit_test_setup(what_a_caller_did_wrong_changes_nothing, setup),
		cmocka_unit_test_setup(a_new_generation_begins_well_and_the_old_one_is_not_heard,
	                               setup),
		cmocka_unit_test_setup(what_nobody_confirms_is_forgotten, setup),
		cmocka_unit_test_setup(a_turn_that_reached_no_backend_is_ignored, setup),
		cmocka_unit_test_setup(a_long_reason_is_cut, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
