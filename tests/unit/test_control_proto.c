/* The control messages on the wire. The golden files hold one of every message there is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "common/control_proto.h"
#include "common/file.h"

#define GOLDEN "tests/golden/control/*.jsonl"

static char *
format_again(const struct control_msg *msg, size_t *len)
{
	switch (msg->kind) {
	case CONTROL_REQUEST:
		return control_format_request(msg->id, msg->method, msg->params, len);
	case CONTROL_NOTIFICATION:
		return control_format_notification(msg->method, msg->params, len);
	case CONTROL_RESULT:
		return control_format_result(msg->id, msg->result, len);
	case CONTROL_ERROR:
		return control_format_error(msg->id, msg->code, msg->message, len);
	}
	return NULL;
}

typedef void (*line_test_fn)(const char *line, size_t len);

/* Calls fn for each golden line, without its newline; returns how many there were. */
static size_t
each_golden_line(line_test_fn fn)
{
	size_t lines = 0;
	glob_t files;

	assert_int_equal(glob(GOLDEN, 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		AUTO_FREE char *text = NULL;
		size_t len;

		assert_int_equal(file_read(&text, &len, files.gl_pathv[i], 1 << 20, NULL), 0);
		for (char *at = text; *at != '\0'; at = strchr(at, '\n') + 1, lines++) {
			assert_non_null(strchr(at, '\n'));
			fn(at, strcspn(at, "\n"));
		}
	}
	globfree(&files);
	return lines;
}

static void
check_round_trip(const char *line, size_t len)
{
	struct control_msg msg;
	struct err err = {.code = 0};
	int r = control_parse(&msg, line, len, &err);
	AUTO_FREE char *again = NULL;
	size_t again_len = 0;

	if (r != 0)
		print_message("%s: %.*s\n", err.text, (int)len, line);
	assert_int_equal(r, 0);
	again = format_again(&msg, &again_len);
	assert_non_null(again);
	assert_int_equal(again_len, len + 1);
	assert_memory_equal(again, line, len + 1); /* with its newline */
	control_msg_fini(&msg);
}

static void
each_documented_message_is_read_and_written_alike(void **state)
{
	assert_in_range(each_golden_line(check_round_trip), 30, 1000);
}

static void
check_cuts(const char *line, size_t len)
{
	for (size_t cut = 0; cut < len; cut++) {
		struct control_msg msg;

		assert_int_equal(control_parse(&msg, line, cut, NULL), CONTROL_PARSE_ERROR);
		control_msg_fini(&msg);
	}
}

static void
a_message_cut_anywhere_is_an_error(void **state)
{
	(void)each_golden_line(check_cuts);
}

static uint64_t
next_random(void)
{
	static uint64_t bits = 88172645463325252;

	bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
	return bits;
}

static void
check_mutations(const char *line, size_t len)
{
	AUTO_FREE char *copy = malloc(len);

	for (int i = 0; i < 200; i++) {
		struct control_msg msg;
		struct err err = {.code = 0};
		int r;

		memcpy(copy, line, len);
		for (uint64_t k = next_random() % 4 + 1; k > 0; k--)
			copy[next_random() % len] = "\"{}[]:,0a\\\0\xff\n-."[next_random() % 16];
		r = control_parse(&msg, copy, len, &err);
		assert_true(r == 0 || (r == err.code && err.text[0] != '\0'));
		if (r == 0) {
			size_t again_len;
			AUTO_FREE char *again = format_again(&msg, &again_len);

			assert_non_null(again);
		}
		control_msg_fini(&msg);
	}
}

static void
garbage_is_an_error_or_a_message_and_never_a_crash(void **state)
{
	char noise[64];

	(void)each_golden_line(check_mutations);
	for (int i = 0; i < 20000; i++) {
		struct control_msg msg;
		size_t len = next_random() % sizeof(noise);

		for (size_t k = 0; k < len; k++)
			noise[k] = (char)next_random();
		assert_int_not_equal(control_parse(&msg, noise, len, NULL), 0);
		control_msg_fini(&msg);
	}
}

static void
assert_invalid(const char *line, int code)
{
	struct control_msg msg;
	struct err err = {.code = 0};

	if (control_parse(&msg, line, strlen(line), &err) != code)
		fail_msg("%s", line);
	assert_int_equal(err.code, code);
	control_msg_fini(&msg);
}

static void
what_is_not_json_rpc_2_is_refused(void **state)
{
	static const char *const lines[] = {
		"[]",
		"1",
		"{}",
		"{\"id\":1,\"method\":\"m\"}",
		"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"m\"}",
		"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"m\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\\u0000b\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"m\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"m\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"m\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[1]}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":null}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"prams\":{}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"error\":{\"code\":1,\"message\":\"\"}"
		"}",
		"{\"jsonrpc\":\"2.0\",\"result\":1}",
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":1}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":\"e\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":\"x\",\"message\":\"m\"}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":99999999999,\"message\":\"m\"}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1}}",
	};

	for (size_t i = 0; i < NELEM(lines); i++)
		assert_invalid(lines[i], CONTROL_INVALID_REQUEST);
	assert_invalid("", CONTROL_PARSE_ERROR);
	assert_invalid("nonsense", CONTROL_PARSE_ERROR);
	assert_invalid("{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":1,\"method\":\"m\"}",
	               CONTROL_PARSE_ERROR);
}

static void
the_id_of_a_wrong_request_is_known_for_the_answer(void **state)
{
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":\"abc\",\"method\":7}";
	struct control_msg msg;

	assert_int_equal(control_parse(&msg, line, strlen(line), NULL), CONTROL_INVALID_REQUEST);
	assert_string_equal(json_string_value(msg.id), "abc");
	control_msg_fini(&msg);
	assert_null(msg.id);
}

static void
a_message_that_is_not_utf8_is_still_an_answer(void **state)
{
	size_t len;
	AUTO_FREE char *line = control_format_error(NULL, -1, "broken \xff", &len);

	assert_non_null(line);
	check_round_trip(line, len - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_documented_message_is_read_and_written_alike),
		cmocka_unit_test(a_message_cut_anywhere_is_an_error),
		cmocka_unit_test(garbage_is_an_error_or_a_message_and_never_a_crash),
		cmocka_unit_test(what_is_not_json_rpc_2_is_refused),
		cmocka_unit_test(the_id_of_a_wrong_request_is_known_for_the_answer),
		cmocka_unit_test(a_message_that_is_not_utf8_is_still_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
