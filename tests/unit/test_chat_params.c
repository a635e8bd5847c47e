/* The table of parameters in docs/chat-completions.md, row by row: what it promises is so, and no
 * parameter is missing in it. Run from the root of the source tree. */
#include "tests/unit/chat_request_check.h"

#define DOCUMENT "docs/chat-completions.md"

enum fate { TAKEN, IGNORED, REFUSED };

/* Of every parameter: what becomes of a value; with `more` members that it needs. */
static const struct row {
	const char *name;
	enum fate fate;
	const char *value;
	const char *more;
} rows[] = {
	{"audio",		  REFUSED, "{\"voice\":\"x\"}",        ""                },
	{"frequency_penalty",      IGNORED, "0.5",                      ""                },
	{"function_call",          TAKEN,   "\"auto\"",                 ""                },
	{"function_call",          REFUSED, "\"required\"",             ""                },
	{"functions",              TAKEN,   "[{\"name\":\"f\"}]",       ""                },
	{"functions",              REFUSED, "[{\"name\":\"\"}]",        ""                },
	{"logit_bias",             IGNORED, "{\"5\":1}",                ""                },
	{"logprobs",               TAKEN,   "false",                    ""                },
	{"logprobs",               REFUSED, "true",                     ""                },
	{"max_completion_tokens",  IGNORED, "5",                        ""                },
	{"max_tokens",             IGNORED, "5",                        ""                },
	{"metadata",               IGNORED, "{\"a\":\"b\"}",            ""                },
	{"modalities",             TAKEN,   "[\"text\"]",               ""                },
	{"modalities",             REFUSED, "[\"audio\"]",              ""                },
	{"model",		  TAKEN,   "\"m\"",                    ""                },
	{"model",		  REFUSED, "1",                        ""                },
	{"n",		      TAKEN,   "8",                        ""                },
	{"n",		      REFUSED, "9",                        ""                },
	{"parallel_tool_calls",    TAKEN,   "false",                    ""                },
	{"parallel_tool_calls",    REFUSED, "0",                        ""                },
	{"prediction",             IGNORED, "{}",                       ""                },
	{"presence_penalty",       IGNORED, "0.5",                      ""                },
	{"prompt_cache_key",       IGNORED, "\"k\"",                    ""                },
	{"prompt_cache_retention", IGNORED, "\"24h\"",                  ""                },
	{"reasoning_effort",       TAKEN,   "\"any\"",                  ""                },
	{"reasoning_effort",       REFUSED, "1",                        ""                },
	{"response_format",        TAKEN,   "{\"type\":\"text\"}",      ""                },
	{"response_format",        REFUSED, "{\"type\":\"xml\"}",       ""                },
	{"safety_identifier",      IGNORED, "\"s\"",                    ""                },
	{"seed",		   IGNORED, "1",                        ""                },
	{"service_tier",           TAKEN,   "\"flex\"",                 ""                },
	{"service_tier",           REFUSED, "1",                        ""                },
	{"stop",		   TAKEN,   "[\"a\",\"b\"]",            ""                },
	{"stop",		   REFUSED, "\"\"",                     ""                },
	{"store",		  IGNORED, "true",                     ""                },
	{"stream",                 TAKEN,   "true",                     ""                },
	{"stream",                 REFUSED, "1",                        ""                },
	{"stream_options",         TAKEN,   "{\"include_usage\":true}", ",\"stream\":true"},
	{"stream_options",         REFUSED, "{}",                       ""                },
	{"temperature",            IGNORED, "0.5",                      ""                },
	{"tool_choice",            TAKEN,   "\"none\"",                 ""                },
	{"tool_choice",            REFUSED, "\"any\"",                  ""                },
	{"tools",		  TAKEN,   "[]",                       ""                },
	{"tools",		  REFUSED, "{}",                       ""                },
	{"top_logprobs",           REFUSED, "1",                        ""                },
	{"top_p",		  IGNORED, "0.5",                      ""                },
	{"user",		   IGNORED, "\"u\"",                    ""                },
	{"verbosity",              TAKEN,   "\"low\"",                  ""                },
	{"verbosity",              REFUSED, "\"loud\"",                 ""                },
	{"web_search_options",     REFUSED, "{}",                       ""                },
};

static void
check(const struct row *row)
{
	struct api_error error = {.status = 0};
	struct chat_request r;
	char body[512];
	bool taken;

	(void)snprintf(body, sizeof(body), REQUEST(",\"%s\":%s%s"), row->name, row->value,
	               row->more);
	taken = chat_request_parse(&r, body, strlen(body), NULL, &error);
	if (taken != (row->fate != REFUSED))
		fail_msg("%s: %s", body, error.message);
	if (!taken) {
		assert_int_equal(error.status, 400);
		assert_memory_equal(error.param, row->name, strlen(row->name));
		return;
	}
	json_buf_append(&r.base.ignored, "", 1);
	assert_string_equal(r.base.ignored.data, row->fate == IGNORED ? row->name : "");
	chat_request_fini(&r);
}

static void
every_parameter_does_what_its_row_says(void **state)
{
	for (size_t i = 0; i < NELEM(rows); i++)
		check(&rows[i]);
}

/* null is not looked at; the name is known all the same. */
static void
every_parameter_may_be_null(void **state)
{
	for (size_t i = 0; i < NELEM(rows); i++) {
		struct chat_request r;
		char body[512];

		(void)snprintf(body, sizeof(body), REQUEST(",\"%s\":null"), rows[i].name);
		parse(&r, body);
		assert_int_equal(r.base.ignored.len, 0);
		chat_request_fini(&r);
	}
}

/* --- the document ----------------------------------------------------------------------------- */

struct document {
	char text[32768];
	char *table; /* the first one */
};

static void
read_document(struct document *d)
{
	FILE *file = fopen(DOCUMENT, "r");
	size_t len;
	char *end;

	if (file == NULL)
		fail_msg("%s: not the root of the source tree?", DOCUMENT);
	len = fread(d->text, 1, sizeof(d->text) - 1, file);
	(void)fclose(file);
	d->text[len] = '\0';
	assert_true(len < sizeof(d->text) - 1);
	d->table = strstr(d->text, "| parameter |");
	assert_non_null(d->table);
	end = strstr(d->table, "\n\n");
	assert_non_null(end);
	*end = '\0';
}

/* The fate of a parameter in the words of its row. */
static const char *
row_text(const struct document *d, const char *name, size_t *len)
{
	char quoted[64];
	const char *line = d->table;

	(void)snprintf(quoted, sizeof(quoted), "`%s`", name);
	while ((line = strchr(line, '\n')) != NULL) {
		const char *cell = ++line + 1;
		const char *at = strstr(line, quoted);
		const char *cell_end = strchr(cell, '|');
		const char *line_end = strchr(line, '\n');

		if (at == NULL || cell_end == NULL || at > cell_end)
			continue;
		*len = line_end != NULL ? (size_t)(line_end - cell_end) : strlen(cell_end);
		return cell_end;
	}
	return NULL;
}

static void
every_parameter_is_documented_as_it_is(void **state)
{
	static struct document d;

	read_document(&d);
	for (size_t i = 0; i < NELEM(rows); i++) {
		size_t len = 0;
		const char *text = row_text(&d, rows[i].name, &len);
		bool alone = i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0;

		alone &= i + 1 == NELEM(rows) || strcmp(rows[i].name, rows[i + 1].name) != 0;
		if (text == NULL)
			fail_msg("%s is not in %s", rows[i].name, DOCUMENT);
		if (rows[i].fate == IGNORED)
			assert_memory_equal(text, "| ignored", 9);
		if (rows[i].fate == REFUSED && alone)
			assert_memory_equal(text, "| refused", 9);
	}
}

static bool
has_row(const char *name, size_t len)
{
	for (size_t i = 0; i < NELEM(rows); i++)
		if (strlen(rows[i].name) == len && strncmp(rows[i].name, name, len) == 0)
			return true;
	return strncmp(name, "messages", len) == 0;
}

static void
every_documented_parameter_is_tested(void **state)
{
	static struct document d;
	unsigned names = 0;

	read_document(&d);
	for (char *line = strchr(d.table, '\n'); line != NULL; line = strchr(line + 1, '\n')) {
		char *end = strchr(line + 2, '|');

		if (end == NULL || line[1] != '|')
			continue;
		for (char *at = strchr(line, '`'); at != NULL && at < end;
		     at = strchr(at + 1, '`')) {
			char *close = strchr(++at, '`');

			assert_non_null(close);
			if (!has_row(at, (size_t)(close - at)))
				fail_msg("no test for %.*s", (int)(close - at), at);
			names++;
			at = close;
		}
	}
	assert_true(names > 30);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_parameter_does_what_its_row_says),
		cmocka_unit_test(every_parameter_may_be_null),
		cmocka_unit_test(every_parameter_is_documented_as_it_is),
		cmocka_unit_test(every_documented_parameter_is_tested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
