/* fuzz: what every target of the fuzzer shares.
 *
 * A target is one file: LLVMFuzzerTestOneInput is given any bytes, hands them to the code as a peer
 * or a file would, and ends the process where what must hold of the outcome does not. The same
 * bytes must always do the same: no clock, no network, nothing left over from an input before. */
#ifndef SIDECAR_TESTS_FUZZ_H
#define SIDECAR_TESTS_FUZZ_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As assert, but never left out. */
#define HOLDS(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fuzz_fail(__FILE__, __LINE__, #condition);                                 \
	} while (0)

_Noreturn static inline void
fuzz_fail(const char *file, int line, const char *condition)
{
	(void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

static inline bool
fuzz_is_utf8(const char *text, size_t len)
{
	for (size_t n; len > 0; text += n, len -= n) {
		n = json_utf8_length(text, len);
		if (n == 0)
			return false;
	}
	return true;
}

/* The JSON that text must be; the caller's to decref. */
static inline json_t *
fuzz_json(const char *text, size_t len)
{
	json_t *value = json_loadb(text, len,
	                           JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);

	HOLDS(value != NULL);
	return value;
}

/* Is string one of these bytes? */
static inline bool
fuzz_same(const char *text, size_t len, const json_t *string)
{
	return json_is_string(string) && json_string_length(string) == len &&
	       memcmp(json_string_value(string), text, len) == 0;
}

/* The next line of *rest, without its newline; false: there is none. For inputs in several parts.
 */
static inline bool
fuzz_line(const char **rest, size_t *left, const char **line, size_t *len)
{
	const char *end;

	if (*left == 0)
		return false;
	end = memchr(*rest, '\n', *left);
	*line = *rest;
	*len = end != NULL ? (size_t)(end - *rest) : *left;
	*rest += *len + (end != NULL);
	*left -= *len + (end != NULL);
	return true;
}

/* As the inside of a JSON string: what is one stays as it is, other text is escaped. False: it
 * cannot be one. NUL stands behind it. */
static inline bool
fuzz_escaped(struct json_buf *out, const char *text, size_t len)
{
	json_t *value;

	json_buf_append(out, "\"", 1);
	json_buf_append(out, text, len);
	json_buf_append(out, "\"", 1);
	value = json_loadb(out->data, out->len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
	if (value == NULL && !fuzz_is_utf8(text, len))
		return false;
	json_decref(value);
	out->len = 0;
	if (value != NULL)
		json_buf_append(out, text, len);
	else
		json_print_escaped(out, text, len);
	json_buf_append(out, "", 1);
	out->len--;
	return true;
}

#endif
