/* Stop sequences in escaped text: wherever the text is cut, the same is found, and no more is held
 * back than may become a sequence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/json.h"
#include "proxy/api/stop_scan.h"

static struct stop_scan *
scan_new(const char *sequences)
{
	json_auto_t *list = json_parse(sequences, strlen(sequences), NULL);
	struct stop_scan *s = stop_scan_new(list);

	assert_non_null(s);
	return s;
}

static enum stop_found
feed(struct stop_scan *s, const char *text, size_t len, struct json_buf *out)
{
	/* a copy of its own: a read past the end is seen by the sanitizer */
	AUTO_FREE char *copy = malloc(len > 0 ? len : 1);
	enum stop_found found;
	const char *piece;
	size_t piece_len;

	assert_non_null(copy);
	memcpy(copy, text, len);
	found = stop_scan_feed(s, copy, len, &piece, &piece_len);
	json_buf_append(out, piece, piece_len);
	return found;
}

static void
flush(struct stop_scan *s, struct json_buf *out)
{
	const char *piece;
	size_t piece_len;

	stop_scan_flush(s, &piece, &piece_len);
	json_buf_append(out, piece, piece_len);
}

struct row {
	const char *sequences; /* JSON */
	const char *text;      /* escaped */
	const char *before;    /* escaped: what comes before the sequence; NULL: there is none */
};

static const struct row rows[] = {
	{"[\"END\"]",                   "hello END more",                          "hello "                  },
	{"[\"END\"]",                   "hello EN",                                NULL                      },
	{"[\"END\"]",                   "ENEND",				   "EN"                      },
	{"[\"END\"]",                   "END",				     ""                        },
	{"[\"aab\"]",                   "aaab",				    "a"                       },
	{"[\"abab\",\"x\"]",            "ababab",                                  ""                        },
	{"[\"abcabd\"]",                "abcabcabd.",                              "abc"                     },
	{"[\"abcd\",\"bc\"]",           "zabcd",                                   "za"                      }, /* ends first */
	{"[\"c\",\"abc\"]",             "zabc",				    "z"                       }, /* begins first */
	{"[\"\\n\\n\"]",                "a\\n\\nb",                                "a"                       },
	{"[\"\\n\\n\"]",                "a\\u000a\\u000Ab",                        "a"                       },
	{"[\"\\n\"]",                   "a\\\\nb",				 NULL                      }, /* a backslash and an n */
	{"[\"\\\\n\"]",                 "a\\\\nb",                                 "a"                       },
	{"[\"\\\\\"]",                  "a\\nb\\\\",                               "a\\nb"                   },
	{"[\"\\\"\"]",                  "say \\\"hi\\\"",                          "say "                    },
	{"[\"u0041\"]",                 "\\u0041",                                 NULL                      },
	{"[\"A\"]",		     "x\\u0041",				"x"                       },
	{"[\"\\u0000\"]",               "x\\u0000y",                               "x"                       },
	{"[\"/\"]",		     "x\\/y",				   "x"                       },
	{"[\"\\b\\f\\r\\t\"]",          "x\\b\\f\\r\\ty",                          "x"                       },
	{"[\"\xc3\xb6\"]",              "\xc3\xa4\xc3\xb6",                        "\xc3\xa4"                },
	{"[\"\xc3\xb6\"]",              "\xc3\xa4\\u00f6",                         "\xc3\xa4"                },
	{"[\"\xe2\x82\xac\"]",          "5 \\u20aC",                               "5 "                      },
	{"[\"\xf0\x9f\x98\x80\"]",      "a\\ud83d\\ude00b",                        "a"                       },
	{"[\"\xf0\x9f\x98\x80\"]",      "a\xf0\x9f\x98\x81\xf0\x9f\x98\x80",       "a\xf0\x9f\x98\x81"       },
	{"[\"\xf0\x9f\x98\x80x\"]",     "\\ud83d\\ude00\\ud83d\\ude00x",           "\\ud83d\\ude00"          },
	{"[\"nothing\",\"of\",\"it\"]", "\\\"\\\\\\/\\b\\f\\n\\r\\t\xc3\xb6 noth", NULL                      },
	{"[\"</s>\",\"User:\"]",        "a <b> </ s> Use User\\n:User:",           "a <b> </ s> Use User\\n:"},
};

/* In three pieces. */
static void
check_row(const struct row *row, size_t first_cut, size_t second_cut)
{
	struct stop_scan *s = scan_new(row->sequences);
	struct json_buf out = {.data = NULL};
	const char *expected = row->before != NULL ? row->before : row->text;
	size_t len = strlen(row->text);
	enum stop_found found = feed(s, row->text, first_cut, &out);

	if (found == STOP_NONE)
		found = feed(s, row->text + first_cut, second_cut - first_cut, &out);
	if (found == STOP_NONE)
		found = feed(s, row->text + second_cut, len - second_cut, &out);
	assert_int_equal(found, row->before != NULL ? STOP_HIT : STOP_NONE);
	flush(s, &out);
	json_buf_append(&out, "", 1);
	assert_string_equal(out.data, expected);
	/* nothing comes after a hit */
	out.len = 0;
	if (found == STOP_HIT) {
		assert_int_equal(feed(s, "more", 4, &out), STOP_HIT);
		flush(s, &out);
		assert_int_equal(out.len, 0);
	}
	json_buf_free(&out);
	stop_scan_free(s);
}

static void
cut_anywhere_the_same_is_found(void **state)
{
	for (size_t i = 0; i < NELEM(rows); i++)
		for (size_t a = 0; a <= strlen(rows[i].text); a++)
			for (size_t b = a; b <= strlen(rows[i].text); b++)
				check_row(&rows[i], a, b);
}

static void
byte_by_byte_the_same_is_found(void **state)
{
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct stop_scan *s = scan_new(rows[i].sequences);

		/* twice: a reset forgets everything */
		for (int round = 0; round < 2; round++) {
			struct json_buf out = {.data = NULL};
			enum stop_found found = STOP_NONE;

			for (const char *at = rows[i].text; *at != '\0' && found == STOP_NONE; at++)
				found = feed(s, at, 1, &out);
			flush(s, &out);
			json_buf_append(&out, "", 1);
			assert_string_equal(out.data,
			                    rows[i].before != NULL ? rows[i].before : rows[i].text);
			json_buf_free(&out);
			stop_scan_reset(s);
			/* and so it does in the middle */
			assert_int_equal(feed(s, rows[i].text, 1, &out),
			                 strlen(rows[i].text) == 1 ? found : STOP_NONE);
			json_buf_free(&out);
			stop_scan_reset(s);
		}
		stop_scan_free(s);
	}
}

/* What has come out after each of the pieces. */
static void
assert_released(const char *sequences, const char *const *pieces, const char *const *released)
{
	struct stop_scan *s = scan_new(sequences);

	for (size_t i = 0; pieces[i] != NULL; i++) {
		struct json_buf out = {.data = NULL};

		assert_int_equal(feed(s, pieces[i], strlen(pieces[i]), &out), STOP_NONE);
		json_buf_append(&out, "", 1);
		assert_string_equal(out.data, released[i]);
		json_buf_free(&out);
	}
	stop_scan_free(s);
}

static void
no_more_is_held_back_than_may_become_a_sequence(void **state)
{
	static const char *const pieces[] = {"a", "bE", "N", "x", "END", NULL};
	static const char *const released[] = {"a", "b", "", "ENx", ""};
	static const char *const repeated[] = {"aaaa", "a", "c", NULL};
	static const char *const repeated_out[] = {"aa", "a", "aac"};
	static const char *const escapes[] = {"x\\n", "\\\"y", "\\u000a", "z", NULL};
	static const char *const escapes_out[] = {"x", "\\n\\\"y", "", "\\u000az"};
	static const char *const umlauts[] = {"\xc3\xb6", "\xc3\xa4", "\\u00f6", NULL};
	static const char *const umlauts_out[] = {"", "\xc3\xb6\xc3\xa4", ""};

	assert_released("[\"ENDING\",\"Ex\"]", pieces, released);
	assert_released("[\"aab\"]", repeated, repeated_out);
	assert_released("[\"\\n\\n\"]", escapes, escapes_out);
	assert_released("[\"\xc3\xb6!\"]", umlauts, umlauts_out);
}

static void
no_sequence_goes_over_a_flush(void **state)
{
	struct stop_scan *s = scan_new("[\"END\"]");
	struct json_buf out = {.data = NULL};

	assert_int_equal(feed(s, "xEN", 3, &out), STOP_NONE);
	flush(s, &out);
	assert_int_equal(feed(s, "D END", 5, &out), STOP_HIT);
	json_buf_append(&out, "", 1);
	assert_string_equal(out.data, "xEND ");
	json_buf_free(&out);
	stop_scan_free(s);
}

/* Not in what codex sends; all the same nothing is lost, and nothing is read twice. */
static void
halves_of_pairs_go_through(void **state)
{
	static const char *const texts[] = {
		"\\ud83d",        "\\ud83dx",         "\\ud83d\\n", "\\ud83d\\ud83d\\ude00",
		"\\ude00\\ud83d", "\\ud83d\\u0041\\", "\\ud83d\\",  "\\u00",
	};

	for (size_t i = 0; i < NELEM(texts); i++) {
		const struct row row = {"[\"no\",\"\xf0\x9f\x98\x80!\"]", texts[i], NULL};

		for (size_t a = 0; a <= strlen(texts[i]); a++)
			for (size_t b = a; b <= strlen(texts[i]); b++)
				check_row(&row, a, b);
	}
	for (size_t a = 0; a <= 12; a++) {
		const struct row row = {"[\"A\"]", "\\ud83d\\u0041", "\\ud83d"};

		check_row(&row, a, 12);
	}
}

static void
the_longest_sequences_are_found_in_a_long_text(void **state)
{
	json_auto_t *list = json_array();
	struct json_buf text = {.data = NULL}, out = {.data = NULL};
	enum stop_found found = STOP_NONE;
	char sequence[STOP_SEQUENCE_BYTES_MAX];
	struct stop_scan *s;

	memset(sequence, 'a', sizeof(sequence));
	sequence[sizeof(sequence) - 1] = 'b';
	for (int i = 0; i < STOP_SEQUENCES_MAX; i++) {
		json_array_append_new(list, json_stringn(sequence, sizeof(sequence)));
		sequence[0]--;
	}
	s = stop_scan_new(list);
	assert_non_null(s);
	for (int i = 0; i < 10000; i++)
		json_buf_append(&text, "\\u0061", 6);
	json_buf_append(&text, "b", 1);
	for (size_t at = 0; at < text.len && found == STOP_NONE; at += 7)
		found = feed(s, text.data + at, text.len - at < 7 ? text.len - at : 7, &out);
	assert_int_equal(found, STOP_HIT);
	assert_int_equal(out.len, (10000 - (sizeof(sequence) - 1)) * 6);
	json_buf_free(&text);
	json_buf_free(&out);
	stop_scan_free(s);
}

/* --- against a search that is too simple to be wrong ----------------------------------------- */

static uint32_t chance_state;

static uint32_t
chance(uint32_t below)
{
	chance_state = chance_state * 1664525u + 1013904223u;
	return (chance_state >> 8) % below;
}

/* Few characters, so that much of it looks like a sequence; each in several spellings. */
static void
random_text(struct json_buf *out, uint32_t characters)
{
	static const char *const spellings[] = {
		"a",
		"\\u0061",
		"b",
		"\\u0062",
		"\\n",
		"\\u000A",
		"\xc3\xa4",
		"\\u00e4",
		"\\\\",
		"\xf0\x9f\x98\x80",
		"\\ud83d\\ude00",
		"\xc3\xb6",
	};

	for (uint32_t n = 0; n < characters; n++) {
		const char *spelling = spellings[chance(NELEM(spellings))];

		json_buf_append(out, spelling, strlen(spelling));
	}
	json_buf_append(out, "", 1);
	out->len--;
}

static json_t *
decoded(const struct json_buf *escaped)
{
	struct json_buf quoted = {.data = NULL};
	json_t *text;

	json_buf_append(&quoted, "\"", 1);
	json_buf_append(&quoted, escaped->data, escaped->len);
	json_buf_append(&quoted, "\"", 1);
	text = json_parse(quoted.data, quoted.len, NULL);
	assert_non_null(text);
	json_buf_free(&quoted);
	return text;
}

/* Where the text must end, and whether a sequence is why: the first that is complete, and of those
 * the longest. */
static bool
find_simply(const json_t *text, const json_t *sequences, size_t *end)
{
	const char *bytes = json_string_value(text);
	json_t *sequence;
	size_t i;
	bool found = false;

	*end = json_string_length(text);
	for (size_t n = 1; n <= json_string_length(text) && !found; n++) {
		json_array_foreach(sequences, i, sequence) {
			size_t len = json_string_length(sequence);

			if (len > n ||
			    memcmp(bytes + n - len, json_string_value(sequence), len) != 0)
				continue;
			if (!found || n - len < *end)
				*end = n - len;
			found = true;
		}
	}
	return found;
}

static void
check_by_chance(void)
{
	struct json_buf text = {.data = NULL}, out = {.data = NULL};
	json_auto_t *sequences = json_array();
	json_auto_t *said = NULL;
	json_auto_t *expected = NULL;
	enum stop_found found = STOP_NONE;
	struct stop_scan *s;
	size_t end;

	for (uint32_t n = 1 + chance(STOP_SEQUENCES_MAX); n > 0; n--) {
		struct json_buf sequence = {.data = NULL};

		random_text(&sequence, 1 + chance(4));
		assert_int_equal(json_array_append_new(sequences, decoded(&sequence)), 0);
		json_buf_free(&sequence);
	}
	random_text(&text, chance(40));
	expected = decoded(&text);
	s = stop_scan_new(sequences);
	assert_non_null(s);
	for (size_t at = 0; at < text.len && found == STOP_NONE;) {
		size_t len = 1 + chance(8);

		len = len < text.len - at ? len : text.len - at;
		found = feed(s, text.data + at, len, &out);
		at += len;
	}
	flush(s, &out);
	said = decoded(&out);
	assert_int_equal(found, find_simply(expected, sequences, &end) ? STOP_HIT : STOP_NONE);
	assert_int_equal(json_string_length(said), end);
	assert_memory_equal(json_string_value(said), json_string_value(expected), end);
	json_buf_free(&text);
	json_buf_free(&out);
	stop_scan_free(s);
}

static void
by_chance_the_same_is_found_as_by_a_simple_search(void **state)
{
	for (chance_state = 0; chance_state < 20000; chance_state++) {
		uint32_t seed = chance_state;

		check_by_chance();
		chance_state = seed;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_anywhere_the_same_is_found),
		cmocka_unit_test(byte_by_byte_the_same_is_found),
		cmocka_unit_test(no_more_is_held_back_than_may_become_a_sequence),
		cmocka_unit_test(no_sequence_goes_over_a_flush),
		cmocka_unit_test(halves_of_pairs_go_through),
		cmocka_unit_test(by_chance_the_same_is_found_as_by_a_simple_search),
		cmocka_unit_test(the_longest_sequences_are_found_in_a_long_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
