/* Times and sizes as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "supervisor/quantity.h"

static int64_t
ms(const char *text)
{
	int64_t out = -7;

	assert_int_equal(quantity_parse_ms(text, &out), 0);
	return out;
}

static int64_t
bytes(const char *text)
{
	int64_t out = -7;

	assert_int_equal(quantity_parse_bytes(text, &out), 0);
	return out;
}

static void
times_have_units_and_without_one_are_milliseconds(void **state)
{
	assert_int_equal(ms("0"), 0);
	assert_int_equal(ms("0s"), 0);
	assert_int_equal(ms("35000"), 35000);
	assert_int_equal(ms("250ms"), 250);
	assert_int_equal(ms("1.5s"), 1500);
	assert_int_equal(ms("0.0005s"), 1);
	assert_int_equal(ms("2m"), 120000);
	assert_int_equal(ms("1h"), 3600000);
	assert_int_equal(ms("1d"), 86400000);
	assert_int_equal(ms("1.25D"), 108000000);
}

static void
sizes_have_units_and_without_one_are_bytes(void **state)
{
	assert_int_equal(bytes("0"), 0);
	assert_int_equal(bytes("512"), 512);
	assert_int_equal(bytes("10K"), 10240);
	assert_int_equal(bytes("300M"), 300 << 20);
	assert_int_equal(bytes("1.5G"), (int64_t)3 << 29);
	assert_int_equal(bytes("500MB"), 500 << 20);
	assert_int_equal(bytes("1kb"), 1024);
}

static void
what_is_no_quantity_is_refused_and_nothing_is_written(void **state)
{
	static const char *const wrong[] = {"",    " ",    "s",   "-1",  "-5s", "+5",     "1 s",
	                                    " 1s", "1s ",  "1.",  ".5s", "1e3", "0x10",   "inf",
	                                    "nan", "1,5s", "1ss", "1sm", "M",   "1.2.3s", "5w"};
	int64_t out = 42;

	for (size_t i = 0; i < NELEM(wrong); i++) {
		assert_int_equal(quantity_parse_ms(wrong[i], &out), -EINVAL);
		assert_int_equal(quantity_parse_bytes(wrong[i], &out), -EINVAL);
	}
	assert_int_equal(quantity_parse_ms("1M", &out), 0); /* minutes, whatever the case */
	out = 42;
	assert_int_equal(quantity_parse_bytes("1s", &out), -EINVAL);
	assert_int_equal(out, 42);
}

static void
what_is_too_much_is_refused(void **state)
{
	char digits[1001];
	int64_t out = 42;

	assert_int_equal(ms("9007199254740992"), INT64_C(1) << 53);
	assert_int_equal(quantity_parse_ms("99999999999999999999d", &out), -ERANGE);
	assert_int_equal(quantity_parse_bytes("9007199254740992G", &out), -ERANGE);
	memset(digits, '9', 1000);
	digits[1000] = '\0';
	assert_int_equal(quantity_parse_ms(digits, &out), -ERANGE);
	digits[400] = '.';
	assert_int_equal(quantity_parse_ms(digits, &out), -ERANGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_have_units_and_without_one_are_milliseconds),
		cmocka_unit_test(sizes_have_units_and_without_one_are_bytes),
		cmocka_unit_test(what_is_no_quantity_is_refused_and_nothing_is_written),
		cmocka_unit_test(what_is_too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
