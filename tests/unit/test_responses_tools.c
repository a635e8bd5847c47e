/* The tools of a Responses request, and which of them the model may or must call. */
#include "tests/unit/responses_request_check.h"

#define F(name) "{\"type\":\"function\",\"name\":\"" name "\"}"
#define PLAIN(name)                                                                                \
	"{\"name\":\"" name                                                                        \
	"\",\"description\":\"\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}"
#define CUSTOM(name, description)                                                                  \
	"{\"name\":\"" name "\",\"description\":\"" description                                    \
	"\",\"parameters\":{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\","   \
	"\"description\":\"Free text: not "                                                        \
	"JSON.\"}},\"required\":[\"input\"],\"additionalProperties\":false}}"

static void
assert_tools(const char *more, const char *expected)
{
	struct responses_request r;
	char body[2048];

	(void)snprintf(body, sizeof(body), REQUEST(",%s"), more);
	parse(&r, body);
	if (expected == NULL)
		assert_null(r.base.conversation->tools);
	else
		assert_json(r.base.conversation->tools, expected);
	responses_request_fini(&r);
}

static void
assert_tools_refused(const char *more, const char *param)
{
	struct api_error error;
	char body[2048];

	(void)snprintf(body, sizeof(body), REQUEST(",%s"), more);
	refuse(&error, body, 400);
	if (strcmp(error.param, param) != 0)
		fail_msg("%s\nparam %s: %s", more, error.param, error.message);
}

static void
functions_and_custom_tools_are_functions_to_codex(void **state)
{
	assert_tools("\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\","
	             "\"parameters\":{\"type\":\"object\"}}," F("g") "]",
	             "[{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}"
	             "," PLAIN("g") "]");
	assert_tools("\"tools\":[{\"type\":\"custom\",\"name\":\"c\",\"description\":\"d\"},{"
	             "\"type\":\"custom\",\"name\":\"e\",\"format\":{\"type\":\"text\"}}]",
	             "[" CUSTOM("c", "d") "," CUSTOM("e", "") "]");
	assert_tools(
		"\"tools\":[{\"type\":\"custom\",\"name\":\"c\",\"description\":\"d\",\"format\":{"
		"\"type\":\"grammar\",\"syntax\":\"regex\",\"definition\":\"a+\"}}]",
		"[" CUSTOM("c", "d\\n\\nThe 'input' must follow this grammar (regex):\\na+") "]");
	assert_tools("\"tools\":[]", NULL);
}

static void
namespaces_stay_apart_and_the_plain_one_is_none(void **state)
{
	assert_tools(
		"\"tools\":[" F("f") ",{\"type\":\"namespace\",\"name\":\"n\",\"description\":"
				     "\"d\",\"tools\":[" F(
					     "f") ",{\"type\":\"custom\",\"name\":\"c\"}]},"
						  "{\"type\":\"namespace\",\"name\":\"functions\","
						  "\"tools\":[" F("g") "]},{\"type\":\"namespace\","
								       "\"name\":\"n\",\"tools\":"
								       "[" F("h") "]}]",
		"[" PLAIN("f") ",{\"name\":\"n\",\"description\":\"d\",\"tools\":[" PLAIN(
			"f") "," CUSTOM("c", "") "," PLAIN("h") "]}," PLAIN("g") "]");
	assert_tools_refused("\"tools\":[" F("f") ",{\"type\":\"namespace\",\"name\":\"functions\","
	                                          "\"tools\":[" F("f") "]}]",
	                     "tools[1].tools[0].name");
	assert_tools_refused(
		"\"tools\":[{\"type\":\"namespace\",\"name\":\"a b\",\"tools\":[" F("f") "]}]",
		"tools[0].name");
	assert_tools_refused("\"tools\":[{\"type\":\"namespace\",\"name\":\"n\",\"tools\":[]}]",
	                     "tools[0].tools");
	assert_tools_refused("\"tools\":[{\"type\":\"namespace\",\"name\":\"n\",\"tools\":[{"
	                     "\"type\":\"namespace\",\"name\":\"m\",\"tools\":[" F("f") "]}]}]",
	                     "tools[0].tools[0].type");
}

static void
what_is_wrong_in_a_tool_is_named(void **state)
{
	assert_tools_refused("\"tools\":7", "tools");
	assert_tools_refused("\"tools\":[7]", "tools[0].type");
	assert_tools_refused("\"tools\":[" F("f") "," F("f") "]", "tools[1].name");
	assert_tools_refused("\"tools\":[" F("a b") "]", "tools[0].name");
	assert_tools_refused("\"tools\":[" F("mcp__x") "]", "tools[0].name");
	assert_tools_refused("\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"description\":7}]",
	                     "tools[0].description");
	assert_tools_refused("\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":7}]",
	                     "tools[0].parameters");
	assert_tools_refused("\"tools\":[{\"type\":\"custom\",\"name\":\"f\",\"description\":7}]",
	                     "tools[0].description");
	assert_tools_refused("\"tools\":[{\"type\":\"custom\",\"name\":\"f\",\"format\":7}]",
	                     "tools[0].format");
	assert_tools_refused("\"tools\":[{\"type\":\"custom\",\"name\":\"f\",\"format\":{\"type\":"
	                     "\"grammar\"}}]",
	                     "tools[0].format");
}

static void
tools_that_run_elsewhere_are_refused_by_their_type(void **state)
{
	static const char *const types[] = {
		"web_search", "web_search_preview", "file_search",      "computer_use_preview",
		"mcp",        "code_interpreter",   "image_generation", "local_shell",
		"shell",      "apply_patch",        "nonsense",
	};

	for (size_t i = 0; i < NELEM(types); i++) {
		char more[128];

		(void)snprintf(more, sizeof(more), "\"tools\":[" F("f") ",{\"type\":\"%s\"}]",
		               types[i]);
		assert_tools_refused(more, "tools[1].type");
	}
}

static void
what_has_no_effect_is_named_once(void **state)
{
	assert_ignored(
		REQUEST(",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"strict\":true,\"defer_"
	                "loading\":true},"
	                "{\"type\":\"namespace\",\"name\":\"n\",\"tools\":[{\"type\":\"function\","
	                "\"name\":\"f\",\"strict\":true}]},{\"type\":\"tool_search\"}]"),
		"tools.strict, tools.defer_loading, tools.tool_search");
	assert_ignored(
		REQUEST(",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"strict\":false}]"),
		"");
}

static void
more_tools_may_come_in_the_input(void **state)
{
	struct responses_request r;

	parse(&r, "{\"tools\":[" F("f") "],\"input\":[{\"type\":\"additional_tools\",\"role\":"
	                                "\"developer\",\"tools\":[" F("f") "," F("g") "]}]}");
	assert_json(r.base.conversation->tools, "[" PLAIN("f") "," PLAIN("g") "]");
	assert_int_equal(json_array_size(r.base.conversation->items), 0);
	assert_int_equal(json_array_size(r.history), 0); /* they are this request's */
	responses_request_fini(&r);
	assert_items_refused("{\"type\":\"additional_tools\"}", "input[0].tools");
	assert_items_refused("{\"type\":\"additional_tools\",\"tools\":[{\"type\":\"mcp\"}]}",
	                     "input[0].tools[0].type");
}

#define TWO                                                                                        \
	"\"tools\":[" F("f") ",{\"type\":\"namespace\",\"name\":\"n\",\"tools\":[" F("g") "," F(   \
		"h") "]}]"

static void
the_choice_narrows_what_is_offered(void **state)
{
	struct responses_request r;

	assert_tools(TWO ",\"tool_choice\":\"none\"", NULL);
	assert_tools(TWO ",\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}",
	             "[" PLAIN("f") "]");
	assert_tools(TWO
	             ",\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[{"
	             "\"type\":\"function\",\"name\":\"h\"},{\"type\":\"custom\",\"name\":\"f\"}]}",
	             "[" PLAIN("f") ",{\"name\":\"n\",\"description\":\"\",\"tools\":[" PLAIN(
			     "h") "]}]");
	parse(&r, REQUEST("," TWO ",\"tool_choice\":\"required\""));
	assert_true(r.base.tool_call_required);
	assert_int_equal(json_array_size(r.base.conversation->items), 2); /* it is asked for */
	responses_request_fini(&r);
	parse(&r, REQUEST("," TWO ",\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"auto\","
	                  "\"tools\":[{\"type\":\"function\",\"name\":\"f\"}]}"));
	assert_false(r.base.tool_call_required);
	responses_request_fini(&r);
}

static void
a_choice_that_cannot_be_is_refused(void **state)
{
	static const char *const choices[] = {
		"7",
		"\"some\"",
		"{}",
		"{\"type\":\"function\"}",
		"{\"type\":\"web_search\"}",
		"{\"type\":\"function\",\"name\":\"x\"}",
		"{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[{\"type\":\"mcp\"}]}",
		"{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[{\"type\":\"function\","
		"\"name\":\"f\"},{\"type\":\"function\",\"name\":\"x\"}]}",
	};

	for (size_t i = 0; i < NELEM(choices); i++) {
		char more[512];

		(void)snprintf(more, sizeof(more), TWO ",\"tool_choice\":%s", choices[i]);
		assert_tools_refused(more, "tool_choice");
	}
	assert_tools_refused(TWO ",\"tool_choice\":{\"type\":\"allowed_tools\",\"tools\":[]}",
	                     "tool_choice.mode");
	assert_tools_refused(
		TWO ",\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[]}",
		"tool_choice.tools");
	assert_tools_refused("\"tool_choice\":\"required\"", "tool_choice");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_and_custom_tools_are_functions_to_codex),
		cmocka_unit_test(namespaces_stay_apart_and_the_plain_one_is_none),
		cmocka_unit_test(what_is_wrong_in_a_tool_is_named),
		cmocka_unit_test(tools_that_run_elsewhere_are_refused_by_their_type),
		cmocka_unit_test(what_has_no_effect_is_named_once),
		cmocka_unit_test(more_tools_may_come_in_the_input),
		cmocka_unit_test(the_choice_narrows_what_is_offered),
		cmocka_unit_test(a_choice_that_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
