/* The last lines of an app: how many are kept, and which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "supervisor/log_ring.h"

static void
push(struct log_ring *r, uint64_t number, const char *text)
{
	log_ring_push(r,
	              &(struct log_ring_line){.number = number, .text = text, .len = strlen(text)});
}

static size_t
count(const struct log_ring *r)
{
	size_t n = 0;

	while (log_ring_at(r, n) != NULL)
		n++;
	return n;
}

static void
an_empty_one_has_no_lines(void **state)
{
	struct log_ring *r = log_ring_new();

	assert_int_equal(count(r), 0);
	assert_null(log_ring_at(r, 0));
	log_ring_free(r);
	log_ring_free(NULL);
}

static void
the_newest_comes_first_and_the_oldest_go(void **state)
{
	struct log_ring *r = log_ring_new();
	char text[32];

	for (unsigned i = 1; i <= 3 * LOG_RING_LINES + 7; i++) {
		(void)snprintf(text, sizeof(text), "line %u", i);
		push(r, i, text);
		assert_int_equal(count(r), i < LOG_RING_LINES ? i : LOG_RING_LINES);
		assert_string_equal(log_ring_at(r, 0)->text, text);
		assert_int_equal(log_ring_at(r, count(r) - 1)->number,
		                 i < LOG_RING_LINES ? 1 : i - LOG_RING_LINES + 1);
		assert_null(log_ring_at(r, count(r)));
	}
	log_ring_free(r);
}

static void
long_lines_leave_room_for_fewer(void **state)
{
	struct log_ring *r = log_ring_new();
	static char text[OUTPUT_LINE_MAX + 1];
	size_t bytes = 0;

	memset(text, 'x', OUTPUT_LINE_MAX);
	for (unsigned i = 1; i <= 100; i++)
		push(r, i, text);
	assert_int_equal(count(r), LOG_RING_BYTES / OUTPUT_LINE_MAX);
	push(r, 101, "short");
	for (size_t i = 0; i < count(r); i++)
		bytes += log_ring_at(r, i)->len;
	assert_in_range(bytes, 1, LOG_RING_BYTES);
	assert_int_equal(log_ring_at(r, 0)->number, 101);
	assert_int_equal(log_ring_at(r, 1)->number, 100);
	log_ring_free(r);
}

static void
an_endless_flood_of_empty_lines_is_bounded_too(void **state)
{
	struct log_ring *r = log_ring_new();

	for (unsigned i = 0; i < 100000; i++)
		push(r, i, "");
	assert_int_equal(count(r), LOG_RING_LINES);
	log_ring_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_one_has_no_lines),
		cmocka_unit_test(the_newest_comes_first_and_the_oldest_go),
		cmocka_unit_test(long_lines_leave_room_for_fewer),
		cmocka_unit_test(an_endless_flood_of_empty_lines_is_bounded_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
