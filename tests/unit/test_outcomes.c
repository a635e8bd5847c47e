/* How turns end on each backend, and when one has had enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proxy/outcomes.h"

static struct outcomes o;

static int
setup(void **state)
{
	memset(&o, 0, sizeof(o));
	o.upstream_threshold = 3;
	return 0;
}

static const char *
failed_on(int backend, int64_t generation, enum failure_kind kind)
{
	struct failure f;

	failure_set(&f, kind, "x");
	return outcomes_add(&o, backend, generation, &f);
}

static const char *
failed(enum failure_kind kind)
{
	return failed_on(0, 1, kind);
}

static void
a_broken_login_is_told_each_time(void **state)
{
	assert_string_equal(failed(FAILURE_UPSTREAM_AUTH), "auth");
	assert_string_equal(failed(FAILURE_UPSTREAM_AUTH), "auth");
}

static void
the_upstream_is_told_after_so_many_failures_in_a_row_and_again_after_as_many(void **state)
{
	for (int round = 0; round < 2; round++) {
		assert_null(failed(FAILURE_UPSTREAM_ERROR));
		assert_null(failed(FAILURE_UPSTREAM_TIMEOUT));
		assert_string_equal(failed(FAILURE_STREAM_DISCONNECTED), "upstream");
	}
}

static void
any_success_begins_the_row_again(void **state)
{
	assert_null(failed(FAILURE_UPSTREAM_ERROR));
	assert_null(failed(FAILURE_UPSTREAM_ERROR));
	assert_null(outcomes_add(&o, 0, 1, NULL));
	assert_null(failed(FAILURE_UPSTREAM_ERROR));
	assert_null(failed(FAILURE_UPSTREAM_ERROR));
	assert_string_equal(failed(FAILURE_UPSTREAM_ERROR), "upstream");
}

static void
an_app_server_that_does_not_answer_is_told_after_three(void **state)
{
	assert_null(failed(FAILURE_BACKEND_TIMEOUT));
	assert_null(failed(FAILURE_BACKEND_TIMEOUT));
	assert_string_equal(failed(FAILURE_BACKEND_TIMEOUT), "server");
	assert_null(failed(FAILURE_BACKEND_TIMEOUT));
}

static void
what_is_nobodys_or_the_callers_fault_counts_for_nothing(void **state)
{
	static const enum failure_kind kinds[] = {
		FAILURE_INVALID_REQUEST, FAILURE_CONTEXT_LENGTH,   FAILURE_MODEL_NOT_FOUND,
		FAILURE_CONTENT_POLICY,  FAILURE_UPSTREAM_REFUSED, FAILURE_TOTAL_TIMEOUT,
		FAILURE_RATE_LIMITED,    FAILURE_CAPACITY,         FAILURE_INSUFFICIENT_QUOTA,
		FAILURE_BACKEND_LOST,    FAILURE_BACKEND_ERROR,    FAILURE_INTERNAL,
		FAILURE_NO_BACKEND,      FAILURE_QUEUE_FULL,       FAILURE_DRAINING,
	};

	for (int round = 0; round < 10; round++)
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			assert_null(failed(kinds[i]));
	/* nor does it break a row */
	assert_null(failed(FAILURE_UPSTREAM_ERROR));
	assert_null(failed(FAILURE_INVALID_REQUEST));
	assert_null(failed(FAILURE_UPSTREAM_ERROR));
	assert_null(failed(FAILURE_RATE_LIMITED));
	assert_string_equal(failed(FAILURE_UPSTREAM_ERROR), "upstream");
}

static void
backends_and_their_generations_count_apart(void **state)
{
	assert_null(failed_on(0, 1, FAILURE_UPSTREAM_ERROR));
	assert_null(failed_on(0, 1, FAILURE_UPSTREAM_ERROR));
	assert_null(failed_on(1, 1, FAILURE_UPSTREAM_ERROR));
	assert_null(failed_on(0, 2, FAILURE_UPSTREAM_ERROR));
	assert_null(failed_on(0, 2, FAILURE_UPSTREAM_ERROR));
	assert_string_equal(failed_on(0, 2, FAILURE_UPSTREAM_ERROR), "upstream");
}

static void
a_turn_that_reached_no_backend_is_ignored(void **state)
{
	assert_null(failed_on(-1, 0, FAILURE_UPSTREAM_AUTH));
	assert_null(failed_on(OUTCOMES_BACKENDS_MAX, 0, FAILURE_UPSTREAM_AUTH));
	assert_string_equal(failed_on(OUTCOMES_BACKENDS_MAX - 1, 0, FAILURE_UPSTREAM_AUTH), "auth");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_broken_login_is_told_each_time, setup),
		cmocka_unit_test_setup(
			the_upstream_is_told_after_so_many_failures_in_a_row_and_again_after_as_many,
			setup),
		cmocka_unit_test_setup(any_success_begins_the_row_again, setup),
		cmocka_unit_test_setup(an_app_server_that_does_not_answer_is_told_after_three,
	                               setup),
		cmocka_unit_test_setup(what_is_nobodys_or_the_callers_fault_counts_for_nothing,
	                               setup),
		cmocka_unit_test_setup(backends_and_their_generations_count_apart, setup),
		cmocka_unit_test_setup(a_turn_that_reached_no_backend_is_ignored, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
