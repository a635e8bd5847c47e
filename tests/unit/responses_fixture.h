/* responses_fixture: responses over a model that the test plays. */
#ifndef SIDECAR_TESTS_RESPONSES_FIXTURE_H
#define SIDECAR_TESTS_RESPONSES_FIXTURE_H

#include "tests/unit/api_fixture.h"

#define RESPONSES "/v1/responses"
#define ASK(more) "{\"input\":\"hi\"" more "}"
#define STREAM    ASK(",\"stream\":true")
#define TOOLS                                                                                      \
	",\"tools\":[{\"type\":\"function\",\"name\":\"f\"},{\"type\":\"custom\",\"name\":\"c\"}]"

static struct http_exchange x;

static inline void
ask(const char *body)
{
	request_make(&x, HTTP_POST, RESPONSES, body);
	request_run(&x);
}

static inline void
ask_about(enum http_method method, const char *path)
{
	request_make(&x, method, path, "");
	request_run(&x);
}

static inline void
codex_calls_tool(const char *space, const char *name, const char *arguments)
{
	codex_says((struct event){
		.kind = EVENT_TOOL_CALL,
		.tool_call = {.call_id = "call",
	                      .space = space,
	                      .name = name,
	                      .arguments = arguments,
	                      .arguments_len = strlen(arguments)}
        });
}

static inline void
codex_has_reasoned(const char *encrypted)
{
	codex_says((struct event){.kind = EVENT_REASONED, .reasoned = {encrypted}});
}

/* The n-th event of the stream so far, parsed; its name is its type, and its number is its place.
 * NULL: there is none. */
static inline json_t *
event_at(size_t n)
{
	const char *at = answer_text(&x), *end, *data;
	size_t number = 0;

	for (; (end = strstr(at, "\n\n")) != NULL; at = end + 2) {
		json_t *event;
		const char *type;

		if (at[0] == ':')
			continue; /* a comment */
		if (number++ < n)
			continue;
		assert_memory_equal(at, "event: ", 7);
		data = strstr(at, "\ndata: ");
		assert_non_null(data);
		event = json_parse(data + 7, (size_t)(end - data) - 7, NULL);
		type = json_get_string(event, "type");
		assert_non_null(type);
		assert_int_equal(data - at - 7, strlen(type));
		assert_memory_equal(at + 7, type, strlen(type));
		assert_int_equal(json_get_int(event, "sequence_number", -1), n);
		return event;
	}
	return NULL;
}

/* The types of the events, from the n-th on. */
static inline void
assert_types(size_t n, const char *const *types, size_t count)
{
	json_auto_t *more = NULL;

	for (size_t i = 0; i < count; i++) {
		json_auto_t *event = event_at(n + i);
		const char *type = json_get_string(event, "type");

		if (type == NULL || strcmp(type, types[i]) != 0)
			fail_msg("event %zu is %s, not %s, in\n%s", n + i, type, types[i],
			         answer_text(&x));
	}
	more = event_at(n + count);
	if (more != NULL)
		fail_msg("there is more after event %zu in\n%s", n + count - 1, answer_text(&x));
}

/* The n-th event has this text for a member of this name. */
static inline void
assert_member(size_t n, const char *name, const char *expected)
{
	json_auto_t *event = event_at(n);
	AUTO_FREE char *text = json_to_text(json_object_get(event, name), NULL);

	if (text == NULL || strcmp(text, expected) != 0)
		fail_msg("event %zu: %s is %s, not %s", n, name, text, expected);
}

/* The whole answer, or the response of the last event, parsed. */
static inline json_t *
answer_parsed(void)
{
	json_t *last = NULL, *response;
	size_t n = 0;

	if (!x.streaming)
		return json_parse(x.out.data, x.out.len, NULL);
	for (json_t *event = NULL; (event = event_at(n)) != NULL; n++) {
		json_decref(last);
		last = event;
	}
	response = json_incref(json_object_get(last, "response"));
	json_decref(last);
	return response;
}

static inline void
assert_output(const char *expected)
{
	json_auto_t *answer = answer_parsed();
	json_auto_t *output = json_deep_copy(json_object_get(answer, "output"));
	AUTO_FREE char *text = NULL;
	json_t *item;
	size_t i;

	json_array_foreach(output, i, item) {
		assert_non_null(json_get_string(item, "id"));
		(void)json_object_del(item, "id"); /* never the same */
	}
	text = json_to_text(output, NULL);
	assert_non_null(text);
	assert_string_equal(text, expected);
}

#define MESSAGE(text)                                                                              \
	"{\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{"     \
	"\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"" text "\"}]}"

#endif
