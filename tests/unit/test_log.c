/* What a log line looks like, and that writing one never stops the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "common/log.h"
#include "tests/unit/patience.h"

static int stderr_before;
static int heard_fd; /* what is written to stderr */

static void
redirect(int write_end)
{
	assert_true(dup2(write_end, STDERR_FILENO) == STDERR_FILENO);
	(void)close(write_end);
}

static int
capture(void **state)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
		return -1;
	stderr_before = dup(STDERR_FILENO);
	heard_fd = fds[0];
	redirect(fds[1]);
	return 0;
}

static int
release(void **state)
{
	(void)dup2(stderr_before, STDERR_FILENO);
	(void)close(stderr_before);
	(void)close(heard_fd);
	return 0;
}

/* What was logged since the last call. */
static const char *
heard(void)
{
	static char text[1 << 17];
	size_t len = 0;
	ssize_t n;

	while ((n = read(heard_fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

static json_t *
heard_json(void)
{
	json_error_t e;
	const char *text = heard();
	json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, &e);

	if (line == NULL)
		print_message("%s: %s\n", e.text, text);
	assert_non_null(line);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	return line;
}

static void
assert_member(const json_t *line, const char *key, const char *expected)
{
	assert_string_equal(json_string_value(json_object_get(line, key)), expected);
}

static void
json_lines_hold_time_level_program_message_and_fields(void **state)
{
	const struct log_field fields[] = {LOG_STR("model", "gpt \"5\"\n"), LOG_INT("ms", -42),
	                                   LOG_STR("none", NULL)};
	json_t *line;
	const char *ts;
	struct tm tm;

	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_fields(LOG_LEVEL_WARNING, fields, NELEM(fields), "answer %d", 7);
	line = heard_json();
	assert_member(line, "level", "warning");
	assert_member(line, "program", "prog");
	assert_member(line, "msg", "answer 7");
	assert_member(line, "model", "gpt \"5\"\n");
	assert_member(line, "none", "");
	assert_int_equal(json_integer_value(json_object_get(line, "ms")), -42);
	assert_int_equal(json_integer_value(json_object_get(line, "pid")), getpid());
	assert_int_equal(json_object_size(line), 8);
	ts = json_string_value(json_object_get(line, "ts"));
	assert_int_equal(strlen(ts), strlen("2026-01-02T03:04:05.678Z"));
	assert_string_equal(strptime(ts, "%Y-%m-%dT%H:%M:%S", &tm) + 4, "Z");
	json_decref(line);
}

static void
whatever_is_said_a_line_is_one_valid_json_object(void **state)
{
	static const char *const texts[] = {
		"",
		"two\nlines\r\n\t",
		"\"quoted\\\"",
		"\x01\x1b[31m\x7f",
		"\xff\xc3",
		"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
		"\xed\xa0\x80 surrogate",
		"\xc0\x80 overlong",
		"\xf4\x90\x80\x80 too high",
		"\xc2\x9b"
		"31m C1",
		"\xe2\x82",
	};

	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	for (size_t i = 0; i < NELEM(texts); i++) {
		const struct log_field fields[] = {LOG_STR("f", texts[i])};
		json_t *line;

		log_fields(LOG_LEVEL_INFO, fields, 1, "%s", texts[i]);
		line = heard_json();
		/* the field is treated like the message */
		assert_member(line, "msg", json_string_value(json_object_get(line, "f")));
		json_decref(line);
	}
}

static void
broken_bytes_are_shown_and_good_ones_left_alone(void **state)
{
	json_t *line;

	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_info("%s", "a\xff\xc3\xa4\x1b");
	line = heard_json();
	assert_member(line, "msg", "a\\xff\xc3\xa4\x1b");
	json_decref(line);
	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	log_info("%s", "a\xff\xc3\xa4\x1b\n");
	assert_string_equal(heard(), "<6>a\\xff\xc3\xa4\\x1b\\n\n");
}

static void
journal_lines_start_with_their_priority(void **state)
{
	const struct log_field fields[] = {LOG_STR("app", "proxy"), LOG_INT("n", 3)};

	log_init("prog", LOG_LEVEL_DEBUG, LOG_FORMAT_JOURNAL);
	log_error("e");
	log_warning("w");
	log_info("i");
	log_debug("d");
	assert_string_equal(heard(), "<3>e\n<4>w\n<6>i\n<7>d\n");
	log_fields(LOG_LEVEL_INFO, fields, NELEM(fields), "text");
	assert_string_equal(heard(), "<6>text app=proxy n=3\n");
}

static void
human_lines_are_short(void **state)
{
	const char *text;

	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_HUMAN);
	log_warning("look out");
	text = heard();
	assert_string_equal(text + strlen("12:34:56.789"), " warning prog: look out\n");
}

static void
a_level_hides_what_is_below_it(void **state)
{
	log_init("prog", LOG_LEVEL_WARNING, LOG_FORMAT_JOURNAL);
	log_error("e");
	log_warning("w");
	log_info("i");
	log_debug("d");
	assert_string_equal(heard(), "<3>e\n<4>w\n");
	assert_int_equal(log_level(), LOG_LEVEL_WARNING);
}

static void
errno_is_kept_and_can_be_told(void **state)
{
	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	errno = ENOENT;
	log_info("%m");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(heard(), "<6>No such file or directory\n");
	errno = ENOENT; /* hearing changed it */
	log_debug("hidden");
	assert_int_equal(errno, ENOENT);
}

static void
a_line_too_long_is_cut_and_keeps_its_fields(void **state)
{
	static char big[40000];
	const struct log_field fields[] = {LOG_STR("app", "x"), LOG_STR("big", big),
	                                   LOG_INT("n", 5)};
	json_t *line;

	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	memset(big, '\n', sizeof(big) - 1);
	log_fields(LOG_LEVEL_INFO, fields, NELEM(fields), "%s", big);
	line = heard_json();
	assert_member(line, "app", "x");
	assert_non_null(strstr(json_string_value(json_object_get(line, "msg")), "\n\n"));
	json_decref(line);
	/* a line of a child comes through whole */
	memset(big, 'y', 8192);
	big[8192] = '\0';
	log_info("%s", big);
	line = heard_json();
	assert_member(line, "msg", big);
	json_decref(line);
}

static void
auto_means_journal_only_when_stderr_is_the_journal(void **state)
{
	char stream[64];
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
	               (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
	log_info("x");
	assert_string_equal(heard(), "<6>x\n");
	/* redirected since: not the journal any more */
	(void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
	               (uintmax_t)st.st_ino + 1);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
	log_info("x");
	assert_int_equal(heard()[0], '{');
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
}

static void
a_reader_that_stopped_costs_lines_and_not_the_program(void **state)
{
	const char *text;
	size_t lines = 0;

	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	for (int i = 0; i < 500; i++) /* far more than a pipe holds */
		log_info("line %d%s", i,
		         "----------------------------------------------------------------------"
		         "----------------------------------------------------------------------"
		         "----------------------------------------------------------------------");
	text = heard();
	for (const char *c = text; *c != '\0'; c++)
		lines += *c == '\n';
	assert_in_range(lines, 100, 499);
	log_info("after");
	text = heard();
	assert_non_null(strstr(text, "<6>after\n"));
	assert_non_null(strstr(text, "log lines were lost"));
	log_info("normal again");
	assert_string_equal(heard(), "<6>normal again\n");
}

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One that comes alive again and again would cost a wait each time. */
static void
a_slow_reader_has_us_wait_a_tenth_of_the_time_at_most(void **state)
{
	static char line[8000];
	int64_t start = now_ms(), took;

	memset(line, '-', sizeof(line) - 1);
	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 12; i++) /* more than a pipe holds */
			log_info("%s", line);
		(void)heard();
	}
	took = now_ms() - start;
	assert_in_range(took, 0, patience(700)); /* 2000 if each round were waited for */
}

static void
whoever_asks_is_told_that_the_reader_lags_behind(void **state)
{
	static char line[8000];
	int lines = 0;
	const char *text;

	memset(line, '-', sizeof(line) - 1);
	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	for (; !log_is_held_up(); lines++)
		log_info("%s", line);
	assert_in_range(lines, 3, 6); /* half of a pipe of 64 KB: the rest is for who cannot wait */
	(void)heard();
	assert_false(log_is_held_up());
	log_info("after");
	text = heard();
	assert_non_null(strstr(text, "<6>after\n"));
}

static void
a_socket_that_nobody_reads_does_not_stop_us_either(void **state)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	(void)close(heard_fd);
	heard_fd = fds[0];
	assert_int_equal(fcntl(heard_fd, F_SETFL, O_NONBLOCK), 0);
	redirect(fds[1]);
	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	for (int i = 0; i < 20000; i++)
		log_info("line %d", i);
	(void)heard();
	log_info("after");
	assert_non_null(strstr(heard(), "<6>after\n"));
}

static void
a_reader_that_is_gone_is_no_reason_to_die(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	redirect(fds[1]);
	(void)close(fds[0]);
	(void)signal(SIGPIPE, SIG_IGN); /* as all our programs do */
	log_init("prog", LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	log_info("into the void");
}

static void
names_of_levels_are_known(void **state)
{
	enum log_level level;

	assert_int_equal(log_level_parse(&level, "debug"), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse(&level, "loud"), -EINVAL);
}

#define captured(test) cmocka_unit_test_setup_teardown(test, capture, release)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		captured(json_lines_hold_time_level_program_message_and_fields),
		captured(whatever_is_said_a_line_is_one_valid_json_object),
		captured(broken_bytes_are_shown_and_good_ones_left_alone),
		captured(journal_lines_start_with_their_priority),
		captured(human_lines_are_short),
		captured(a_level_hides_what_is_below_it),
		captured(errno_is_kept_and_can_be_told),
		captured(a_line_too_long_is_cut_and_keeps_its_fields),
		captured(auto_means_journal_only_when_stderr_is_the_journal),
		captured(a_reader_that_stopped_costs_lines_and_not_the_program),
		captured(a_slow_reader_has_us_wait_a_tenth_of_the_time_at_most),
		captured(whoever_asks_is_told_that_the_reader_lags_behind),
		captured(a_socket_that_nobody_reads_does_not_stop_us_either),
		captured(a_reader_that_is_gone_is_no_reason_to_die),
		cmocka_unit_test(names_of_levels_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
