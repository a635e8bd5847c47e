/* failure: every way a turn can fail, in words that neither Codex nor OpenAI owns. */
#ifndef SIDECAR_PROXY_FAILURE_H
#define SIDECAR_PROXY_FAILURE_H

#include <stdbool.h>
#include <stdint.h>

/* Whose fault it is; decides what the pair does about it. */
enum failure_class {
	FAILURE_REQUEST,  /* this request is at fault: repeating it changes nothing */
	FAILURE_QUOTA,    /* the account's or provider's limit */
	FAILURE_AUTH,     /* the server's login is broken */
	FAILURE_UPSTREAM, /* the provider is unwell */
	FAILURE_SERVER,   /* the app-server is unwell */
	FAILURE_BUSY,     /* we are full or going down: try again later */
};

/* What went wrong exactly. */
enum failure_kind {
	/* request */
	FAILURE_INVALID_REQUEST,
	FAILURE_CONTEXT_LENGTH,
	FAILURE_MODEL_NOT_FOUND,
	FAILURE_CONTENT_POLICY,
	FAILURE_RESPONSE_TOO_LARGE,
	FAILURE_UPSTREAM_REFUSED, /* a 4xx of the provider, passed on with upstream_status */
	FAILURE_TOTAL_TIMEOUT,    /* the request's own deadline: the model was still at it */
	/* quota */
	FAILURE_INSUFFICIENT_QUOTA,
	FAILURE_RATE_LIMITED,
	FAILURE_CAPACITY, /* flex or priority capacity not available */
	/* auth */
	FAILURE_UPSTREAM_AUTH,
	FAILURE_LOGIN_REQUIRED, /* there is no login at all */
	/* upstream */
	FAILURE_UPSTREAM_OVERLOADED,
	FAILURE_UPSTREAM_ERROR,
	FAILURE_UPSTREAM_UNREACHABLE,
	FAILURE_UPSTREAM_TIMEOUT,
	FAILURE_STREAM_DISCONNECTED,
	/* server */
	FAILURE_BACKEND_LOST,    /* the connection to the app-server ended */
	FAILURE_BACKEND_TIMEOUT, /* no answer within a deadline */
	FAILURE_BACKEND_ERROR,   /* it answered what it must not */
	FAILURE_INTERNAL,        /* our fault: no memory */
	/* busy */
	FAILURE_QUEUE_FULL,
	FAILURE_QUEUE_TIMEOUT,
	FAILURE_NO_BACKEND, /* none was up within the queue's time */
	FAILURE_DRAINING,
};

#define FAILURE_MESSAGE_MAX 1024 /* one paragraph; the tail of a longer one is cut */

struct failure {
	enum failure_class class_;
	enum failure_kind kind;
	bool retryable;          /* another backend, or a later try, may do better */
	bool given_up;           /* it has been tried again and again: the caller should not */
	int upstream_status;     /* HTTP status of the provider, 0 unknown */
	int64_t retry_after_sec; /* -1 unknown */
	/* Safe to show to the caller: no secret, no address. NUL-terminated UTF-8. */
	char message[FAILURE_MESSAGE_MAX];
	/* The provider's own error fields when it gave them, or what we know of the place of a
	 * mistake in a request; "" when neither. */
	char upstream_type[64];
	char upstream_code[64];
	char upstream_param[128];
};

/* Fills *f from its kind (class and retryable follow from it) and a message. */
void failure_set(struct failure *f, enum failure_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
const char *failure_kind_name(enum failure_kind kind);
const char *failure_class_name(enum failure_class class_);

#endif
