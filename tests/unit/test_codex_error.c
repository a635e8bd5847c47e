/* What codex says of a turn that went wrong: every row of what was observed, and what never was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "proxy/codex/codex_error.h"

static struct failure f;

/* info: JSON; message: text, NULL: none. */
static void
turn_error(const char *info, const char *message)
{
	json_auto_t *error = json_object();

	if (info != NULL)
		assert_int_equal(json_object_set_new(
					 error, "codexErrorInfo",
					 json_loads(info, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL)),
		                 0);
	if (message != NULL)
		assert_int_equal(json_object_set_new(error, "message", json_string(message)), 0);
	memset(&f, 0xA5, sizeof(f)); /* nothing of it may be left */
	codex_error_to_failure(&f, error);
	assert_true(strlen(f.message) > 0);
	assert_true(json_utf8_length(f.message, strlen(f.message)) > 0);
	assert_int_equal(f.retry_after_sec, -1);
}

static void
rpc_error(int code, const char *message, const char *data)
{
	json_auto_t *value = data != NULL ? json_loads(data, JSON_DECODE_ANY, NULL) : NULL;
	const struct rpc_error error = {.code = code, .message = message, .data = value};

	codex_rpc_error_to_failure(&f, "thread/start", &error);
	assert_true(strlen(f.message) > 0);
}

struct row {
	const char *info; /* JSON */
	enum failure_kind kind;
	int status;
};

static const struct row named[] = {
	{"\"contextWindowExceeded\"",       FAILURE_CONTEXT_LENGTH,       0},
	{"\"cyberPolicy\"",                 FAILURE_CONTENT_POLICY,       0},
	{"\"misalignmentPolicyViolation\"", FAILURE_CONTENT_POLICY,       0},
	{"\"inferenceHookDenied\"",         FAILURE_CONTENT_POLICY,       0},
	{"\"tooManyDenials\"",              FAILURE_CONTENT_POLICY,       0},
	{"\"modelNotFound\"",               FAILURE_MODEL_NOT_FOUND,      0},
	{"\"badRequest\"",                  FAILURE_UPSTREAM_REFUSED,     0},
	{"\"usageLimitExceeded\"",          FAILURE_INSUFFICIENT_QUOTA,   0},
	{"\"sessionBudgetExceeded\"",       FAILURE_INSUFFICIENT_QUOTA,   0},
	{"\"rateLimitExceeded\"",           FAILURE_RATE_LIMITED,         0},
	{"\"flexUnavailable\"",             FAILURE_CAPACITY,             0},
	{"\"serverOverloaded\"",            FAILURE_UPSTREAM_OVERLOADED,  0},
	{"\"policyCapacityUnavailable\"",   FAILURE_UPSTREAM_OVERLOADED,  0},
	{"\"internalServerError\"",         FAILURE_UPSTREAM_ERROR,       0},
	{"\"unauthorized\"",                FAILURE_UPSTREAM_AUTH,        0},
	{"\"threadRollbackFailed\"",        FAILURE_BACKEND_ERROR,        0},
	{"\"sandboxError\"",                FAILURE_BACKEND_ERROR,        0},
	{"\"activeTurnNotSteerable\"",      FAILURE_BACKEND_ERROR,        0},
	{"\"someNewVariant\"",              FAILURE_BACKEND_ERROR,        0},
	{"\"httpConnectionFailed\"",        FAILURE_UPSTREAM_UNREACHABLE, 0},
};

/* {"variant":{"httpStatusCode":code}} */
static const struct {
	const char *variant;
	const char *code;
	enum failure_kind kind;
	int status;
} http[] = {
	{"httpConnectionFailed",           "401",   FAILURE_UPSTREAM_AUTH,        401},
	{"httpConnectionFailed",           "403",   FAILURE_UPSTREAM_REFUSED,     403},
	{"httpConnectionFailed",           "402",   FAILURE_INSUFFICIENT_QUOTA,   402},
	{"httpConnectionFailed",           "404",   FAILURE_UPSTREAM_REFUSED,     404},
	{"httpConnectionFailed",           "413",   FAILURE_UPSTREAM_REFUSED,     413},
	{"httpConnectionFailed",           "425",   FAILURE_UPSTREAM_REFUSED,     425},
	{"httpConnectionFailed",           "408",   FAILURE_UPSTREAM_TIMEOUT,     408},
	{"httpConnectionFailed",           "504",   FAILURE_UPSTREAM_TIMEOUT,     504},
	{"httpConnectionFailed",           "501",   FAILURE_UPSTREAM_ERROR,       501},
	{"httpConnectionFailed",           "529",   FAILURE_UPSTREAM_ERROR,       529},
	{"httpConnectionFailed",           "302",   FAILURE_UPSTREAM_ERROR,       302},
	{"httpConnectionFailed",           "null",  FAILURE_UPSTREAM_UNREACHABLE, 0  },
	{"httpConnectionFailed",           "-7",    FAILURE_UPSTREAM_UNREACHABLE, 0  },
	{"httpConnectionFailed",           "\"5\"", FAILURE_UPSTREAM_UNREACHABLE, 0  },
	{"responseStreamConnectionFailed", "403",   FAILURE_UPSTREAM_REFUSED,     403},
	{"responseStreamDisconnected",     "401",   FAILURE_UPSTREAM_AUTH,        401},
	{"responseStreamDisconnected",     "null",  FAILURE_STREAM_DISCONNECTED,  0  },
	{"responseTooManyFailedAttempts",  "429",   FAILURE_RATE_LIMITED,         429},
};

static const struct row with_members[] = {
	{"{\"someNewVariant\":{\"a\":1}}",        FAILURE_BACKEND_ERROR,        0},
	{"{\"modelNotFound\":{\"model\":\"x\"}}", FAILURE_MODEL_NOT_FOUND,      0},
	{"{\"httpConnectionFailed\":{}}",         FAILURE_UPSTREAM_UNREACHABLE, 0},
};

/* What comes with "other". */
static const struct {
	const char *message;
	enum failure_kind kind;
} others[] = {
	{"Unsupported value",				   FAILURE_UPSTREAM_REFUSED    },
	{"stream disconnected before completion: idle timeout", FAILURE_STREAM_DISCONNECTED },
	{"Transport error: network error",                      FAILURE_STREAM_DISCONNECTED },
	{"Missing environment variable: `KEY`.",                FAILURE_UPSTREAM_AUTH       },
	{"auth refresh request failed: code=-32000",            FAILURE_UPSTREAM_AUTH       },
	{"Connection failed: error sending request",            FAILURE_UPSTREAM_UNREACHABLE},
};

static void
assert_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		turn_error(rows[i].info, "the message");
		if (f.kind != rows[i].kind || f.upstream_status != rows[i].status)
			fail_msg("%s: %s, status %d", rows[i].info, failure_kind_name(f.kind),
			         f.upstream_status);
		assert_non_null(strstr(f.message, "the message"));
	}
}

static void
every_kind_of_error_is_known_by_its_name_or_status(void **state)
{
	char info[128];

	assert_rows(named, NELEM(named));
	assert_rows(with_members, NELEM(with_members));
	for (size_t i = 0; i < NELEM(http); i++) {
		const struct row row = {info, http[i].kind, http[i].status};

		(void)snprintf(info, sizeof(info), "{\"%s\":{\"httpStatusCode\":%s}}",
		               http[i].variant, http[i].code);
		assert_rows(&row, 1);
	}
}

static void
what_codex_has_no_name_for_is_known_by_its_words(void **state)
{
	for (size_t i = 0; i < NELEM(others); i++) {
		turn_error("\"other\"", others[i].message);
		if (f.kind != others[i].kind || f.upstream_status != 0)
			fail_msg("%s: %s", others[i].message, failure_kind_name(f.kind));
		assert_non_null(strstr(f.message, others[i].message));
	}
}

static void
addresses_are_not_shown(void **state)
{
	turn_error("{\"httpConnectionFailed\":{\"httpStatusCode\":503}}",
	           "unexpected status 503 Service Unavailable: down, url: "
	           "http://10.0.0.1:8080/v1/responses, request id: r");
	assert_string_equal(f.message, "unexpected status 503 Service Unavailable: down");
	turn_error("\"other\"", "stream disconnected before completion: error sending request for "
	                        "url (https://internal.example/v1/responses)");
	assert_string_equal(f.message,
	                    "stream disconnected before completion: error sending request");
	turn_error("{\"httpConnectionFailed\":{\"httpStatusCode\":401}}",
	           "unexpected status 401 Unauthorized: bad key, url: http://10.0.0.1/");
	assert_string_equal(f.message, "The server's own login is not accepted: unexpected status "
	                               "401 Unauthorized: bad key");
	turn_error("{\"httpConnectionFailed\":{\"httpStatusCode\":502}}",
	           ", url: http://10.0.0.1/");
	assert_null(strstr(f.message, "10.0.0.1"));
}

static void
the_raw_body_of_a_400_is_taken_apart(void **state)
{
	turn_error("\"other\"",
	           "{\"error\":{\"message\":\"Invalid value\",\"type\":\"invalid_request_error\","
	           "\"param\":\"input[0]\",\"code\":\"invalid_value\"}}");
	assert_int_equal(f.kind, FAILURE_UPSTREAM_REFUSED);
	assert_int_equal(f.upstream_status, 400);
	assert_string_equal(f.message, "Invalid value");
	assert_string_equal(f.upstream_type, "invalid_request_error");
	assert_string_equal(f.upstream_code, "invalid_value");
	assert_string_equal(f.upstream_param, "input[0]");
	turn_error("\"other\"",
	           "\n {\"error\":{\"message\":\"\",\"type\":null,\"code\":17,\"param\":[]}}\n");
	assert_int_equal(f.upstream_status, 400);
	assert_string_equal(f.upstream_type, "");
	assert_string_equal(f.upstream_code, "");
	assert_string_equal(f.upstream_param, "");
	/* a policy's message that only looks a bit like it */
	turn_error("\"other\"", "{\"error\":\"text\"}");
	assert_int_equal(f.upstream_status, 0);
	assert_string_equal(f.message, "{\"error\":\"text\"}");
	turn_error("\"other\"", "use {braces}");
	assert_string_equal(f.message, "use {braces}");
}

static void
fields_that_are_too_long_are_cut_between_characters(void **state)
{
	char body[512], type[200] = "";

	for (int i = 0; i < 60; i++)
		(void)strcat(type, "\xe2\x82\xac");
	(void)snprintf(body, sizeof(body), "{\"error\":{\"message\":\"m\",\"type\":\"x%s\"}}",
	               type);
	turn_error("\"other\"", body);
	assert_int_equal(strlen(f.upstream_type), 1 + 62 / 3 * 3);
	assert_memory_equal(f.upstream_type,
	                    body + strlen("{\"error\":{\"message\":\"m\",\"type\":\""),
	                    strlen(f.upstream_type));
}

static void
an_empty_body_and_a_page_get_a_sentence_of_ours(void **state)
{
	turn_error("\"other\"", "");
	assert_int_equal(f.kind, FAILURE_UPSTREAM_REFUSED);
	assert_string_equal(f.message, "The model provider refused the request without a reason.");
	turn_error("\"other\"", " <!DOCTYPE html><html><body>squid at 10.0.0.1</body></html>");
	assert_int_equal(f.kind, FAILURE_UPSTREAM_REFUSED);
	assert_string_equal(f.message, "The model provider refused the request without a reason.");
	turn_error("\"unauthorized\"", "");
	assert_string_equal(f.message, "The server's own login is not accepted.");
}

static void
garbage_is_an_error_of_the_backend(void **state)
{
	static const char *const infos[] = {"null",          "7",   "[]", "{}", "true",
	                                    "\"a\\u0000b\"", "[{}]"};

	for (size_t i = 0; i < NELEM(infos); i++) {
		turn_error(infos[i], "odd");
		assert_int_equal(f.kind, FAILURE_BACKEND_ERROR);
		assert_string_equal(f.message, "odd");
	}
	turn_error(NULL, NULL);
	assert_int_equal(f.kind, FAILURE_BACKEND_ERROR);
	turn_error("{\"httpConnectionFailed\":7}", NULL);
	assert_int_equal(f.kind, FAILURE_UPSTREAM_UNREACHABLE);
	codex_error_to_failure(&f, NULL);
	assert_int_equal(f.kind, FAILURE_BACKEND_ERROR);
}

static void
a_long_message_is_cut_and_still_text(void **state)
{
	char text[4000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i + 3 < sizeof(text); i += 3)
		memcpy(text + i, "\xe2\x82\xac", 3);
	turn_error("\"internalServerError\"", text);
	assert_true(strlen(f.message) < FAILURE_MESSAGE_MAX);
	assert_true(strlen(f.message) > FAILURE_MESSAGE_MAX - 8);
	assert_int_equal(strlen(f.message) % 3, 0);
}

static bool
is_finish(const char *message, enum finish_reason *reason)
{
	json_auto_t *error = json_pack("{s:s}", "message", message);

	return codex_error_is_finish(error, reason);
}

static void
an_answer_that_was_cut_off_is_no_error(void **state)
{
	enum finish_reason reason = FINISH_STOP;

	assert_true(is_finish("Incomplete response returned, reason: max_output_tokens", &reason));
	assert_int_equal(reason, FINISH_LENGTH);
	assert_true(is_finish("stream disconnected before completion: Incomplete response "
	                      "returned, reason: content_filter",
	                      &reason));
	assert_int_equal(reason, FINISH_CONTENT_FILTER);
	assert_false(is_finish("Incomplete response returned, reason: something_else", &reason));
	assert_false(is_finish("stream disconnected before completion", &reason));
	assert_false(codex_error_is_finish(NULL, &reason));
}

static void
a_refused_call_is_told_from_one_without_an_answer(void **state)
{
	rpc_error(RPC_LOST, "gone", NULL);
	assert_int_equal(f.kind, FAILURE_BACKEND_LOST);
	rpc_error(RPC_TIMEOUT, "late", NULL);
	assert_int_equal(f.kind, FAILURE_BACKEND_TIMEOUT);
	assert_non_null(strstr(f.message, "thread/start"));
	rpc_error(-32001, "Server overloaded; retry later.", NULL);
	assert_int_equal(f.kind, FAILURE_NO_BACKEND);
	assert_true(f.retryable);
	rpc_error(-32600, "Server is draining; retry after reconnecting",
	          "{\"reason\":\"serverShuttingDown\"}");
	assert_int_equal(f.kind, FAILURE_NO_BACKEND);
	rpc_error(-32602, "Input exceeds the maximum length of 1048576 characters.",
	          "{\"input_error_code\":\"input_too_large\",\"max_chars\":1048576}");
	assert_int_equal(f.kind, FAILURE_CONTEXT_LENGTH);
	rpc_error(-32602, "something else about the params", NULL);
	assert_int_equal(f.kind, FAILURE_INVALID_REQUEST);
	rpc_error(-32600, "remote image URLs are not supported; use an inline data URL instead",
	          NULL);
	assert_int_equal(f.kind, FAILURE_INVALID_REQUEST);
	rpc_error(-32600, "items[2] is not a valid response item: unknown variant 'refusal'", NULL);
	assert_int_equal(f.kind, FAILURE_INVALID_REQUEST);
	rpc_error(-32600, "dynamic tool name is reserved: mcp__a__b", NULL);
	assert_int_equal(f.kind, FAILURE_INVALID_REQUEST);
	rpc_error(-32603, "it broke", "[1]");
	assert_int_equal(f.kind, FAILURE_BACKEND_ERROR);
	assert_string_equal(f.message, "Codex refused a call (thread/start): it broke");
	rpc_error(0, "", "\"text\"");
	assert_int_equal(f.kind, FAILURE_BACKEND_ERROR);
}

static void
a_retry_tells_what_it_gets_over(void **state)
{
	static const struct {
		const char *notice, *cause, *status;
		enum failure_kind kind;
		const char *says;
	} rows[] = {
		{"Reconnecting... 1/5",                 "Connection failed: error sending request",   "null",
	         FAILURE_UPSTREAM_UNREACHABLE,											       "Connection failed"          },
		{"Reconnecting... waiting for network", "error sending request for url (http://x)",
	         "null",										       FAILURE_UPSTREAM_UNREACHABLE, "error sending request"      },
		{"Reconnecting... waiting for network", NULL,                                         "null",  FAILURE_UPSTREAM_UNREACHABLE,
	         "Reconnecting"																	   },
		{"Reconnecting... 2/5",                 "unexpected status 503: busy, url: http://x", "503",
	         FAILURE_UPSTREAM_ERROR,												     "unexpected status 503: busy"},
		{"Reconnecting... 2/5",                 "stream disconnected before completion",      "null",
	         FAILURE_STREAM_DISCONNECTED,												"stream disconnected"        },
		{"Reconnecting... 2/5",                 "something new",                              "\"x\"", FAILURE_UPSTREAM_ERROR,
	         "something new"																	  },
		{NULL,				  "",					   "null",  FAILURE_UPSTREAM_ERROR,       "Codex gave no reason."      },
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		json_auto_t *error = json_pack("{s:s*,s:s*,s:{s:{s:o}}}", "message", rows[i].notice,
		                               "additionalDetails", rows[i].cause, "codexErrorInfo",
		                               "responseStreamDisconnected", "httpStatusCode",
		                               json_loads(rows[i].status, JSON_DECODE_ANY, NULL));

		assert_non_null(error);
		codex_retry_to_failure(&f, error);
		assert_int_equal(f.kind, rows[i].kind);
		assert_ptr_equal(strstr(f.message, rows[i].says), f.message);
		assert_null(strstr(f.message, "http://"));
	}
	codex_retry_to_failure(&f, NULL);
	assert_int_equal(f.kind, FAILURE_UPSTREAM_ERROR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_error_is_known_by_its_name_or_status),
		cmocka_unit_test(what_codex_has_no_name_for_is_known_by_its_words),
		cmocka_unit_test(a_retry_tells_what_it_gets_over),
		cmocka_unit_test(addresses_are_not_shown),
		cmocka_unit_test(the_raw_body_of_a_400_is_taken_apart),
		cmocka_unit_test(fields_that_are_too_long_are_cut_between_characters),
		cmocka_unit_test(an_empty_body_and_a_page_get_a_sentence_of_ours),
		cmocka_unit_test(garbage_is_an_error_of_the_backend),
		cmocka_unit_test(a_long_message_is_cut_and_still_text),
		cmocka_unit_test(an_answer_that_was_cut_off_is_no_error),
		cmocka_unit_test(a_refused_call_is_told_from_one_without_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
