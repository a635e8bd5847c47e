/* test_turn_retry: which failure of a turn is tried again, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/common.h"
#include "proxy/turn_retry.h"

static struct failure
failure(enum failure_kind kind)
{
	struct failure f;

	failure_set(&f, kind, "as a test says");
	return f;
}

static void
a_lost_or_busy_app_server_is_tried_patiently_a_wrong_answer_is_not(void **state)
{
	static const struct {
		enum failure_kind kind;
		unsigned attempts;
	} rows[] = {
		{FAILURE_BACKEND_LOST,    8},
		{FAILURE_NO_BACKEND,      8},
		{FAILURE_BACKEND_ERROR,   3},
		{FAILURE_BACKEND_TIMEOUT, 3},
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct failure f = failure(rows[i].kind);

		for (unsigned n = 1; n < rows[i].attempts; n++) {
			assert_true(turn_retry_may_help(&f, n));
			assert_false(turn_retry_is_used_up(&f, n));
		}
		assert_false(turn_retry_may_help(&f, rows[i].attempts));
		assert_true(turn_retry_is_used_up(&f, rows[i].attempts));
	}
}

static void
what_the_caller_or_the_provider_did_wrong_is_not_tried_again(void **state)
{
	static const enum failure_kind kinds[] = {FAILURE_INVALID_REQUEST, FAILURE_LOGIN_REQUIRED,
	                                          FAILURE_UPSTREAM_TIMEOUT};

	for (size_t i = 0; i < NELEM(kinds); i++) {
		struct failure f = failure(kinds[i]);

		assert_false(turn_retry_may_help(&f, 1));
	}
}

static void
the_pause_doubles_up_to_a_limit(void **state)
{
	static const uint64_t pauses[] = {50, 100, 200, 400, 800, 1600, 1600, 1600};
	struct failure f = failure(FAILURE_NO_BACKEND);

	for (unsigned n = 1; n <= NELEM(pauses); n++)
		assert_int_equal(turn_retry_pause_ms(&f, n), pauses[n - 1]);
}

static void
the_first_loss_of_an_app_server_is_no_reason_to_wait(void **state)
{
	struct failure f = failure(FAILURE_BACKEND_LOST);

	assert_int_equal(turn_retry_pause_ms(&f, 1), 0);
	assert_int_equal(turn_retry_pause_ms(&f, 2), 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_lost_or_busy_app_server_is_tried_patiently_a_wrong_answer_is_not),
		cmocka_unit_test(what_the_caller_or_the_provider_did_wrong_is_not_tried_again),
		cmocka_unit_test(the_pause_doubles_up_to_a_limit),
		cmocka_unit_test(the_first_loss_of_an_app_server_is_no_reason_to_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
