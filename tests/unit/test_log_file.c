/* A log file: when it is put aside, how many are kept, and what happens when it cannot be written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/log.h"
#include "supervisor/log_file.h"

#define DAY_MS UINT64_C(86400000)
#define NOON   (UINT64_C(20000) * DAY_MS + DAY_MS / 2)

static char dir[64], path[128];
static struct log_file *file;

static int
setup(void **state)
{
	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON); /* the warnings are expected */
	file = NULL;
	(void)snprintf(dir, sizeof(dir), "/tmp/test-log-file-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/sub/folder/app.log", dir);
	return 0;
}

static int
remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(name);
}

static int
teardown(void **state)
{
	log_file_close(file);
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
open_it(int64_t max_bytes, int64_t interval_ms, int64_t retain)
{
	struct err err = {.code = 0};
	struct log_file_spec spec = {
		.path = path, .max_bytes = max_bytes, .interval_ms = interval_ms, .retain = retain};

	log_file_close(file);
	file = NULL;
	if (log_file_open(&file, &spec, &err) < 0)
		fail_msg("%s", err.text);
}

static void
put(const char *line, uint64_t now_ms)
{
	log_file_write(file, line, strlen(line), now_ms);
}

/* What is in the file itself (number 0) or in one that was put aside; NULL: there is none. */
static void
assert_holds(int number, const char *text)
{
	AUTO_FREE char *found = NULL;
	char name[160];
	size_t len;
	struct err err;

	(void)snprintf(name, sizeof(name), number > 0 ? "%s.%d" : "%s", path, number);
	if (text == NULL) {
		assert_int_equal(access(name, F_OK), -1);
		return;
	}
	assert_int_equal(file_read(&found, &len, name, 1 << 20, &err), 0);
	assert_string_equal(found, text);
}

static void
lines_are_appended_over_a_new_start_too(void **state)
{
	struct stat st;

	open_it(0, 0, 3);
	put("one", NOON);
	put("", NOON);
	open_it(0, 0, 3);
	put("two", NOON + 10 * DAY_MS);
	assert_holds(0, "one\n\ntwo\n");
	assert_holds(1, NULL);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07, 0);
}

static void
a_file_that_would_be_too_big_is_put_aside(void **state)
{
	open_it(10, 0, 2);
	put("1234", NOON);
	put("5678", NOON); /* exactly 10 */
	assert_holds(0, "1234\n5678\n");
	put("a", NOON);
	assert_holds(0, "a\n");
	assert_holds(1, "1234\n5678\n");
	put("a line that is longer than a whole file", NOON);
	put("b", NOON);
	assert_holds(0, "b\n");
	assert_holds(1, "a line that is longer than a whole file\n");
	assert_holds(2, "a\n");
	assert_holds(3, NULL); /* the oldest one has gone */
}

static void
a_new_day_begins_a_new_file_also_when_nobody_was_there_at_midnight(void **state)
{
	struct timespec times[2] = {{.tv_sec = (time_t)(NOON / 1000)},
	                            {.tv_sec = (time_t)(NOON / 1000)}};

	open_it(0, DAY_MS, 5);
	put("one", NOON);
	put("two", NOON + DAY_MS / 2 - 1);
	put("three", NOON + DAY_MS / 2);
	assert_holds(0, "three\n");
	assert_holds(1, "one\ntwo\n");
	log_file_close(file);
	file = NULL;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	open_it(0, DAY_MS, 5);
	put("four", NOON + 1);
	assert_holds(0, "three\nfour\n");
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	open_it(0, DAY_MS, 5);
	put("five", NOON + 3 * DAY_MS);
	assert_holds(0, "five\n");
	assert_holds(1, "three\nfour\n");
	assert_holds(2, "one\ntwo\n");
	put("a clock that went back", NOON);
	assert_holds(0, "five\na clock that went back\n");
}

static void
none_may_be_kept(void **state)
{
	open_it(5, 0, 0);
	put("one", NOON);
	put("two", NOON);
	assert_holds(0, "two\n");
	assert_holds(1, NULL);
}

static void
when_fewer_are_to_be_kept_the_others_go(void **state)
{
	struct log_file_spec fewer = {.max_bytes = 2, .retain = 1};

	open_it(2, 0, 4);
	for (char line[] = "1"; line[0] <= '5'; line[0]++)
		put(line, NOON);
	assert_holds(4, "1\n");
	log_file_configure(file, &fewer);
	put("6", NOON);
	assert_holds(0, "6\n");
	assert_holds(1, "5\n");
	for (int i = 2; i <= 4; i++)
		assert_holds(i, NULL);
}

static void
a_gap_among_the_old_ones_is_closed_first(void **state)
{
	char third[160];

	(void)snprintf(third, sizeof(third), "%s.3", path);
	open_it(2, 0, 9);
	put("1", NOON);
	assert_int_equal(link(path, third), 0);
	put("2", NOON);
	put("3", NOON);
	assert_holds(0, "3\n");
	assert_holds(1, "2\n");
	assert_holds(2, "1\n");
	assert_holds(3, "1\n");
	put("4", NOON);
	assert_holds(4, "1\n");
	assert_holds(1, "3\n");
}

static void
after_somebody_else_moved_it_a_new_one_is_opened_when_asked(void **state)
{
	char moved[160];
	struct err err;

	(void)snprintf(moved, sizeof(moved), "%s.moved", path);
	open_it(0, 0, 1);
	put("one", NOON);
	assert_int_equal(rename(path, moved), 0);
	put("two", NOON);
	assert_int_equal(log_file_reopen(file, &err), 0);
	put("three", NOON);
	assert_holds(0, "three\n");
	(void)snprintf(path, sizeof(path), "%s/sub/folder/app.log.moved", dir);
	assert_holds(0, "one\ntwo\n");
}

static void
what_cannot_be_opened_is_told_and_the_old_one_goes_on(void **state)
{
	struct log_file_spec spec = {.path = dir};
	struct log_file *other = NULL;
	struct err err = {.code = 0};
	char moved[160];

	assert_int_equal(log_file_open(&other, &spec, &err), -EISDIR);
	assert_non_null(strstr(err.text, dir));
	assert_null(other);
	open_it(0, 0, 1);
	put("one", NOON);
	(void)snprintf(moved, sizeof(moved), "%s.moved", path);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(log_file_reopen(file, &err), -EISDIR);
	put("two", NOON);
	assert_int_equal(log_file_dropped(file), 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(moved, path), 0);
	assert_holds(0, "one\ntwo\n");
}

static void
one_that_cannot_be_put_aside_grows_on(void **state)
{
	char first[160];

	(void)snprintf(first, sizeof(first), "%s.1", path);
	open_it(2, 0, 1);
	put("1", NOON);
	assert_int_equal(mkdir(first, 0700), 0); /* nothing can be renamed to it */
	put("2", NOON);
	put("3", NOON + 1000);
	assert_holds(0, "1\n2\n3\n");
	assert_int_equal(rmdir(first), 0);
	put("4", NOON + 2000); /* not tried again at once */
	put("5", NOON + 60000);
	assert_holds(0, "5\n");
	assert_holds(1, "1\n2\n3\n4\n");
	assert_int_equal(log_file_dropped(file), 0);
}

/* A limit of the process stands in for the end of a disk. */
static void
what_does_not_fit_on_the_disk_is_counted_and_the_next_line_begins_on_its_own(void **state)
{
	struct rlimit before, small;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	open_it(0, 0, 1);
	small = before;
	small.rlim_cur = 8;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	put("1234", NOON);
	put("this is cut", NOON);
	put("and this is gone", NOON);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(log_file_dropped(file), 2);
	put("well again", NOON);
	assert_int_equal(log_file_dropped(file), 2);
	assert_holds(0, "1234\nthi\nwell again\n");
}

static void
a_pipe_that_nobody_empties_holds_nobody_up(void **state)
{
	char line[4000];
	int reader;

	open_it(0, 0, 1); /* makes the folder */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	open_it(10, 1, 1);
	memset(line, 'x', sizeof(line));
	for (uint64_t i = 0; i < 100; i++)
		log_file_write(file, line, sizeof(line), NOON + i);
	assert_in_range(log_file_dropped(file), 50, 99);
	assert_holds(1, NULL); /* a pipe is not put aside */
	(void)close(reader);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_folder(lines_are_appended_over_a_new_start_too),
		with_folder(a_file_that_would_be_too_big_is_put_aside),
		with_folder(a_new_day_begins_a_new_file_also_when_nobody_was_there_at_midnight),
		with_folder(none_may_be_kept),
		with_folder(when_fewer_are_to_be_kept_the_others_go),
		with_folder(a_gap_among_the_old_ones_is_closed_first),
		with_folder(after_somebody_else_moved_it_a_new_one_is_opened_when_asked),
		with_folder(what_cannot_be_opened_is_told_and_the_old_one_goes_on),
		with_folder(one_that_cannot_be_put_aside_grows_on),
		with_folder(
			what_does_not_fit_on_the_disk_is_counted_and_the_next_line_begins_on_its_own),
		with_folder(a_pipe_that_nobody_empties_holds_nobody_up),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
