/* http: one request, within a deadline, and what came back. */
#ifndef SIDECAR_HEALTHCHECK_HTTP_H
#define SIDECAR_HEALTHCHECK_HTTP_H

#include "healthcheck/target.h"

/* The body of /readyz is a few hundred bytes; more is not read. */
#define HTTP_BODY_MAX ((size_t)16 << 10)

struct http_question {
	const char *url;
	const char *unix_path; /* NULL: over TCP */
	const char *post;      /* JSON; NULL: a GET */
	const char *ca_file;   /* PEM; NULL: the system's */
	bool unverified;       /* https: whoever answers will do */
	bool via_proxy;        /* the HTTP proxy that the environment names, if any */
	long timeout_ms;
};

struct http_answer {
	int status;         /* the HTTP status */
	long retry_after_s; /* what it asks for, 0: nothing */
	char *body; /* NUL-terminated, at most HTTP_BODY_MAX bytes; NULL when there is none */
	size_t len;
};

/* Blocks, for timeout_ms at most. No redirect is followed. 0 when there was an answer, whatever
 * its status; else negative errno: -ETIMEDOUT, -ENOENT without libcurl, or -ECONNREFUSED for all
 * other ways not to be answered. err never holds the URL. */
int http_ask(struct http_answer *out, const struct http_question *q, struct err *err) MUST_CHECK;
void http_answer_free(struct http_answer *a);

#endif
