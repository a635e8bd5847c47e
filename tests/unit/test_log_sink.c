/* The files of an app's own: which line goes where, and how it looks there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/file.h"
#include "common/log.h"
#include "supervisor/log_sink.h"
#include "supervisor/shared_log.h"

#define NOW UINT64_C(1770563045007) /* 2026-02-08T15:04:05.007Z */

static char dir[64], out_path[96], error_path[96];
static struct log_sink *sink;

static int
setup(void **state)
{
	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON); /* the warnings are expected */
	sink = NULL;
	(void)setenv("TZ", "UTC", 1);
	tzset();
	(void)snprintf(dir, sizeof(dir), "/tmp/test-log-sink-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(out_path, sizeof(out_path), "%s/out.log", dir);
	(void)snprintf(error_path, sizeof(error_path), "%s/error.log", dir);
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
	log_sink_free(sink);
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
open_sink(struct log_sink_spec spec)
{
	log_sink_free(sink);
	sink = log_sink_new(&spec, "web", 3);
	assert_non_null(sink);
}

static void
assert_holds(const char *name, const char *text)
{
	AUTO_FREE char *found = NULL;
	char full[160];
	size_t len;
	struct err err;

	(void)snprintf(full, sizeof(full), "%s/%s", dir, name);
	assert_int_equal(file_read(&found, &len, full, 1 << 20, &err), 0);
	assert_string_equal(found, text);
}

static void
each_stream_has_its_file(void **state)
{
	open_sink((struct log_sink_spec){.out_file = out_path, .error_file = error_path});
	assert_true(log_sink_line(sink, OUTPUT_STDOUT, "one", NOW));
	assert_true(log_sink_line(sink, OUTPUT_STDERR, "two", NOW));
	assert_holds("out.log", "one\n");
	assert_holds("error.log", "two\n");
}

static void
the_same_path_twice_is_one_file_in_the_order_of_the_lines(void **state)
{
	open_sink((struct log_sink_spec){
		.out_file = out_path, .error_file = out_path, .max_bytes = 12, .retain = 3});
	assert_true(log_sink_line(sink, OUTPUT_STDOUT, "one", NOW));
	assert_true(log_sink_line(sink, OUTPUT_STDERR, "two", NOW));
	assert_true(log_sink_line(sink, OUTPUT_STDOUT, "333", NOW));
	assert_holds("out.log", "one\ntwo\n333\n");
	assert_true(log_sink_line(sink, OUTPUT_STDERR, "four", NOW));
	assert_int_equal(shared_log_reopen_all(), 1);
	assert_true(log_sink_line(sink, OUTPUT_STDERR, "five", NOW));
	assert_holds("out.log.1", "one\ntwo\n333\n");
	assert_holds("out.log", "four\nfive\n");
}

static void
a_stream_without_a_file_is_the_callers_and_nothing_is_nothing(void **state)
{
	open_sink((struct log_sink_spec){.error_file = "/dev/null"});
	assert_false(log_sink_line(sink, OUTPUT_STDOUT, "x", NOW));
	assert_true(log_sink_line(sink, OUTPUT_STDERR, "x", NOW));
	open_sink((struct log_sink_spec){.out_file = "NULL"});
	assert_true(log_sink_line(sink, OUTPUT_STDOUT, "x", NOW));
	assert_false(log_sink_line(sink, OUTPUT_STDERR, "x", NOW));
	assert_int_equal(access("NULL", F_OK), -1);
}

static void
instances_may_have_files_of_their_own(void **state)
{
	char plain[96];

	(void)snprintf(plain, sizeof(plain), "%s/errors", dir);
	open_sink((struct log_sink_spec){
		.out_file = out_path, .error_file = plain, .own_files = true});
	assert_true(log_sink_line(sink, OUTPUT_STDOUT, "one", NOW));
	assert_true(log_sink_line(sink, OUTPUT_STDERR, "two", NOW));
	assert_holds("out-3.log", "one\n");
	assert_holds("errors-3", "two\n");
}

static void
every_line_has_its_time(void **state)
{
	open_sink((struct log_sink_spec){.out_file = out_path,
	                                 .date_format = "YYYY-MM-DD HH:mm:ss.SSS Z"});
	assert_true(log_sink_line(sink, OUTPUT_STDOUT, "one", NOW));
	assert_true(log_sink_line(sink, OUTPUT_STDOUT, "two", NOW + 1000));
	assert_holds("out.log", "2026-02-08 15:04:05.007 +00:00: one\n"
	                        "2026-02-08 15:04:06.007 +00:00: two\n");
}

static void
json_is_one_object_a_line(void **state)
{
	open_sink(
		(struct log_sink_spec){.out_file = out_path, .error_file = out_path, .json = true});
	assert_true(log_sink_line(sink, OUTPUT_STDOUT, "a \"b\" \xff\x01", NOW));
	assert_true(log_sink_line(sink, OUTPUT_STDERR, "", NOW));
	assert_holds("out.log",
	             "{\"message\":\"a \\\"b\\\" \xef\xbf\xbd\\u0001\",\"timestamp\":"
	             "\"2026-02-08T15:04:05.007+00:00\",\"type\":\"out\",\"process_id\":3,"
	             "\"app_name\":\"web\"}\n"
	             "{\"message\":\"\",\"timestamp\":\"2026-02-08T15:04:05.007+00:00\",\"type\":"
	             "\"err\",\"process_id\":3,\"app_name\":\"web\"}\n");
}

static void
lines_for_a_file_that_cannot_be_opened_are_the_callers(void **state)
{
	open_sink((struct log_sink_spec){.out_file = out_path, .error_file = dir});
	assert_true(log_sink_takes(sink, OUTPUT_STDOUT));
	assert_false(log_sink_takes(sink, OUTPUT_STDERR));
	assert_true(log_sink_line(sink, OUTPUT_STDOUT, "one", NOW));
	assert_false(log_sink_line(sink, OUTPUT_STDERR, "two", NOW));
	assert_holds("out.log", "one\n");
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_folder(each_stream_has_its_file),
		with_folder(the_same_path_twice_is_one_file_in_the_order_of_the_lines),
		with_folder(a_stream_without_a_file_is_the_callers_and_nothing_is_nothing),
		with_folder(instances_may_have_files_of_their_own),
		with_folder(every_line_has_its_time),
		with_folder(json_is_one_object_a_line),
		with_folder(lines_for_a_file_that_cannot_be_opened_are_the_callers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
