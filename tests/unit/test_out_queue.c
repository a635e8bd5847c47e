/* The bytes of an answer on their way to the socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>

#include "proxy/http/chunked.h"
#include "proxy/http/out_queue.h"

static void
append(struct out_queue *q, const char *text)
{
	assert_true(out_queue_append(q, text, strlen(text)));
}

static void
append_chunked(struct out_queue *q, const char *text)
{
	assert_true(out_queue_append_chunked(q, text, strlen(text)));
}

/* Takes all that waits, at most max bytes at a time, the way a connection does: the LWS_PRE bytes
 * before each piece are spoilt. */
static char *
drain(struct out_queue *q, size_t max)
{
	size_t want = out_queue_size(q);
	char *text = calloc(1, want + 1);
	size_t got = 0, len = 0;
	unsigned char *at;

	assert_non_null(text);
	while (out_queue_size(q) > 0) {
		at = out_queue_peek(q, max, &len);
		assert_true(len > 0 && len <= max && got + len <= want);
		memset(at - LWS_PRE, 0xee, LWS_PRE);
		memcpy(text + got, at, len);
		got += len;
		out_queue_consume(q, len);
	}
	assert_int_equal(got, want);
	return text;
}

#define assert_drained(q, max, wanted)                                                             \
	do {                                                                                       \
		char *drained = drain(q, max);                                                     \
		assert_string_equal(drained, wanted);                                              \
		free(drained);                                                                     \
		assert_null((q)->buf);                                                             \
	} while (0)

static void
bytes_come_out_as_they_went_in(void **state)
{
	for (size_t max = 1; max < 20; max++) {
		struct out_queue q = {0};

		append(&q, "HTTP/1.1 200 OK");
		append(&q, "");
		append(&q, "\r\n\r\n");
		assert_drained(&q, max, "HTTP/1.1 200 OK\r\n\r\n");
	}
}

static void
writes_between_two_looks_become_one_chunk(void **state)
{
	struct out_queue q = {0};

	append_chunked(&q, "one ");
	append_chunked(&q, "");
	append_chunked(&q, "two");
	assert_drained(&q, 1000, "00000007\r\none two\r\n");
	append_chunked(&q, "three");
	assert_drained(&q, 1000, "00000005\r\nthree\r\n");
	assert_true(out_queue_end_chunked(&q));
	assert_drained(&q, 1000, "0\r\n\r\n");
}

static void
a_head_a_chunk_and_the_end_leave_together(void **state)
{
	struct out_queue q = {0};

	append(&q, "head\r\n\r\n");
	append_chunked(&q, "body");
	assert_true(out_queue_end_chunked(&q));
	assert_drained(&q, 5, "head\r\n\r\n00000004\r\nbody\r\n0\r\n\r\n");
}

/* A look in the middle closes the chunk that is being filled, and another one begins behind. */
static void
any_mix_of_writes_and_sends_decodes_to_the_same(void **state)
{
	for (size_t max = 1; max < 200; max += 7) {
		struct out_queue q = {0};
		struct chunked chunked = {0};
		char wanted[8192] = "", got[8192] = "", piece[64];
		size_t got_len = 0, len = 0;
		enum chunked_result r = CHUNKED_MORE;

		for (unsigned i = 0; i < 300 || r != CHUNKED_END; i++) {
			const char *in, *content = NULL;
			size_t content_len = 0;

			if (i < 300) {
				(void)snprintf(piece, sizeof(piece), "%u%.*s ", i, (int)(i % 9),
				               "--------");
				append_chunked(&q, piece);
				(void)strcat(wanted, piece);
			} else if (i == 300) {
				assert_true(out_queue_end_chunked(&q));
			}
			if (i < 300 && i % 4 != 0)
				continue;
			in = (char *)out_queue_peek(&q, max, &len);
			memset((char *)(uintptr_t)in - LWS_PRE, 0xee, LWS_PRE);
			piece[0] = '\0';
			for (size_t left = len; (r = chunked_next(&chunked, &in, &left, &content,
			                                          &content_len)) == CHUNKED_PIECE;
			     got_len += content_len)
				memcpy(got + got_len, content, content_len);
			assert_int_not_equal(r, CHUNKED_BAD);
			out_queue_consume(&q, len);
		}
		assert_string_equal(got, wanted);
		assert_int_equal(out_queue_size(&q), 0);
		out_queue_fini(&q);
	}
}

/* A stream whose reader is a little behind all the time never empties the queue. */
static void
a_queue_that_is_never_empty_does_not_grow(void **state)
{
	struct out_queue q = {0};
	char bytes[500];
	size_t len = 0;

	memset(bytes, 'x', sizeof(bytes));
	assert_true(out_queue_append(&q, bytes, sizeof(bytes)));
	for (unsigned i = 0; i < 100000; i++) {
		assert_true(out_queue_append(&q, bytes, sizeof(bytes)));
		(void)out_queue_peek(&q, sizeof(bytes), &len);
		out_queue_consume(&q, len);
	}
	assert_true(q.cap <= 8192);
	out_queue_fini(&q);
}

static void
an_empty_queue_holds_no_memory(void **state)
{
	struct out_queue q = {0};
	size_t len = 1;

	(void)out_queue_peek(&q, 100, &len);
	assert_int_equal(len, 0);
	out_queue_consume(&q, 0);
	append(&q, "x");
	out_queue_consume(&q, 1);
	assert_null(q.buf);
	assert_int_equal(q.cap, 0);
	out_queue_fini(&q);
}

static void
reserved_room_counts_only_when_it_is_committed(void **state)
{
	struct out_queue q = {0};
	unsigned char *at = out_queue_reserve(&q, 100000);

	assert_non_null(at);
	assert_int_equal(out_queue_size(&q), 0);
	memcpy(at, "abc", 3);
	out_queue_commit(&q, 3);
	assert_drained(&q, 10, "abc");
	assert_null(out_queue_reserve(&q, SIZE_MAX / 2));
	out_queue_fini(&q);
}

static void
what_was_put_behind_some_length_is_gone(void **state)
{
	struct out_queue q = {.buf = NULL};

	append(&q, "before");
	append(&q, "head");
	append_chunked(&q, "open");
	out_queue_shorten(&q, 6);
	append(&q, "other");
	append_chunked(&q, "x");
	assert_drained(&q, 100, "beforeother00000001\r\nx\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_out_as_they_went_in),
		cmocka_unit_test(writes_between_two_looks_become_one_chunk),
		cmocka_unit_test(a_head_a_chunk_and_the_end_leave_together),
		cmocka_unit_test(any_mix_of_writes_and_sends_decodes_to_the_same),
		cmocka_unit_test(a_queue_that_is_never_empty_does_not_grow),
		cmocka_unit_test(an_empty_queue_holds_no_memory),
		cmocka_unit_test(reserved_room_counts_only_when_it_is_committed),
		cmocka_unit_test(what_was_put_behind_some_length_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
