/* What follows from the kind of a failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include <jansson.h>

#include "common/common.h"
#include "proxy/failure.h"

static const struct row {
	enum failure_kind kind;
	enum failure_class class_;
	bool retryable;
	const char *name;
} rows[] = {
	{FAILURE_INVALID_REQUEST,      FAILURE_REQUEST,  false, "invalid_request"     },
	{FAILURE_CONTEXT_LENGTH,       FAILURE_REQUEST,  false, "context_length"      },
	{FAILURE_MODEL_NOT_FOUND,      FAILURE_REQUEST,  false, "model_not_found"     },
	{FAILURE_CONTENT_POLICY,       FAILURE_REQUEST,  false, "content_policy"      },
	{FAILURE_RESPONSE_TOO_LARGE,   FAILURE_REQUEST,  false, "response_too_large"  },
	{FAILURE_UPSTREAM_REFUSED,     FAILURE_REQUEST,  false, "upstream_refused"    },
	{FAILURE_TOTAL_TIMEOUT,        FAILURE_REQUEST,  false, "total_timeout"       },
	{FAILURE_INSUFFICIENT_QUOTA,   FAILURE_QUOTA,    false, "insufficient_quota"  },
	{FAILURE_RATE_LIMITED,         FAILURE_QUOTA,    true,  "rate_limited"        },
	{FAILURE_CAPACITY,             FAILURE_QUOTA,    true,  "capacity"            },
	{FAILURE_UPSTREAM_AUTH,        FAILURE_AUTH,     false, "upstream_auth"       },
	{FAILURE_LOGIN_REQUIRED,       FAILURE_AUTH,     false, "login_required"      },
	{FAILURE_UPSTREAM_OVERLOADED,  FAILURE_UPSTREAM, true,  "upstream_overloaded" },
	{FAILURE_UPSTREAM_ERROR,       FAILURE_UPSTREAM, true,  "upstream_error"      },
	{FAILURE_UPSTREAM_UNREACHABLE, FAILURE_UPSTREAM, true,  "upstream_unreachable"},
	{FAILURE_UPSTREAM_TIMEOUT,     FAILURE_UPSTREAM, true,  "upstream_timeout"    },
	{FAILURE_STREAM_DISCONNECTED,  FAILURE_UPSTREAM, true,  "stream_disconnected" },
	{FAILURE_BACKEND_LOST,         FAILURE_SERVER,   true,  "backend_lost"        },
	{FAILURE_BACKEND_TIMEOUT,      FAILURE_SERVER,   true,  "backend_timeout"     },
	{FAILURE_BACKEND_ERROR,        FAILURE_SERVER,   true,  "backend_error"       },
	{FAILURE_INTERNAL,             FAILURE_SERVER,   false, "internal"            },
	{FAILURE_QUEUE_FULL,           FAILURE_BUSY,     true,  "queue_full"          },
	{FAILURE_QUEUE_TIMEOUT,        FAILURE_BUSY,     true,  "queue_timeout"       },
	{FAILURE_NO_BACKEND,           FAILURE_BUSY,     true,  "no_backend"          },
	{FAILURE_DRAINING,             FAILURE_BUSY,     true,  "draining"            },
};

static void
every_kind_has_its_class(void **state)
{
	assert_int_equal(NELEM(rows), FAILURE_DRAINING + 1);
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct failure f;

		memset(&f, 0xff, sizeof(f));
		failure_set(&f, rows[i].kind, "because %s", "so");
		assert_int_equal(f.kind, rows[i].kind);
		assert_int_equal(f.class_, rows[i].class_);
		assert_int_equal(f.retryable, rows[i].retryable);
		assert_string_equal(f.message, "because so");
		assert_string_equal(failure_kind_name(rows[i].kind), rows[i].name);
		/* nothing is left of what was in there */
		assert_int_equal(f.upstream_status, 0);
		assert_int_equal(f.retry_after_sec, -1);
		assert_string_equal(f.upstream_type, "");
		assert_string_equal(f.upstream_code, "");
		assert_string_equal(f.upstream_param, "");
	}
}

static void
classes_have_names(void **state)
{
	static const char *const names[] = {"request",  "quota",  "auth",
	                                    "upstream", "server", "busy"};

	for (unsigned class_ = FAILURE_REQUEST; class_ <= FAILURE_BUSY; class_++)
		assert_string_equal(failure_class_name((enum failure_class)class_), names[class_]);
}

static void
a_long_message_is_cut_between_characters(void **state)
{
	static const char *const characters[] = {"x", "\xc3\xa4", "\xe2\x82\xac",
	                                         "\xf0\x9f\x98\x80"};
	char text[2 * FAILURE_MESSAGE_MAX];

	for (size_t c = 0; c < NELEM(characters); c++) {
		size_t width = strlen(characters[c]);

		for (size_t shift = 0; shift < width; shift++) {
			struct failure f;
			json_t *check;

			memset(text, '.', sizeof(text));
			for (size_t at = shift; at + width < sizeof(text); at += width)
				memcpy(text + at, characters[c], width);
			text[sizeof(text) - 1] = '\0';
			failure_set(&f, FAILURE_INTERNAL, "%s", text);
			check = json_string(f.message); /* NULL when it is not UTF-8 */
			assert_non_null(check);
			json_decref(check);
			assert_true(strlen(f.message) + width > FAILURE_MESSAGE_MAX - 1);
			assert_memory_equal(f.message, text, strlen(f.message));
		}
	}
}

static void
a_message_that_just_fits_is_not_cut(void **state)
{
	char text[FAILURE_MESSAGE_MAX];
	struct failure f;

	memset(text, '.', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	memcpy(text + sizeof(text) - 3, "\xc3\xa4", 2);
	failure_set(&f, FAILURE_INTERNAL, "%s", text);
	assert_string_equal(f.message, text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_has_its_class),
		cmocka_unit_test(classes_have_names),
		cmocka_unit_test(a_long_message_is_cut_between_characters),
		cmocka_unit_test(a_message_that_just_fits_is_not_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
