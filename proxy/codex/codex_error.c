/* codex_error: what codex says of a turn that went wrong, in the words of proxy/failure.h. */
#include "proxy/codex/codex_error.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"

/* JSON-RPC codes of the app-server. */
#define RPC_OVERLOADED     (-32001)
#define RPC_INVALID_PARAMS (-32602)

struct variant {
	const char *name; /* of codexErrorInfo */
	enum failure_kind kind;
};

/* The variants that say it all by their name. Those that carry an HTTP status, and "other", are
 * looked at more closely. */
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

/* Beginnings of the messages that come with "other". */
static const struct variant other_messages[] = {
	{"stream disconnected",          FAILURE_STREAM_DISCONNECTED },
	{"Transport error",              FAILURE_STREAM_DISCONNECTED },
	{"idle timeout",                 FAILURE_UPSTREAM_TIMEOUT    },
	{"Missing environment variable", FAILURE_UPSTREAM_AUTH       },
	{"auth refresh request failed",  FAILURE_UPSTREAM_AUTH       },
	{"Connection failed",            FAILURE_UPSTREAM_UNREACHABLE},
};

static bool
starts_with(const char *text, const char *beginning)
{
	return strncmp(text, beginning, strlen(beginning)) == 0;
}

static enum failure_kind
kind_of_status(int64_t status, enum failure_kind without)
{
	switch (status) {
	case 0:
		return without;
	case 401:
	case 403:
		return FAILURE_UPSTREAM_AUTH;
	case 402:
		return FAILURE_INSUFFICIENT_QUOTA;
	case 408:
	case 504:
		return FAILURE_UPSTREAM_TIMEOUT;
	case 429:
		return FAILURE_RATE_LIMITED;
	default:
		return status < 500 ? FAILURE_UPSTREAM_REFUSED : FAILURE_UPSTREAM_ERROR;
	}
}

/* The addresses in codex's messages are the operator's business: they are cut off. */
static void
set_message(struct failure *f, enum failure_kind kind, const char *message)
{
	const char *address = strstr(message, ", url: ");
	int len = address != NULL ? (int)(address - message) : (int)strlen(message);

	if (len == 0)
		failure_set(f, kind, "The model provider refused the request without a reason.");
	else if (kind == FAILURE_UPSTREAM_AUTH)
		failure_set(f, kind, "The server's own login is not accepted: %.*s", len, message);
	else
		failure_set(f, kind, "%.*s", len, message);
}

static void
copy(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from != NULL ? from : ""); /* too long is cut */
}

/* A 400 of the provider arrives as its raw body. */
static bool
set_from_body(struct failure *f, const char *message)
{
	json_auto_t *root = message[0] == '{' ? json_parse(message, strlen(message), NULL) : NULL;
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

static enum failure_kind
look_up(const struct variant *table, size_t count, const char *text, bool whole,
        enum failure_kind fallback)
{
	for (size_t i = 0; i < count; i++)
		if (whole ? strcmp(text, table[i].name) == 0 : starts_with(text, table[i].name))
			return table[i].kind;
	return fallback;
}

static void
from_word(struct failure *f, const char *word, const char *message)
{
	if (strcmp(word, "other") != 0) {
		set_message(f,
		            look_up(variants, NELEM(variants), word, true, FAILURE_BACKEND_ERROR),
		            message);
		return;
	}
	if (set_from_body(f, message))
		return;
	/* The rest are the provider's own words about the request: a 400 of it, or a policy. */
	set_message(f,
	            look_up(other_messages, NELEM(other_messages), message, false,
	                    FAILURE_UPSTREAM_REFUSED),
	            message);
}

/* {"httpConnectionFailed":{"httpStatusCode":503}} and the like. */
static void
from_variant(struct failure *f, const char *variant, const json_t *fields, const char *message)
{
	bool connecting = strcmp(variant, "httpConnectionFailed") == 0 ||
	                  strcmp(variant, "responseStreamConnectionFailed") == 0;
	int64_t status = json_get_int(fields, "httpStatusCode", 0);

	if (json_object_get(fields, "httpStatusCode") == NULL) {
		from_word(f, variant, message); /* a variant that grew fields meanwhile */
		return;
	}
	set_message(f,
	            kind_of_status(status, connecting ? FAILURE_UPSTREAM_UNREACHABLE
	                                              : FAILURE_STREAM_DISCONNECTED),
	            message);
	f->upstream_status = (int)status;
}

void
codex_error_to_failure(struct failure *f, const json_t *error)
{
	json_t *info = json_object_get(error, "codexErrorInfo");
	const char *message = json_get_string(error, "message");
	void *only;

	if (message == NULL)
		message = "Codex gave no reason.";
	only = json_object_iter(info); /* NULL unless an object with members */
	if (json_is_string(info))
		from_word(f, json_string_value(info), message);
	else if (only != NULL)
		from_variant(f, json_object_iter_key(only), json_object_iter_value(only), message);
	else
		set_message(f, FAILURE_BACKEND_ERROR, message);
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
