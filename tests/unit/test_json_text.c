/* JSON texts that are not quite texts: NUL, torn and broken characters, too many levels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/json.h"

static void
a_string_with_nul_is_no_c_string(void **state)
{
	static const char text[] = "{\"a\":\"x\\u0000y\",\"b\":\"xy\",\"c\":1}";
	json_auto_t *o = json_parse(text, sizeof(text) - 1, NULL);

	assert_null(json_get_string(o, "a"));
	assert_int_equal(json_string_length(json_object_get(o, "a")), 3);
	assert_string_equal(json_get_string(o, "b"), "xy");
	assert_null(json_get_string(o, "c"));
	assert_null(json_text(NULL));
}

static void
levels_are_counted_through_arrays_and_objects(void **state)
{
	static const char text[] = "[1,{\"a\":[2,{\"b\":{}}]},[]]";
	json_auto_t *v = json_parse(text, sizeof(text) - 1, NULL);
	json_auto_t *number = json_integer(1);

	assert_false(json_deeper_than(number, 0));
	assert_true(json_deeper_than(v, 0));
	assert_true(json_deeper_than(v, 4));
	assert_false(json_deeper_than(v, 5));
}

static void
assert_values(const char *text, size_t expected)
{
	assert_int_equal(json_count_values(text, strlen(text)), expected);
}

static void
values_are_counted_outside_of_strings(void **state)
{
	assert_values("", 1);
	assert_values("1", 1);
	assert_values("\"a,b,[{\\\",,\\\\\"", 1);
	assert_values("[1,2,3]", 4);
	assert_values("{\"a,\":[{},\"x,\"]}", 5);
	assert_values("\"never ends, \\", 1);
}

static void
assert_lossy(const char *bytes, const char *expected)
{
	json_auto_t *v = json_string_lossy(bytes);

	assert_string_equal(json_string_value(v), expected);
}

static void
a_character_torn_at_the_end_is_dropped(void **state)
{
	static const char *const characters[] = {
		"\xc3\xa4",         "\xe0\xa0\x80",     "\xe2\x82\xac",     "\xed\x9f\xbf",
		"\xf0\x90\x80\x80", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf",
	};

	for (size_t i = 0; i < NELEM(characters); i++) {
		char text[16] = "ab";

		strcpy(text + 2, characters[i]);
		assert_lossy(text, text);
		for (size_t cut = 3; cut < 2 + strlen(characters[i]); cut++) {
			text[cut] = '\0';
			assert_lossy(text, "ab");
			strcpy(text + 2, characters[i]);
		}
	}
	assert_lossy("", "");
}

static void
bytes_that_are_no_character_are_replaced(void **state)
{
	assert_lossy("a\xff"
	             "b",
	             "a\xef\xbf\xbd"
	             "b");
	assert_lossy("\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd");
	assert_lossy("a\xe2\x82"
	             "b",
	             "a\xef\xbf\xbd\xef\xbf\xbd"
	             "b");
	assert_lossy("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_lossy("\xff", "\xef\xbf\xbd");
	assert_lossy("x\x80", "x\xef\xbf\xbd");
}

/* jansson is the judge: it checks every string that it makes. */
static void
a_character_is_what_jansson_takes_for_one(void **state)
{
	for (unsigned first = 0x80; first <= 0xff; first++) {
		for (unsigned second = 0x70; second <= 0xff; second++) {
			const char bytes[] = {(char)first, (char)second, '\x80', '\xbf', '\0'};

			for (size_t len = 1; len <= 4; len++) {
				json_auto_t *v = json_stringn(bytes, len);
				size_t found = json_utf8_length(bytes, len);

				if (found == len)
					assert_non_null(v);
				else if (found == 0)
					assert_null(v);
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_string_with_nul_is_no_c_string),
		cmocka_unit_test(levels_are_counted_through_arrays_and_objects),
		cmocka_unit_test(values_are_counted_outside_of_strings),
		cmocka_unit_test(a_character_torn_at_the_end_is_dropped),
		cmocka_unit_test(bytes_that_are_no_character_are_replaced),
		cmocka_unit_test(a_character_is_what_jansson_takes_for_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
