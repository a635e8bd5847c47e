/* json: small helpers on jansson, and the printer that keeps numbers as short as they came. */
#ifndef SIDECAR_JSON_H
#define SIDECAR_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/common.h"
#include "common/err.h"

/* Parses len bytes: duplicate keys refused, NUL in strings allowed, nothing may follow the value.
 * On error NULL, and err says what is wrong where: "line 3, column 17: ...". Numbers that do not
 * fit (integers over 64 bit, reals over a double) and lone surrogates are errors. err->code is
 * -EINVAL, or -ENOMEM. */
json_t *json_parse(const char *text, size_t len, struct err *err) MUST_CHECK;

/* As json_loadb(), whose answer cannot be trusted where memory was short: it blames the text, or
 * loses a byte of it, or ends the process. Here that is NULL, and no_memory is set (NULL: it may
 * be). */
json_t *json_load(const char *text, size_t len, size_t flags, json_error_t *error,
                  bool *no_memory) MUST_CHECK;

/* At most so many values are in text, if it is JSON: each takes up to 80 bytes when parsed, so that
 * 10 MB of "{},{}," would take 800. Does not parse: strings are skipped, commas and brackets are
 * counted. */
size_t json_count_values(const char *text, size_t len);

/* Members of an object; NULL / fallback when absent or of another type. Borrowed. A string that
 * holds NUL is of another type here: as a C string it would be cut without a word. */
const char *json_get_string(const json_t *object, const char *key);
int64_t json_get_int(const json_t *object, const char *key, int64_t fallback);
bool json_get_bool(const json_t *object, const char *key, bool fallback);
json_t *json_get_object(const json_t *object, const char *key);
json_t *json_get_array(const json_t *object, const char *key);

/* The same rule for a value that is at hand: its text, NULL when it is none or holds NUL. */
const char *json_text(const json_t *value);

/* As json_copy() and json_deep_copy(), from which members are missing for which there was no
 * memory: here that is NULL. */
json_t *json_copy_whole(const json_t *value);
json_t *json_deep_copy_whole(const json_t *value);

/* Adds value, which is taken over; NULL: no memory for it. Where one cannot be added *object is
 * gone, and NULL from then on, to which nothing can be added: a series needs one check at its end,
 * and NULL has no text. Only for one that nothing else holds. */
void json_put(json_t **object, const char *key, json_t *value);
void json_put_item(json_t **array, json_t *value);

/* Has value more than max levels of arrays and objects in it? codex reads 127 at most, and is
 * silent about a message with more. */
bool json_deeper_than(const json_t *value, unsigned max);

/* Length of the UTF-8 character at text, 0 when there is none in the left bytes. */
size_t json_utf8_length(const char *text, size_t left);
/* UTF-8 without NUL, which goes into JSON as it is. */
bool json_is_text(const char *bytes, size_t len);
/* Any bytes as a string: a character torn at the end is dropped, other broken bytes become U+FFFD.
 * NULL: no memory. */
json_t *json_string_lossy(const char *text);

/* --- text: json_print.c --------------------------------------------------------------------- */

/* A growing byte buffer; zero-initialised is empty. After a failed append `failed` is set and
 * stays set, so that a series of appends needs one check at its end. */
struct json_buf {
	char *data;
	size_t len;
	size_t cap;
	bool failed;
};

void json_buf_append(struct json_buf *b, const char *data, size_t len);
void json_buf_free(struct json_buf *b);

/* Compact text of a value. Unlike json_dumps, each real is printed with the fewest digits that
 * read back as the same double (0.1 stays 0.1); strings may hold NUL. Appends to *out. */
void json_print(struct json_buf *out, const json_t *value);
/* The same as a new NUL-terminated string; caller frees. NULL: no memory. */
char *json_to_text(const json_t *value, size_t *len);
/* Appends text as the inside of a JSON string: escaped, without the quotes. */
void json_print_escaped(struct json_buf *out, const char *text, size_t len);

#endif
