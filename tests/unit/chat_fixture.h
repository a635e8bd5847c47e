/* chat_fixture: chat completions over a model that the test plays. */
#ifndef SIDECAR_TESTS_CHAT_FIXTURE_H
#define SIDECAR_TESTS_CHAT_FIXTURE_H

#include "tests/unit/api_fixture.h"

#define ASK(more) "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" more "}"
#define STREAM    ASK(",\"stream\":true")
#define TOOLS                                                                                      \
	",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},"                       \
	"{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]"

static struct http_exchange x;

static inline void
ask(const char *body)
{
	request_make(&x, HTTP_POST, CHAT, body);
	request_run(&x);
}

/* The n-th event of the stream so far, parsed; NULL for [DONE] and where there is none. */
static inline json_t *
event_at(size_t n)
{
	const char *at = answer_text(&x), *end;

	for (; (end = strstr(at, "\n\n")) != NULL; at = end + 2) {
		if (strncmp(at, "data: ", 6) != 0)
			continue; /* a comment */
		if (n-- == 0)
			return json_parse(at + 6, (size_t)(end - at) - 6, NULL);
	}
	return NULL;
}

/* What the n-th event says, and of which choice: `{"content":"x"} stop`. */
static inline void
assert_event_of(unsigned index, size_t n, const char *delta, const char *finish)
{
	json_auto_t *chunk = event_at(n);
	json_t *choice = json_array_get(json_object_get(chunk, "choices"), 0);
	AUTO_FREE char *text = json_to_text(json_object_get(choice, "delta"), NULL);
	const char *reason = json_get_string(choice, "finish_reason");

	if (text == NULL)
		fail_msg("no event %zu in %s", n, answer_text(&x));
	assert_int_equal(json_get_int(choice, "index", -1), index);
	assert_string_equal(text, delta);
	assert_string_equal(reason != NULL ? reason : "", finish);
}

static inline void
assert_event(size_t n, const char *delta, const char *finish)
{
	assert_event_of(0, n, delta, finish);
}

static inline void
assert_ends_well(void)
{
	const char *text = answer_text(&x);
	static const char done[] = "\n\ndata: [DONE]\n\n";

	assert_true(x.ended);
	assert_string_equal(text + strlen(text) - strlen(done), done);
}

#define ROLE "{\"role\":\"assistant\",\"content\":\"\"}"

/* The n-th choice of a whole answer; NULL: there is none. */
static inline json_t *
choice_of(const json_t *answer, size_t n)
{
	return json_array_get(json_object_get(answer, "choices"), n);
}

static inline json_t *
message_of(const json_t *answer)
{
	return json_get_object(choice_of(answer, 0), "message");
}

/* The whole answer, parsed. */
static inline json_t *
answer_parsed(void)
{
	json_t *answer = json_parse(x.out.data, x.out.len, NULL);

	assert_non_null(answer);
	return answer;
}

#endif
