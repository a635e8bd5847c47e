/* errors: failures in OpenAI's words: HTTP status, error object, headers. */
#include "proxy/api/errors.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

struct mapping {
	enum failure_kind kind;
	int status;
	const char *type;
	const char *code;
	int retry_after_sec; /* default when the failure knows none; -1 none */
	bool do_not_retry;
};

#define INVALID "invalid_request_error"

/* A broken or missing login of the server (FAILURE_UPSTREAM_AUTH, FAILURE_LOGIN_REQUIRED) is a 503,
 * never a 401: the caller's key is well. */
static const struct mapping mappings[] = {
	{FAILURE_INVALID_REQUEST,      400, INVALID,              "",                         -1, false},
	{FAILURE_CONTEXT_LENGTH,       400, INVALID,              "context_length_exceeded",  -1, false},
	{FAILURE_MODEL_NOT_FOUND,      404, INVALID,              "model_not_found",          -1, false},
	{FAILURE_CONTENT_POLICY,       400, INVALID,              "content_policy_violation", -1, false},
	{FAILURE_UPSTREAM_REFUSED,     400, INVALID,              "",                         -1, false},
	{FAILURE_RESPONSE_TOO_LARGE,   502, "server_error",       "response_too_large",       -1, true },
	{FAILURE_INSUFFICIENT_QUOTA,   429, "insufficient_quota", "insufficient_quota",       -1, true },
	{FAILURE_RATE_LIMITED,         429, "rate_limit_error",   "rate_limit_exceeded",      -1, false},
	{FAILURE_CAPACITY,             429, "rate_limit_error",   "resource_unavailable",     -1, false},
	{FAILURE_UPSTREAM_AUTH,        503, "server_error",       "upstream_auth_failed",     -1, true },
	{FAILURE_LOGIN_REQUIRED,       503, "server_error",       "login_required",           -1, true },
	{FAILURE_UPSTREAM_OVERLOADED,  503, "server_error",       "server_is_overloaded",     5,  false},
	{FAILURE_UPSTREAM_ERROR,       502, "server_error",       "upstream_error",           -1, false},
	{FAILURE_UPSTREAM_UNREACHABLE, 502, "server_error",       "upstream_unreachable",     -1, false},
	{FAILURE_UPSTREAM_TIMEOUT,     504, "server_error",       "upstream_timeout",         -1, false},
	{FAILURE_STREAM_DISCONNECTED,  502, "server_error",       "stream_disconnected",      -1, false},
	{FAILURE_BACKEND_LOST,         502, "server_error",       "backend_lost",             -1, false},
	{FAILURE_BACKEND_TIMEOUT,      504, "server_error",       "backend_timeout",          -1, false},
	{FAILURE_BACKEND_ERROR,        502, "server_error",       "backend_error",            -1, false},
	{FAILURE_TOTAL_TIMEOUT,        504, "server_error",       "request_timeout",          -1, false},
	{FAILURE_INTERNAL,             500, "server_error",       "internal_error",           -1, false},
	{FAILURE_QUEUE_FULL,           503, "server_error",       "queue_full",               5,  false},
	{FAILURE_QUEUE_TIMEOUT,        503, "server_error",       "queue_timeout",            10, false},
	{FAILURE_NO_BACKEND,           503, "server_error",       "backend_unavailable",      5,  false},
	{FAILURE_DRAINING,             503, "server_error",       "shutting_down",            1,  false},
};

static void
copy(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from != NULL ? from : ""); /* too long is cut */
}

static void
set(struct api_error *e, int status, const char *type, const char *code)
{
	*e = (struct api_error){.status = status, .retry_after_sec = -1};
	copy(e->type, sizeof(e->type), type);
	copy(e->code, sizeof(e->code), code);
}

bool
api_error_invalid(struct api_error *e, const char *code, const char *param, const char *fmt, ...)
{
	va_list ap;

	set(e, 400, INVALID, code);
	copy(e->param, sizeof(e->param), param);
	va_start(ap, fmt);
	(void)vsnprintf(e->message, sizeof(e->message), fmt, ap);
	va_end(ap);
	return false;
}

void
api_error_set(struct api_error *e, int status, const char *type, const char *code, const char *fmt,
              ...)
{
	va_list ap;

	set(e, status, type, code);
	va_start(ap, fmt);
	(void)vsnprintf(e->message, sizeof(e->message), fmt, ap);
	va_end(ap);
}

void
api_error_out_of_memory(struct api_error *e)
{
	api_error_set(e, 500, "server_error", "internal_error", "Out of memory.");
}

void
api_error_from_failure(struct api_error *e, const struct failure *failure)
{
	const struct mapping *m = &mappings[0];

	for (size_t i = 0; i < NELEM(mappings); i++)
		if (mappings[i].kind == failure->kind)
			m = &mappings[i];
	set(e, m->status, m->type, m->code);
	copy(e->message, sizeof(e->message), failure->message);
	e->retry_after_sec =
		failure->retry_after_sec >= 0 ? failure->retry_after_sec : m->retry_after_sec;
	e->do_not_retry = m->do_not_retry || failure->given_up;
	if (failure->kind == FAILURE_MODEL_NOT_FOUND)
		copy(e->param, sizeof(e->param), "model");
	if (failure->kind == FAILURE_UPSTREAM_REFUSED && failure->upstream_status >= 400 &&
	    failure->upstream_status < 500)
		e->status = failure->upstream_status;
	if (failure->upstream_type[0] != '\0')
		copy(e->type, sizeof(e->type), failure->upstream_type);
	if (failure->upstream_code[0] != '\0')
		copy(e->code, sizeof(e->code), failure->upstream_code);
	if (failure->upstream_param[0] != '\0')
		copy(e->param, sizeof(e->param), failure->upstream_param);
}

static json_t *
text_or_null(const char *text)
{
	return text[0] != '\0' ? json_string_lossy(text) : json_null();
}

const char api_no_memory_text[] =
	"{\"error\":{\"message\":\"Out of memory.\",\"type\":\"server_error\",\"param\":null,"
	"\"code\":\"internal_error\"}}";

char *
api_error_text(const struct api_error *e, size_t *len)
{
	/* Texts may have been cut in the middle of a character. */
	json_auto_t *body =
		json_pack("{s:{s:o,s:o,s:o,s:o}}", "error", "message",
	                  json_string_lossy(e->message), "type", json_string_lossy(e->type),
	                  "param", text_or_null(e->param), "code", text_or_null(e->code));

	return json_to_text(body, len);
}

void
api_error_reply(struct http_exchange *x, const struct api_error *e)
{
	AUTO_FREE char *text = NULL;
	char number[24];
	size_t len = 0;

	if (e->retry_after_sec >= 0) {
		(void)snprintf(number, sizeof(number), "%lld", (long long)e->retry_after_sec);
		http_add_header(x, "retry-after", number);
	}
	if (e->do_not_retry)
		http_add_header(x, "x-should-retry", "false");
	if (e->status == 401)
		http_add_header(x, "www-authenticate", "Bearer");
	text = api_error_text(e, &len);
	if (text != NULL)
		http_reply(x, e->status, "application/json", text, len);
	else
		http_reply(x, 500, "application/json", api_no_memory_text,
		           strlen(api_no_memory_text));
}
