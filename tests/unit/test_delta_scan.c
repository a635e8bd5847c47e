/* The fast path for deltas: never of another opinion than jansson. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "proxy/codex/delta_scan.h"

#define IDS                                                                                        \
	"\"threadId\":\"01a2074f-5a68-7162-9a49-0f8e0ac6a455\","                                   \
	"\"turnId\":\"01a2074f-5a6e-75d0-8d20-30a16ccd5bb7\",\"itemId\":\"msg_245\","
#define TEXT(delta)                                                                                \
	"{\"method\":\"item/agentMessage/delta\",\"params\":{" IDS "\"delta\":\"" delta            \
	"\"},\"emittedAtMs\":1795418970810}"
#define SUMMARY(delta, index)                                                                      \
	"{\"method\":\"item/reasoning/summaryTextDelta\",\"params\":{" IDS "\"delta\":\"" delta    \
	"\",\"summaryIndex\":" index "},\"emittedAtMs\":1795418970810}"

static bool
same(const char *text, size_t len, const json_t *string)
{
	return json_is_string(string) && json_string_length(string) == len &&
	       memcmp(json_string_value(string), text, len) == 0;
}

/* Is d what jansson says of the same bytes? */
static void
assert_agrees(const struct delta *d, const char *bytes, size_t len)
{
	json_auto_t *root = json_loadb(bytes, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	const char *method = json_get_string(root, "method");
	json_t *params = json_get_object(root, "params");
	struct json_buf quoted = {.data = NULL};
	json_auto_t *decoded = NULL;

	if (root == NULL)
		fail_msg("no JSON, and taken: %.*s", (int)len, bytes);
	assert_int_equal(json_object_size(root), 3);
	assert_string_equal(method, d->kind == DELTA_TEXT ? "item/agentMessage/delta"
	                                                  : "item/reasoning/summaryTextDelta");
	assert_true(same(d->thread_id, d->thread_id_len, json_object_get(params, "threadId")));
	assert_true(same(d->turn_id, d->turn_id_len, json_object_get(params, "turnId")));
	assert_true(same(d->item_id, d->item_id_len, json_object_get(params, "itemId")));
	json_buf_append(&quoted, "\"", 1);
	json_buf_append(&quoted, d->escaped, d->escaped_len);
	json_buf_append(&quoted, "\"", 1);
	decoded = json_parse(quoted.data, quoted.len, NULL);
	assert_non_null(decoded);
	assert_true(json_equal(decoded, json_object_get(params, "delta")));
	json_buf_free(&quoted);
	assert_int_equal(json_object_size(params), d->kind == DELTA_TEXT ? 4 : 5);
	if (d->kind == DELTA_REASONING_SUMMARY)
		assert_int_equal(json_get_int(params, "summaryIndex", -1), d->summary_index);
	assert_true(json_is_integer(json_object_get(root, "emittedAtMs")));
}

static void
assert_taken(const char *frame)
{
	size_t len = strlen(frame);
	struct delta d;

	if (!delta_scan(&d, frame, len))
		fail_msg("not taken: %s", frame);
	assert_agrees(&d, frame, len);
}

static void
assert_left(const char *frame)
{
	struct delta d;

	if (delta_scan(&d, frame, strlen(frame)))
		fail_msg("taken: %s", frame);
}

/* As codex 0.169.0 sent them. */
static void
recorded_deltas_are_taken(void **state)
{
	static const char *const recorded[] = {
		"{\"method\":\"item/agentMessage/delta\",\"params\":{\"threadId\":"
		"\"01a2074f-4639-7841-8718-dfc3efc65309\",\"turnId\":"
		"\"01a2074f-4643-73d2-a787-192aaffb1d60\",\"itemId\":\"msg_210\",\"delta\":"
		"\"tok0 \"},\"emittedAtMs\":1795418965602}",
		"{\"method\":\"item/agentMessage/delta\",\"params\":{\"threadId\":"
		"\"01a2074f-5985-7752-9acf-7eaf59c553d8\",\"turnId\":"
		"\"01a2074f-598b-77d2-bf23-9f2d74c1dcb3\",\"itemId\":\"msg_239_0\",\"delta\":"
		"\"look \"},\"emittedAtMs\":1795418970527}",
		"{\"method\":\"item/reasoning/summaryTextDelta\",\"params\":{\"threadId"
		"\":\"01a2074f-505c-72c3-a1e9-5fb76c554c9e\",\"turnId\":\"01a2074f-5063"
		"-78f2-8990-b3fb3f079ec0\",\"itemId\":\"rs_212\",\"delta\":\"Thin\",\"s"
		"ummaryIndex\":0},\"emittedAtMs\":1795418968185}",
	};

	for (size_t i = 0; i < NELEM(recorded); i++)
		assert_taken(recorded[i]);
}

static void
text_is_taken_with_every_escape(void **state)
{
	static const char *const frames[] = {
		TEXT(""),
		TEXT("\\\"\\\\\\/\\b\\f\\n\\r\\t"),
		TEXT("\\u0000\\u001f\\uD83D\\uDE00\\ud83d\\ude00\\uffff\\ud7ff\\ue000"),
		TEXT("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"),
		TEXT("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
		TEXT("}]},\\\"method\\\":\\\"turn/completed\\\""),
		SUMMARY("", "0"),
		SUMMARY("x", "7"),
		SUMMARY("x", "999999999"),
	};

	for (size_t i = 0; i < NELEM(frames); i++)
		assert_taken(frames[i]);
}

static void
the_slices_are_the_bytes_that_came(void **state)
{
	static const char frame[] = SUMMARY("a\\nb", "12");
	struct delta d;

	assert_true(delta_scan(&d, frame, sizeof(frame) - 1));
	assert_int_equal(d.kind, DELTA_REASONING_SUMMARY);
	assert_int_equal(d.summary_index, 12);
	assert_int_equal(d.escaped_len, 4);
	assert_memory_equal(d.escaped, "a\\nb", 4);
	assert_memory_equal(d.item_id, "msg_245", d.item_id_len);
	assert_true(d.escaped > frame && d.escaped < frame + sizeof(frame));
}

static void
anything_else_is_left_to_the_parser(void **state)
{
	static const char *const frames[] = {
		"",
		"{}",
		/* valid, but not as codex writes it */
		" " TEXT("x"),
		TEXT("x") " ",
		TEXT("x") "\n",
		"{\"params\":{},\"method\":\"item/agentMessage/delta\"}",
		"{\"method\":\"item/reasoning/textDelta\",\"params\":{" IDS
		"\"delta\":\"x\",\"contentIndex\":0},\"emittedAtMs\":1}",
		"{\"method\":\"item/agentMessage/delta\",\"params\":{" IDS
		"\"delta\":\"x\",\"more\":1},\"emittedAtMs\":1}",
		"{\"method\":\"item/agentMessage/delta\",\"params\":{" IDS
		"\"delta\":\"x\"},\"emittedAtMs\":-1}",
		"{\"method\":\"item/agentMessage/delta\",\"params\":{" IDS
		"\"delta\":\"x\"},\"emittedAtMs\":1.5}",
		"{\"method\":\"item/agentMessage/delta\",\"params\":{\"threadId\":\"a\\u0041\","
		"\"turnId\":\"b\",\"itemId\":\"c\",\"delta\":\"x\"},\"emittedAtMs\":1}",
		"{\"method\":\"item/agentMessage/delta\",\"params\":{\"threadId\":\"\xc3\xa4\","
		"\"turnId\":\"b\",\"itemId\":\"c\",\"delta\":\"x\"},\"emittedAtMs\":1}",
		/* no JSON */
		TEXT("\\ud800"),
		TEXT("\\udc00"),
		TEXT("\\ud83d\\u0041"),
		TEXT("\\ud83dx"),
		TEXT("\\u00g0"),
		TEXT("\\u00"),
		TEXT("\\x41"),
		TEXT("\\"),
		TEXT("a\nb"),
		TEXT("\x80"),
		TEXT("\xc0\x80"),
		TEXT("\xc1\xbf"),
		TEXT("\xe0\x9f\xbf"),
		TEXT("\xed\xa0\x80"),
		TEXT("\xf0\x8f\xbf\xbf"),
		TEXT("\xf4\x90\x80\x80"),
		TEXT("\xf5\x80\x80\x80"),
		TEXT("\xe2\x82"),
		TEXT("x\"y"),
		SUMMARY("x", ""),
		SUMMARY("x", "01"),
		SUMMARY("x", "-1"),
		SUMMARY("x", "1e1"),
		SUMMARY("x", "4294967296"), /* would not fit */
		SUMMARY("x", "99999999999999999999999"),
		"{\"method\":\"item/agentMessage/delta\",\"params\":{" IDS
		"\"delta\":\"x\"},\"emittedAtMs\":99999999999999999999}",
	};

	for (size_t i = 0; i < NELEM(frames); i++)
		assert_left(frames[i]);
}

static void
an_id_is_ascii_without_escapes_wherever_in_it(void **state)
{
	static const char id[] = "01a2074f-4639-7841";
	char frame[] = "{\"method\":\"item/agentMessage/delta\",\"params\":{\"threadId\":"
		       "\"01a2074f-4639-7841\",\"turnId\":\"b\",\"itemId\":\"c\","
		       "\"delta\":\"x\"},\"emittedAtMs\":1}";
	char *in_frame = strstr(frame, id);

	for (size_t i = 0; i < sizeof(id) - 1; i++) {
		for (int b = 0; b < 256; b++) {
			bool plain = b >= ' ' && b < 0x80 && b != '"' && b != '\\';
			struct delta d;

			in_frame[i] = (char)b;
			if (delta_scan(&d, frame, sizeof(frame) - 1) != plain)
				fail_msg("byte %d at %zu", b, i);
		}
		in_frame[i] = id[i];
	}
	assert_taken(frame);
}

static const char *const samples[] = {
	TEXT("tok0 "),
	TEXT("\\u0000\\ud83d\\ude00\\n\\\\\\\"\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa4"),
	SUMMARY("a\\tb", "10"),
};

/* Copies are made to size, so that a sanitizer sees the first byte read too many. */
static void
every_cut_is_left(void **state)
{
	for (size_t i = 0; i < NELEM(samples); i++) {
		for (size_t len = 0; len < strlen(samples[i]); len++) {
			char *copy = malloc(len + (len == 0));
			struct delta d;

			memcpy(copy, samples[i], len);
			assert_false(delta_scan(&d, copy, len));
			free(copy);
		}
	}
}

static void
with_any_byte_changed_it_is_left_or_agrees(void **state)
{
	unsigned taken = 0;

	for (size_t i = 0; i < NELEM(samples); i++) {
		size_t len = strlen(samples[i]);
		char *copy = malloc(len);

		for (size_t at = 0; at < len; at++) {
			memcpy(copy, samples[i], len);
			for (int byte = 0; byte < 256; byte++) {
				struct delta d;

				copy[at] = (char)byte;
				if (!delta_scan(&d, copy, len))
					continue;
				assert_agrees(&d, copy, len);
				taken++;
			}
		}
		free(copy);
	}
	assert_true(taken > 10000); /* ids, text and numbers may be any */
}

static void
with_any_byte_inserted_or_left_out_it_is_left_or_agrees(void **state)
{
	for (size_t i = 0; i < NELEM(samples); i++) {
		size_t len = strlen(samples[i]);
		char *copy = malloc(len + 1);

		for (size_t at = 0; at <= len; at++) {
			static const char bytes[] = "\"\\{}:,0u\x80\xff \n";
			struct delta d;

			for (size_t b = 0; b < sizeof(bytes); b++) {
				memcpy(copy, samples[i], at);
				copy[at] = bytes[b];
				memcpy(copy + at + 1, samples[i] + at, len - at);
				if (delta_scan(&d, copy, len + 1))
					assert_agrees(&d, copy, len + 1);
			}
			if (at == len)
				break;
			memcpy(copy, samples[i], at);
			memcpy(copy + at, samples[i] + at + 1, len - at - 1);
			if (delta_scan(&d, copy, len - 1))
				assert_agrees(&d, copy, len - 1);
		}
		free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_deltas_are_taken),
		cmocka_unit_test(text_is_taken_with_every_escape),
		cmocka_unit_test(the_slices_are_the_bytes_that_came),
		cmocka_unit_test(anything_else_is_left_to_the_parser),
		cmocka_unit_test(an_id_is_ascii_without_escapes_wherever_in_it),
		cmocka_unit_test(every_cut_is_left),
		cmocka_unit_test(with_any_byte_changed_it_is_left_or_agrees),
		cmocka_unit_test(with_any_byte_inserted_or_left_out_it_is_left_or_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
