/* Reading and printing JSON without changing what the caller sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

/* Of the allocations that common/ makes while a text is read, those from fail_from on fail, so
 * many. */
static unsigned fail_from, fail_count, allocations;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *
__wrap_malloc(size_t size)
{
	unsigned n = ++allocations;

	return n >= fail_from && n - fail_from < fail_count ? NULL : __real_malloc(size);
}

static void
assert_prints(const char *text, const char *expected)
{
	json_auto_t *value = json_parse(text, strlen(text), NULL);
	size_t len = 0;
	AUTO_FREE char *printed = json_to_text(value, &len);

	assert_non_null(printed);
	assert_string_equal(printed, expected);
	assert_int_equal(len, strlen(expected));
}

static void
assert_unchanged(const char *text)
{
	assert_prints(text, text);
}

static void
values_come_out_as_they_went_in(void **state)
{
	static const char *const texts[] = {
		"null",
		"true",
		"[]",
		"{}",
		"[1,[2,[3,{\"a\":[]}]]]",
		"{\"z\":1,\"a\":{\"b\":[false,null,\"x\"]},\"\":0}",
		"\"a \\\" b \\\\ c \\n d \\u0001 \xc3\xa4 \xf0\x9f\x98\x80 /\"",
		"\"\\u0000 and more\"",
		"{\"k\\\"ey\":1}",
		"9223372036854775807",
		"-9223372036854775808",
		"0",
	};

	for (size_t i = 0; i < NELEM(texts); i++)
		assert_unchanged(texts[i]);
	assert_prints(" { \"a\" : [ 1 , 2 ] } ", "{\"a\":[1,2]}");
	assert_prints("\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"");
}

static void
reals_stay_as_short_as_they_were_sent(void **state)
{
	static const char *const texts[] = {
		"0.1",
		"0.30000000000000004",
		"1e5",
		"1e300",
		"-0.0",
		"5e-324",
		"1.0",
		"-2.5",
		"3.141592653589793",
		"123.456",
		"1e-7",
		"15e299",
		"0.001",
		"17976931348623157e292",
		"0.0",
		"-1e-5",
		"2.2250738585072014e-308",
		/* the nearest 16 digits read back as the neighbour below this power of two */
		"5.684341886080802e-14",
	};

	for (size_t i = 0; i < NELEM(texts); i++) {
		json_auto_t *value = json_parse(texts[i], strlen(texts[i]), NULL);
		AUTO_FREE char *printed = json_to_text(value, NULL);
		json_auto_t *again = json_parse(printed, strlen(printed), NULL);

		assert_true(strlen(printed) <= strlen(texts[i]));
		assert_true(json_is_real(again)); /* did not become an integer */
		assert_true(json_real_value(again) == json_real_value(value));
		assert_int_equal(signbit(json_real_value(again)) != 0,
		                 signbit(json_real_value(value)) != 0);
	}
	assert_unchanged("0.1");
	assert_unchanged("0.30000000000000004");
	assert_unchanged("1e5");
	assert_unchanged("1e300");
	assert_unchanged("-0.0");
	assert_unchanged("5e-324");
	assert_unchanged("1.0");
	assert_prints("100000.0", "1e5");
	assert_prints("1E+2", "1e2");
	assert_prints("0.10", "0.1");
}

static void
every_real_reads_back_as_the_same_double(void **state)
{
	uint64_t bits = 88172645463325252;

	for (int i = 0; i < 20000; i++) {
		double v, back;
		AUTO_FREE char *text = NULL;
		json_auto_t *value = NULL;

		bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
		memcpy(&v, &bits, sizeof(v));
		if (!isfinite(v))
			continue;
		value = json_real(v);
		text = json_to_text(value, NULL);
		back = strtod(text, NULL);
		assert_true(memcmp(&v, &back, sizeof(v)) == 0);
		assert_true(strpbrk(text, ".e") != NULL);
	}
}

static void
assert_refused(const char *text, const char *why)
{
	struct err err = {.code = 0};

	assert_null(json_parse(text, strlen(text), &err));
	assert_int_not_equal(err.code, 0);
	assert_string_equal(err.text, why);
}

static void
what_cannot_be_kept_is_refused_with_its_place(void **state)
{
	assert_refused("{\"a\":\n 9223372036854775808}", "line 2, column 20: too big integer");
	assert_refused("-9223372036854775809", "line 1, column 20: too big negative integer");
	assert_refused("[1e400]", "line 1, column 6: real number overflow");
	assert_refused("\"\\ud800\"", "line 1, column 8: invalid Unicode '\\uD800'");
	assert_refused("{\"a\":1,\"a\":2}", "line 1, column 10: duplicate object key");
	assert_refused("{} {}", "line 1, column 4: end of file expected");
	assert_refused("", "line 1, column 0: unexpected token near end of file");
}

static void
a_complaint_does_not_quote_the_text(void **state)
{
	static const char text[] = "{\"prompt\": sk-secret}";
	struct err err = {.code = 0};

	assert_null(json_parse(text, sizeof(text) - 1, &err));
	assert_null(strstr(err.text, "sk"));
	assert_non_null(strstr(err.text, "line 1, column"));
}

static void
every_cut_of_a_text_is_an_error_or_a_value(void **state)
{
	static const char text[] = "{\"a\":[1,2.5e3,\"\\u00e4\",true],\"b\":{\"c\":null}}";

	for (size_t len = 0; len < sizeof(text) - 1; len++)
		assert_null(json_parse(text, len, NULL));
}

static void
deep_nesting_is_refused_and_not_a_crash(void **state)
{
	static char text[200001];

	memset(text, '[', 100000);
	memset(text + 100000, ']', 100000);
	assert_null(json_parse(text, 200000, NULL));
	assert_unchanged("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]");
	memset(text, '[', 2048);
	memset(text + 2048, ']', 2048);
	text[4096] = '\0';
	assert_unchanged(text);
}

static void
getters_give_the_fallback_for_another_type(void **state)
{
	json_auto_t *o =
		json_pack("{s:s, s:i, s:b, s:{}, s:[]}", "s", "text", "i", 7, "b", 1, "o", "a");

	assert_string_equal(json_get_string(o, "s"), "text");
	assert_null(json_get_string(o, "i"));
	assert_null(json_get_string(NULL, "s"));
	assert_int_equal(json_get_int(o, "i", 1), 7);
	assert_int_equal(json_get_int(o, "s", 1), 1);
	assert_int_equal(json_get_int(o, "none", -5), -5);
	assert_true(json_get_bool(o, "b", false));
	assert_true(json_get_bool(o, "i", true));
	assert_non_null(json_get_object(o, "o"));
	assert_null(json_get_object(o, "a"));
	assert_non_null(json_get_array(o, "a"));
	assert_null(json_get_array(o, "o"));
}

static void
escaping_gives_the_inside_of_a_string(void **state)
{
	struct json_buf b = {.data = NULL};

	json_buf_append(&b, "<", 1);
	json_print_escaped(&b, "a\"b\n\0c", 6);
	json_print_escaped(&b, "", 0);
	json_buf_append(&b, ">", 2);
	assert_false(b.failed);
	assert_string_equal(b.data, "<a\\\"b\\n\\u0000c>");
	json_print_escaped(&b, "\xff", 1);
	assert_true(b.failed); /* not UTF-8, and it stays failed */
	json_buf_append(&b, "x", 1);
	assert_true(b.failed);
	json_buf_free(&b);
	assert_null(b.data);
}

static void
a_value_that_was_never_built_has_no_text(void **state)
{
	assert_null(json_to_text(NULL, NULL));
}

/* true: its value is whole. */
static bool
is_read(const char *text, unsigned from, unsigned count)
{
	json_error_t error;
	bool no_memory;
	json_auto_t *value = NULL;
	AUTO_FREE char *printed = NULL;

	allocations = 0;
	fail_from = from;
	fail_count = count;
	value = json_load(text, strlen(text), JSON_DECODE_ANY, &error, &no_memory);
	fail_count = 0;
	if (value == NULL) {
		assert_true(no_memory);
		return false;
	}
	printed = json_to_text(value, NULL);
	assert_string_equal(printed, text);
	return true;
}

static void
memory_that_runs_out_while_a_text_is_read_is_told(void **state)
{
	static const char *const texts[] = {
		"\"the text buffer grows and grows: 0123456789 0123456789 0123456789 0123456789\"",
		"[true,true,true,true,true,true,true,true,true,true,true,true,true,true,true,true,"
		"true,true,true,true,true,true,true,true,true,true,true,true,true,true,true,true]",
		"[\"a string of 31 characters, it is\",\"a string of 31 characters, it is\","
		"\"and one that is so long that its buffer has to grow once more, or even twice\"]",
		"{\"a\":1,\"b\":[],\"c\":{},\"d\":\"x\",\"e\":1.5,\"f\":null,\"g\":true,\"h\":2,"
		"\"i\":3,"
		"\"a key of which the buffer has to be larger than that of all others\":\"\"}",
	};
	static const unsigned counts[] = {1, 2, 3, 5, 1000};

	for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
		for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
			unsigned from = 1;

			while (!is_read(texts[t], from, counts[c]))
				from++;
			assert_in_range(from, 6, 1000); /* so many failed */
		}
	}
}

/* jansson's own copies have a member less then. */
static void
a_copy_is_whole_or_none(void **state)
{
	typedef json_t *copy_fn(const json_t *);
	static copy_fn *const copies[] = {json_copy_whole, json_deep_copy_whole};
	struct err err = {.code = 0};
	const char *text = "{\"a\":[1,\"b\",{\"c\":[]}],\"d\":{\"e\":1.5},\"f\":\"g\"}";
	json_auto_t *value = json_parse(text, strlen(text), &err);

	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
		json_t *copy = NULL;

		for (unsigned from = 1; copy == NULL; from++) {
			allocations = 0;
			fail_from = from;
			fail_count = 1;
			copy = copies[i](value);
			fail_count = 0;
			assert_true(copy != NULL || allocations >= from);
		}
		assert_true(json_equal(copy, value));
		json_decref(copy);
	}
	assert_null(json_copy_whole(NULL));
}

static void
an_object_with_a_member_that_was_never_built_is_none_itself(void **state)
{
	json_t *object = json_object(), *array = json_array();

	json_put(&object, "a", json_true());
	json_put_item(&array, json_true());
	assert_int_equal(json_object_size(object), 1);
	assert_int_equal(json_array_size(array), 1);
	json_put(&object, "b", NULL);
	json_put_item(&array, NULL);
	assert_null(object);
	assert_null(array);
	json_put(&object, "c", json_string("taken over all the same"));
	json_put_item(&array, json_string("taken over all the same"));
	assert_null(object);
	assert_null(array);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_out_as_they_went_in),
		cmocka_unit_test(reals_stay_as_short_as_they_were_sent),
		cmocka_unit_test(every_real_reads_back_as_the_same_double),
		cmocka_unit_test(what_cannot_be_kept_is_refused_with_its_place),
		cmocka_unit_test(a_complaint_does_not_quote_the_text),
		cmocka_unit_test(every_cut_of_a_text_is_an_error_or_a_value),
		cmocka_unit_test(deep_nesting_is_refused_and_not_a_crash),
		cmocka_unit_test(getters_give_the_fallback_for_another_type),
		cmocka_unit_test(escaping_gives_the_inside_of_a_string),
		cmocka_unit_test(a_value_that_was_never_built_has_no_text),
		cmocka_unit_test(memory_that_runs_out_while_a_text_is_read_is_told),
		cmocka_unit_test(a_copy_is_whole_or_none),
		cmocka_unit_test(an_object_with_a_member_that_was_never_built_is_none_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
