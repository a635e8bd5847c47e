/* A time in PM2's format language. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/common.h"
#include "supervisor/log_stamp.h"

static void
every_token_is_what_dayjs_makes_of_it(void **state)
{
	/* Sunday */
	static const struct tm tm = {.tm_year = 126,
	                             .tm_mon = 1,
	                             .tm_mday = 8,
	                             .tm_wday = 0,
	                             .tm_hour = 15,
	                             .tm_min = 4,
	                             .tm_sec = 5,
	                             .tm_gmtoff = -12600};
	static const char *const cases[][2] = {
		{"YYYY-MM-DDTHH:mm:ss.SSS", "2026-02-08T15:04:05.007"   },
		{"YYYY-MM-DD HH:mm:ss Z",   "2026-02-08 15:04:05 -03:30"},
		{"YY M D H h m s ZZ",       "26 2 8 15 3 4 5 -0330"     },
		{"hh:mm A, a",              "03:04 PM, pm"              },
		{"MMM MMMM ddd dddd d",     "Feb February Sun Sunday 0" },
		{"[YYYY] [] x [ YYYY",      "YYYY  x [ 2026"            },
		{"%Y \xc3\xa4 100%",        "%Y \xc3\xa4 100%"          },
		{"",			""			  },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		char text[64];

		log_stamp_format(text, sizeof(text), cases[i][0], &tm, 7);
		assert_string_equal(text, cases[i][1]);
	}
}

static void
midnight_and_noon_are_twelve(void **state)
{
	struct tm tm = {.tm_mday = 1};
	char text[32];

	log_stamp_format(text, sizeof(text), "H h A Z", &tm, 0);
	assert_string_equal(text, "0 12 AM +00:00");
	tm.tm_hour = 12;
	log_stamp_format(text, sizeof(text), "H h A", &tm, 0);
	assert_string_equal(text, "12 12 PM");
}

static void
what_does_not_fit_is_cut(void **state)
{
	static const struct tm tm = {.tm_year = 126, .tm_mday = 1};
	char whole[64], text[64];

	log_stamp_format(whole, sizeof(whole), "[abc]YYYY-MM-DD dddd x", &tm, 0);
	for (size_t size = 1; size <= sizeof(text); size++) {
		size_t want = strlen(whole) < size - 1 ? strlen(whole) : size - 1;

		memset(text, '#', sizeof(text));
		log_stamp_format(text, size, "[abc]YYYY-MM-DD dddd x", &tm, 0);
		assert_int_equal(strlen(text), want);
		assert_memory_equal(text, whole, want);
		if (size < sizeof(text))
			assert_int_equal(text[size], '#');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_token_is_what_dayjs_makes_of_it),
		cmocka_unit_test(midnight_and_noon_are_twelve),
		cmocka_unit_test(what_does_not_fit_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
