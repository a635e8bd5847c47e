/* request_check: what the tests of both dialects' parsers look at. */
#ifndef SIDECAR_TESTS_REQUEST_CHECK_H
#define SIDECAR_TESTS_REQUEST_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "proxy/api/errors.h"

static inline void
assert_json(const json_t *value, const char *expected)
{
	AUTO_FREE char *text = json_to_text(value, NULL);

	assert_non_null(text);
	assert_string_equal(text, expected);
}

static inline void
assert_error_shape(const struct api_error *error, int status)
{
	assert_int_equal(error->status, status);
	assert_string_equal(error->type, "invalid_request_error");
	assert_true(error->message[0] != '\0');
}

/* of: what was refused. param, code: "" where the error object has null; code NULL: any. */
static inline void
assert_error_says(const struct api_error *error, const char *of, const char *param,
                  const char *code)
{
	if (strcmp(error->param, param) != 0 || (code != NULL && strcmp(error->code, code) != 0))
		fail_msg("%.300s\nparam %s code %s: %s", of, error->param, error->code,
		         error->message);
}

#endif
