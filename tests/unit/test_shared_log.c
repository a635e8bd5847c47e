/* The log files of all apps: one for each path, whoever writes into it, and what is said when one
 * cannot be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/log.h"
#include "supervisor/shared_log.h"

#define NOW UINT64_C(1770563045007)

static char dir[64], path[96], said_path[96];
static int real_stderr;

static int
setup(void **state)
{
	int fd;

	(void)snprintf(dir, sizeof(dir), "/tmp/test-shared-log-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/app.log", dir);
	(void)snprintf(said_path, sizeof(said_path), "%s/said", dir);
	fd = open(said_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		return -1;
	log_init("test", LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
	return close(fd);
}

static int
remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(name);
}

static int
teardown(void **state)
{
	(void)dup2(real_stderr, STDERR_FILENO);
	(void)close(real_stderr);
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static char *
content(const char *name)
{
	char *text = NULL;
	size_t len;
	struct err err;

	return file_read(&text, &len, name, 1 << 20, &err) == 0 ? text : NULL;
}

static void
assert_holds(const char *suffix, const char *text)
{
	char name[128];
	AUTO_FREE char *found = NULL;

	(void)snprintf(name, sizeof(name), "%s%s", path, suffix);
	found = content(name);
	if (text == NULL)
		assert_null(found);
	else
		assert_string_equal(found != NULL ? found : "(none)", text);
}

static unsigned
times_said(const char *what)
{
	AUTO_FREE char *text = content(said_path);
	unsigned n = 0;

	for (const char *p = text; p != NULL && (p = strstr(p, what)) != NULL; p++)
		n++;
	return n;
}

static struct shared_log *
get(const char *name, int64_t max_bytes)
{
	struct shared_log *s = shared_log_get(
		&(struct log_file_spec){.path = name, .max_bytes = max_bytes, .retain = 2});

	assert_non_null(s);
	return s;
}

#define PUT(s, line, now_ms) shared_log_write((s), (line), strlen(line), (now_ms))

static void
two_writers_of_a_file_put_it_aside_together(void **state)
{
	struct shared_log *a = get(path, 12), *b = get(path, 12);

	assert_true(PUT(a, "a1", NOW) && PUT(b, "b1", NOW) && PUT(a, "a2", NOW));
	assert_true(PUT(b, "b2", NOW) && PUT(a, "a3", NOW) && PUT(b, "b3", NOW));
	shared_log_put(a); /* the old process of an instance is gone */
	assert_true(PUT(b, "b4", NOW));
	shared_log_put(b);
	assert_holds(".1", "a1\nb1\na2\nb2\n");
	assert_holds("", "a3\nb3\nb4\n");
	assert_holds(".2", NULL);
}

static void
a_file_under_another_name_is_the_same_file(void **state)
{
	char detour[128];
	struct shared_log *a = get(path, 6), *b;

	(void)snprintf(detour, sizeof(detour), "%s/./app.log", dir);
	b = get(detour, 6);
	assert_true(PUT(a, "a1", NOW) && PUT(b, "b1", NOW) && PUT(a, "a2", NOW) &&
	            PUT(b, "b2", NOW));
	shared_log_put(a);
	shared_log_put(b);
	assert_holds(".1", "a1\nb1\n");
	assert_holds("", "a2\nb2\n");
}

static void
who_joins_later_brings_the_rotation(void **state)
{
	struct shared_log *a = get(path, 0), *b;

	assert_true(PUT(a, "a1", NOW));
	b = get(path, 3);
	assert_true(PUT(a, "a2", NOW));
	assert_holds(".1", "a1\n");
	shared_log_put(b);
	shared_log_put(a);
}

static void
all_are_reopened_after_somebody_moved_them(void **state)
{
	char other[128], moved[128];
	struct shared_log *a = get(path, 0), *b;

	(void)snprintf(other, sizeof(other), "%s.other", path);
	(void)snprintf(moved, sizeof(moved), "%s.moved", path);
	b = get(other, 0);
	assert_true(PUT(a, "before", NOW));
	assert_int_equal(rename(path, moved), 0);
	assert_true(PUT(a, "still", NOW));
	assert_int_equal(shared_log_reopen_all(), 2);
	assert_true(PUT(a, "after", NOW) && PUT(b, "other", NOW));
	assert_holds(".moved", "before\nstill\n");
	assert_holds("", "after\n");
	assert_holds(".other", "other\n");
	shared_log_put(a);
	shared_log_put(b);
	assert_int_equal(shared_log_reopen_all(), 0);
}

static void
one_that_cannot_be_opened_is_tried_again_and_said_each_time(void **state)
{
	struct shared_log *s;

	assert_int_equal(mkdir(path, 0700), 0);
	s = get(path, 0);
	assert_false(shared_log_is_open(s));
	assert_false(PUT(s, "lost to the file", NOW));
	assert_false(PUT(s, "and this", NOW + 59999));
	assert_int_equal(times_said("Is a directory"), 1);
	assert_false(PUT(s, "and that", NOW + 60000));
	assert_int_equal(times_said("Is a directory"), 2);
	assert_int_equal(rmdir(path), 0);
	assert_false(PUT(s, "not at once", NOW + 60001));
	assert_true(PUT(s, "there", NOW + 120000));
	assert_holds("", "there\n");
	shared_log_put(s);
}

static void
a_signal_opens_what_could_not_be_opened(void **state)
{
	struct shared_log *s;

	assert_int_equal(mkdir(path, 0700), 0);
	s = get(path, 0);
	assert_int_equal(shared_log_reopen_all(), 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(shared_log_reopen_all(), 1);
	assert_true(PUT(s, "there", NOW));
	assert_holds("", "there\n");
	shared_log_put(s);
}

static void
limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A limit of the process stands in for the end of a disk; it leaves room for what is said. */
static void
lines_lost_to_a_full_disk_are_said_once_and_told_by_number_when_there_is_room(void **state)
{
	static char big[4096];
	struct shared_log *s = get(path, 0);

	memset(big, 'x', sizeof(big) - 1);
	assert_true(PUT(s, big, NOW));
	limit_files(sizeof(big));
	for (unsigned i = 0; i < 5; i++)
		assert_true(PUT(s, "lost", NOW + i));
	assert_int_equal(times_said("lines are lost: "), 1);
	limit_files(RLIM_INFINITY);
	assert_true(PUT(s, "room", NOW + 10) && PUT(s, "room", NOW + 11));
	assert_int_equal(times_said(": 5 lines were lost"), 1);
	/* a disk that is full at every other line does not fill the log */
	for (unsigned i = 0; i < 3; i++) {
		limit_files(sizeof(big));
		assert_true(PUT(s, "lost", NOW + 20 + i));
		limit_files(RLIM_INFINITY);
		assert_true(PUT(s, "room", NOW + 20 + i));
	}
	assert_int_equal(times_said("lost"), 2);
	shared_log_put(s); /* it is not kept for ever */
	assert_int_equal(times_said(": 3 lines were lost"), 1);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_folder(two_writers_of_a_file_put_it_aside_together),
		with_folder(a_file_under_another_name_is_the_same_file),
		with_folder(who_joins_later_brings_the_rotation),
		with_folder(all_are_reopened_after_somebody_moved_them),
		with_folder(one_that_cannot_be_opened_is_tried_again_and_said_each_time),
		with_folder(a_signal_opens_what_could_not_be_opened),
		with_folder(
			lines_lost_to_a_full_disk_are_said_once_and_told_by_number_when_there_is_room),
	};

	(void)signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
