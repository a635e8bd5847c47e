/* JSON: what is parsed is printed so that it reads back the same, counted before it is parsed, and
 * what is no UTF-8 becomes some. */
#include <math.h>

#include "tests/fuzz/fuzz.h"

/* How many values there are, keys not counted. */
static size_t
count(const json_t *value)
{
	size_t n = 1, i;
	const json_t *item;
	const char *key;

	json_array_foreach(value, i, item) {
		n += count(item);
	}
	/* jansson's iterator takes no const object; nothing is changed. */
	json_object_foreach((json_t *)(uintptr_t)value, key, item) {
		n += count(item);
	}
	return n;
}

static unsigned
depth(const json_t *value)
{
	unsigned deepest = 0, d;
	const json_t *item;
	const char *key;
	size_t i;

	if (!json_is_array(value) && !json_is_object(value))
		return 0;
	json_array_foreach(value, i, item) {
		d = depth(item);
		deepest = d > deepest ? d : deepest;
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, item) {
		d = depth(item);
		deepest = d > deepest ? d : deepest;
	}
	return deepest + 1;
}

/* A number is never longer than jansson would print it, and means the same to the last bit. */
static void
check_real(const json_t *value)
{
	AUTO_FREE char *ours = json_to_text(value, NULL);
	AUTO_FREE char *theirs = json_dumps(value, JSON_ENCODE_ANY);
	double back;

	HOLDS(ours != NULL && theirs != NULL);
	HOLDS(strlen(ours) <= strlen(theirs));
	HOLDS(strpbrk(ours, ".e") != NULL); /* it stays a real */
	back = strtod(ours, NULL);
	HOLDS(back == json_real_value(value) && signbit(back) == signbit(json_real_value(value)));
}

static void
check_reals(const json_t *value)
{
	const json_t *item;
	const char *key;
	size_t i;

	if (json_is_real(value))
		check_real(value);
	json_array_foreach(value, i, item) {
		check_reals(item);
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, item) {
		check_reals(item);
	}
}

static void
check_value(const json_t *value, const char *text, size_t len)
{
	size_t printed_len = 0;
	AUTO_FREE char *printed = json_to_text(value, &printed_len);
	unsigned levels = depth(value);
	json_t *again;

	HOLDS(printed != NULL && printed[printed_len] == '\0');
	HOLDS(count(value) <= json_count_values(text, len));
	HOLDS(!json_deeper_than(value, levels) &&
	      (levels == 0 || json_deeper_than(value, levels - 1)));
	HOLDS(memchr(printed, '\n', printed_len) == NULL &&
	      memchr(printed, '\r', printed_len) == NULL);
	again = json_parse(printed, printed_len, NULL);
	HOLDS(again != NULL && json_equal(again, value));
	check_reals(value);
	json_decref(again);
}

static void
check_text(const char *text, size_t len)
{
	AUTO_FREE char *copy = strndup(text, len);
	json_t *lossy;
	struct json_buf escaped = {.data = NULL};
	json_t *value;

	HOLDS(copy != NULL);
	lossy = json_string_lossy(copy);
	HOLDS(lossy != NULL && fuzz_is_utf8(json_string_value(lossy), json_string_length(lossy)));
	if (fuzz_is_utf8(copy, strlen(copy)))
		HOLDS(fuzz_same(copy, strlen(copy), lossy));
	json_decref(lossy);
	/* our idea of UTF-8 is jansson's */
	value = json_stringn(text, len);
	HOLDS((value != NULL) == fuzz_is_utf8(text, len));
	if (value != NULL) {
		json_t *back;

		json_buf_append(&escaped, "\"", 1);
		json_print_escaped(&escaped, text, len);
		json_buf_append(&escaped, "\"", 1);
		back = fuzz_json(escaped.data, escaped.len);
		HOLDS(json_equal(back, value));
		json_decref(back);
	}
	json_decref(value);
	json_buf_free(&escaped);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct err err = {.code = 0};
	json_t *value = json_parse(text, size, &err);

	if (value == NULL) {
		HOLDS(err.code != 0 && strncmp(err.text, "line ", 5) == 0);
		HOLDS(fuzz_is_utf8(err.text, strlen(err.text)));
	} else {
		check_value(value, text, size);
	}
	json_decref(value);
	check_text(text, size);
	return 0;
}
