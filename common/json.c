/* json: small helpers on jansson, and the printer that keeps numbers as short as they came. */
#include "common/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIRST_CAP   ((size_t)256)
#define DIGITS_MAX  17 /* always enough to read a double back */
#define DIGITS_SAFE 15 /* DBL_DIG: that many digits of any text survive a normal double */
#define PLAIN_MAX   30 /* beyond this exponent a form without exponent is never the shortest */
#define REAL_TEXT   64 /* 30 zeros, 17 digits, and the rest */

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

/* --- the buffer ----------------------------------------------------------------------------- */

static bool
reserve(struct json_buf *b, size_t more)
{
	size_t cap = b->cap > 0 ? b->cap : FIRST_CAP;
	char *grown;

	if (b->failed || more > SIZE_MAX / 4 - b->len) {
		b->failed = true;
		return false;
	}
	while (cap < b->len + more)
		cap *= 2;
	if (cap == b->cap)
		return true;
	grown = realloc(b->data, cap);
	if (grown == NULL) {
		b->failed = true;
		return false;
	}
	b->data = grown;
	b->cap = cap;
	return true;
}

void
json_buf_append(struct json_buf *b, const char *data, size_t len)
{
	if (len == 0 || !reserve(b, len))
		return;
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void
append_char(struct json_buf *b, char c)
{
	json_buf_append(b, &c, 1);
}

void
json_buf_free(struct json_buf *b)
{
	free(b->data);
	*b = (struct json_buf){.data = NULL};
}

/* --- reals ---------------------------------------------------------------------------------- */

/* A real as digits d1 d2 ... dn with the point behind d1, times ten to the exponent. */
struct decimal {
	char digits[DIGITS_MAX + 1];
	int count;
	int exponent;
};

static struct decimal
to_decimal(double v, int count)
{
	struct decimal d = {.count = 0};
	char text[40];
	const char *c;

	(void)snprintf(text, sizeof(text), "%.*e", count - 1, v);
	for (c = text; *c != 'e'; c++)
		if (*c >= '0' && *c <= '9') /* not the point, whatever the locale calls it */
			d.digits[d.count++] = *c;
	d.exponent = atoi(c + 1);
	while (d.count > 1 && d.digits[d.count - 1] == '0')
		d.count--;
	d.digits[d.count] = '\0';
	return d;
}

static bool
reads_back(const struct decimal *d, double v)
{
	char text[40];

	(void)snprintf(text, sizeof(text), "%se%d", d->digits, d->exponent - d->count + 1);
	return strtod(text, NULL) == v;
}

/* Below a power of two the doubles lie closer together than above it: there the nearest decimal of
 * a length may read back as a neighbour while the next one up does not. */
static struct decimal
next_up(struct decimal d)
{
	int i = d.count - 1;

	while (i >= 0 && d.digits[i] == '9')
		i--;
	if (i < 0) {
		d = (struct decimal){.digits = "1", .count = 1, .exponent = d.exponent + 1};
		return d;
	}
	d.digits[i]++;
	d.count = i + 1;
	d.digits[d.count] = '\0';
	return d;
}

/* v: positive and finite. */
static struct decimal
shortest(double v)
{
	int count = isnormal(v) ? DIGITS_SAFE : 1;
	struct decimal d;

	for (; count < DIGITS_MAX; count++) {
		struct decimal up;

		d = to_decimal(v, count);
		if (reads_back(&d, v))
			return d;
		up = next_up(d);
		if (count > DIGITS_SAFE && reads_back(&up, v))
			return up;
	}
	return to_decimal(v, DIGITS_MAX);
}

static int
format_plain(char *text, const struct decimal *d)
{
	static const char zeros[] = "00000000000000000000000000000000";
	int whole = d->exponent + 1; /* digits before the point */

	if (whole <= 0)
		return snprintf(text, REAL_TEXT, "0.%.*s%s", -whole, zeros, d->digits);
	if (whole >= d->count)
		return snprintf(text, REAL_TEXT, "%s%.*s.0", d->digits, whole - d->count, zeros);
	return snprintf(text, REAL_TEXT, "%.*s.%s", whole, d->digits, d->digits + whole);
}

/* The shortest way to write it, so that nothing gets longer than it was sent: 0.1, 1e5, 15e299.
 * Of two that are as short, the one that is easier to read. */
static void
print_real(struct json_buf *out, double v)
{
	char forms[3][REAL_TEXT];
	int len[3] = {REAL_TEXT, REAL_TEXT, REAL_TEXT}, best = 0;
	struct decimal d;

	if (signbit(v) != 0)
		append_char(out, '-');
	if (v == 0) {
		json_buf_append(out, "0.0", 3);
		return;
	}
	d = shortest(fabs(v));
	if (d.exponent > -PLAIN_MAX && d.exponent < PLAIN_MAX)
		len[0] = format_plain(forms[0], &d);
	len[1] = snprintf(forms[1], REAL_TEXT, "%c%s%se%d", d.digits[0], d.count > 1 ? "." : "",
	                  d.digits + 1, d.exponent);
	len[2] = snprintf(forms[2], REAL_TEXT, "%se%d", d.digits, d.exponent - d.count + 1);
	for (int i = 1; i < (int)NELEM(len); i++)
		if (len[i] < len[best])
			best = i;
	json_buf_append(out, forms[best], (size_t)len[best]);
}

/* --- printing ------------------------------------------------------------------------------- */

static void
print_scalar(struct json_buf *out, const json_t *value)
{
	const size_t flags = JSON_ENCODE_ANY | JSON_COMPACT;
	size_t guess = json_is_string(value) ? json_string_length(value) + 16 : 32, len;

	if (!reserve(out, guess))
		return;
	len = json_dumpb(value, out->data + out->len, out->cap - out->len, flags);
	if (len > out->cap - out->len) { /* it was told the length, and nothing was cut short */
		if (!reserve(out, len))
			return;
		len = json_dumpb(value, out->data + out->len, out->cap - out->len, flags);
	}
	if (len == 0)
		out->failed = true; /* no memory: every value has a text */
	out->len += len;
}

/* Is it its own escaped form? Nearly every key is, and most of what is printed. */
static bool
is_plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
			return false;
	return true;
}

static void
print_string(struct json_buf *out, const json_t *value)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);

	if (!is_plain(text, len)) {
		print_scalar(out, value);
		return;
	}
	append_char(out, '"');
	json_buf_append(out, text, len);
	append_char(out, '"');
}

static void
print_integer(struct json_buf *out, json_int_t value)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, value);

	json_buf_append(out, text, (size_t)n);
}

static void
print_key(struct json_buf *out, const char *key, size_t len)
{
	append_char(out, '"');
	json_print_escaped(out, key, len);
	json_buf_append(out, "\":", 2);
}

static void
print_object(struct json_buf *out, const json_t *value)
{
	/* jansson's iterators take a json_t * and change nothing */
	json_t *object = (json_t *)(uintptr_t)value;
	bool first = true;

	append_char(out, '{');
	for (void *at = json_object_iter(object); at != NULL;
	     at = json_object_iter_next(object, at)) {
		const char *key = json_object_iter_key(at);

		if (!first)
			append_char(out, ',');
		first = false;
		print_key(out, key, json_object_iter_key_len(at));
		json_print(out, json_object_iter_value(at));
	}
	append_char(out, '}');
}

void
json_print(struct json_buf *out, const json_t *value)
{
	const json_t *item;
	size_t i;

	if (out->failed)
		return;
	if (value == NULL) {
		out->failed = true; /* somebody ran out of memory while building it */
		return;
	}
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		print_object(out, value);
		return;
	case JSON_ARRAY:
		append_char(out, '[');
		json_array_foreach(value, i, item) {
			if (i > 0)
				append_char(out, ',');
			json_print(out, item);
		}
		append_char(out, ']');
		return;
	case JSON_REAL:
		print_real(out, json_real_value(value));
		return;
	case JSON_STRING:
		print_string(out, value);
		return;
	case JSON_INTEGER:
		print_integer(out, json_integer_value(value));
		return;
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
		print_scalar(out, value);
		return;
	}
}

char *
json_to_text(const json_t *value, size_t *len)
{
	struct json_buf b = {.data = NULL};

	json_print(&b, value);
	json_buf_append(&b, "", 1);
	if (b.failed) {
		json_buf_free(&b);
		return NULL;
	}
	if (len != NULL)
		*len = b.len - 1;
	return b.data;
}

void
json_print_escaped(struct json_buf *out, const char *text, size_t len)
{
	json_auto_t *string = NULL;
	size_t start = out->len;

	if (is_plain(text, len)) {
		json_buf_append(out, text, len);
		return;
	}
	string = json_stringn(text, len);
	if (string == NULL) { /* no memory, or not UTF-8 */
		out->failed = true;
		return;
	}
	print_scalar(out, string);
	if (out->failed)
		return;
	/* without the quotes */
	out->len -= 2;
	memmove(out->data + start, out->data + start + 1, out->len - start);
}
