/* What is made of random bytes must differ: ids of requests, masks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/random.h"

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(uint64_t));
}

static void
no_byte_is_given_twice(void **state)
{
	static uint64_t ids[10000];
	const size_t count = sizeof(ids) / sizeof(ids[0]);
	unsigned char odd[3];

	for (size_t i = 0; i < count; i++) {
		assert_true(random_bytes(&ids[i], sizeof(ids[i])));
		if (i % 7 == 0) /* what is left at the end of a pool is not of the right size */
			assert_true(random_bytes(odd, sizeof(odd)));
	}
	qsort(ids, count, sizeof(ids[0]), compare);
	for (size_t i = 1; i < count; i++)
		assert_true(ids[i] != ids[i - 1]);
}

static void
no_more_is_written_than_was_asked_for(void **state)
{
	unsigned char room[RANDOM_BYTES_MAX + 2];

	for (size_t size = 0; size <= RANDOM_BYTES_MAX; size++) {
		memset(room, 0, sizeof(room));
		assert_true(random_bytes(room + 1, size));
		assert_int_equal(room[0], 0);
		assert_int_equal(room[size + 1], 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_byte_is_given_twice),
		cmocka_unit_test(no_more_is_written_than_was_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
