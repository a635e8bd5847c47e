/* codex_error: what codex says of a turn that went wrong, in the words of proxy/failure.h. */
#include "proxy/codex/codex_error.h"

#include <string.h>

#include "common/json.h"

/* JSON-RPC codes of the app-server. */
#define RPC_OVERLOADED     (-32001)
#define RPC_INVALID_PARAMS (-32602)

struct variant {
	const char *name; /* of codexErrorInfo */
	enum failure_kind kind;
};

/* The variants that say it all by their name. Those of HTTP, and "other", are looked at more
 * closely. */
static const struct variant variants[] = {
	{"contextWindowExceeded",       FAILURE_CONTEXT_LENGTH     },
	{"modelNotFound",               FAILURE_MODEL_NOT_FOUND    },
	{"badRequest",                  FAILURE_UPSTREAM_REFUSED   },
	{"cyberPolicy",                 FAILURE_CONTENT_POLICY     },
	{"misalignmentPolicyViolation", FAILURE_CONTENT_POLICY     },
	{"inferenceHookDenied",         FAILURE_CONTENT_POLICY     },
	{"tooManyDenials",              FAILURE_CONTENT_POLICY     },
	{"usageLimitExceeded",          FAILURE_INSUFFICIENT_QUOTA },
	{"sessionBudgetExceeded",       FAILURE_INSUFFICIENT_QUOTA },
	{"rateLimitExceeded",           FAILURE_RATE_LIMITED       },
	{"flexUnavailable",             FAILURE_CAPACITY           },
	{"serverOverloaded",            FAILURE_UPSTREAM_OVERLOADED},
	{"policyCapacityUnavailable",   FAILURE_UPSTREAM_OVERLOADED},
	{"internalServerError",         FAILURE_UPSTREAM_ERROR     },
	{"unauthorized",                FAILURE_UPSTREAM_AUTH      },
	{"threadRollbackFailed",        FAILURE_BACKEND_ERROR      },
	{"sandboxError",                FAILURE_BACKEND_ERROR      },
	{"activeTurnNotSteerable",      FAILURE_BACKEND_ERROR      },
};

/* The variants that carry an HTTP status; the kind is for those without one. */
static const struct variant http_variants[] = {
	{"httpConnectionFailed",           FAILURE_UPSTREAM_UNREACHABLE},
	{"responseStreamConnectionFailed", FAILURE_UPSTREAM_UNREACHABLE},
	{"responseStreamDisconnected",     FAILURE_STREAM_DISCONNECTED },
	{"responseTooManyFailedAttempts",  FAILURE_UPSTREAM_ERROR      },
};

/* Beginnings of the messages that come with "other". */
static const struct variant other_messages[] = {
	{"stream disconnected",          FAILURE_STREAM_DISCONNECTED },
	{"Transport error",              FAILURE_STREAM_DISCONNECTED },
	{"idle timeout",                 FAILURE_UPSTREAM_TIMEOUT    },
	{"Missing environment variable", FAILURE_UPSTREAM_AUTH       },
	{"auth refresh request failed",  FAILURE_UPSTREAM_AUTH       },
	{"Connection failed",            FAILURE_UPSTREAM_UNREACHABLE},
};

/* What codex and its HTTP library put in front of an address. */
static const char *const address_marks[] = {", url: ", " for url ("};

static bool
starts_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* A 403 is about what was asked for (a model that the account may not use, a region): were it taken
 * for a refused login, one caller's request could stop everybody's app-server. */
static enum failure_kind
kind_of_status(int64_t status, enum failure_kind without)
{
	if (status < 100 || status > 999)
		return without; /* none, or none that could be */
	switch (status) {
	case 401:
		return FAILURE_UPSTREAM_AUTH;
	case 402:
		return FAILURE_INSUFFICIENT_QUOTA;
	case 408:
	case 504:
		return FAILURE_UPSTREAM_TIMEOUT;
	case 429:
		return FAILURE_RATE_LIMITED;
	default:
		return status >= 400 && status < 500 ? FAILURE_UPSTREAM_REFUSED
		                                     : FAILURE_UPSTREAM_ERROR;
	}
}

/* How much of a message is for the caller: the addresses in it are the operator's business, and
 * the pages of whatever stands between are nobody's. */
static int
presentable(const char *message)
{
	size_t len = strlen(message);

	if (message[strspn(message, " \t\r\n")] == '<')
		return 0;
	for (size_t i = 0; i < NELEM(address_marks); i++) {
		const char *mark = strstr(message, address_marks[i]);

		if (mark != NULL && (size_t)(mark - message) < len)
			len = (size_t)(mark - message);
	}
	return len < FAILURE_MESSAGE_MAX ? (int)len : FAILURE_MESSAGE_MAX;
}

static void
set_message(struct failure *f, enum failure_kind kind, const char *message)
{
	int len = presentable(message);

	if (len == 0 && kind == FAILURE_UPSTREAM_AUTH)
		failure_set(f, kind, "The server's own login is not accepted.");
	else if (len == 0)
		failure_set(f, kind, "The model provider refused the request without a reason.");
	else if (kind == FAILURE_UPSTREAM_AUTH)
		failure_set(f, kind, "The server's own login is not accepted: %.*s", len, message);
	else
		failure_set(f, kind, "%.*s", len, message);
}

/* NULL is fine; too long is cut, between two characters. */
static void
copy(char *to, size_t size, const char *from)
{
	size_t len = 0, left = from != NULL ? strlen(from) : 0, n;

	while (left > 0 && (n = json_utf8_length(from + len, left)) > 0 && len + n < size) {
		len += n;
		left -= n;
	}
	if (len > 0)
		memcpy(to, from, len);
	to[len] = '\0';
}

/* A 400 of the provider arrives as its raw body. */
static bool
set_from_body(struct failure *f, const char *message)
{
	json_auto_t *root =
		strchr(message, '{') != NULL ? json_parse(message, strlen(message), NULL) : NULL;
	json_t *error = json_get_object(root, "error");

	if (json_get_string(error, "message") == NULL)
		return false;
	set_message(f, FAILURE_UPSTREAM_REFUSED, json_get_string(error, "message"));
	f->upstream_status = 400;
	copy(f->upstream_type, sizeof(f->upstream_type), json_get_string(error, "type"));
	copy(f->upstream_code, sizeof(f->upstream_code), json_get_string(error, "code"));
	copy(f->upstream_param, sizeof(f->upstream_param), json_get_string(error, "param"));
	return true;
}

/* NULL: not in the table. */
static const struct variant *
look_up(const struct variant *table, size_t count, const char *text, bool whole)
{
	for (size_t i = 0; i < count; i++)
		if (whole ? strcmp(text, table[i].name) == 0 : starts_with(text, table[i].name))
			return &table[i];
	return NULL;
}

static void
from_other(struct failure *f, const char *message)
{
	const struct variant *known;

	if (set_from_body(f, message))
		return;
	known = look_up(other_messages, NELEM(other_messages), message, false);
	/* The rest are the provider's own words about the request: a 400 of it, or a policy. */
	set_message(f, known != NULL ? known->kind : FAILURE_UPSTREAM_REFUSED, message);
}

/* name: of a codexErrorInfo; status: its HTTP status, 0 none. */
static void
from_variant(struct failure *f, const char *name, int64_t status, const char *message)
{
	const struct variant *known = look_up(http_variants, NELEM(http_variants), name, true);

	if (known != NULL) {
		set_message(f, kind_of_status(status, known->kind), message);
		f->upstream_status = status >= 100 && status <= 999 ? (int)status : 0;
		return;
	}
	if (strcmp(name, "other") == 0) {
		from_other(f, message);
		return;
	}
	known = look_up(variants, NELEM(variants), name, true);
	set_message(f, known != NULL ? known->kind : FAILURE_BACKEND_ERROR, message);
}

void
codex_error_to_failure(struct failure *f, const json_t *error)
{
	json_t *info = json_object_get(error, "codexErrorInfo");
	const char *message = json_get_string(error, "message");
	const char *word = json_text(info);
	void *only = json_object_iter(info); /* NULL unless an object with members */

	if (message == NULL)
		message = "Codex gave no reason.";
	/* "serverOverloaded", or {"httpConnectionFailed":{"httpStatusCode":503}} and the like */
	if (word != NULL)
		from_variant(f, word, 0, message);
	else if (only != NULL)
		from_variant(f, json_object_iter_key(only),
		             json_get_int(json_object_iter_value(only), "httpStatusCode", 0),
		             message);
	else
		set_message(f, FAILURE_BACKEND_ERROR, message);
}

void
codex_retry_to_failure(struct failure *f, const json_t *error)
{
	const char *cause = json_get_string(error, "additionalDetails");
	const char *notice = json_get_string(error, "message");
	void *only = json_object_iter(json_object_get(error, "codexErrorInfo"));
	int64_t status = json_get_int(json_object_iter_value(only), "httpStatusCode", 0);
	const struct variant *known;
	enum failure_kind kind = FAILURE_UPSTREAM_ERROR;

	if (cause == NULL || cause[0] == '\0')
		cause = notice != NULL ? notice : "Codex gave no reason.";
	known = look_up(other_messages, NELEM(other_messages), cause, false);
	if (known != NULL)
		kind = known->kind;
	else if (notice != NULL && strstr(notice, "waiting for network") != NULL)
		kind = FAILURE_UPSTREAM_UNREACHABLE;
	set_message(f, kind_of_status(status, kind), cause);
	f->upstream_status = status >= 100 && status <= 999 ? (int)status : 0;
}

bool
codex_error_is_finish(const json_t *error, enum finish_reason *out)
{
	static const char cut_off[] = "Incomplete response returned, reason: ";
	const char *message = json_get_string(error, "message");
	const char *reason = message != NULL ? strstr(message, cut_off) : NULL;

	if (reason == NULL)
		return false;
	reason += sizeof(cut_off) - 1;
	if (starts_with(reason, "max_output_tokens"))
		*out = FINISH_LENGTH;
	else if (starts_with(reason, "content_filter"))
		*out = FINISH_CONTENT_FILTER;
	else
		return false;
	return true;
}

void
codex_rpc_error_to_failure(struct failure *f, const char *what, const struct rpc_error *error)
{
	const char *code = json_get_string(error->data, "input_error_code");
	const char *reason = json_get_string(error->data, "reason");

	if (error->code == RPC_LOST)
		failure_set(f, FAILURE_BACKEND_LOST, "The connection to Codex was lost.");
	else if (error->code == RPC_TIMEOUT)
		failure_set(f, FAILURE_BACKEND_TIMEOUT, "Codex did not answer in time (%s).", what);
	else if (error->code == RPC_OVERLOADED ||
	         (reason != NULL && strcmp(reason, "serverShuttingDown") == 0))
		failure_set(f, FAILURE_NO_BACKEND, "Codex takes no request right now.");
	else if (code != NULL && strcmp(code, "input_too_large") == 0)
		failure_set(f, FAILURE_CONTEXT_LENGTH, "%s", error->message);
	else if (error->code == RPC_INVALID_PARAMS ||
	         strstr(error->message, "not supported") != NULL ||
	         strstr(error->message, "is not a valid response item") != NULL ||
	         strstr(error->message, "dynamic tool") != NULL)
		failure_set(f, FAILURE_INVALID_REQUEST, "%s", error->message);
	else
		failure_set(f, FAILURE_BACKEND_ERROR, "Codex refused a call (%s): %s", what,
		            error->message);
}
