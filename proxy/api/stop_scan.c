/* stop_scan: finds stop sequences in a text that comes in pieces, and cuts the text before them.
 *
 * Each sequence has its own Knuth-Morris-Pratt state, driven by the decoded bytes of the text. What
 * may become a sequence is always the last bytes of the text, and begins with a character: both are
 * UTF-8. So it is enough to know where in the escaped text each of the last decoded bytes began. */
#include "proxy/api/stop_scan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

#define RING         STOP_SEQUENCE_BYTES_MAX
#define ESCAPE_CHARS 6  /* \uXXXX */
#define PAIR_CHARS   12 /* two of them: one character */

struct sequence {
	size_t len;
	size_t matched; /* so many of its bytes are the last bytes of the text */
	unsigned char bytes[STOP_SEQUENCE_BYTES_MAX];
	/* Of the first n + 1 bytes: the longest end that is a beginning too. */
	uint16_t borders[STOP_SEQUENCE_BYTES_MAX];
};

struct stop_scan {
	struct json_buf text; /* what the last call gave out, then what is held back */
	size_t given;         /* the length of the first of them */
	/* Where in `text` the character of each of the last decoded bytes begins, by their number
	 * in the decoded text. */
	size_t starts[RING];
	size_t decoded; /* bytes so far */
	/* An escape that has begun; its first byte is at escape_at in `text`. */
	char escape[PAIR_CHARS];
	size_t escape_len;
	size_t escape_at;
	bool hit;
	size_t cut; /* with hit: where in `text` the sequence begins */
	size_t count;
	struct sequence sequences[];
};

static void
sequence_init(struct sequence *q, const char *text, size_t len)
{
	size_t border = 0;

	q->len = len;
	memcpy(q->bytes, text, len);
	for (size_t i = 1; i < len; i++) {
		while (border > 0 && q->bytes[i] != q->bytes[border])
			border = q->borders[border - 1];
		border += q->bytes[i] == q->bytes[border];
		q->borders[i] = (uint16_t)border;
	}
}

struct stop_scan *
stop_scan_new(const json_t *sequences)
{
	size_t count = json_array_size(sequences);
	struct stop_scan *s = calloc(1, sizeof(*s) + count * sizeof(s->sequences[0]));

	if (s == NULL)
		return NULL;
	s->count = count;
	for (size_t i = 0; i < count; i++) {
		const json_t *text = json_array_get(sequences, i);

		sequence_init(&s->sequences[i], json_string_value(text), json_string_length(text));
	}
	return s;
}

void
stop_scan_free(struct stop_scan *s)
{
	if (s == NULL)
		return;
	json_buf_free(&s->text);
	free(s);
}

static void
forget_matches(struct stop_scan *s)
{
	for (size_t i = 0; i < s->count; i++)
		s->sequences[i].matched = 0;
	s->escape_len = 0;
}

void
stop_scan_reset(struct stop_scan *s)
{
	forget_matches(s);
	s->text.len = 0;
	s->given = 0;
	s->decoded = 0;
	s->hit = false;
}

/* One byte of the decoded text; start: where in `text` its character begins. */
static void
take_byte(struct stop_scan *s, unsigned char byte, size_t start)
{
	size_t longest = 0;

	s->starts[s->decoded++ % RING] = start;
	for (size_t i = 0; i < s->count; i++) {
		struct sequence *q = &s->sequences[i];

		while (q->matched > 0 && q->bytes[q->matched] != byte)
			q->matched = q->borders[q->matched - 1];
		q->matched += q->bytes[q->matched] == byte;
		if (q->matched == q->len && q->len > longest)
			longest = q->len;
	}
	if (longest == 0)
		return;
	s->hit = true;
	s->cut = s->starts[(s->decoded - longest) % RING];
}

/* A half of a pair that stands alone gives bytes that are in no UTF-8, and so in no sequence. */
static void
take_character(struct stop_scan *s, uint32_t c, size_t start)
{
	unsigned char bytes[4];
	size_t len = 0;

	if (c < 0x80) {
		bytes[len++] = (unsigned char)c;
	} else if (c < 0x800) {
		bytes[len++] = (unsigned char)(0xc0 | c >> 6);
		bytes[len++] = (unsigned char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		bytes[len++] = (unsigned char)(0xe0 | c >> 12);
		bytes[len++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
		bytes[len++] = (unsigned char)(0x80 | (c & 0x3f));
	} else {
		bytes[len++] = (unsigned char)(0xf0 | c >> 18);
		bytes[len++] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
		bytes[len++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
		bytes[len++] = (unsigned char)(0x80 | (c & 0x3f));
	}
	for (size_t i = 0; i < len && !s->hit; i++)
		take_byte(s, bytes[i], start);
}

/* Of \uXXXX; the text is valid JSON, so they are hexadecimal digits. */
static uint32_t
code_unit(const char *escape)
{
	uint32_t value = 0;

	for (size_t i = 2; i < ESCAPE_CHARS; i++) {
		char c = escape[i];

		value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value & 0xffff;
}

static bool
is_high(uint32_t unit)
{
	return unit >= 0xd800 && unit < 0xdc00;
}

static bool
is_low(uint32_t unit)
{
	return unit >= 0xdc00 && unit < 0xe000;
}

static uint32_t
short_escape(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return (unsigned char)c;
	}
}

/* The first n characters of the escape are told: c. */
static void
end_escape(struct stop_scan *s, size_t n, uint32_t c)
{
	take_character(s, c, s->escape_at);
	s->escape_len -= n;
	s->escape_at += n;
	memmove(s->escape, s->escape + n, s->escape_len);
}

/* As far as the escape can be told by now. */
static void
read_escape(struct stop_scan *s)
{
	uint32_t first;

	if (s->escape_len < 2)
		return;
	if (s->escape[1] != 'u') {
		end_escape(s, 2, short_escape(s->escape[1]));
		return;
	}
	if (s->escape_len < ESCAPE_CHARS)
		return;
	first = code_unit(s->escape);
	if (!is_high(first)) {
		end_escape(s, ESCAPE_CHARS, first);
	} else if (s->escape_len > ESCAPE_CHARS + 1 && s->escape[ESCAPE_CHARS + 1] != 'u') {
		end_escape(s, ESCAPE_CHARS, first);
		read_escape(s);
	} else if (s->escape_len == PAIR_CHARS) {
		uint32_t second = code_unit(s->escape + ESCAPE_CHARS);

		if (is_low(second)) {
			end_escape(s, PAIR_CHARS,
			           0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
		} else {
			end_escape(s, ESCAPE_CHARS, first);
			read_escape(s);
		}
	}
}

/* The byte at `at` in `text`. */
static void
take(struct stop_scan *s, size_t at)
{
	char c = s->text.data[at];

	/* Something else behind the half of a pair. */
	if (s->escape_len == ESCAPE_CHARS && c != '\\')
		end_escape(s, ESCAPE_CHARS, code_unit(s->escape));
	if (s->hit)
		return;
	if (s->escape_len == 0 && c != '\\') {
		take_byte(s, (unsigned char)c, at);
		return;
	}
	if (s->escape_len == 0)
		s->escape_at = at;
	s->escape[s->escape_len++] = c;
	read_escape(s);
}

/* Drops what has been given out. Where things begin moves with the text; what lies before it wraps
 * around, and is not asked for any more. */
static void
drop_given(struct stop_scan *s)
{
	if (s->given == 0)
		return;
	s->text.len -= s->given;
	memmove(s->text.data, s->text.data + s->given, s->text.len);
	for (size_t i = 0; i < RING; i++)
		s->starts[i] -= s->given;
	s->escape_at -= s->given;
	s->given = 0;
}

/* How much of `text` is in no beginning of a sequence. */
static size_t
free_length(const struct stop_scan *s)
{
	size_t longest = 0;

	for (size_t i = 0; i < s->count; i++)
		if (s->sequences[i].matched > longest)
			longest = s->sequences[i].matched;
	if (longest > 0)
		return s->starts[(s->decoded - longest) % RING];
	return s->escape_len > 0 ? s->escape_at : s->text.len;
}

enum stop_found
stop_scan_feed(struct stop_scan *s, const char *escaped, size_t len, const char **out,
               size_t *out_len)
{
	size_t at;

	*out = "";
	*out_len = 0;
	if (s->hit)
		return STOP_HIT;
	drop_given(s);
	at = s->text.len;
	json_buf_append(&s->text, escaped, len);
	if (s->text.failed)
		return STOP_NO_MEMORY;
	while (at < s->text.len && !s->hit)
		take(s, at++);
	s->given = s->hit ? s->cut : free_length(s);
	if (s->given > 0)
		*out = s->text.data;
	*out_len = s->given;
	return s->hit ? STOP_HIT : STOP_NONE;
}

void
stop_scan_flush(struct stop_scan *s, const char **out, size_t *out_len)
{
	*out = "";
	*out_len = 0;
	if (s->hit)
		return;
	drop_given(s);
	forget_matches(s);
	s->given = s->text.len;
	if (s->given > 0)
		*out = s->text.data;
	*out_len = s->given;
}
