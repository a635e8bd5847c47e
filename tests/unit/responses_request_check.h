/* responses_request_check: what a Responses request becomes, for the tests of its parser. */
#ifndef SIDECAR_TESTS_RESPONSES_REQUEST_CHECK_H
#define SIDECAR_TESTS_RESPONSES_REQUEST_CHECK_H

#include "tests/unit/request_check.h"

#include "proxy/api/responses_request.h"

/* A request with one text and `more` members behind it: ",\"store\":false". */
#define REQUEST(more) "{\"input\":\"hi\"" more "}"

static struct response_store *store; /* NULL: nothing is kept */

static inline void
parse(struct responses_request *out, const char *body)
{
	struct api_error error = {.status = 0};

	if (!responses_request_parse(out, body, strlen(body), "medium", store, 0, &error))
		fail_msg("%.300s\nwas refused: %s", body, error.message);
	assert_non_null(out->base.conversation);
}

static inline void
refuse(struct api_error *error, const char *body, int status)
{
	struct responses_request out;

	*error = (struct api_error){.status = 0};
	if (responses_request_parse(&out, body, strlen(body), "medium", store, 0, error))
		fail_msg("%.300s\nwas taken", body);
	assert_error_shape(error, status);
}

/* param, code: "" where the error object has null. */
static inline void
assert_refused(const char *body, const char *param, const char *code)
{
	struct api_error error;

	refuse(&error, body, 400);
	assert_error_says(&error, body, param, code);
}

/* "" where nothing is ignored. */
static inline void
assert_ignored(const char *body, const char *expected)
{
	struct responses_request r;

	parse(&r, body);
	json_buf_append(&r.base.ignored, "", 1);
	assert_string_equal(r.base.ignored.data, expected);
	responses_request_fini(&r);
}

/* items: the inside of the array. */
static inline void
assert_items(const char *items, const char *expected)
{
	struct responses_request request;
	char body[4096];

	(void)snprintf(body, sizeof(body), "{\"input\":[%s]}", items);
	parse(&request, body);
	assert_json(request.base.conversation->items, expected);
	responses_request_fini(&request);
}

static inline void
assert_items_refused(const char *items, const char *param)
{
	struct api_error error;
	char body[4096];

	(void)snprintf(body, sizeof(body), "{\"input\":[%s]}", items);
	refuse(&error, body, 400);
	assert_error_says(&error, items, param, NULL);
}

#endif
