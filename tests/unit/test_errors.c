/* Failures in OpenAI's words: status, error object, headers. */
#include "tests/unit/fake_http.h"

#include "proxy/api/errors.h"

struct row {
	enum failure_kind kind;
	int status;
	const char *type, *code, *headers;
};

#define NO_RETRY "x-should-retry: false\n"

/* The kinds are named one by one, so that a new one breaks this test. */
static const struct row rows[] = {
	{FAILURE_INVALID_REQUEST,      400, "invalid_request_error", "",                         ""                 },
	{FAILURE_CONTEXT_LENGTH,       400, "invalid_request_error", "context_length_exceeded",  ""                 },
	{FAILURE_MODEL_NOT_FOUND,      404, "invalid_request_error", "model_not_found",          ""                 },
	{FAILURE_CONTENT_POLICY,       400, "invalid_request_error", "content_policy_violation", ""                 },
	{FAILURE_RESPONSE_TOO_LARGE,   502, "server_error",          "response_too_large",       NO_RETRY           },
	{FAILURE_UPSTREAM_REFUSED,     400, "invalid_request_error", "",                         ""                 },
	{FAILURE_TOTAL_TIMEOUT,        504, "server_error",          "request_timeout",          ""                 },
	{FAILURE_INSUFFICIENT_QUOTA,   429, "insufficient_quota",    "insufficient_quota",       NO_RETRY           },
	{FAILURE_RATE_LIMITED,         429, "rate_limit_error",      "rate_limit_exceeded",      ""                 },
	{FAILURE_CAPACITY,             429, "rate_limit_error",      "resource_unavailable",     ""                 },
 /* the server's login, not the caller's key: no 401 */
	{FAILURE_UPSTREAM_AUTH,        503, "server_error",          "upstream_auth_failed",     NO_RETRY           },
	{FAILURE_LOGIN_REQUIRED,       503, "server_error",          "login_required",           NO_RETRY           },
	{FAILURE_UPSTREAM_OVERLOADED,  503, "server_error",          "server_is_overloaded",
         "retry-after: 5\n"											 },
	{FAILURE_UPSTREAM_ERROR,       502, "server_error",          "upstream_error",           ""                 },
	{FAILURE_UPSTREAM_UNREACHABLE, 502, "server_error",          "upstream_unreachable",     ""                 },
	{FAILURE_UPSTREAM_TIMEOUT,     504, "server_error",          "upstream_timeout",         ""                 },
	{FAILURE_STREAM_DISCONNECTED,  502, "server_error",          "stream_disconnected",      ""                 },
	{FAILURE_BACKEND_LOST,         502, "server_error",          "backend_lost",             ""                 },
	{FAILURE_BACKEND_TIMEOUT,      504, "server_error",          "backend_timeout",          ""                 },
	{FAILURE_BACKEND_ERROR,        502, "server_error",          "backend_error",            ""                 },
	{FAILURE_INTERNAL,             500, "server_error",          "internal_error",           ""                 },
	{FAILURE_QUEUE_FULL,           503, "server_error",          "queue_full",               "retry-after: 5\n" },
	{FAILURE_QUEUE_TIMEOUT,        503, "server_error",          "queue_timeout",            "retry-after: 10\n"},
	{FAILURE_NO_BACKEND,           503, "server_error",          "backend_unavailable",      "retry-after: 5\n" },
	{FAILURE_DRAINING,             503, "server_error",          "shutting_down",            "retry-after: 1\n" },
};

static void
every_failure_has_its_status_its_code_and_its_headers(void **state)
{
	assert_int_equal(NELEM(rows), FAILURE_DRAINING + 1);
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct http_exchange x = {.status = 0};
		struct failure failure;
		struct api_error error;

		failure_set(&failure, rows[i].kind, "why %d", 7);
		api_error_from_failure(&error, &failure);
		api_error_reply(&x, &error);
		assert_int_equal(x.status, rows[i].status);
		assert_string_equal(x.content_type, "application/json");
		assert_string_equal(answer_error(&x, "type"), rows[i].type);
		assert_string_equal(answer_error(&x, "code"), rows[i].code);
		assert_string_equal(answer_error(&x, "message"), "why 7");
		assert_string_equal(x.added, rows[i].headers);
		exchange_fini(&x);
	}
}

static void
an_error_object_has_its_four_members_and_null_where_nothing_is_known(void **state)
{
	struct failure failure;
	struct api_error error;
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	failure_set(&failure, FAILURE_INVALID_REQUEST, "no \"good\"");
	api_error_from_failure(&error, &failure);
	text = api_error_text(&error, &len);
	assert_string_equal(text, "{\"error\":{\"message\":\"no \\\"good\\\"\",\"type\":"
	                          "\"invalid_request_error\",\"param\":null,\"code\":null}}");
	assert_int_equal(len, strlen(text));
}

static void
the_providers_own_words_are_passed_on(void **state)
{
	struct failure failure;
	struct api_error error;

	failure_set(&failure, FAILURE_UPSTREAM_REFUSED, "Unsupported value");
	failure.upstream_status = 422;
	strcpy(failure.upstream_type, "t");
	strcpy(failure.upstream_code, "c");
	strcpy(failure.upstream_param, "input[0]");
	api_error_from_failure(&error, &failure);
	assert_int_equal(error.status, 422);
	assert_string_equal(error.type, "t");
	assert_string_equal(error.code, "c");
	assert_string_equal(error.param, "input[0]");
	failure.upstream_status = 503; /* what it is not meant for */
	api_error_from_failure(&error, &failure);
	assert_int_equal(error.status, 400);
	failure_set(&failure, FAILURE_RATE_LIMITED, "slow down");
	failure.retry_after_sec = 17;
	api_error_from_failure(&error, &failure);
	assert_int_equal(error.retry_after_sec, 17);
	failure_set(&failure, FAILURE_BACKEND_LOST, "gone");
	failure.given_up = true;
	api_error_from_failure(&error, &failure);
	assert_true(error.do_not_retry);
	failure_set(&failure, FAILURE_MODEL_NOT_FOUND, "none");
	api_error_from_failure(&error, &failure);
	assert_string_equal(error.param, "model");
}

static void
a_refused_parameter_is_named(void **state)
{
	struct api_error error = {.status = 0};

	assert_false(api_error_invalid(&error, NULL, NULL, "%s", "bad"));
	assert_int_equal(error.status, 400);
	assert_string_equal(error.code, "");
	assert_string_equal(error.param, "");
	assert_false(api_error_invalid(&error, "c", "p", "bad"));
	assert_string_equal(error.code, "c");
	assert_string_equal(error.param, "p");
	assert_int_equal(error.retry_after_sec, -1);
}

static void
text_cut_in_the_middle_of_a_character_is_still_told(void **state)
{
	struct api_error error;
	char longest[3 * FAILURE_MESSAGE_MAX];

	for (size_t shift = 0; shift < 3; shift++) {
		struct http_exchange x = {.status = 0};

		memset(longest, 'x', sizeof(longest));
		for (size_t i = shift; i + 3 < sizeof(longest); i += 3)
			memcpy(longest + i, "\xe2\x82\xac", 3);
		longest[sizeof(longest) - 1] = '\0';
		(void)api_error_invalid(&error, longest, longest, "%s", longest);
		api_error_reply(&x, &error);
		assert_in_range(strlen(answer_error(&x, "message")), FAILURE_MESSAGE_MAX - 4,
		                FAILURE_MESSAGE_MAX - 1);
		assert_in_range(strlen(answer_error(&x, "param")), 124, 127);
		assert_in_range(strlen(answer_error(&x, "code")), 60, 63);
		exchange_fini(&x);
	}
}

static void
bytes_that_are_no_text_do_not_hide_an_error(void **state)
{
	struct http_exchange x = {.status = 0};
	struct api_error error;

	api_error_set(&error, 404, "invalid_request_error", "unknown_url", "no \xff here");
	api_error_reply(&x, &error);
	assert_string_equal(answer_error(&x, "message"), "no \xef\xbf\xbd here");
	exchange_fini(&x);
}

static void
a_missing_key_is_challenged(void **state)
{
	struct http_exchange x = {.status = 0};
	struct api_error error;

	api_error_set(&error, 401, "invalid_request_error", "invalid_api_key", "no");
	api_error_reply(&x, &error);
	assert_string_equal(x.added, "www-authenticate: Bearer\n");
	exchange_fini(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failure_has_its_status_its_code_and_its_headers),
		cmocka_unit_test(
			an_error_object_has_its_four_members_and_null_where_nothing_is_known),
		cmocka_unit_test(the_providers_own_words_are_passed_on),
		cmocka_unit_test(a_refused_parameter_is_named),
		cmocka_unit_test(text_cut_in_the_middle_of_a_character_is_still_told),
		cmocka_unit_test(bytes_that_are_no_text_do_not_hide_an_error),
		cmocka_unit_test(a_missing_key_is_challenged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
