/* Cutting a stream into lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/line.h"

struct heard {
	char text[256]; /* each line followed by '|' */
	size_t count;
	int answer;
};

static int
hear(void *arg, char *line, size_t len)
{
	struct heard *h = arg;

	assert_int_equal(line[len], '\0');
	(void)strncat(h->text, line, len);
	(void)strcat(h->text, "|");
	h->count++;
	memset(line, 'x', len); /* allowed to change it */
	return h->answer;
}

static void
split_anywhere_gives_the_same_lines(void **state)
{
	static const char stream[] = "one\ntwo\n\nfour and more\nrest";
	size_t len = sizeof(stream) - 1;

	for (size_t first = 0; first <= len; first++) {
		for (size_t second = first; second <= len; second++) {
			struct line_buf *lb = line_buf_new(13);
			struct heard h = {.answer = 0};

			assert_int_equal(line_buf_feed(lb, stream, first, hear, &h), 0);
			assert_int_equal(
				line_buf_feed(lb, stream + first, second - first, hear, &h), 0);
			assert_int_equal(line_buf_feed(lb, stream + second, len - second, hear, &h),
			                 0);
			assert_string_equal(h.text, "one|two||four and more|");
			line_buf_free(lb);
		}
	}
}

static void
a_line_may_be_as_long_as_the_limit_and_no_longer(void **state)
{
	for (size_t cut = 0; cut <= 7; cut++) {
		struct line_buf *lb = line_buf_new(5);
		struct heard h = {.answer = 0};

		assert_int_equal(line_buf_feed(lb, "12345\n", 6, hear, &h), 0);
		assert_string_equal(h.text, "12345|");
		if (cut <= 5) {
			assert_int_equal(line_buf_feed(lb, "123456\n", cut, hear, &h), 0);
			assert_int_equal(line_buf_feed(lb, "123456\n" + cut, 7 - cut, hear, &h),
			                 -EMSGSIZE);
		} else {
			assert_int_equal(line_buf_feed(lb, "123456\n", cut, hear, &h), -EMSGSIZE);
		}
		assert_int_equal(h.count, 1);
		line_buf_free(lb);
	}
}

static void
the_receiver_can_stop_the_feeding(void **state)
{
	struct line_buf *lb = line_buf_new(100);
	struct heard h = {.answer = -ECANCELED};

	assert_int_equal(line_buf_feed(lb, "a\nb\nc\n", 6, hear, &h), -ECANCELED);
	assert_string_equal(h.text, "a|");
	line_buf_free(lb);
}

static int
count_bytes(void *arg, char *line, size_t len)
{
	*(size_t *)arg += len;
	return 0;
}

static void
long_lines_grow_the_buffer_and_nul_is_a_byte_like_others(void **state)
{
	static char big[300000];
	struct line_buf *lb = line_buf_new(sizeof(big));
	size_t bytes = 0;

	for (int round = 0; round < 3; round++) {
		for (size_t at = 0; at < sizeof(big); at += 1000)
			assert_int_equal(line_buf_feed(lb, big + at, 1000, count_bytes, &bytes), 0);
		assert_int_equal(line_buf_feed(lb, "\n", 1, count_bytes, &bytes), 0);
	}
	assert_int_equal(bytes, 3 * sizeof(big));
	line_buf_free(lb);
	line_buf_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_anywhere_gives_the_same_lines),
		cmocka_unit_test(a_line_may_be_as_long_as_the_limit_and_no_longer),
		cmocka_unit_test(the_receiver_can_stop_the_feeding),
		cmocka_unit_test(long_lines_grow_the_buffer_and_nul_is_a_byte_like_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
