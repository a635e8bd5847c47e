/* What a JSON library may change in passing is not changed in the caller's data, or refused. */
#include "tests/unit/chat_request_check.h"
#include "tests/unit/patience.h"

#include <math.h>
#include <time.h>

#define ENUM_OF(value)                                                                             \
	REQUEST(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","                 \
	        "\"parameters\":{\"enum\":[" value "]}}}]")

static const json_t *
first_tool(const struct chat_request *r)
{
	return json_array_get(r->base.conversation->tools, 0);
}

static const json_t *
first_item(const struct chat_request *r)
{
	return json_array_get(r->base.conversation->items, 0);
}

static void
assert_number_as(const char *sent, const char *arrives)
{
	struct chat_request r;
	char body[512];
	const json_t *parameters;
	AUTO_FREE char *text = NULL;

	(void)snprintf(body, sizeof(body), ENUM_OF("%s"), sent);
	parse(&r, body);
	parameters = json_object_get(first_tool(&r), "parameters");
	text = json_to_text(json_array_get(json_object_get(parameters, "enum"), 0), NULL);
	assert_string_equal(text, arrives);
	assert_true(strlen(text) <= strlen(sent));
	assert_true(strtod(text, NULL) == strtod(sent, NULL));
	assert_int_equal(signbit(strtod(text, NULL)) != 0, signbit(strtod(sent, NULL)) != 0);
	chat_request_fini(&r);
}

static void
numbers_stay_equal_and_get_no_longer(void **state)
{
	static const char *const unchanged[] = {
		"0.1",
		"1.0",
		"-0.0",
		"5e-324",
		"0",
		"-1",
		"1e5",
		"9223372036854775807",
		"-9223372036854775808",
		"0.30000000000000004",
		"1e22",
	};

	for (size_t i = 0; i < NELEM(unchanged); i++)
		assert_number_as(unchanged[i], unchanged[i]);
	assert_number_as("1.7976931348623157e308", "17976931348623157e292");
	assert_number_as("0.10000", "0.1");
	assert_number_as("1E+2", "1e2");
	assert_number_as("100000000000000000000.0", "1e20");
}

static void
numbers_that_do_not_fit_are_refused_by_their_place(void **state)
{
	static const char *const sent[] = {
		"1e400",
		"-1e400",
		"12345678901234567890",
		"9223372036854775808",
		"-9223372036854775809",
	};

	for (size_t i = 0; i < NELEM(sent); i++) {
		struct api_error error;
		char body[512], place[32];
		const char *start;

		(void)snprintf(body, sizeof(body), ENUM_OF("\n%s"), sent[i]);
		refuse_bytes(&error, body, strlen(body));
		assert_string_equal(error.code, "invalid_json");
		start = strchr(body, '\n') + 1;
		(void)snprintf(place, sizeof(place), "line 2, column %zu: ", strcspn(start, "]"));
		assert_non_null(strstr(error.message, place));
	}
}

static void
arguments_are_the_strings_that_were_sent(void **state)
{
	/* not looked into: whatever numbers are in there */
	static const char arguments[] = "\"{\\\"a\\\":1e400,\\\"b\\\":12345678901234567890}\"";
	struct chat_request r;
	char body[512];

	(void)snprintf(body, sizeof(body),
	               "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\","
	               "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":%s}}]},"
	               "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"\"}]}",
	               arguments);
	parse(&r, body);
	assert_json(json_object_get(first_item(&r), "arguments"), arguments);
	chat_request_fini(&r);
}

static void
nul_may_stand_in_every_text(void **state)
{
	struct chat_request r;
	json_auto_t *expected = json_stringn("a\0b", 3);

	parse(&r,
	      "{\"messages\":["
	      "{\"role\":\"user\",\"content\":\"a\\u0000b\"},"
	      "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\\u0000b\"}]},"
	      "{\"role\":\"assistant\",\"content\":\"a\\u0000b\",\"tool_calls\":[{\"id\":\"c\","
	      "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"a\\u0000b\"}}]},"
	      "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"a\\u0000b\"}],"
	      "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":"
	      "\"a\\u0000b\",\"parameters\":{\"enum\":[\"a\\u0000b\"]}}}]}");
	assert_json(
		r.base.conversation->items,
		"[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
		"\"text\":\"a\\u0000b\"}]},"
		"{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
		"\"text\":\"a\\u0000b\"}]},"
		"{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":"
		"\"output_text\",\"text\":\"a\\u0000b\"}]},"
		"{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":"
		"\"a\\u0000b\"},"
		"{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":"
		"\"a\\u0000b\"}]");
	assert_json(first_tool(&r), "{\"name\":\"f\",\"description\":\"a\\u0000b\",\"parameters\":"
	                            "{\"enum\":[\"a\\u0000b\"]}}");
	assert_true(json_equal(json_object_get(first_tool(&r), "description"), expected));
	chat_request_fini(&r);
}

/* The library has no names with NUL in them: better no answer than a changed schema. */
static void
nul_in_a_name_is_refused_by_its_place(void **state)
{
	struct api_error error;
	static const char body[] = ENUM_OF("{\"a\\u0000b\":1}");

	refuse_bytes(&error, body, sizeof(body) - 1);
	assert_string_equal(error.code, "invalid_json");
	assert_non_null(strstr(error.message, "line 1, column "));
	assert_non_null(strstr(error.message, "NUL byte in object key"));
}

static void
what_is_no_json_is_refused_by_its_place(void **state)
{
	static const struct {
		const char *body, *place;
	} rows[] = {
		{"",								      "line 1, column 0"                       },
		{"{",								     "line 1, column 1"                       },
		{"{\"messages\":[}",						      "line 1, column 14"                      },
		{"{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}",
	         "line 1, column 46"											       },
		{"{\"messages\":[{\"role\":\"user\",\"content\":\"\\udc00 x\"}]}",
	         "line 1, column 48"											       },
		{"{\"messages\":[{\"role\":\"user\",\n\"content\":\"\\ud83d\\u0041\"}]}",
	         "line 2, column 24"											       },
		{"{\"messages\":\n[{\"role\":\"user\",\"content\":\"\xff\"}]}",           "line 2, column "                        },
		{"{\"messages\":\n[{\"role\":\"user\",\"content\":\"\xed\xa0\x80\"}]}",
	         "line 2, column "												 },
		{"{\"messages\":[],\"messages\":[]}",                                     "line 1, column 25: duplicate object key"},
		{"{\"messages\":[{\"role\":\"user\",\"content\":\"a\nb\"}]}",             "line 1, column "                        },
		{REQUEST("") "x",							 "line 1, column "                        },
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct api_error error;

		refuse_bytes(&error, rows[i].body, strlen(rows[i].body));
		assert_string_equal(error.code, "invalid_json");
		if (strstr(error.message, rows[i].place) == NULL)
			fail_msg("%s: not at %s", error.message, rows[i].place);
	}
	assert_refused("[]", "", "invalid_json");
	assert_refused("\"{}\"", "", "invalid_json");
	assert_refused("null", "", "invalid_json");
}

static void
every_cut_of_a_request_is_refused(void **state)
{
	static const char body[] = ENUM_OF("{\"a\":[0.1,\"\\u00e4\\ud83d\\ude00\",true,null]}");
	struct api_error error;

	for (size_t len = 0; len < sizeof(body) - 1; len++)
		refuse_bytes(&error, body, len);
}

/* --- size and depth ------------------------------------------------------------------------- */

static void
append_times(struct json_buf *b, const char *text, size_t times)
{
	for (size_t i = 0; i < times; i++)
		json_buf_append(b, text, strlen(text));
}

/* A schema of so many levels, as parameters of a function or as the form of the answer. */
static void
schema_body(struct json_buf *b, const char *before, size_t levels, const char *after)
{
	b->len = 0;
	append_times(b, before, 1);
	append_times(b, "{\"a\":", levels - 1);
	append_times(b, "{}", 1);
	append_times(b, "}", levels - 1);
	append_times(b, after, 1);
	assert_false(b->failed);
}

/* Codex gives no answer at all to more than 127 levels, which would look like its own failure. */
static void
schemas_that_codex_could_not_read_are_refused(void **state)
{
	static const char tools[] =
		"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{"
		"\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":";
	static const char format[] =
		"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
		"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
		"\"schema\":";
	struct json_buf b = {.data = NULL};
	struct api_error error;
	struct chat_request r;

	schema_body(&b, tools, 100, "}}]}");
	parse_bytes(&r, b.data, b.len);
	chat_request_fini(&r);
	schema_body(&b, tools, 101, "}}]}");
	refuse_bytes(&error, b.data, b.len);
	assert_string_equal(error.param, "tools[0].function.parameters");
	schema_body(&b, format, 100, "}}}");
	parse_bytes(&r, b.data, b.len);
	chat_request_fini(&r);
	schema_body(&b, format, 101, "}}}");
	refuse_bytes(&error, b.data, b.len);
	assert_string_equal(error.param, "response_format.json_schema.schema");
	json_buf_free(&b);
}

static void
depth_bombs_are_refused(void **state)
{
	static const char *const levels[] = {"[", "{\"a\":", "{\"messages\":[", "[{\"a\":"};
	struct json_buf b = {.data = NULL};
	struct api_error error;

	for (size_t i = 0; i < NELEM(levels); i++) {
		b.len = 0;
		append_times(&b, levels[i], 10000);
		refuse_bytes(&error, b.data, b.len);
		assert_non_null(strstr(error.message, "maximum parsing depth"));
	}
	schema_body(&b, "{\"metadata\":", 10000, "}");
	refuse_bytes(&error, b.data, b.len);
	json_buf_free(&b);
}

/* 10 MB of these would take 800 MB of memory. */
static void
value_bombs_are_refused(void **state)
{
	static const char *const values[] = {"{},", "[],", "1,", "\"\",", "{\"a\":1},"};
	struct json_buf b = {.data = NULL};
	struct api_error error;

	for (size_t i = 0; i < NELEM(values); i++) {
		b.len = 0;
		append_times(&b, "{\"metadata\":[", 1);
		append_times(&b, values[i], 600000);
		append_times(&b, "1],\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", 1);
		refuse_bytes(&error, b.data, b.len);
		assert_non_null(strstr(error.message, "500000"));
	}
	json_buf_free(&b);
}

static void
a_history_of_8_megabytes_is_read_fast(void **state)
{
	static const char turn[] =
		"{\"role\":\"user\",\"content\":\"Lorem ipsum \\\"dolor\\\" sit "
		"amet, \\u00e4 consectetur adipiscing elit.\\n\"},"
		"{\"role\":\"assistant\",\"content\":\"sed do eiusmod tempor\"},";
	struct json_buf b = {.data = NULL};
	AUTO_FREE char *text = NULL;
	struct chat_request r;
	size_t turns = ((size_t)8 << 20) / (sizeof(turn) - 1), len = 0;
	clock_t start;

	append_times(&b, "{\"messages\":[", 1);
	append_times(&b, turn, turns);
	append_times(&b, "{\"role\":\"user\",\"content\":\"end\"}]}", 1);
	start = clock();
	parse_bytes(&r, b.data, b.len);
	text = json_to_text(r.base.conversation->items, &len);
	/* 0.25 s here; a parser whose time grows with the square would take minutes */
	assert_true((clock() - start) / CLOCKS_PER_SEC < (clock_t)patience(10));
	assert_int_equal(json_array_size(r.base.conversation->items), 2 * turns + 1);
	assert_true(len > ((size_t)8 << 20));
	chat_request_fini(&r);
	json_buf_free(&b);
}

static void
one_text_of_8_megabytes_arrives_whole(void **state)
{
	struct json_buf b = {.data = NULL};
	struct chat_request r;
	const json_t *part;

	append_times(&b, "{\"messages\":[{\"role\":\"user\",\"content\":\"", 1);
	append_times(&b, "01234567", (size_t)1 << 20);
	append_times(&b, "\"}]}", 1);
	parse_bytes(&r, b.data, b.len);
	part = json_array_get(json_object_get(first_item(&r), "content"), 0);
	assert_int_equal(json_string_length(json_object_get(part, "text")), (size_t)8 << 20);
	chat_request_fini(&r);
	json_buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_stay_equal_and_get_no_longer),
		cmocka_unit_test(numbers_that_do_not_fit_are_refused_by_their_place),
		cmocka_unit_test(arguments_are_the_strings_that_were_sent),
		cmocka_unit_test(nul_may_stand_in_every_text),
		cmocka_unit_test(nul_in_a_name_is_refused_by_its_place),
		cmocka_unit_test(what_is_no_json_is_refused_by_its_place),
		cmocka_unit_test(every_cut_of_a_request_is_refused),
		cmocka_unit_test(schemas_that_codex_could_not_read_are_refused),
		cmocka_unit_test(depth_bombs_are_refused),
		cmocka_unit_test(value_bombs_are_refused),
		cmocka_unit_test(a_history_of_8_megabytes_is_read_fast),
		cmocka_unit_test(one_text_of_8_megabytes_arrives_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
