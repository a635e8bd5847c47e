/* failure: what follows from the kind of a failure: whose fault it is, and whether to try again. */
#include "proxy/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/common.h"

struct kind_row {
	const char *name;
	enum failure_class class_;
	bool retryable;
};

static const struct kind_row kinds[] = {
	[FAILURE_INVALID_REQUEST] = {"invalid_request",      FAILURE_REQUEST,  false},
	[FAILURE_CONTEXT_LENGTH] = {"context_length",       FAILURE_REQUEST,  false},
	[FAILURE_MODEL_NOT_FOUND] = {"model_not_found",      FAILURE_REQUEST,  false},
	[FAILURE_CONTENT_POLICY] = {"content_policy",       FAILURE_REQUEST,  false},
	[FAILURE_RESPONSE_TOO_LARGE] = {"response_too_large",   FAILURE_REQUEST,  false},
	[FAILURE_UPSTREAM_REFUSED] = {"upstream_refused",     FAILURE_REQUEST,  false},
	[FAILURE_TOTAL_TIMEOUT] = {"total_timeout",        FAILURE_REQUEST,  false},
	[FAILURE_INSUFFICIENT_QUOTA] = {"insufficient_quota",   FAILURE_QUOTA,    false},
	[FAILURE_RATE_LIMITED] = {"rate_limited",         FAILURE_QUOTA,    true },
	[FAILURE_CAPACITY] = {"capacity",             FAILURE_QUOTA,    true },
	[FAILURE_UPSTREAM_AUTH] = {"upstream_auth",        FAILURE_AUTH,     false},
	[FAILURE_LOGIN_REQUIRED] = {"login_required",       FAILURE_AUTH,     false},
	[FAILURE_UPSTREAM_OVERLOADED] = {"upstream_overloaded",  FAILURE_UPSTREAM, true },
	[FAILURE_UPSTREAM_ERROR] = {"upstream_error",       FAILURE_UPSTREAM, true },
	[FAILURE_UPSTREAM_UNREACHABLE] = {"upstream_unreachable", FAILURE_UPSTREAM, true },
	[FAILURE_UPSTREAM_TIMEOUT] = {"upstream_timeout",     FAILURE_UPSTREAM, true },
	[FAILURE_STREAM_DISCONNECTED] = {"stream_disconnected",  FAILURE_UPSTREAM, true },
	[FAILURE_BACKEND_LOST] = {"backend_lost",         FAILURE_SERVER,   true },
	[FAILURE_BACKEND_TIMEOUT] = {"backend_timeout",      FAILURE_SERVER,   true },
	[FAILURE_BACKEND_ERROR] = {"backend_error",        FAILURE_SERVER,   true },
	[FAILURE_INTERNAL] = {"internal",             FAILURE_SERVER,   false},
	[FAILURE_QUEUE_FULL] = {"queue_full",           FAILURE_BUSY,     true },
	[FAILURE_QUEUE_TIMEOUT] = {"queue_timeout",        FAILURE_BUSY,     true },
	[FAILURE_NO_BACKEND] = {"no_backend",           FAILURE_BUSY,     true },
	[FAILURE_DRAINING] = {"draining",             FAILURE_BUSY,     true },
};

/* The length of text without the torn UTF-8 character that a cut may have left at its end. */
static size_t
whole_characters(const char *text, size_t len)
{
	size_t at = len;

	while (at > 0 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
		at--;
	if (at == 0)
		return 0;

	unsigned char lead = (unsigned char)text[at - 1];
	size_t want = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

	return len - (at - 1) >= want ? len : at - 1;
}

void
failure_set(struct failure *f, enum failure_kind kind, const char *fmt, ...)
{
	va_list ap;
	int n;

	memset(f, 0, sizeof(*f));
	f->kind = kind;
	f->class_ = kinds[kind].class_;
	f->retryable = kinds[kind].retryable;
	f->retry_after_sec = -1;
	va_start(ap, fmt);
	n = vsnprintf(f->message, sizeof(f->message), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(f->message))
		f->message[whole_characters(f->message, sizeof(f->message) - 1)] = '\0';
}

const char *
failure_kind_name(enum failure_kind kind)
{
	return kinds[kind].name;
}

const char *
failure_class_name(enum failure_class class_)
{
	static const char *const names[] = {
		[FAILURE_REQUEST] = "request", [FAILURE_QUOTA] = "quota",
		[FAILURE_AUTH] = "auth",       [FAILURE_UPSTREAM] = "upstream",
		[FAILURE_SERVER] = "server",   [FAILURE_BUSY] = "busy",
	};

	return names[class_];
}
