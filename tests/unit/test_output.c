/* What an app writes, cut into lines: nothing is lost, however it comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "supervisor/live.h"
#include "supervisor/log_sink.h"
#include "supervisor/output.h"
#include "tests/unit/patience.h"

#define PATIENCE_MS 10000 /* a test that waits longer has failed */

static uv_loop_t loop;
static uv_timer_t watchdog;
static struct output *output;
static int ends[2];   /* the app's ends of its stdout and stderr */
static int stdout_fd; /* our end */
static char got[1 << 16];
static bool ended;
static struct log_sink *sink;
static char dir[64];

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
	(void)uv_timer_start(&watchdog, on_watchdog, patience(PATIENCE_MS), 0);
	for (int i = 0; i < 2; i++) {
		int fds[2];

		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
		reading[i] = fds[0];
		ends[i] = fds[1];
	}
	stdout_fd = reading[0];
	return output_new(&output, &loop,
	                  &(struct output_spec){.name = "app",
	                                        .out_fd = reading[0],
	                                        .err_fd = reading[1],
	                                        .lift = lift,
	                                        .sink = sink});
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

/* Whatever is there: a turn has little time, and a slow machine needs more than one. */
static bool
drain(void)
{
	for (int i = 0; i < 100; i++)
		if (output_drain(output))
			return true;
	return false;
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
		assert_false(drain());
		say(OUTPUT_STDOUT, text + cut, sizeof(text) - 1 - cut);
		hang_up(OUTPUT_STDOUT);
		hang_up(OUTPUT_STDERR);
		assert_true(drain());
		assert_string_equal(got, "one||two \xc3\xa4|three|");
	}
}

static void
an_unfinished_line_comes_with_the_end_of_the_app(void **state)
{
	SAY(OUTPUT_STDOUT, "no newline");
	assert_false(drain());
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
	(void)drain();
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
	(void)drain();
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
	assert_true(drain());
}

static void
on_other(uv_poll_t *poll, int status, int events)
{
	*(bool *)poll->data = true;
}

/* A file that has got the number of one that has ended is another file. */
static void
what_is_closed_later_leaves_other_files_in_the_loop(void **state)
{
	int number = stdout_fd, other[2];
	uv_poll_t poll;
	bool heard = false;

	hang_up(OUTPUT_STDOUT);
	while (fcntl(number, F_GETFD) >= 0)
		(void)uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(pipe2(other, O_CLOEXEC), 0);
	assert_true(dup3(other[0], number, O_CLOEXEC) == number || other[0] == number);
	assert_int_equal(uv_poll_init(&loop, &poll, number), 0);
	poll.data = &heard;
	assert_int_equal(uv_poll_start(&poll, UV_READABLE, on_other), 0);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	output_close(output);
	output = NULL;
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(write(other[1], "x", 1), 1);
	while (!heard)
		(void)uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&poll, NULL);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	(void)close(number);
	if (other[0] != number)
		(void)close(other[0]);
	(void)close(other[1]);
}

static void
last_words_are_an_error_or_the_last_line_of_stderr(void **state)
{
	assert_string_equal(output_last_words(output), "");
	SAY(OUTPUT_STDOUT, "Error: on the wrong stream\n");
	SAY(OUTPUT_STDERR, "hm\n\n");
	(void)drain();
	assert_string_equal(output_last_words(output), "hm");
	SAY(OUTPUT_STDERR, "Error: this\nand that\n");
	(void)drain();
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

/* --- files of its own ----------------------------------------------------------------------- */

static int
setup_with_file(void **state)
{
	char path[96];

	(void)snprintf(dir, sizeof(dir), "/tmp/test-output-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/out.log", dir);
	sink = log_sink_new(&(struct log_sink_spec){.out_file = path}, "app", 0);
	return sink != NULL ? setup(NULL) : -1;
}

static int
remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(name);
}

static int
teardown_with_file(void **state)
{
	int r = teardown(NULL);

	log_sink_free(sink);
	sink = NULL;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) + r;
}

/* stderr is a pipe that nobody reads, until the test does. more: lines beyond where it is held up.
 * Returns its end to read from. */
static int
deafen(int *before, int more)
{
	static char line[4000];
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	*before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	(void)close(fds[1]);
	log_init("test", LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	memset(line, '-', sizeof(line) - 1);
	while (!log_is_held_up())
		log_info("%s", line);
	for (int i = 0; i < more; i++)
		log_info("%s", line);
	return fds[0];
}

/* What the reader of stderr gets now. */
static const char *
hear(int fd)
{
	static char text[1 << 17];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

static void
undeafen(int fd, int before)
{
	(void)dup2(before, STDERR_FILENO);
	(void)close(before);
	(void)close(fd);
}

static void
a_file_gets_the_lines_as_they_are_and_our_log_the_other_ones(void **state)
{
	AUTO_FREE char *found = NULL;
	char path[96];
	int before, fd = deafen(&before, 0);
	const char *text;
	size_t len;
	struct err err;

	(void)hear(fd);
	SAY(OUTPUT_STDOUT, "!one\n\ntwo\nthe rest");
	SAY(OUTPUT_STDERR, "three\n");
	(void)drain();
	output_close(output);
	output = NULL;
	text = hear(fd);
	undeafen(fd, before);
	(void)snprintf(path, sizeof(path), "%s/out.log", dir);
	assert_int_equal(file_read(&found, &len, path, 1 << 20, &err), 0);
	assert_string_equal(found, "!one\n\ntwo\nthe rest\n");
	assert_string_equal(text, "<6>three app=app\n");
	assert_string_equal(got, "!one||two|three|the rest|"); /* what `logs` shows */
}

/* --- a log that nobody reads ---------------------------------------------------------------- */

static void
while_our_log_is_not_read_the_app_waits_and_nothing_is_lost(void **state)
{
	int before, fd = deafen(&before, 0);
	uint64_t start = uv_hrtime();
	const char *text;

	SAY(OUTPUT_STDOUT, "one\ntwo\n");
	for (int i = 0; i < 5; i++)
		assert_false(output_drain(output));
	assert_true(uv_hrtime() - start < patience(50) * 1000000); /* and nobody else does */
	assert_string_equal(got, "");
	(void)hear(fd);
	while (strcmp(got, "one|two|") != 0)
		(void)uv_run(&loop, UV_RUN_ONCE);
	text = hear(fd);
	undeafen(fd, before);
	assert_string_equal(text, "<6>one app=app\n<6>two app=app\n");
}

static void
a_log_that_is_not_read_at_all_stops_nobody_for_ever(void **state)
{
	int before, fd = deafen(&before, 20);
	const char *text;

	SAY(OUTPUT_STDOUT, "one\ntwo\n");
	while (strcmp(got, "one|two|") != 0)
		(void)uv_run(&loop, UV_RUN_ONCE);
	(void)hear(fd);
	SAY(OUTPUT_STDOUT, "three\n");
	while (strcmp(got, "one|two|three|") != 0)
		(void)uv_run(&loop, UV_RUN_ONCE);
	text = hear(fd);
	undeafen(fd, before);
	assert_non_null(strstr(text, "<6>three app=app\n"));
	assert_non_null(strstr(text, "log lines were lost"));
}

static void
a_file_is_written_whether_or_not_our_log_is_read(void **state)
{
	int before, fd = deafen(&before, 0);

	SAY(OUTPUT_STDOUT, "one\n");
	(void)drain();
	undeafen(fd, before);
	assert_string_equal(got, "one|");
}

static void
the_last_words_are_kept_whether_or_not_our_log_is_read(void **state)
{
	int before, fd = deafen(&before, 0);

	SAY(OUTPUT_STDERR, "one\n");
	assert_false(output_drain(output));
	SAY(OUTPUT_STDERR, "two\nthe rest"); /* this stays in the pipe */
	hang_up(OUTPUT_STDERR);
	assert_false(output_drain(output));
	assert_string_equal(got, "");
	output_close(output);
	output = NULL;
	undeafen(fd, before);
	assert_string_equal(got, "one|two|the rest|");
}

#define with_file(test)   cmocka_unit_test_setup_teardown(test, setup_with_file, teardown_with_file)
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
		with_output(what_is_closed_later_leaves_other_files_in_the_loop),
		with_output(last_words_are_an_error_or_the_last_line_of_stderr),
		with_output(a_burst_before_the_end_is_read_whole),
		with_file(a_file_gets_the_lines_as_they_are_and_our_log_the_other_ones),
		with_output(while_our_log_is_not_read_the_app_waits_and_nothing_is_lost),
		with_output(a_log_that_is_not_read_at_all_stops_nobody_for_ever),
		with_file(a_file_is_written_whether_or_not_our_log_is_read),
		with_output(the_last_words_are_kept_whether_or_not_our_log_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
