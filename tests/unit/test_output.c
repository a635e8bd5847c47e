/* What an app writes, cut into lines: nothing is lost, however it comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/live.h"
#include "supervisor/output.h"

#define PATIENCE_MS 10000 /* a test that waits longer has failed */

static uv_loop_t loop;
static uv_timer_t watchdog;
static struct output *output;
static int ends[2]; /* the app's ends of its stdout and stderr */
static char got[1 << 16];
static bool ended;

/* Joins what comes; a level changes with a leading '!'. */
static void
lift(struct output_line *line, char *buf, size_t size)
{
	size_t len = strlen(got);

	(void)snprintf(got + len, sizeof(got) - len, "%s|", line->text);
	if (line->text[0] == '!')
		line->level = LOG_LEVEL_WARNING;
}

static void
on_watchdog(uv_timer_t *timer)
{
	fail_msg("waited too long");
}

static int
setup(void **state)
{
	int reading[2];

	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	got[0] = '\0';
	ended = false;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(uv_timer_init(&loop, &watchdog), 0);
	(void)uv_timer_start(&watchdog, on_watchdog, PATIENCE_MS, 0);
	for (int i = 0; i < 2; i++) {
		int fds[2];

		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
		reading[i] = fds[0];
		ends[i] = fds[1];
	}
	return output_new(&output, &loop, "app", reading[0], reading[1], lift);
}

static int
teardown(void **state)
{
	for (int i = 0; i < 2; i++)
		auto_close_(&ends[i]);
	if (output != NULL)
		output_close(output);
	uv_close((uv_handle_t *)&watchdog, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	live_fini();
	return uv_loop_close(&loop); /* 0: no handle was left open */
}

static void
say(enum output_stream which, const char *text, size_t len)
{
	assert_int_equal(write(ends[which], text, len), len);
}

#define SAY(which, text) say(which, text, sizeof(text) - 1)

static void
hang_up(enum output_stream which)
{
	auto_close_(&ends[which]);
	ends[which] = -1;
}

static void
on_end(void *arg)
{
	ended = true;
}

static void
lines_cut_anywhere_are_the_same_lines(void **state)
{
	static const char text[] = "one\n\ntwo \xc3\xa4\r\nthree";

	for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
		if (cut > 0) {
			assert_int_equal(teardown(NULL), 0);
			assert_int_equal(setup(NULL), 0);
		}
		say(OUTPUT_STDOUT, text, cut);
		assert_false(output_drain(output));
		say(OUTPUT_STDOUT, text + cut, sizeof(text) - 1 - cut);
		hang_up(OUTPUT_STDOUT);
		hang_up(OUTPUT_STDERR);
		assert_true(output_drain(output));
		assert_string_equal(got, "one||two \xc3\xa4|three|");
	}
}

static void
an_unfinished_line_comes_with_the_end_of_the_app(void **state)
{
	SAY(OUTPUT_STDOUT, "no newline");
	assert_false(output_drain(output));
	assert_string_equal(got, "");
	output_close(output);
	output = NULL;
	assert_string_equal(got, "no newline|");
}

static void
a_line_longer_than_the_limit_comes_in_pieces(void **state)
{
	static char text[2 * OUTPUT_LINE_MAX + 11];
	char *second;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\n';
	say(OUTPUT_STDOUT, text, sizeof(text));
	(void)output_drain(output);
	second = got + OUTPUT_LINE_MAX + 1;
	assert_int_equal(strlen(got), sizeof(text) - 1 + 3);
	assert_int_equal(second[-1], '|');
	assert_int_equal(second[OUTPUT_LINE_MAX], '|');
	assert_string_equal(second + OUTPUT_LINE_MAX + 1, "xxxxxxxxxx|");
}

static void
a_zero_byte_hides_nothing(void **state)
{
	SAY(OUTPUT_STDOUT, "a\0b\0\0c\n");
	(void)output_drain(output);
	assert_string_equal(got, "a b  c|");
}

static void
the_end_is_told_once_when_both_have_ended(void **state)
{
	output_on_end(output, on_end, NULL);
	SAY(OUTPUT_STDERR, "last\n");
	hang_up(OUTPUT_STDERR);
	while (strcmp(got, "last|") != 0)
		(void)uv_run(&loop, UV_RUN_ONCE);
	assert_false(ended);
	hang_up(OUTPUT_STDOUT);
	while (!ended)
		(void)uv_run(&loop, UV_RUN_ONCE);
	assert_true(output_drain(output));
}

static void
last_words_are_an_error_or_the_last_line_of_stderr(void **state)
{
	assert_string_equal(output_last_words(output), "");
	SAY(OUTPUT_STDOUT, "Error: on the wrong stream\n");
	SAY(OUTPUT_STDERR, "hm\n\n");
	(void)output_drain(output);
	assert_string_equal(output_last_words(output), "hm");
	SAY(OUTPUT_STDERR, "Error: this\nand that\n");
	(void)output_drain(output);
	assert_string_equal(output_last_words(output), "Error: this");
}

static void
a_burst_before_the_end_is_read_whole(void **state)
{
	char text[32];
	unsigned lines = 0;

	assert_true(fcntl(ends[OUTPUT_STDOUT], F_SETPIPE_SZ, 1 << 20) > 0);
	for (unsigned i = 0; i < 3000; i++)
		say(OUTPUT_STDOUT, text, (size_t)snprintf(text, sizeof(text), "line %u\n", i));
	hang_up(OUTPUT_STDOUT);
	hang_up(OUTPUT_STDERR);
	while (!output_drain(output))
		;
	for (const char *p = got; (p = strchr(p, '|')) != NULL; p++)
		lines++;
	assert_int_equal(lines, 3000);
	assert_non_null(strstr(got, "|line 2999|"));
}

#define with_output(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_output(lines_cut_anywhere_are_the_same_lines),
		with_output(an_unfinished_line_comes_with_the_end_of_the_app),
		with_output(a_line_longer_than_the_limit_comes_in_pieces),
		with_output(a_zero_byte_hides_nothing),
		with_output(the_end_is_told_once_when_both_have_ended),
		with_output(last_words_are_an_error_or_the_last_line_of_stderr),
		with_output(a_burst_before_the_end_is_read_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
