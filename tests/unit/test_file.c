/* Files and folders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"

static char dir[64];

static int
make_dir(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/test-file-XXXXXX");
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
remove_dir(void **state)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static const char *
in_dir(const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static size_t
files_in_dir(void)
{
	DIR *d = opendir(dir);
	size_t count = 0;

	while (readdir(d) != NULL)
		count++;
	(void)closedir(d);
	return count - 2; /* . and .. */
}

static void
what_was_written_is_read(void **state)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	assert_int_equal(file_write_atomic(in_dir("a"), "one\0two", 7, 0600, NULL), 0);
	assert_int_equal(file_read(&text, &len, in_dir("a"), 7, NULL), 0);
	assert_int_equal(len, 7);
	assert_memory_equal(text, "one\0two", 8);
}

static void
a_write_replaces_the_file_whole_and_leaves_nothing_beside_it(void **state)
{
	AUTO_FREE char *text = NULL;
	struct stat st;
	size_t len;

	assert_int_equal(file_write_atomic(in_dir("a"), "longer text", 11, 0644, NULL), 0);
	assert_int_equal(file_write_atomic(in_dir("a"), "short", 5, 0600, NULL), 0);
	assert_int_equal(file_read(&text, &len, in_dir("a"), 100, NULL), 0);
	assert_string_equal(text, "short");
	assert_int_equal(stat(in_dir("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(files_in_dir(), 1);
}

static void
a_failed_write_leaves_the_old_file(void **state)
{
	struct err err = {.code = 0};

	/* a folder cannot be renamed over */
	assert_int_equal(mkdir(in_dir("busy"), 0700), 0);
	assert_int_equal(file_write_atomic(in_dir("busy"), "x", 1, 0600, &err), -EISDIR);
	assert_non_null(strstr(err.text, "busy"));
	assert_int_equal(files_in_dir(), 1);
	assert_int_equal(file_write_atomic(in_dir("none/a"), "x", 1, 0600, &err), -ENOENT);
}

static void
a_file_over_the_limit_is_refused(void **state)
{
	char *text = NULL;
	struct err err = {.code = 0};
	size_t len;

	assert_int_equal(file_write_atomic(in_dir("a"), "12345", 5, 0600, NULL), 0);
	assert_int_equal(file_read(&text, &len, in_dir("a"), 4, &err), -EFBIG);
	assert_null(text);
	assert_non_null(strstr(err.text, "4 bytes"));
	assert_int_equal(file_read(&text, &len, in_dir("none"), 4, &err), -ENOENT);
	assert_int_equal(file_read(&text, &len, dir, 4, &err), -EISDIR);
}

static void
files_whose_size_is_not_known_are_read_whole(void **state)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	assert_int_equal(file_read(&text, &len, "/proc/self/status", 1 << 20, NULL), 0);
	assert_non_null(strstr(text, "VmRSS"));
	assert_int_equal(strlen(text), len);
}

static void
a_secret_has_no_white_space_behind_it(void **state)
{
	static const char *const files[] = {"sk-1", "sk-1\n", "sk-1 \t\r\n\n"};
	struct err err = {.code = 0};
	char *text;

	for (size_t i = 0; i < NELEM(files); i++) {
		assert_int_equal(
			file_write_atomic(in_dir("k"), files[i], strlen(files[i]), 0600, NULL), 0);
		assert_int_equal(file_read_secret(&text, in_dir("k"), NULL), 0);
		assert_string_equal(text, "sk-1");
		free(text);
	}
	assert_int_equal(file_write_atomic(in_dir("k"), "a\0b", 3, 0600, NULL), 0);
	assert_int_equal(file_read_secret(&text, in_dir("k"), &err), -EINVAL);
}

static void
folders_are_made_with_their_parents_and_mode(void **state)
{
	struct stat st;
	mode_t before = umask(077);

	assert_int_equal(file_make_dir(in_dir("x/y/z"), 0750, NULL), 0);
	(void)umask(before);
	assert_int_equal(stat(in_dir("x/y/z"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	/* again: the mode is put right */
	assert_int_equal(file_make_dir(in_dir("x/y/z/"), 0700, NULL), 0);
	assert_int_equal(stat(in_dir("x/y/z"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void
a_folder_that_cannot_be_ours_is_refused_by_name(void **state)
{
	struct err err = {.code = 0};

	assert_int_equal(file_write_atomic(in_dir("file"), "x", 1, 0600, NULL), 0);
	assert_int_equal(file_make_dir(in_dir("file"), 0700, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, "file"));
	assert_int_equal(file_make_dir(in_dir("file/below"), 0700, &err), -ENOTDIR);
	assert_int_equal(file_make_dir("", 0700, &err), -EINVAL);
	if (geteuid() != 0) {
		assert_int_equal(file_make_dir("/tmp", 0700, &err), -EPERM);
		return;
	}
	assert_int_equal(mkdir(in_dir("theirs"), 0777), 0);
	assert_int_equal(chown(in_dir("theirs"), 12345, 12345), 0);
	assert_int_equal(file_make_dir(in_dir("theirs"), 0700, &err), -EPERM);
	assert_non_null(strstr(err.text, "12345"));
}

static void
a_long_sentence_is_cut_between_characters(void **state)
{
	struct err err;
	char text[600];

	for (size_t lead = 505; lead < ERR_TEXT_MAX; lead++) {
		size_t len;

		memset(text, 'a', lead);
		(void)snprintf(text + lead, sizeof(text) - lead, "\xf0\x9f\x98\x80 and the rest");
		assert_int_equal(err_set(&err, -EIO, "%s", text), -EIO);
		len = strlen(err.text);
		assert_in_range(len, 500, ERR_TEXT_MAX - 1);
		/* the character is there whole, or not at all */
		assert_true(len <= lead || len >= lead + 4);
	}
	assert_int_equal(err_set(NULL, -EIO, "nobody listens"), -EIO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_written_is_read, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			a_write_replaces_the_file_whole_and_leaves_nothing_beside_it, make_dir,
			remove_dir),
		cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_file, make_dir,
	                                        remove_dir),
		cmocka_unit_test_setup_teardown(a_file_over_the_limit_is_refused, make_dir,
	                                        remove_dir),
		cmocka_unit_test(files_whose_size_is_not_known_are_read_whole),
		cmocka_unit_test_setup_teardown(a_secret_has_no_white_space_behind_it, make_dir,
	                                        remove_dir),
		cmocka_unit_test_setup_teardown(folders_are_made_with_their_parents_and_mode,
	                                        make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_ours_is_refused_by_name,
	                                        make_dir, remove_dir),
		cmocka_unit_test(a_long_sentence_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
