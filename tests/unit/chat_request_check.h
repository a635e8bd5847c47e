/* chat_request_check: what a chat request becomes, for the tests of its parser. */
#ifndef SIDECAR_TESTS_CHAT_REQUEST_CHECK_H
#define SIDECAR_TESTS_CHAT_REQUEST_CHECK_H

#include "tests/unit/request_check.h"

#include "proxy/api/chat_request.h"

/* A request with one user message and `more` members behind it: ",\"n\":1". */
#define REQUEST(more) "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" more "}"

static inline void
parse_bytes(struct chat_request *out, const char *body, size_t len)
{
	struct api_error error = {.status = 0};

	if (!chat_request_parse(out, body, len, "medium", &error))
		fail_msg("%.200s\nwas refused: %s", body, error.message);
	assert_non_null(out->base.conversation);
}

static inline void
parse(struct chat_request *out, const char *body)
{
	parse_bytes(out, body, strlen(body));
}

static inline void
refuse_bytes(struct api_error *error, const char *body, size_t len)
{
	struct chat_request out;

	*error = (struct api_error){.status = 0};
	if (chat_request_parse(&out, body, len, "medium", error))
		fail_msg("%.200s\nwas taken", body);
	assert_error_shape(error, 400);
}

/* param, code: "" where the error object has null. */
static inline void
assert_refused(const char *body, const char *param, const char *code)
{
	struct api_error error;

	refuse_bytes(&error, body, strlen(body));
	assert_error_says(&error, body, param, code);
}

/* messages: the inside of the array. */
static inline void
assert_items(const char *messages, const char *expected)
{
	struct chat_request request;
	struct json_buf body = {.data = NULL};

	json_buf_append(&body, "{\"messages\":[", 13);
	json_buf_append(&body, messages, strlen(messages));
	json_buf_append(&body, "]}", 3);
	parse_bytes(&request, body.data, body.len - 1);
	assert_json(request.base.conversation->items, expected);
	json_buf_free(&body);
	chat_request_fini(&request);
}

static inline void
assert_messages_refused(const char *messages, const char *param)
{
	struct json_buf body = {.data = NULL};
	struct api_error error;

	json_buf_append(&body, "{\"messages\":[", 13);
	json_buf_append(&body, messages, strlen(messages));
	json_buf_append(&body, "]}", 3);
	refuse_bytes(&error, body.data, body.len - 1);
	json_buf_free(&body);
	assert_error_says(&error, messages, param, NULL);
}

#endif
