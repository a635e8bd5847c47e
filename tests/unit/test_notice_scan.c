/* The fast path for what comes once a turn: never of another opinion than jansson. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "proxy/codex/delta_scan.h"

#define THREAD "\"threadId\":\"01a2074f-5a68-7162-9a49-0f8e0ac6a455\""
#define TURN   "01a2074f-5a6e-75d0-8d20-30a16ccd5bb7"
#define IDS    THREAD ",\"turnId\":\"" TURN "\""
#define AT     ",\"emittedAtMs\":1795418970810}"

#define STARTED                                                                                    \
	"{\"method\":\"turn/started\",\"params\":{" THREAD ",\"turn\":{\"id\":\"" TURN             \
	"\",\"items\":[],\"itemsView\":\"notLoaded\",\"status\":\"inProgress\",\"error\":null,"    \
	"\"startedAt\":1795418970,\"completedAt\":null,\"durationMs\":null}}" AT
#define BEGUN(phase)                                                                               \
	"{\"method\":\"item/started\",\"params\":{\"item\":{\"type\":\"agentMessage\","            \
	"\"moderation\":null,\"id\":\"msg_245\",\"text\":\"\",\"phase\":" phase                    \
	",\"memoryCitation\":null,\"delivery\":null,\"questions\":null,\"startedAtMs\":"           \
	"1795418970801,\"completedAtMs\":null}," IDS ",\"startedAtMs\":1795418970801}" AT
#define WHOLE                                                                                      \
	"{\"method\":\"rawResponseItem/completed\",\"params\":{" IDS                               \
	",\"item\":{\"type\":\"message\",\"status\":\"completed\",\"id\":\"msg_245\",\"role\":"    \
	"\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"tok0 \"}]}}" AT
#define INJECTED                                                                                   \
	"{\"method\":\"rawResponseItem/completed\",\"params\":{" THREAD                            \
	",\"turnId\":\"auto-compact-0\",\"item\":{\"type\":\"message\",\"role\":\"user\","         \
	"\"content\":[{\"type\":\"input_text\",\"text\":\"hello\"}]}}" AT
#define USAGE                                                                                      \
	"{\"method\":\"thread/tokenUsage/updated\",\"params\":{" IDS                               \
	",\"tokenUsage\":{\"total\":{\"totalTokens\":15},\"last\":{\"totalTokens\":15}}}" AT
#define FIGURES(total)                                                                             \
	"\"usage\":{\"totalTokens\":" total ",\"inputTokens\":10,\"cachedInputTokens\":3,"         \
	"\"cacheWriteInputTokens\":2,\"outputTokens\":5,\"reasoningOutputTokens\":1}"
#define RESPONSE(figures, more)                                                                    \
	"{\"method\":\"rawResponse/completed\",\"params\":{" IDS                                   \
	",\"responseId\":\"resp_1\"," figures more "}" AT
#define META                                                                                       \
	",\"usageMetadata\":{\"amount\":null,\"metadata\":{\"input_tokens\":10,\"total_tokens\":"  \
	"15}}"
#define TURN_END(status, error)                                                                    \
	"\"itemsView\":\"summary\",\"status\":\"" status "\",\"error\":" error                     \
	",\"startedAt\":1795418970,\"completedAt\":1795418971,\"durationMs\":20}}" AT
#define COMPLETED(text, end)                                                                       \
	"{\"method\":\"turn/completed\",\"params\":{" THREAD ",\"turn\":{\"id\":\"" TURN           \
	"\",\"items\":[{\"type\":\"agentMessage\",\"id\":\"msg_245\",\"text\":\"" text "\"}]," end
#define WELL   TURN_END("completed", "null")
#define CLOSED "{\"method\":\"thread/closed\",\"params\":{" THREAD "}" AT

static const struct {
	enum notice_kind kind;
	const char *method;
	const char *frame;
} recorded[] = {
	{NOTICE_TURN_STARTED,  "turn/started",              STARTED                },
	{NOTICE_MESSAGE_BEGUN, "item/started",              BEGUN("null")          },
	{NOTICE_MESSAGE_BEGUN, "item/started",              BEGUN("\"commentary\"")},
	{NOTICE_ITEM_WHOLE,    "rawResponseItem/completed", WHOLE                  },
	{NOTICE_ITEM_WHOLE,    "rawResponseItem/completed", INJECTED               },
	{NOTICE_RESPONSE,      "rawResponse/completed",     RESPONSE(FIGURES("15"),  META)},
	{NOTICE_RESPONSE,                    "rawResponse/completed",                                 RESPONSE(FIGURES("0"),              "")},
	{NOTICE_TOKEN_USAGE,                 "thread/tokenUsage/updated",                                            USAGE                                    },
	{NOTICE_TURN_COMPLETED,               "turn/completed",COMPLETED("tok0 ",WELL)},
	{NOTICE_THREAD_CLOSED,   "thread/closed",                           CLOSED										    },
};

static void
assert_same(const char *text, size_t len, const json_t *string)
{
	assert_true(json_is_string(string));
	assert_int_equal(json_string_length(string), len);
	assert_memory_equal(json_string_value(string), text, len);
}

static const char *
method_of(enum notice_kind kind)
{
	for (size_t i = 0; i < NELEM(recorded); i++)
		if (recorded[i].kind == kind)
			return recorded[i].method;
	return "";
}

static void
assert_response(const struct notice *n, const json_t *params)
{
	const json_t *usage = json_object_get(params, "usage");
	const struct usage *u = &n->usage;

	assert_same(n->response_id, n->response_id_len, json_object_get(params, "responseId"));
	assert_int_equal(json_get_int(usage, "totalTokens", -1), u->total_tokens);
	assert_int_equal(json_get_int(usage, "inputTokens", -1), u->input_tokens);
	assert_int_equal(json_get_int(usage, "cachedInputTokens", -1), u->cached_input_tokens);
	assert_int_equal(json_get_int(usage, "cacheWriteInputTokens", -1),
	                 u->cache_write_input_tokens);
	assert_int_equal(json_get_int(usage, "outputTokens", -1), u->output_tokens);
	assert_int_equal(json_get_int(usage, "reasoningOutputTokens", -1),
	                 u->reasoning_output_tokens);
}

/* Is n what jansson says of the same bytes, where they are JSON? False: they are not. */
static bool
agrees(const struct notice *n, const char *bytes, size_t len)
{
	json_auto_t *root = json_loadb(bytes, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	json_t *params = json_get_object(root, "params");
	json_t *item = json_get_object(params, "item"), *turn = json_get_object(params, "turn");

	if (root == NULL)
		return false;
	assert_string_equal(json_get_string(root, "method"), method_of(n->kind));
	assert_same(n->thread_id, n->thread_id_len, json_object_get(params, "threadId"));
	if (turn != NULL)
		assert_same(n->turn_id, n->turn_id_len, json_object_get(turn, "id"));
	else if (n->kind != NOTICE_THREAD_CLOSED)
		assert_same(n->turn_id, n->turn_id_len, json_object_get(params, "turnId"));
	if (n->item_id_len > 0)
		assert_same(n->item_id, n->item_id_len, json_object_get(item, "id"));
	if (n->kind == NOTICE_ITEM_WHOLE && n->item_id_len > 0)
		assert_string_equal(json_get_string(item, "role"), "assistant");
	if (n->kind == NOTICE_RESPONSE)
		assert_response(n, params);
	if (n->kind == NOTICE_TURN_COMPLETED)
		assert_string_equal(json_get_string(turn, "status"), "completed");
	if (n->kind == NOTICE_MESSAGE_BEGUN && n->phase != NULL)
		assert_same(n->phase, n->phase_len, json_object_get(item, "phase"));
	else if (n->kind == NOTICE_MESSAGE_BEGUN)
		assert_true(json_is_null(json_object_get(item, "phase")));
	return true;
}

static void
recorded_notices_are_taken(void **state)
{
	for (size_t i = 0; i < NELEM(recorded); i++) {
		const char *frame = recorded[i].frame;
		struct notice n;

		if (!notice_scan(&n, frame, strlen(frame)))
			fail_msg("not taken: %s", frame);
		assert_int_equal(n.kind, recorded[i].kind);
		assert_true(agrees(&n, frame, strlen(frame)));
	}
}

static void
anything_else_is_left_to_the_parser(void **state)
{
	static const char *const frames[] = {
		"",
		"{}",
		" " STARTED,
		CLOSED "\n",
		COMPLETED("x", WELL) " ",
		"{\"params\":{},\"method\":\"turn/started\"}",
		/* a turn that did not go well, whatever its text says */
		COMPLETED("x", TURN_END("failed", "{\"message\":\"no\"}")),
		COMPLETED("x", TURN_END("interrupted", "null")),
		COMPLETED("],\\\"itemsView\\\":\\\"summary\\\",\\\"status\\\":\\\"completed\\\","
	                  "\\\"error\\\":null,",
	                  TURN_END("failed", "null")),
		/* of another's, or with something in it */
		"{\"method\":\"item/started\",\"params\":{\"item\":{\"type\":\"reasoning\","
		"\"id\":\"rs_1\"}," IDS ",\"startedAtMs\":1}" AT,
		BEGUN("7"),
		/* figures that are none */
		RESPONSE("\"usage\":null", ""),
		RESPONSE(FIGURES("-1"), ""),
		RESPONSE(FIGURES("1.5"), ""),
		RESPONSE(FIGURES("1e3"), ""),
		RESPONSE(FIGURES("9223372036854775808"), ""),
		"{\"method\":\"turn/completed/x\",\"params\":{" THREAD "}" AT,
	};
	struct notice n;

	for (size_t i = 0; i < NELEM(frames); i++)
		if (notice_scan(&n, frames[i], strlen(frames[i])))
			fail_msg("taken: %s", frames[i]);
}

/* Copies are made to size, so that a sanitizer sees the first byte read too many. */
static void
any_cut_is_left_or_is_no_json(void **state)
{
	for (size_t i = 0; i < NELEM(recorded); i++) {
		for (size_t len = 0; len < strlen(recorded[i].frame); len++) {
			char *copy = malloc(len + (len == 0));
			struct notice n;

			memcpy(copy, recorded[i].frame, len);
			if (notice_scan(&n, copy, len))
				assert_false(agrees(&n, copy, len));
			free(copy);
		}
	}
}

static void
with_any_byte_changed_it_is_left_or_agrees(void **state)
{
	unsigned taken = 0;

	for (size_t i = 0; i < NELEM(recorded); i++) {
		size_t len = strlen(recorded[i].frame);
		char *copy = malloc(len);

		for (size_t at = 0; at < len; at++) {
			static const char bytes[] = "\"\\{}[]:,0u\x80\xff \nax";

			for (size_t b = 0; b < sizeof(bytes); b++) {
				struct notice n;

				memcpy(copy, recorded[i].frame, len);
				copy[at] = bytes[b];
				if (notice_scan(&n, copy, len) && agrees(&n, copy, len))
					taken++;
			}
		}
		free(copy);
	}
	assert_true(taken > 1000); /* ids and numbers may be any */
}

static void
a_text_of_any_length_is_not_looked_at(void **state)
{
	static const char head[] = COMPLETED("", ""), tail[] = "\"}]," WELL;
	size_t before = sizeof(head) - 1 - strlen("\"}],"),
	       len = before + 100000 + sizeof(tail) - 1;
	char *frame = malloc(len);
	struct notice n;

	memcpy(frame, head, before);
	memset(frame + before, 'x', 100000);
	memcpy(frame + before + 100000, tail, sizeof(tail) - 1);
	assert_true(notice_scan(&n, frame, len));
	assert_int_equal(n.kind, NOTICE_TURN_COMPLETED);
	assert_true(agrees(&n, frame, len));
	free(frame);
}

static void
answers_are_taken_with_their_one_word(void **state)
{
	static const struct {
		const char *text;
		unsigned long long id;
		const char *member, *value;
	} taken[] = {
		{"{\"id\":207,\"result\":{\"thread\":{\"id\":\"01a2\",\"x\":1}}}", 207, "thread",
	         "01a2"									       },
		{"{\"id\":8,\"result\":{\"turn\":{\"id\":\"t\",\"items\":[]}}}",   8,   "turn",   "t" },
		{"{\"id\":0,\"result\":{\"status\":\"unsubscribed\"}}",            0,   "status",
	         "unsubscribed"								       },
		{"{\"id\":1,\"result\":{}}",                                       1,   NULL,     NULL},
	};
	static const char *const left[] = {
		"{\"id\":8,\"result\":null}",
		"{\"id\":8,\"result\":{\"x\":1}}",
		"{\"id\":8,\"result\":{}} ",
		"{\"id\":8,\"result\":{}",
		"{\"id\":8,\"result\":{},\"error\":{}}",
		"{\"id\":8,\"result\":{\"status\":\"a\",\"status\":\"b\"}}",
		"{\"id\":\"8\",\"result\":{\"turn\":{\"id\":\"t\"}}}",
		"{\"id\":-8,\"result\":{}}",
		"{\"id\":8,\"error\":{\"code\":1}}",
		"{\"id\":8,\"result\":{\"thread\":{\"x\":1,\"id\":\"t\"}}}",
		"{\"id\":8,\"result\":{\"thread\":{\"id\":\"t\\u0041\"}}}",
		"{\"id\":8,\"result\":{\"thread\":{\"id\":\"t",
	};
	struct answer a;

	for (size_t i = 0; i < NELEM(taken); i++) {
		assert_true(answer_scan(&a, taken[i].text, strlen(taken[i].text)));
		assert_int_equal(a.id, taken[i].id);
		if (taken[i].member == NULL) {
			assert_null(a.member);
			continue;
		}
		assert_string_equal(a.member, taken[i].member);
		assert_int_equal(a.value_len, strlen(taken[i].value));
		assert_memory_equal(a.value, taken[i].value, a.value_len);
	}
	for (size_t i = 0; i < NELEM(left); i++)
		if (answer_scan(&a, left[i], strlen(left[i])))
			fail_msg("taken: %s", left[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_notices_are_taken),
		cmocka_unit_test(anything_else_is_left_to_the_parser),
		cmocka_unit_test(any_cut_is_left_or_is_no_json),
		cmocka_unit_test(with_any_byte_changed_it_is_left_or_agrees),
		cmocka_unit_test(a_text_of_any_length_is_not_looked_at),
		cmocka_unit_test(answers_are_taken_with_their_one_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
