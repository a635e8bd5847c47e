/* json_print: a growing buffer, and the printer that keeps numbers as short as they came. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

#define FIRST_CAP   ((size_t)256)
#define DIGITS_MAX  17 /* always enough to read a double back */
#define DIGITS_SAFE 15 /* DBL_DIG: that many digits of any text survive a normal double */
#define PLAIN_MAX   30 /* beyond this exponent a form without exponent is never the shortest */
#define REAL_TEXT   64 /* 30 zeros, 17 digits, and the rest */

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

void
json_buf_free(struct json_buf *b)
{
	free(b->data);
	*b = (struct json_buf){.data = NULL};
}

static void
append_char(struct json_buf *b, char c)
{
	json_buf_append(b, &c, 1);
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
