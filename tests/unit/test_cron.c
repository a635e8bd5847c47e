/* When the next time of a cron line is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/cron.h"

/* Spelled out: a machine without tzdata knows these too. */
#define BERLIN    "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK  "EST5EDT,M3.2.0,M11.1.0"
#define LORD_HOWE "LHST-10:30LHDT-11,M10.1.0,M4.1.0" /* its summer is half an hour */

static time_t
utc(const char *text)
{
	struct tm tm = {.tm_year = 0};
	const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);

	if (end == NULL)
		end = strptime(text, "%Y-%m-%d %H:%M", &tm);
	assert_non_null(end);
	assert_string_equal(end, "");
	return timegm(&tm);
}

static void
set_zone(const char *tz)
{
	assert_int_equal(setenv("TZ", tz, 1), 0);
	tzset();
}

static struct cron
parsed(const char *text)
{
	struct cron c;
	const char *why;

	if (cron_parse(&c, text, &why) < 0)
		fail_msg("%s: %s", text, why);
	return c;
}

/* All times are UTC; the first row of a chain begins it, the other ones follow from theirs. */
struct step {
	const char *zone, *cron, *after, *next;
};

static void
check(const struct step *steps, size_t count)
{
	time_t t = 0;

	for (size_t i = 0; i < count; i++) {
		const struct step *s = &steps[i];
		struct cron c = parsed(s->cron);
		char text[32] = "never";
		time_t next;
		struct tm tm;

		set_zone(s->zone);
		if (s->after != NULL)
			t = utc(s->after);
		next = cron_next(&c, t);
		if (next >= 0 && gmtime_r(&next, &tm) != NULL)
			(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
		if (strcmp(text, s->next) != 0)
			fail_msg("%s in %s after %s: %s, not %s", s->cron, s->zone,
			         s->after != NULL ? s->after : "the last one", text, s->next);
		t = next;
	}
}

static void
the_next_time_is_after_now_and_on_the_minute(void **state)
{
	static const struct step steps[] = {
		{"UTC", "* * * * *",          "2026-11-25 16:00:00", "2026-11-25 16:01:00"},
		{"UTC", "* * * * *",          "2026-11-25 16:00:59", "2026-11-25 16:01:00"},
		{"UTC", "30 4 * * *",         "2026-11-25 04:29:59", "2026-11-25 04:30:00"},
		{"UTC", "30 4 * * *",         NULL,                  "2026-11-26 04:30:00"},
		{"UTC", "*/15 * * * *",       "2026-12-31 23:44",    "2026-12-31 23:45:00"},
		{"UTC", "*/15 * * * *",       NULL,                  "2027-01-01 00:00:00"},
		{"UTC", "5/20 8-10,22 * * *", "2026-11-25 10:45",    "2026-11-25 22:05:00"},
		{"UTC", "5/20 8-10,22 * * *", NULL,                  "2026-11-25 22:25:00"},
		{"UTC", "0-10/5,58 0 * * *",  "2026-11-25 00:10",    "2026-11-25 00:58:00"},
		{"UTC", "0 0 * * 1-5",        "2026-11-27 00:00",    "2026-11-30 00:00:00"},
		{"UTC", "0 0 * * 7",          "2026-11-25 00:00",    "2026-11-29 00:00:00"},
		{"UTC", "0 0 * * sat-SUN",    "2026-11-25 00:00",    "2026-11-28 00:00:00"},
		{"UTC", "0 0 * * sat-SUN",    NULL,                  "2026-11-29 00:00:00"},
		{"UTC", "0 0 1 JAN,Jul *",    "2026-11-25 00:00",    "2027-01-01 00:00:00"},
		{"UTC", "0 0 1 JAN,Jul *",    NULL,                  "2027-07-01 00:00:00"},
		{"UTC", "\t0  0\t1 7  *  ",   "2026-11-25 00:00",    "2027-07-01 00:00:00"},
	};

	check(steps, NELEM(steps));
}

static void
months_end_where_they_end(void **state)
{
	static const struct step steps[] = {
		{"UTC",  "0 0 31 * *", "2026-03-31 00:00", "2026-05-31 00:00:00"},
		{"UTC",  "0 0 30 * *", "2027-01-30 00:00", "2027-03-30 00:00:00"},
		{"UTC",  "0 0 29 2 *", "2026-11-25 00:00", "2028-02-29 00:00:00"},
		{"UTC",  "0 0 29 2 *", "2096-02-29 00:00", "2104-02-29 00:00:00"}, /* not 2100 */
		{"UTC",  "0 0 30 2 *", "2026-11-25 00:00", "never"              },
		{BERLIN, "0 0 1 * *",  "2026-02-28 22:59", "2026-02-28 23:00:00"},
	};

	check(steps, NELEM(steps));
}

static void
a_day_of_the_month_or_a_day_of_the_week_is_enough_when_both_are_given(void **state)
{
	static const struct step steps[] = {
		{"UTC", "0 0 13 * 5",   "2026-11-06 00:00", "2026-11-13 00:00:00"},
		{"UTC", "0 0 13 * 5",   NULL,               "2026-11-20 00:00:00"},
		{"UTC", "0 0 25 * 5",   "2026-11-20 00:00", "2026-11-25 00:00:00"},
		{"UTC", "0 0 13 12 *",  "2026-11-06 00:00", "2026-12-13 00:00:00"},
		{"UTC", "0 0 * 12 fri", "2026-11-06 00:00", "2026-12-04 00:00:00"},
	};

	check(steps, NELEM(steps));
}

static void
a_time_that_summer_time_skips_still_comes_once(void **state)
{
	static const struct step steps[] = {
  /* 29 March 2026: after 01:59 comes 03:00 */
		{BERLIN,    "30 2 * * *",     "2026-03-28 02:00", "2026-03-29 01:30:00"}, /* 03:30 */
		{BERLIN,    "30 2 * * *",     NULL,               "2026-03-30 00:30:00"},
		{BERLIN,    "0,30 2-3 * * *", "2026-03-29 00:59", "2026-03-29 01:00:00"},
		{BERLIN,    "0,30 2-3 * * *", NULL,               "2026-03-29 01:30:00"},
		{BERLIN,    "0,30 2-3 * * *", NULL,               "2026-03-30 00:00:00"},
		{BERLIN,    "*/30 * * * *",   "2026-03-29 00:30", "2026-03-29 01:00:00"},
		{BERLIN,    "*/30 * * * *",   NULL,               "2026-03-29 01:30:00"},
		{NEW_YORK,  "15 2 * * *",     "2026-03-07 08:00", "2026-03-08 07:15:00"},
		{LORD_HOWE, "15 2 * * *",     "2026-10-02 20:00", "2026-10-03 15:45:00"}, /* 02:45 */
	};

	check(steps, NELEM(steps));
}

static void
a_time_that_winter_time_repeats_comes_once_and_each_hour_comes_each_hour(void **state)
{
	static const struct step steps[] = {
  /* 25 October 2026: after 02:59 comes 02:00 again */
		{BERLIN,    "30 2 * * *",   "2026-10-24 12:00", "2026-10-25 00:30:00"},
		{BERLIN,    "30 2 * * *",   NULL,               "2026-10-26 01:30:00"},
		{BERLIN,    "30 2,4 * * *", "2026-10-25 00:30", "2026-10-25 03:30:00"},
		{BERLIN,    "30 * * * *",   "2026-10-25 00:00", "2026-10-25 00:30:00"},
		{BERLIN,    "30 * * * *",   NULL,               "2026-10-25 01:30:00"},
		{BERLIN,    "30 * * * *",   NULL,               "2026-10-25 02:30:00"},
		{NEW_YORK,  "30 1 * * *",   "2026-11-01 00:00", "2026-11-01 05:30:00"},
		{NEW_YORK,  "30 1 * * *",   NULL,               "2026-11-02 06:30:00"},
		{LORD_HOWE, "45 1 * * *",   "2026-04-04 00:00", "2026-04-04 14:45:00"},
		{LORD_HOWE, "45 1 * * *",   NULL,               "2026-04-05 15:15:00"},
	};

	check(steps, NELEM(steps));
}

static void
what_is_no_cron_line_is_refused_and_said_where(void **state)
{
	static const char *const wrong[][2] = {
		{"",                   "five fields"        },
		{"* * * *",            "five fields"        },
		{"* * * * * *",        "five fields"        },
		{"@daily",             "five fields"        },
		{"60 * * * *",         "its minute"         },
		{"-1 * * * *",         "its minute"         },
		{"1- * * * *",         "its minute"         },
		{"5-1 * * * *",        "its minute"         },
		{"1,,2 * * * *",       "its minute"         },
		{"1, * * * *",         "its minute"         },
		{"*/0 * * * *",        "its minute"         },
		{"*/61 * * * *",       "its minute"         },
		{"*/ * * * *",         "its minute"         },
		{"** * * * *",         "its minute"         },
		{"0000 * * * *",       "its minute"         },
		{"4294967297 * * * *", "its minute"         },
		{"0 24 * * *",         "its hour"           },
		{"0 0 0 * *",          "its day (3rd"       },
		{"0 0 32 * *",         "its day (3rd"       },
		{"0 0 * 0 *",          "its month"          },
		{"0 0 * 13 *",         "its month"          },
		{"0 0 * JANUARY *",    "its month"          },
		{"0 0 * SUN *",        "its month"          },
		{"0 0 * * 8",          "its day of the week"},
		{"0 0 * * MO",         "its day of the week"},
	};

	for (size_t i = 0; i < NELEM(wrong); i++) {
		struct cron c;
		const char *why = "";

		if (cron_parse(&c, wrong[i][0], &why) == 0 || strstr(why, wrong[i][1]) == NULL)
			fail_msg("\"%s\": %s", wrong[i][0], why);
	}
}

/* --- a plan, and a clock that jumps --------------------------------------------------------- */

static bool
due(struct cron_plan *p, const char *now)
{
	return cron_is_due(p, utc(now));
}

static struct cron_plan
plan(const char *text)
{
	set_zone("UTC");
	return (struct cron_plan){.cron = parsed(text)};
}

static void
it_is_due_once_each_time(void **state)
{
	struct cron_plan p = plan("0 4 * * *");

	assert_false(due(&p, "2026-11-25 04:00:00")); /* it only begins to look */
	assert_false(due(&p, "2026-11-26 03:59:59"));
	assert_true(due(&p, "2026-11-26 04:00:00"));
	assert_false(due(&p, "2026-11-26 04:00:00"));
	assert_false(due(&p, "2026-11-26 04:00:30"));
	assert_true(due(&p, "2026-11-27 04:00:12")); /* a late look is one too */
	assert_false(due(&p, "2026-11-27 04:00:42"));
}

static void
a_clock_that_jumps_ahead_makes_it_due_once(void **state)
{
	struct cron_plan p = plan("*/10 * * * *");

	assert_false(due(&p, "1970-01-01 00:00:10")); /* a machine that has no time yet */
	assert_true(due(&p, "2026-11-25 04:05:00"));
	assert_false(due(&p, "2026-11-25 04:05:30"));
	assert_true(due(&p, "2026-11-25 04:10:00"));
}

static void
a_clock_that_is_set_back_a_little_repeats_nothing(void **state)
{
	struct cron_plan p = plan("0 4 * * *");

	assert_false(due(&p, "2026-11-25 03:00:00"));
	assert_true(due(&p, "2026-11-25 04:00:00"));
	assert_false(due(&p, "2026-11-25 03:59:59"));
	assert_false(due(&p, "2026-11-25 04:00:00"));
	assert_false(due(&p, "2026-11-25 02:00:00"));
	assert_false(due(&p, "2026-11-25 04:00:00"));
	assert_true(due(&p, "2026-11-26 04:00:00"));
}

static void
a_clock_that_was_wrong_is_forgotten(void **state)
{
	struct cron_plan p = plan("0 4 * * *");

	assert_false(due(&p, "2030-01-01 03:59:00"));
	assert_true(due(&p, "2030-01-01 04:00:00"));
	assert_false(due(&p, "2026-11-25 03:59:30"));
	assert_true(due(&p, "2026-11-25 04:00:00"));
}

static void
what_never_comes_is_never_due(void **state)
{
	struct cron_plan p = plan("0 0 30 2 *");

	assert_false(due(&p, "2026-02-28 00:00:00"));
	assert_false(due(&p, "2026-03-02 00:00:00"));
	assert_false(due(&p, "2036-03-02 00:00:00"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_time_is_after_now_and_on_the_minute),
		cmocka_unit_test(months_end_where_they_end),
		cmocka_unit_test(
			a_day_of_the_month_or_a_day_of_the_week_is_enough_when_both_are_given),
		cmocka_unit_test(a_time_that_summer_time_skips_still_comes_once),
		cmocka_unit_test(
			a_time_that_winter_time_repeats_comes_once_and_each_hour_comes_each_hour),
		cmocka_unit_test(what_is_no_cron_line_is_refused_and_said_where),
		cmocka_unit_test(it_is_due_once_each_time),
		cmocka_unit_test(a_clock_that_jumps_ahead_makes_it_due_once),
		cmocka_unit_test(a_clock_that_is_set_back_a_little_repeats_nothing),
		cmocka_unit_test(a_clock_that_was_wrong_is_forgotten),
		cmocka_unit_test(what_never_comes_is_never_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
