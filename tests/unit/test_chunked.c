/* The framing of chunked request bodies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proxy/http/chunked.h"

struct decoded {
	struct chunked chunked;
	char text[256];
	size_t len;
	size_t left; /* of the input, when it ended */
};

static enum chunked_result
feed(struct decoded *d, const char *in, size_t len)
{
	const char *piece = NULL;
	size_t piece_len = 0;
	enum chunked_result r;

	while ((r = chunked_next(&d->chunked, &in, &len, &piece, &piece_len)) == CHUNKED_PIECE) {
		assert_true(piece_len > 0 && d->len + piece_len < sizeof(d->text));
		memcpy(d->text + d->len, piece, piece_len);
		d->len += piece_len;
	}
	d->left = len;
	return r;
}

static enum chunked_result
decode(struct decoded *d, const char *text)
{
	memset(d, 0, sizeof(*d));
	return feed(d, text, strlen(text));
}

static void
cut_anywhere_gives_the_same_body(void **state)
{
	static const char body[] = "5\r\nhello\r\n"
				   "00000C;name=\"v\"\r\n and\r\n more\r\r\n"
				   "1 \t\r\n!\r\n"
				   "0\r\nTrailer: t\r\nMore: x\r\n\r\n";
	static const char rest[] = "GET / HTTP/1.1";
	char all[sizeof(body) + sizeof(rest)];
	size_t len = sizeof(body) - 1;

	(void)snprintf(all, sizeof(all), "%s%s", body, rest);
	for (size_t first = 0; first <= len; first++) {
		for (size_t second = first; second < len; second++) {
			struct decoded d = {0};

			assert_int_equal(feed(&d, all, first),
			                 first == len ? CHUNKED_END : CHUNKED_MORE);
			if (first == len)
				continue;
			assert_int_equal(feed(&d, all + first, second - first), CHUNKED_MORE);
			assert_int_equal(feed(&d, all + second, strlen(all) - second), CHUNKED_END);
			assert_int_equal(d.left, strlen(rest));
			assert_string_equal(d.text, "hello and\r\n more\r!");
		}
	}
}

static void
a_body_of_nothing_is_only_the_last_chunk(void **state)
{
	struct decoded d;

	assert_int_equal(decode(&d, "0\r\n\r\n"), CHUNKED_END);
	assert_int_equal(d.len, 0);
	assert_int_equal(decode(&d, "000;x\r\n\r\nmore"), CHUNKED_END);
	assert_int_equal(d.left, 4);
}

static void
an_ended_body_stays_ended(void **state)
{
	struct decoded d;

	assert_int_equal(decode(&d, "0\r\n\r\n"), CHUNKED_END);
	assert_int_equal(feed(&d, "5\r\nhello\r\n", 10), CHUNKED_END);
	assert_int_equal(d.left, 10);
	assert_int_equal(d.len, 0);
}

static void
what_is_not_framing_is_refused(void **state)
{
	static const char *const bad[] = {
		"\r\n",
		"g\r\n",
		"-1\r\n",
		"+1\r\nx",
		" 1\r\nx",
		"0x5\r\nhello",
		";x\r\n",
		"1\nx", /* bare LF */
		"1\r\r\nx",
		"1;x\nx",  /* bare LF in an extension */
		"1\r\nxy", /* a chunk longer than it says */
		"1\r\nx\n",
		"1\r\nx\rx",
		"1x\r\nx",
		"0\r\n\n",
		"0\r\nTrailer: t\n\r\n",
		"0\r\nTrailer: t\r\r\n",
		"0\r\n\rx",
		"1ffffffffffffffff\r\n", /* more than 64 bits */
	};

	for (size_t i = 0; i < NELEM(bad); i++) {
		struct decoded d;

		if (decode(&d, bad[i]) != CHUNKED_BAD)
			fail_msg("taken: row %zu", i);
	}
}

static void
the_largest_size_is_counted_right(void **state)
{
	struct decoded d;

	assert_int_equal(decode(&d, "ffffffffffffffff\r\nx"), CHUNKED_MORE);
	assert_true(d.chunked.left == UINT64_MAX - 1);
	assert_int_equal(decode(&d, "FfFf\r\nx"), CHUNKED_MORE);
	assert_true(d.chunked.left == 0xfffe);
}

/* Without a limit a client could send them for ever, below every other limit. */
static void
extensions_and_trailers_are_limited(void **state)
{
	struct decoded d;
	enum chunked_result r;
	unsigned sent = 0;

	assert_int_equal(decode(&d, "5;"), CHUNKED_MORE);
	while ((r = feed(&d, "a", 1)) == CHUNKED_MORE && sent < 100000)
		sent++;
	assert_int_equal(r, CHUNKED_BAD);
	assert_in_range(sent, 1000, 10000);

	assert_int_equal(decode(&d, "0\r\n"), CHUNKED_MORE);
	for (sent = 0; (r = feed(&d, "a: b\r\n", 6)) == CHUNKED_MORE && sent < 100000; sent += 6)
		;
	assert_int_equal(r, CHUNKED_BAD);
	assert_in_range(sent, 1000, 10000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_anywhere_gives_the_same_body),
		cmocka_unit_test(a_body_of_nothing_is_only_the_last_chunk),
		cmocka_unit_test(an_ended_body_stays_ended),
		cmocka_unit_test(what_is_not_framing_is_refused),
		cmocka_unit_test(the_largest_size_is_counted_right),
		cmocka_unit_test(extensions_and_trailers_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
