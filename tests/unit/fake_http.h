/* fake_http: exchanges that keep what they are answered, in place of proxy/http's server.
 *
 * The whole of http.h that the dialects need: include it in one file of the program, and the
 * archive's own are left out. sse.c is the real one. */
#ifndef SIDECAR_TESTS_FAKE_HTTP_H
#define SIDECAR_TESTS_FAKE_HTTP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "proxy/http/http.h"

struct http_exchange {
	/* the request */
	enum http_method method;
	const char *path;
	const char *headers[HTTP_HEADER_COUNT];
	const char *body;
	bool body_released;
	void *data;
	int caller;
	bool remote;
	/* the answer */
	int status; /* 0: none yet */
	bool streaming;
	bool ended; /* whole */
	bool cut;   /* from now on writes are refused: the client is too slow */
	char content_type[64];
	char added[2048]; /* "name: value\n" each */
	struct json_buf out;
};

enum http_method
http_method(const struct http_exchange *x)
{
	return x->method;
}

const char *
http_path(const struct http_exchange *x)
{
	return x->path;
}

const char *
http_header(const struct http_exchange *x, enum http_header h)
{
	return x->headers[h];
}

const char *
http_body(const struct http_exchange *x, size_t *len)
{
	assert_false(x->body_released);
	*len = strlen(x->body);
	return x->body;
}

void
http_body_release(struct http_exchange *x)
{
	x->body_released = true;
}

const char *
http_request_id(const struct http_exchange *x)
{
	return "request-1";
}

uint64_t
http_started_ns(const struct http_exchange *x)
{
	return 0;
}

bool
http_peer_is_local(const struct http_exchange *x)
{
	return !x->remote;
}

void
http_set_caller(struct http_exchange *x, int caller)
{
	x->caller = caller;
}

int
http_caller(const struct http_exchange *x)
{
	return x->caller;
}

int
http_status(const struct http_exchange *x)
{
	return x->status;
}

void
http_set_data(struct http_exchange *x, void *data)
{
	x->data = data;
}

void *
http_data(const struct http_exchange *x)
{
	return x->data;
}

void
http_add_header(struct http_exchange *x, const char *name, const char *value)
{
	size_t len = strlen(x->added);

	assert_int_equal(x->status, 0);
	(void)snprintf(x->added + len, sizeof(x->added) - len, "%s: %s\n", name, value);
}

static inline void
fake_http_begin(struct http_exchange *x, int status, const char *content_type)
{
	assert_int_equal(x->status, 0); /* answered once */
	x->status = status;
	(void)snprintf(x->content_type, sizeof(x->content_type), "%s",
	               content_type != NULL ? content_type : "");
}

void
http_reply(struct http_exchange *x, int status, const char *content_type, const char *data,
           size_t len)
{
	fake_http_begin(x, status, content_type);
	json_buf_append(&x->out, data, len);
	x->ended = true;
}

void
http_stream_begin(struct http_exchange *x, int status, const char *content_type)
{
	fake_http_begin(x, status, content_type);
	x->streaming = true;
}

bool
http_stream_write(struct http_exchange *x, const char *a, size_t alen, const char *b, size_t blen,
                  const char *c, size_t clen)
{
	assert_true(x->streaming && !x->ended);
	if (x->cut)
		return false;
	json_buf_append(&x->out, a, alen);
	json_buf_append(&x->out, b, blen);
	json_buf_append(&x->out, c, clen);
	return true;
}

void
http_stream_end(struct http_exchange *x)
{
	assert_true(x->streaming && !x->ended);
	x->ended = true;
}

void
http_abort(struct http_exchange *x)
{
	x->cut = true;
}

bool
http_stream_begun(const struct http_exchange *x)
{
	return x->streaming;
}

/* The answer so far as text. */
static inline const char *
answer_text(struct http_exchange *x)
{
	json_buf_append(&x->out, "", 1);
	x->out.len--;
	return x->out.data;
}

/* error.<member> of the answer; "" for null. Valid until the next call. */
static inline const char *
answer_error(struct http_exchange *x, const char *member)
{
	static char text[1200];
	json_auto_t *body = json_parse(x->out.data, x->out.len, NULL);
	const char *value = json_get_string(json_get_object(body, "error"), member);

	assert_non_null(body);
	(void)snprintf(text, sizeof(text), "%s", value != NULL ? value : "");
	return text;
}

static inline void
exchange_fini(struct http_exchange *x)
{
	json_buf_free(&x->out);
}

#endif
