/* A text that is said again: what was passed on is not passed on twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proxy/codex/replay.h"

static struct replay r;
static char said[256]; /* what was passed on */

static int
setup(void **state)
{
	r = (struct replay){0};
	said[0] = '\0';
	return 0;
}

static bool
hear_bytes(const char *text, size_t len)
{
	if (!replay_hear(&r, &text, &len))
		return false;
	(void)strncat(said, text, len);
	return true;
}

static bool
hear(const char *text)
{
	return hear_bytes(text, strlen(text));
}

static void
what_is_said_once_is_passed_on(void **state)
{
	assert_true(hear("one "));
	assert_true(hear(""));
	assert_true(hear("two"));
	assert_string_equal(said, "one two");
	assert_true(replay_is_complete(&r));
}

static void
the_same_text_split_anywhere_is_swallowed(void **state)
{
	static const char text[] = "one two three";
	size_t len = sizeof(text) - 1;

	for (size_t before = 1; before < len; before++)
		for (size_t a = 0; a <= len; a++)
			for (size_t b = a; b <= len; b++) {
				(void)setup(NULL);
				assert_true(hear_bytes(text, before));
				replay_restart(&r);
				assert_false(replay_is_complete(&r));
				assert_true(hear_bytes(text, a));
				assert_true(hear_bytes(text + a, b - a));
				assert_true(hear_bytes(text + b, len - b));
				assert_string_equal(said, text);
				assert_true(replay_is_complete(&r));
			}
}

static void
another_text_is_noticed_wherever_it_differs(void **state)
{
	static const char text[] = "one two three";

	for (size_t at = 0; at < sizeof(text) - 1; at++) {
		char other[] = "one two three";

		other[at] = '#';
		(void)setup(NULL);
		assert_true(hear(text));
		replay_restart(&r);
		assert_false(hear(other));
		assert_string_equal(said, text);
	}
}

static void
a_shorter_text_is_not_complete(void **state)
{
	assert_true(hear("one two"));
	replay_restart(&r);
	assert_true(hear("one"));
	assert_false(replay_is_complete(&r));
	assert_string_equal(said, "one two");
}

static void
nothing_new_is_given_exactly_at_the_end(void **state)
{
	assert_true(hear("one"));
	replay_restart(&r);
	assert_true(hear("one"));
	assert_true(replay_is_complete(&r));
	assert_true(hear(" two"));
	assert_string_equal(said, "one two");
}

static void
it_may_happen_twice_also_in_the_middle_of_the_first_time(void **state)
{
	assert_true(hear("one two"));
	replay_restart(&r);
	assert_true(hear("one"));
	replay_restart(&r);
	assert_true(hear("one two three"));
	assert_true(replay_is_complete(&r));
	replay_restart(&r);
	assert_true(hear("one two three four"));
	assert_string_equal(said, "one two three four");
	replay_restart(&r);
	assert_false(hear("one two three, four")); /* differs in what came last */
}

static void
a_restart_before_the_first_word_changes_nothing(void **state)
{
	replay_restart(&r);
	assert_true(replay_is_complete(&r));
	assert_true(hear("anything"));
	assert_string_equal(said, "anything");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_said_once_is_passed_on, setup),
		cmocka_unit_test_setup(the_same_text_split_anywhere_is_swallowed, setup),
		cmocka_unit_test_setup(another_text_is_noticed_wherever_it_differs, setup),
		cmocka_unit_test_setup(a_shorter_text_is_not_complete, setup),
		cmocka_unit_test_setup(nothing_new_is_given_exactly_at_the_end, setup),
		cmocka_unit_test_setup(it_may_happen_twice_also_in_the_middle_of_the_first_time,
	                               setup),
		cmocka_unit_test_setup(a_restart_before_the_first_word_changes_nothing, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
