/* Messages from the frames of a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/codex/ws_in.h"

#define MAX ((size_t)64 << 20)

/* What was heard, as one text: "message|" "ping:payload|" "bye|". */
static char heard[4096];
static size_t heard_len, last_len;

static void
note(const char *kind, const char *bytes, size_t len)
{
	int n;

	last_len = len;
	n = snprintf(heard + heard_len, sizeof(heard) - heard_len, "%s%.*s|", kind,
	             (int)(len < 100 ? len : 100), bytes);
	heard_len += (size_t)n;
}

static void
on_message(void *arg, const char *bytes, size_t len)
{
	note("", bytes, len);
}

static void
on_ping(void *arg, const char *bytes, size_t len)
{
	note("ping:", bytes, len);
}

static void
on_goodbye(void *arg)
{
	note("bye", "", 0);
}

static const struct ws_in_handlers handlers = {
	.on_message = on_message, .on_ping = on_ping, .on_goodbye = on_goodbye};

static struct ws_in *
in_new(void)
{
	struct ws_in *in = ws_in_new(MAX, &handlers, NULL);

	assert_non_null(in);
	heard_len = 0;
	heard[0] = '\0';
	return in;
}

/* Feeds it in pieces of so many bytes. */
static const char *
feed(struct ws_in *in, const char *bytes, size_t len, size_t piece)
{
	const char *problem = NULL;

	for (size_t at = 0; at < len && problem == NULL; at += piece)
		problem = ws_in_feed(in, bytes + at, len - at < piece ? len - at : piece);
	return problem;
}

/* The head of a frame; returns its length. */
static size_t
head(char *to, unsigned first, uint64_t len)
{
	size_t at = len < 126 ? 2 : len < 65536 ? 4 : 10;

	to[0] = (char)first;
	to[1] = (char)(at == 2 ? len : at == 4 ? 126 : 127);
	for (size_t i = at - 1; i >= 2; i--, len >>= 8)
		to[i] = (char)(len & 255);
	return at;
}

/* --- what it understands --------------------------------------------------------------------- */

static void
messages_arrive_the_same_in_pieces_of_any_size(void **state)
{
	static const char frames[] = "\x81\x05"
				     "hello"
				     "\x01\x02"
				     "fr"
				     "\x89\x02"
				     "hi" /* a ping between the fragments */
				     "\x00\x02"
				     "ag"
				     "\x8a\x01p" /* a pong that nobody asked for */
				     "\x80\x00"  /* an empty last one */
				     "\x81\x00"  /* an empty message is none */
				     "\x89\x00"
				     "\x82\x03"
				     "bin"
				     "\x01\x00"
				     "\x80\x01"
				     "x"
				     "\x88\x02\x03\xe8";

	for (size_t piece = 1; piece < sizeof(frames); piece++) {
		struct ws_in *in = in_new();

		assert_null(feed(in, frames, sizeof(frames) - 1, piece));
		assert_string_equal(heard, "hello|ping:hi|frag|ping:|bin|x|bye|");
		ws_in_free(in);
	}
}

static void
lengths_of_every_form_are_understood(void **state)
{
	static const size_t lens[] = {1, 125, 126, 127, 4091, 4092, 4093, 65535, 65536, 200000};
	static const size_t pieces[] = {1, 7, 4096, 65536, 300000};

	for (size_t i = 0; i < NELEM(lens) * NELEM(pieces); i++) {
		size_t len = lens[i / NELEM(pieces)], at;
		AUTO_FREE char *frame = malloc(len + 10 + 3);
		struct ws_in *in = in_new();

		at = head(frame, 0x81, len);
		memset(frame + at, 'y', len);
		memcpy(frame + at + len, "\x81\x01z", 3);
		assert_null(feed(in, frame, at + len, pieces[i % NELEM(pieces)]));
		assert_int_equal(last_len, len);
		assert_null(feed(in, frame + at + len, 3, 3));
		assert_int_equal(last_len, 1);
		ws_in_free(in);
	}
}

static void
frames_of_16_mebibytes_make_one_of_64(void **state)
{
	size_t len = (size_t)16 << 20;
	AUTO_FREE char *frame = malloc(len + 10);
	struct ws_in *in = in_new();

	for (unsigned i = 0; i < 4; i++) {
		size_t at = head(frame, (i == 0 ? 1 : 0) | (i == 3 ? 0x80 : 0), len);

		memset(frame + at, 'a' + (int)i, len);
		assert_null(feed(in, frame, at + len, 65536));
	}
	assert_int_equal(last_len, MAX);
	assert_int_equal(heard[0], 'a');
	assert_null(feed(in, "\x81\x01z", 3, 3)); /* and small ones are themselves again */
	assert_int_equal(last_len, 1);
	ws_in_free(in);
}

/* --- what it refuses ------------------------------------------------------------------------- */

static void
assert_refused(const char *bytes, size_t len, const char *why)
{
	for (size_t piece = 1; piece <= len; piece++) {
		struct ws_in *in = in_new();
		const char *problem = feed(in, bytes, len, piece);

		assert_non_null(problem);
		if (strstr(problem, why) == NULL)
			fail_msg("%s: not %s", problem, why);
		assert_string_equal(heard, "");
		ws_in_free(in);
	}
}

#define REFUSED(bytes, why) assert_refused(bytes, sizeof(bytes) - 1, why)

static void
what_a_server_may_not_send_is_refused_with_a_reason(void **state)
{
	REFUSED("\x81\x82\x01\x02\x03\x04xx", "masked");
	REFUSED("\xc1\x01x", "extension");
	REFUSED("\x91\x01x", "extension");
	REFUSED("\x83\x01x", "unknown kind");
	REFUSED("\x8b\x01x", "unknown kind");
	REFUSED("\x80\x01x", "out of order");              /* goes on with nothing */
	REFUSED("\x01\x01x\x81\x01y", "out of order");     /* begins in the middle of another */
	REFUSED("\x09\x01x", "no WebSocket frame");        /* a control frame in pieces */
	REFUSED("\x89\x7e\x00\x7e", "no WebSocket frame"); /* and a long one */
	REFUSED("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "no WebSocket frame");
}

static void
a_message_over_the_limit_is_refused_by_its_length(void **state)
{
	struct ws_in *in = in_new();
	AUTO_FREE char *frame = malloc(((size_t)32 << 20) + 10);
	size_t at;

	memset(frame, 'x', ((size_t)32 << 20) + 10);
	at = head(frame, 0x81, MAX + 1);
	assert_non_null(strstr(feed(in, frame, at + 1, 65536), "over 67108864 bytes"));
	ws_in_free(in);

	in = in_new(); /* in fragments: the third one is too much */
	at = head(frame, 0x01, (uint64_t)32 << 20);
	assert_null(feed(in, frame, at + ((size_t)32 << 20), 65536));
	frame[0] = 0;
	assert_null(feed(in, frame, at + ((size_t)32 << 20), 65536));
	assert_non_null(strstr(feed(in, "\x80\x01x", 3, 3), "over 67108864 bytes"));
	ws_in_free(in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_arrive_the_same_in_pieces_of_any_size),
		cmocka_unit_test(lengths_of_every_form_are_understood),
		cmocka_unit_test(frames_of_16_mebibytes_make_one_of_64),
		cmocka_unit_test(what_a_server_may_not_send_is_refused_with_a_reason),
		cmocka_unit_test(a_message_over_the_limit_is_refused_by_its_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
