/* json: small helpers on jansson. */
#include "common/json.h"

#include <errno.h>
#include <string.h>

/* --- reading -------------------------------------------------------------------------------- */

/* Where its text buffer cannot grow, jansson 2.14 loses bytes of the text, and then takes what is
 * left for well-formed: it hits an assertion, or reads on behind the end. So that allocation must
 * not fail: memory is laid by for it. All other ones may, and end the parsing. */
struct parse_memory {
	char *laid_by, *at, *end;
	void *text; /* the text buffer: the first that is allocated; it doubles when it grows */
	size_t text_size;
	void *last;
	size_t last_size;
	bool is_short; /* something could not be allocated: the value is of no use */
};

/* All growth of a text buffer for len bytes takes less than four times that, with what it grows to
 * at last. As much again is for others that happen to be as large as what it would grow to: there
 * can be one or two of them until something else fails, and then the parsing ends. */
#define LAID_BY(len) (8 * (len) + 1024)
#define ALIGNMENT    ((size_t)16)

static struct parse_memory parse; /* jansson's allocators have no argument */

static void *
take_laid_by(size_t size)
{
	char *p = parse.at;

	parse.is_short = true;
	if (size != 2 * parse.text_size || (size_t)(parse.end - p) < size)
		return NULL;
	parse.at += (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
	return p;
}

static void *
parse_alloc(size_t size)
{
	bool gives_up = parse.is_short && size != 2 * parse.text_size;
	void *p = gives_up ? NULL : malloc(size);

	if (p == NULL)
		p = take_laid_by(size);
	if (parse.text == NULL) {
		parse.text = p;
		parse.text_size = size;
	}
	parse.last = p;
	parse.last_size = size;
	return p;
}

static void
parse_free(void *p)
{
	uintptr_t at = (uintptr_t)p;

	if (p == parse.text) { /* it has moved to what was allocated last */
		parse.text = parse.last;
		parse.text_size = parse.last_size;
	}
	if (at < (uintptr_t)parse.laid_by || at >= (uintptr_t)parse.end)
		free(p);
}

json_t *
json_load(const char *text, size_t len, size_t flags, json_error_t *error, bool *no_memory)
{
	json_t *value = NULL;

	parse = (struct parse_memory){.laid_by = malloc(LAID_BY(len))};
	if (no_memory != NULL)
		*no_memory = true;
	if (parse.laid_by == NULL)
		return NULL;
	parse.at = parse.laid_by;
	parse.end = parse.laid_by + LAID_BY(len);
	json_set_alloc_funcs(parse_alloc, parse_free);
	value = json_loadb(text, len, flags, error);
	if (parse.is_short) {
		json_decref(value);
		value = NULL;
	}
	json_set_alloc_funcs(malloc, free);
	free(parse.laid_by);
	if (no_memory != NULL)
		*no_memory = parse.is_short;
	return value;
}

json_t *
json_parse(const char *text, size_t len, struct err *err)
{
	json_error_t e;
	bool no_memory;
	json_t *value =
		json_load(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &e,
	                  &no_memory);
	const char *near;
	int what;

	if (value != NULL)
		return value;
	if (no_memory) {
		(void)err_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	/* jansson quotes the text there: it may be anybody's secret, and the place is enough */
	near = strstr(e.text, " near '");
	what = near != NULL ? (int)(near - e.text) : (int)strlen(e.text);
	(void)err_set(err, -EINVAL, "line %d, column %d: %.*s", e.line, e.column, what, e.text);
	return NULL;
}

size_t
json_count_values(const char *text, size_t len)
{
	size_t count = 1;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (in_string && c == '\\')
			i++; /* whatever it is, it does not end the string */
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string)
			count += c == ',' || c == '[' || c == '{';
	}
	return count;
}

const char *
json_get_string(const json_t *object, const char *key)
{
	return json_text(json_object_get(object, key));
}

const char *
json_text(const json_t *value)
{
	const char *text = json_string_value(value);

	return text != NULL && strlen(text) == json_string_length(value) ? text : NULL;
}

int64_t
json_get_int(const json_t *object, const char *key, int64_t fallback)
{
	const json_t *v = json_object_get(object, key);

	return json_is_integer(v) ? (int64_t)json_integer_value(v) : fallback;
}

bool
json_get_bool(const json_t *object, const char *key, bool fallback)
{
	const json_t *v = json_object_get(object, key);

	return json_is_boolean(v) ? json_is_true(v) : fallback;
}

json_t *
json_get_object(const json_t *object, const char *key)
{
	json_t *v = json_object_get(object, key);

	return json_is_object(v) ? v : NULL;
}

json_t *
json_get_array(const json_t *object, const char *key)
{
	json_t *v = json_object_get(object, key);

	return json_is_array(v) ? v : NULL;
}

void
json_put(json_t **object, const char *key, json_t *value)
{
	if (json_object_set_new(*object, key, value) == 0)
		return;
	json_decref(*object);
	*object = NULL;
}

void
json_put_item(json_t **array, json_t *value)
{
	if (json_array_append_new(*array, value) == 0)
		return;
	json_decref(*array);
	*array = NULL;
}

static json_t *
whole(json_t *copy, const json_t *value)
{
	if (json_equal(copy, value) == 1)
		return copy;
	json_decref(copy);
	return NULL;
}

json_t *
json_copy_whole(const json_t *value)
{
	/* jansson's copy takes no const value; nothing is changed. */
	return whole(json_copy((json_t *)(uintptr_t)value), value);
}

json_t *
json_deep_copy_whole(const json_t *value)
{
	return whole(json_deep_copy(value), value);
}

bool
json_deeper_than(const json_t *value, unsigned max)
{
	/* jansson's iterator takes no const object; nothing is changed. */
	json_t *object = (json_t *)(uintptr_t)value;
	const json_t *item;
	const char *key;
	size_t i;

	if (!json_is_object(value) && !json_is_array(value))
		return false;
	if (max == 0)
		return true;
	json_array_foreach(value, i, item) {
		if (json_deeper_than(item, max - 1))
			return true;
	}
	json_object_foreach(object, key, item) {
		if (json_deeper_than(item, max - 1))
			return true;
	}
	return false;
}

/* --- UTF-8 ---------------------------------------------------------------------------------- */

size_t
json_utf8_length(const char *text, size_t left)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned char low = 0x80, high = 0xbf; /* range of the second byte */
	size_t len;

	if (left == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	/* no overlong form, no surrogate, nothing over U+10FFFF */
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		len = 2;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		len = 3;
		low = p[0] == 0xe0 ? 0xa0 : 0x80;
		high = p[0] == 0xed ? 0x9f : 0xbf;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		len = 4;
		low = p[0] == 0xf0 ? 0x90 : 0x80;
		high = p[0] == 0xf4 ? 0x8f : 0xbf;
	} else {
		return 0;
	}
	if (left < len || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

bool
json_is_text(const char *bytes, size_t len)
{
	size_t n = 1;

	for (size_t at = 0; at < len && n > 0; at += n)
		n = bytes[at] != '\0' ? json_utf8_length(bytes + at, len - at) : 0;
	return n > 0;
}

/* Is the end of text the beginning of a character? */
static bool
is_torn(const char *text, size_t left)
{
	static const char rest[] = "\x80\x80\x80"; /* lowest that any first byte but two allows */
	char whole[8];

	if (left > 3)
		return false;
	for (size_t add = 1; add <= 3; add++) {
		memcpy(whole, text, left);
		memcpy(whole + left, rest, add);
		if (left == 1 && ((unsigned char)text[0] == 0xe0 || (unsigned char)text[0] == 0xf0))
			whole[1] = '\xbf';
		if (json_utf8_length(whole, left + add) == left + add)
			return true;
	}
	return false;
}

json_t *
json_string_lossy(const char *text)
{
	size_t left = strlen(text);
	struct json_buf b = {.data = NULL};
	json_t *string = json_stringn(text, left);

	if (string != NULL)
		return string;
	while (left > 0 && !is_torn(text, left)) {
		size_t len = json_utf8_length(text, left);

		json_buf_append(&b, len > 0 ? text : "\xef\xbf\xbd", len > 0 ? len : 3);
		text += len > 0 ? len : 1;
		left -= len > 0 ? len : 1;
	}
	if (!b.failed)
		string = json_stringn_nocheck(b.data != NULL ? b.data : "", b.len);
	json_buf_free(&b);
	return string;
}
