/* When an app that runs is to be replaced by and by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/tend.h"
#include "supervisor/upkeep.h"

#define MB         UINT64_C(1000000)
#define NOON       (time_t)1795608000 /* 2026-11-25 12:00 UTC */
#define INTERVAL_S 30

/* Looks every 30 s, as it is told to be. */
struct trial {
	struct tend tend;
	struct tend_look look;
	unsigned looks;
	char why[128];
};

static struct trial
trial(void)
{
	return (struct trial){
		.look = {.ready = true, .generation = 1, .rss_bytes = -1}
        };
}

static bool
next(struct trial *t)
{
	unsigned passed_s = INTERVAL_S * t->looks++;

	t->why[0] = '\0';
	return tend_look_at(&t->tend, &t->look, UINT64_C(1000) * (1000 + passed_s),
	                    NOON + (time_t)passed_s, t->why, sizeof(t->why));
}

/* At which of so many looks it is to be replaced, as "1 2". */
static const char *
when(struct trial *t, unsigned looks)
{
	static char text[256];
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < looks; i++)
		if (next(t))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u",
			                         used > 0 ? " " : "", i);
	return text;
}

static void
what_is_well_is_left_alone(void **state)
{
	struct trial t = trial();

	t.look.max_bytes = 100 * MB;
	t.look.rss_bytes = 100 * MB;
	t.look.probe = TEND_ANSWERED;
	assert_string_equal(when(&t, 1000), "");
	t.look.rss_bytes = 1000 * MB;
	t.look.max_bytes = 0;
	assert_string_equal(when(&t, 1000), "");
}

static void
one_that_has_grown_too_big_is_replaced_at_the_next_look(void **state)
{
	struct trial t = trial();

	t.look.max_bytes = 100 * MB;
	t.look.rss_bytes = 99 * MB;
	assert_false(next(&t));
	t.look.rss_bytes = 123400000;
	assert_true(next(&t));
	assert_string_equal(t.why, "it uses 123.4 MB of memory, its limit is 100.0 MB");
}

static void
one_that_is_too_big_from_its_start_on_is_replaced_more_and_more_rarely(void **state)
{
	struct trial t = trial();

	t.look.max_bytes = 100 * MB;
	t.look.rss_bytes = 200 * MB;
	/* 30, 60, 120, 240, 480, 600, 600 s apart */
	assert_string_equal(when(&t, 100), "0 1 3 7 15 31 51 71 91");
}

static void
what_is_not_ready_is_left_alone(void **state)
{
	struct trial t = trial();
	const char *why;

	t.look.ready = false;
	t.look.max_bytes = 1;
	t.look.rss_bytes = 2;
	t.look.probe = TEND_MISSED;
	assert_int_equal(cron_parse(&t.look.cron, "* * * * *", &why), 0);
	assert_string_equal(when(&t, 100), "");
}

static void
a_socket_is_given_up_after_three_misses_in_a_row(void **state)
{
	struct trial t = trial();

	t.look.probe = TEND_MISSED;
	assert_false(next(&t));
	assert_false(next(&t));
	t.look.probe = TEND_ANSWERED;
	assert_false(next(&t));
	t.look.probe = TEND_MISSED;
	assert_false(next(&t));
	assert_false(next(&t));
	t.look.probe = TEND_NOT_ASKED;
	assert_false(next(&t));
	t.look.probe = TEND_MISSED;
	assert_true(next(&t));
	assert_string_equal(t.why, "its socket takes no connection any more");
}

static void
the_misses_of_one_process_are_not_counted_against_the_next(void **state)
{
	struct trial t = trial();

	t.look.probe = TEND_MISSED;
	assert_string_equal(when(&t, 3), "2");
	t.look.generation++;
	assert_string_equal(when(&t, 3), "2");
	t.look.generation++;
	assert_false(next(&t));
	t.look.generation++;
	assert_string_equal(when(&t, 2), "");
}

static void
a_cron_time_comes_once_for_one_that_is_ready(void **state)
{
	struct trial t = trial();
	const char *why;

	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	assert_int_equal(cron_parse(&t.look.cron, "*/5 * * * *", &why), 0);
	assert_string_equal(when(&t, 15), "10");
	assert_string_equal(when(&t, 10), "5");
	t.look.ready = false; /* its time passes */
	assert_string_equal(when(&t, 6), "");
	t.look.ready = true;
	assert_string_equal(when(&t, 5), "");
}

static void
a_new_cron_line_holds_from_the_next_look_on(void **state)
{
	struct trial t = trial();
	const char *why;

	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	assert_int_equal(cron_parse(&t.look.cron, "0 4 * * *", &why), 0);
	assert_string_equal(when(&t, 3), "");
	assert_int_equal(cron_parse(&t.look.cron, "* * * * *", &why), 0);
	assert_string_equal(when(&t, 4), "1 3");
	t.look.cron = (struct cron){.minutes = 0};
	assert_string_equal(when(&t, 10), "");
}

static void
looks_are_at_the_full_minute_and_half_minute_and_never_before(void **state)
{
	assert_int_equal(upkeep_wait_ms(UINT64_C(1795608000000), 30000), 30001);
	assert_int_equal(upkeep_wait_ms(UINT64_C(1795608000001), 30000), 30000);
	assert_int_equal(upkeep_wait_ms(UINT64_C(1795608029999), 30000), 2);
	assert_int_equal(upkeep_wait_ms(UINT64_C(1795608030000), 30000), 30001);
	assert_int_equal(upkeep_wait_ms(UINT64_C(1795608059000), 60000), 1001);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_well_is_left_alone),
		cmocka_unit_test(one_that_has_grown_too_big_is_replaced_at_the_next_look),
		cmocka_unit_test(
			one_that_is_too_big_from_its_start_on_is_replaced_more_and_more_rarely),
		cmocka_unit_test(what_is_not_ready_is_left_alone),
		cmocka_unit_test(a_socket_is_given_up_after_three_misses_in_a_row),
		cmocka_unit_test(the_misses_of_one_process_are_not_counted_against_the_next),
		cmocka_unit_test(a_cron_time_comes_once_for_one_that_is_ready),
		cmocka_unit_test(a_new_cron_line_holds_from_the_next_look_on),
		cmocka_unit_test(looks_are_at_the_full_minute_and_half_minute_and_never_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
