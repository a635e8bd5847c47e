/* Stop sequences: in whatever pieces a text comes, the same is found as by looking at all of it.
 *
 * Input: a JSON array of sequences; a line whose bytes say how long the pieces are; the text, as
 * the inside of a JSON string, or raw. */
#include "proxy/api/stop_scan.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

/* The text as it is meant: each byte, and where in the escaped text its character begins. */
struct meant {
	unsigned char *bytes;
	size_t *starts;
	size_t len;
};

static unsigned
unit_at(const char *escape)
{
	unsigned value = 0;

	HOLDS(sscanf(escape, "\\u%4x", &value) == 1);
	return value;
}

static void
add_byte(struct meant *m, unsigned byte, size_t start)
{
	m->bytes[m->len] = (unsigned char)byte;
	m->starts[m->len++] = start;
}

static void
add_character(struct meant *m, unsigned c, size_t start)
{
	if (c < 0x80) {
		add_byte(m, c, start);
	} else if (c < 0x800) {
		add_byte(m, 0xc0 + c / 0x40, start);
		add_byte(m, 0x80 + c % 0x40, start);
	} else if (c < 0x10000) {
		add_byte(m, 0xe0 + c / 0x1000, start);
		add_byte(m, 0x80 + c / 0x40 % 0x40, start);
		add_byte(m, 0x80 + c % 0x40, start);
	} else {
		add_byte(m, 0xf0 + c / 0x40000, start);
		add_byte(m, 0x80 + c / 0x1000 % 0x40, start);
		add_byte(m, 0x80 + c / 0x40 % 0x40, start);
		add_byte(m, 0x80 + c % 0x40, start);
	}
}

/* text: a valid inside of a JSON string, with NUL behind it. */
static struct meant
decode(const char *text, size_t len)
{
	static const char escapes[] = "bfnrt", means[] = "\b\f\n\r\t";
	struct meant m = {.bytes = malloc(len + 1), .starts = calloc(len + 1, sizeof(size_t))};

	HOLDS(m.bytes != NULL && m.starts != NULL);
	for (size_t at = 0, used; at < len; at += used) {
		const char *known;
		unsigned unit;

		used = 1;
		if (text[at] != '\\') {
			add_byte(&m, (unsigned char)text[at], at);
			continue;
		}
		used = 2;
		known = strchr(escapes, text[at + 1]);
		if (known != NULL) {
			add_character(&m, (unsigned char)means[known - escapes], at);
		} else if (text[at + 1] == 'u') {
			used = 6;
			unit = unit_at(text + at);
			if (unit >= 0xd800 && unit < 0xdc00) {
				used = 12;
				unit = 0x10000 + (unit - 0xd800) * 0x400 +
				       (unit_at(text + at + 6) - 0xdc00);
			}
			add_character(&m, unit, at);
		} else {
			add_character(&m, (unsigned char)text[at + 1], at);
		}
	}
	return m;
}

/* The sequence that ends first, and of those the longest: where it begins in the escaped text.
 * False: there is none. */
static bool
find(const struct meant *m, const json_t *sequences, size_t *cut)
{
	for (size_t end = 1; end <= m->len; end++) {
		size_t longest = 0;

		for (size_t i = 0; i < json_array_size(sequences); i++) {
			const json_t *q = json_array_get(sequences, i);
			size_t len = json_string_length(q);

			if (len <= end && len > longest &&
			    memcmp(m->bytes + end - len, json_string_value(q), len) == 0)
				longest = len;
		}
		if (longest > 0) {
			*cut = m->starts[end - longest];
			return true;
		}
	}
	return false;
}

/* How many of the last bytes of the first n may become a sequence. */
static size_t
pending(const struct meant *m, size_t n, const json_t *sequences)
{
	size_t longest = 0;

	for (size_t i = 0; i < json_array_size(sequences); i++) {
		const json_t *q = json_array_get(sequences, i);

		for (size_t len = longest + 1; len < json_string_length(q) && len <= n; len++)
			if (memcmp(m->bytes + n - len, json_string_value(q), len) == 0)
				longest = len;
	}
	return longest;
}

/* What may be sent of the first fed bytes: all but what may become a sequence. fed is the
 * beginning of a character, or the end. */
static size_t
sendable(const struct meant *m, size_t fed, const json_t *sequences)
{
	size_t n = 0, held;

	while (n < m->len && m->starts[n] < fed)
		n++;
	held = pending(m, n, sequences);
	return held > 0 ? m->starts[n - held] : fed;
}

static bool
begins_character(const struct meant *m, size_t at, size_t text_len)
{
	for (size_t i = 0; i < m->len; i++)
		if (m->starts[i] == at)
			return true;
	return at == text_len;
}

static void
check(struct stop_scan *s, const json_t *sequences, const char *text, size_t len,
      const struct meant *m, const char *cuts, size_t cuts_len)
{
	struct json_buf sent = {.data = NULL};
	size_t cut = 0, fed = 0, n = 0;
	bool stops = find(m, sequences, &cut);
	enum stop_found found = STOP_NONE;
	const char *out;
	size_t out_len;

	while (fed < len && found == STOP_NONE) {
		size_t piece = cuts_len > 0 ? (unsigned char)cuts[n++ % cuts_len] % 64 : len;

		if (piece > len - fed)
			piece = len - fed;
		if (piece == 0 && n % 2 == 0)
			piece = 1;
		found = stop_scan_feed(s, text + fed, piece, &out, &out_len);
		json_buf_append(&sent, out, out_len);
		fed += piece;
		HOLDS(found != STOP_NO_MEMORY && sent.len <= fed);
		/* no more is held back than has to be */
		if (found == STOP_NONE && len <= 128 && begins_character(m, fed, len))
			HOLDS(sent.len == sendable(m, fed, sequences));
	}
	HOLDS((found == STOP_HIT) == stops);
	stop_scan_flush(s, &out, &out_len);
	json_buf_append(&sent, out, out_len);
	HOLDS(sent.len == (stops ? cut : len));
	HOLDS(sent.len == 0 || memcmp(sent.data, text, sent.len) == 0);
	json_buf_free(&sent);
}

/* NULL: none that a request may have. */
static json_t *
read_sequences(const char *text, size_t len)
{
	json_t *list = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
	bool fine = json_is_array(list) && json_array_size(list) > 0 &&
	            json_array_size(list) <= STOP_SEQUENCES_MAX;

	for (size_t i = 0; fine && i < json_array_size(list); i++) {
		size_t bytes = json_string_length(json_array_get(list, i));

		fine = bytes >= 1 && bytes <= STOP_SEQUENCE_BYTES_MAX;
	}
	if (fine)
		return list;
	json_decref(list);
	return NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data, *line, *cuts = "";
	size_t left = size, line_len, cuts_len = 0;
	struct json_buf text = {.data = NULL};
	json_t *sequences;
	struct stop_scan *s;
	struct meant m;

	if (!fuzz_line(&rest, &left, &line, &line_len) ||
	    (sequences = read_sequences(line, line_len)) == NULL)
		return 0;
	(void)fuzz_line(&rest, &left, &cuts, &cuts_len);
	if (fuzz_escaped(&text, rest, left)) {
		s = stop_scan_new(sequences);
		HOLDS(s != NULL);
		m = decode(text.data, text.len);
		check(s, sequences, text.data, text.len, &m, cuts, cuts_len);
		stop_scan_reset(s);
		check(s, sequences, text.data, text.len, &m, NULL, 0);
		free(m.bytes);
		free(m.starts);
		stop_scan_free(s);
	}
	json_buf_free(&text);
	json_decref(sequences);
	return 0;
}
