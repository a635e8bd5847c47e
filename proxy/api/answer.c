/* answer: what the answers of all dialects share. */
#include "proxy/api/answer.h"

#include <stdio.h>

#include "common/random.h"

/* Each value takes up to 80 bytes when parsed; no answer of use has so many. */
#define VALUES_MAX 500000

void
answer_id(char out[ANSWER_ID_DIGITS + 1])
{
	uint64_t random[2] = {0};

	(void)random_bytes(random, sizeof(random)); /* always, once the kernel has booted */
	(void)snprintf(out, ANSWER_ID_DIGITS + 1, "%016llx%08llx", (unsigned long long)random[0],
	               (unsigned long long)(random[1] & 0xffffffffu));
}

void
answer_tell_ignored(struct http_exchange *x, struct request *request)
{
	if (request->ignored.len == 0)
		return;
	json_buf_append(&request->ignored, "", 1);
	if (!request->ignored.failed)
		http_add_header(x, "x-codex-ignored-params", request->ignored.data);
}

void
answer_json(struct http_exchange *x, json_t *body)
{
	size_t len = 0;
	AUTO_FREE char *text = json_to_text(body, &len);
	struct api_error error;

	json_decref(body);
	if (text != NULL) {
		http_reply(x, 200, "application/json", text, len);
		return;
	}
	api_error_out_of_memory(&error);
	api_error_reply(x, &error);
}

const char *
answer_finish_name(enum finish_reason finish)
{
	switch (finish) {
	case FINISH_STOP:
	case FINISH_REFUSED:
		return "stop";
	case FINISH_LENGTH:
		return "length";
	case FINISH_TOOL_CALLS:
		return "tool_calls";
	case FINISH_CONTENT_FILTER:
		return "content_filter";
	}
	return "stop";
}

json_t *
answer_text(const struct json_buf *escaped)
{
	struct json_buf quoted = {0};
	json_t *text = NULL;

	if (escaped->failed)
		return NULL;
	if (escaped->len == 0)
		return json_null();
	json_buf_append(&quoted, "\"", 1);
	json_buf_append(&quoted, escaped->data, escaped->len);
	json_buf_append(&quoted, "\"", 1);
	if (!quoted.failed)
		text = json_parse(quoted.data, quoted.len, NULL);
	json_buf_free(&quoted);
	return text;
}

bool
answer_is_json_object(const struct json_buf *escaped)
{
	json_auto_t *text = answer_text(escaped);
	json_auto_t *value = NULL;
	json_error_t error;
	bool no_memory;

	if (!json_is_string(text) ||
	    json_count_values(json_string_value(text), json_string_length(text)) > VALUES_MAX)
		return false;
	value = json_load(json_string_value(text), json_string_length(text),
	                  JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error, &no_memory);
	return json_is_object(value);
}

bool
answer_breaks_promise(const struct request *request, bool has_calls, const struct json_buf *text,
                      struct failure *out)
{
	if (has_calls)
		return false;
	if (request->tool_call_required) {
		failure_set(out, FAILURE_BACKEND_ERROR,
		            "The model answered without the function call that the request "
		            "requires ('tool_choice').");
		return true;
	}
	if (request->json_object == NULL || answer_is_json_object(text))
		return false;
	failure_set(out, FAILURE_BACKEND_ERROR,
	            "The model's answer is not a JSON object, which '%s' requires.",
	            request->json_object);
	return true;
}
