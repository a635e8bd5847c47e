/* Every parameter of a chat completion: honoured, refused, or taken and said to be ignored. */
#include "tests/unit/chat_request_check.h"

static void
the_least_request_is_taken_with_the_defaults(void **state)
{
	struct chat_request r;

	parse(&r, REQUEST(""));
	assert_null(r.base.conversation->model);
	assert_string_equal(r.base.conversation->effort, "medium");
	assert_null(r.base.conversation->summary);
	assert_null(r.base.conversation->verbosity);
	assert_null(r.base.conversation->service_tier);
	assert_null(r.base.conversation->tools);
	assert_null(r.base.conversation->output_schema);
	assert_false(r.base.stream);
	assert_false(r.include_usage);
	assert_false(r.base.single_tool_call);
	assert_false(r.base.tool_call_required);
	assert_false(r.legacy_functions);
	assert_false(r.base.json_object);
	assert_int_equal(r.n, 1);
	assert_null(r.stop);
	assert_int_equal(r.base.ignored.len, 0);
	chat_request_fini(&r);
}

static void
null_is_the_same_as_not_given(void **state)
{
	struct chat_request r;

	parse(&r, REQUEST(",\"model\":null,\"stream\":null,\"stream_options\":null,\"tools\":null,"
	                  "\"tool_choice\":null,\"stop\":null,\"n\":null,\"response_format\":null,"
	                  "\"functions\":null,\"temperature\":null,\"reasoning_effort\":null"));
	assert_null(r.base.conversation->model);
	assert_null(r.base.conversation->tools);
	assert_int_equal(r.base.ignored.len, 0);
	chat_request_fini(&r);
}

static void
what_codex_has_a_place_for_is_honoured(void **state)
{
	struct chat_request r;

	parse(&r, REQUEST(",\"model\":\"gpt-5.5\",\"reasoning_effort\":\"low\",\"verbosity\":"
	                  "\"high\",\"service_tier\":\"flex\",\"stream\":true,\"stream_options\":{"
	                  "\"include_usage\":true,\"include_obfuscation\":false},"
	                  "\"parallel_tool_calls\":false,\"n\":1,\"logprobs\":false,"
	                  "\"modalities\":[\"text\"],\"response_format\":{\"type\":\"text\"}"));
	assert_string_equal(r.base.conversation->model, "gpt-5.5");
	assert_string_equal(r.base.conversation->effort, "low");
	assert_string_equal(r.base.conversation->verbosity, "high");
	assert_string_equal(r.base.conversation->service_tier, "flex");
	assert_true(r.base.stream);
	assert_true(r.include_usage);
	assert_true(r.base.single_tool_call);
	assert_int_equal(r.base.ignored.len, 0);
	chat_request_fini(&r);
}

static void
the_usual_service_tiers_send_nothing(void **state)
{
	struct chat_request r;

	parse(&r, REQUEST(",\"service_tier\":\"auto\""));
	assert_null(r.base.conversation->service_tier);
	chat_request_fini(&r);
	parse(&r, REQUEST(",\"service_tier\":\"default\""));
	assert_null(r.base.conversation->service_tier);
	chat_request_fini(&r);
}

static void
what_codex_has_no_place_for_is_taken_and_named(void **state)
{
	struct chat_request r;

	parse(&r, REQUEST(",\"temperature\":0.2,\"top_p\":1,\"max_tokens\":5,"
	                  "\"max_completion_tokens\":5,\"seed\":7,\"presence_penalty\":0,"
	                  "\"frequency_penalty\":0,\"logit_bias\":{},\"metadata\":{\"a\":\"b\"},"
	                  "\"user\":\"u\",\"store\":true,\"prompt_cache_key\":\"k\","
	                  "\"prompt_cache_retention\":\"24h\",\"safety_identifier\":\"s\","
	                  "\"prediction\":{}"));
	json_buf_append(&r.base.ignored, "", 1);
	assert_string_equal(
		r.base.ignored.data,
		"temperature, top_p, max_tokens, max_completion_tokens, seed, presence_penalty, "
		"frequency_penalty, logit_bias, metadata, user, store, prompt_cache_key, "
		"prompt_cache_retention, safety_identifier, prediction");
	chat_request_fini(&r);
}

static void
what_would_change_the_answer_is_refused(void **state)
{
	static const struct {
		const char *member, *param, *code;
	} rows[] = {
		{",\"audio\":{}",						  "audio",                "unsupported_parameter"},
		{",\"top_logprobs\":1",					    "top_logprobs",         "unsupported_parameter"},
		{",\"web_search_options\":{}",                                     "web_search_options",   "unsupported_parameter"},
		{",\"logprobs\":true",					     "logprobs",             "unsupported_value"    },
		{",\"modalities\":[\"text\",\"audio\"]",                           "modalities",           "unsupported_value"    },
		{",\"modalities\":\"text\"",                                       "modalities",           "unsupported_value"    },
		{",\"verbosity\":\"loud\"",                                        "verbosity",            "unsupported_value"    },
		{",\"response_format\":{\"type\":\"grammar\"}",                    "response_format.type",
	         "unsupported_value"											      },
		{",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"x\"}}]", "tools[0]",
	         "unsupported_value"											      },
		{",\"tool_choice\":\"maybe\"",                                     "tool_choice",          "unsupported_value"    },
		{",\"tool_choice\":{\"type\":\"allowed_tools\"}",                  "tool_choice",
	         "unsupported_value"											      },
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		char body[512];

		(void)snprintf(body, sizeof(body), REQUEST("%s"), rows[i].member);
		assert_refused(body, rows[i].param, rows[i].code);
	}
}

static void
wrong_types_are_refused_by_name(void **state)
{
	static const struct {
		const char *member, *param, *code;
	} rows[] = {
		{",\"model\":1",					      "model",               "invalid_type"              },
		{",\"model\":\"\"",					   "model",               "invalid_value"             },
		{",\"model\":\"a\\u0000b\"",                                  "model",               "invalid_value"             },
		{",\"reasoning_effort\":\"low\\u0000\"",                      "reasoning_effort",    "invalid_value"             },
		{",\"verbosity\":\"low\\u0000\"",                             "verbosity",           "unsupported_value"         },
		{",\"service_tier\":\"auto\\u0000\"",                         "service_tier",        "invalid_value"             },
		{",\"stream\":\"yes\"",                                       "stream",              "invalid_type"              },
		{",\"stream\":true,\"stream_options\":[]",                    "stream_options",      "invalid_type"              },
		{",\"stream\":true,\"stream_options\":{\"include_usage\":1}",
	         "stream_options.include_usage",						     "invalid_type"              },
		{",\"stream_options\":{}",                                    "stream_options",      ""                          },
		{",\"parallel_tool_calls\":1",                                "parallel_tool_calls", "invalid_type"              },
		{",\"response_format\":\"json\"",                             "response_format",     "invalid_type"              },
		{",\"response_format\":{\"type\":\"text\\u0000\"}",           "response_format",
	         "invalid_type"												  },
		{",\"response_format\":{\"type\":\"json_schema\"}",
	         "response_format.json_schema.schema",                                               "missing_required_parameter"},
		{",\"tools\":{}",					     "tools",               "invalid_type"              },
		{",\"tools\":[1]",					    "tools[0]",            "unsupported_value"         },
		{",\"tool_choice\":\"none\\u0000\"",                          "tool_choice",         "unsupported_value"         },
		{",\"tool_choice\":\"required\"",                             "tool_choice",         "invalid_value"             },
	};

	for (size_t i = 0; i < NELEM(rows); i++) {
		char body[512];

		(void)snprintf(body, sizeof(body), REQUEST("%s"), rows[i].member);
		assert_refused(body, rows[i].param, rows[i].code);
	}
}

static void
an_unknown_parameter_is_refused(void **state)
{
	struct api_error error;
	char body[1024], name[600];
	json_auto_t *told = NULL;
	AUTO_FREE char *text = NULL;

	assert_refused(REQUEST(",\"temprature\":1"), "temprature", "unknown_parameter");
	assert_refused(REQUEST(",\"temprature\":null"), "temprature", "unknown_parameter");
	/* a long name is cut, and the error is still told, in whole characters */
	for (size_t i = 0; i + 2 < sizeof(name); i += 2)
		memcpy(name + i, "\xc3\xa4", 3);
	(void)snprintf(body, sizeof(body), REQUEST(",\"x%s\":1"), name);
	refuse_bytes(&error, body, strlen(body));
	text = api_error_text(&error, NULL);
	told = json_parse(text, strlen(text), NULL);
	assert_string_equal(json_get_string(json_get_object(told, "error"), "code"),
	                    "unknown_parameter");
	assert_non_null(strstr(text, "Unrecognized request argument supplied: x\xc3\xa4"));
}

static void
messages_are_required(void **state)
{
	assert_refused("{}", "messages", "missing_required_parameter");
	assert_refused("{\"messages\":null}", "messages", "missing_required_parameter");
	assert_refused("{\"messages\":[]}", "messages", "empty_array");
	assert_refused("{\"messages\":\"hi\"}", "messages", "invalid_type");
	assert_refused("{\"messages\":{}}", "messages", "invalid_type");
}

/* --- functions ------------------------------------------------------------------------------ */

#define TOOL(name)       "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"
#define TOOLS(functions) REQUEST(",\"tools\":[" functions "]")

static void
functions_are_handed_on(void **state)
{
	struct chat_request r;

	parse(&r, TOOLS("{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
	                "\"parameters\":{\"type\":\"object\",\"x\":[1]}}}," TOOL(
				"g") ","
	                             "{\"type\":\"function\",\"function\":{\"name\":\"h\","
	                             "\"description\":null,"
	                             "\"parameters\":null,\"strict\":null}}"));
	assert_json(r.base.conversation->tools,
	            "[{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":\"object\","
	            "\"x\":[1]}},"
	            "{\"name\":\"g\",\"description\":\"\",\"parameters\":{\"type\":\"object\","
	            "\"properties\":{}}},"
	            "{\"name\":\"h\",\"description\":\"\",\"parameters\":{\"type\":\"object\","
	            "\"properties\":{}}}]");
	assert_int_equal(r.base.ignored.len, 0);
	chat_request_fini(&r);
	parse(&r, REQUEST(",\"tools\":[],\"tool_choice\":\"auto\""));
	assert_null(r.base.conversation->tools);
	chat_request_fini(&r);
}

static void
strict_functions_are_taken_and_named(void **state)
{
	struct chat_request r;

	parse(&r, TOOLS("{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":true}}"));
	assert_memory_equal(r.base.ignored.data, "tools.function.strict", r.base.ignored.len);
	chat_request_fini(&r);
}

static void
functions_that_codex_would_refuse_are_refused_here(void **state)
{
	static const struct {
		const char *body, *param, *code;
	} rows[] = {
		{TOOLS(TOOL("")),								  "tools[0].function.name", "invalid_value"},
		{TOOLS(TOOL("a b")),							       "tools[0].function.name", "invalid_value"},
		{TOOLS(TOOL("a\\u0000")),							  "tools[0].function.name", "invalid_value"},
		{TOOLS("{\"type\":\"function\"}"),                                                 "tools[0].function.name", "invalid_value"},
		{TOOLS(TOOL("0123456789012345678901234567890123456789012345678901234567890123x")),
	         "tools[0].function.name",										   "invalid_value"},
		{TOOLS(TOOL("mcp__a__b")),							 "tools[0].function.name", "invalid_value"},
		{TOOLS(TOOL("f") "," TOOL("g") "," TOOL("f")),                                     "tools[2].function.name",
	         "invalid_value"													    },
		{TOOLS("{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":[]}}"),
	         "tools[0].function.parameters",									     "invalid_type" },
		{TOOLS("{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":1}}"),
	         "tools[0].function.description",									    "invalid_type" },
	};

	for (size_t i = 0; i < NELEM(rows); i++)
		assert_refused(rows[i].body, rows[i].param, rows[i].code);
}

static void
no_choice_offers_no_function(void **state)
{
	struct chat_request r;

	parse(&r, REQUEST(",\"tool_choice\":\"none\",\"tools\":[" TOOL("f") "]"));
	assert_null(r.base.conversation->tools);
	assert_int_equal(json_array_size(r.base.conversation->items), 1);
	chat_request_fini(&r);
}

static void
a_required_call_is_asked_for_at_the_end_of_the_history(void **state)
{
	struct chat_request r;
	json_t *last;

	parse(&r, REQUEST(",\"tool_choice\":\"required\",\"tools\":[" TOOL("f") "," TOOL("g") "]"));
	assert_true(r.base.tool_call_required);
	assert_int_equal(json_array_size(r.base.conversation->tools), 2);
	assert_int_equal(json_array_size(r.base.conversation->items), 2);
	last = json_array_get(r.base.conversation->items, 1);
	assert_string_equal(json_get_string(last, "role"), "developer");
	chat_request_fini(&r);
}

static void
a_function_by_name_is_the_only_one_offered(void **state)
{
#define CHOICE(name) ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"
	struct chat_request r;

	/* whichever of the two comes first in the body */
	parse(&r, REQUEST(CHOICE("g") ",\"tools\":[" TOOL("f") "," TOOL("g") "]"));
	assert_true(r.base.tool_call_required);
	assert_int_equal(json_array_size(r.base.conversation->tools), 1);
	assert_string_equal(json_get_string(json_array_get(r.base.conversation->tools, 0), "name"),
	                    "g");
	chat_request_fini(&r);
	assert_refused(REQUEST(CHOICE("h") ",\"tools\":[" TOOL("f") "]"), "tool_choice",
	               "invalid_value");
	assert_refused(REQUEST(CHOICE("h")), "tool_choice", "invalid_value");
	assert_refused(REQUEST(CHOICE("f\\u0000") ",\"tools\":[" TOOL("f") "]"), "tool_choice",
	               "unsupported_value");
}

static void
a_schema_for_the_answer_is_handed_on(void **state)
{
	struct chat_request r;

	parse(&r, REQUEST(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
	                  "\"name\":\"n\",\"strict\":true,\"schema\":{\"type\":\"object\","
	                  "\"minimum\":0.1}}}"));
	assert_json(r.base.conversation->output_schema, "{\"type\":\"object\",\"minimum\":0.1}");
	chat_request_fini(&r);
}

static void
what_codex_does_with_a_schema_is_said(void **state)
{
	struct chat_request r;

	parse(&r, REQUEST(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
	                  "\"name\":\"n\",\"description\":\"d\",\"strict\":false,\"schema\":{}}}"));
	assert_json(r.base.conversation->output_schema, "{}");
	json_buf_append(&r.base.ignored, "", 1);
	assert_string_equal(r.base.ignored.data, "response_format.json_schema.description, "
	                                         "response_format.json_schema.strict");
	chat_request_fini(&r);
	parse(&r, REQUEST(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{"
	                  "\"description\":null,\"strict\":null,\"schema\":{}}}"));
	assert_int_equal(r.base.ignored.len, 0);
	chat_request_fini(&r);
}

static void
a_json_object_is_asked_for_at_the_end_of_the_history(void **state)
{
#define JSON_OBJECT ",\"response_format\":{\"type\":\"json_object\"}"
	struct chat_request r;
	json_t *last;

	parse(&r, REQUEST(JSON_OBJECT));
	assert_true(r.base.json_object);
	assert_null(r.base.conversation->output_schema);
	assert_int_equal(json_array_size(r.base.conversation->items), 2);
	last = json_array_get(r.base.conversation->items, 1);
	assert_json(last, "{\"type\":\"message\",\"role\":\"developer\",\"content\":[{\"type\":"
	                  "\"input_text\",\"text\":\"Your answer must be one valid JSON object and "
	                  "nothing else: no Markdown, and no text before or after it.\"}]}");
	chat_request_fini(&r);
	/* a call is required: then no text is */
	parse(&r, REQUEST(JSON_OBJECT ",\"tool_choice\":\"required\",\"tools\":[" TOOL("f") "]"));
	assert_int_equal(json_array_size(r.base.conversation->items), 2);
	chat_request_fini(&r);
}

static void
several_choices_and_stop_sequences_are_read(void **state)
{
	struct chat_request r;

	parse(&r, REQUEST(",\"n\":8,\"stop\":\"END\""));
	assert_int_equal(r.n, 8);
	assert_json(r.stop, "[\"END\"]");
	chat_request_fini(&r);
	parse(&r, REQUEST(",\"stop\":[\"a\",\"\\u0000\",\"c\",\"d\"]"));
	assert_json(r.stop, "[\"a\",\"\\u0000\",\"c\",\"d\"]");
	chat_request_fini(&r);
	parse(&r, REQUEST(",\"stop\":[]"));
	assert_null(r.stop);
	chat_request_fini(&r);
}

static void
what_stop_and_n_must_be(void **state)
{
	assert_refused(REQUEST(",\"stop\":1"), "stop", "invalid_type");
	assert_refused(REQUEST(",\"stop\":{}"), "stop", "invalid_type");
	assert_refused(REQUEST(",\"stop\":[1]"), "stop", "invalid_type");
	assert_refused(REQUEST(",\"stop\":\"\""), "stop", "invalid_value");
	assert_refused(REQUEST(",\"stop\":[\"a\",\"\"]"), "stop", "invalid_value");
	assert_refused(REQUEST(",\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]"), "stop",
	               "invalid_value");
	assert_refused(REQUEST(",\"n\":9"), "n", "unsupported_value");
	assert_refused(REQUEST(",\"n\":0"), "n", "unsupported_value");
	assert_refused(REQUEST(",\"n\":-1"), "n", "unsupported_value");
	assert_refused(REQUEST(",\"n\":1.0"), "n", "invalid_type");
	assert_refused(REQUEST(",\"n\":\"1\""), "n", "invalid_type");
}

#define SCHEMA(more)                                                                               \
	REQUEST(",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{"     \
	        "}" more "}}")
#define SCHEMA_PARAM(member) "response_format.json_schema." member

static void
what_goes_with_a_schema_must_be(void **state)
{
	assert_refused(SCHEMA(",\"name\":\"a b\""), SCHEMA_PARAM("name"), "invalid_value");
	assert_refused(SCHEMA(",\"name\":null"), SCHEMA_PARAM("name"), "invalid_value");
	assert_refused(SCHEMA(",\"description\":1"), SCHEMA_PARAM("description"), "invalid_type");
	assert_refused(SCHEMA(",\"strict\":1"), SCHEMA_PARAM("strict"), "invalid_type");
}

static void
a_stop_sequence_has_a_length(void **state)
{
	struct chat_request r;
	char sequence[258], body[512];

	memset(sequence, 'x', sizeof(sequence) - 1);
	sequence[sizeof(sequence) - 1] = '\0';
	(void)snprintf(body, sizeof(body), REQUEST(",\"stop\":\"%s\""), sequence + 1);
	parse(&r, body);
	chat_request_fini(&r);
	(void)snprintf(body, sizeof(body), REQUEST(",\"stop\":\"%s\""), sequence);
	assert_refused(body, "stop", "invalid_value");
}

#define FUNCTIONS ",\"functions\":[{\"name\":\"f\",\"description\":\"d\"},{\"name\":\"g\"}]"

static void
the_legacy_form_must_be(void **state)
{
	assert_refused(REQUEST(",\"functions\":{}"), "functions", "invalid_type");
	assert_refused(REQUEST(",\"functions\":[1]"), "functions[0].name", "invalid_value");
	assert_refused(REQUEST(",\"functions\":[{\"name\":\"f\",\"parameters\":1}]"),
	               "functions[0].parameters", "invalid_type");
	assert_refused(REQUEST(",\"functions\":[{\"name\":\"f\"},{\"name\":\"f\"}]"),
	               "functions[1].name", "invalid_value");
	assert_refused(REQUEST(",\"function_call\":\"required\""), "function_call",
	               "unsupported_value");
	assert_refused(REQUEST(",\"function_call\":{}"), "function_call", "unsupported_value");
	assert_refused(REQUEST(",\"function_call\":1"), "function_call", "unsupported_value");
	assert_refused(REQUEST(",\"function_call\":{\"name\":\"f\"}"), "function_call",
	               "invalid_value");
	assert_refused(REQUEST(FUNCTIONS ",\"function_call\":{\"name\":\"h\"}"), "function_call",
	               "invalid_value");
	assert_refused(REQUEST(FUNCTIONS ",\"tools\":[]"), "functions", "invalid_value");
	assert_refused(REQUEST(",\"tools\":[" TOOL("f") "]" FUNCTIONS), "functions",
	               "invalid_value");
	assert_refused(REQUEST(",\"tool_choice\":\"auto\",\"function_call\":\"auto\""),
	               "function_call", "invalid_value");
}

static void
legacy_functions_are_tools(void **state)
{
	struct chat_request r;

	parse(&r, REQUEST(FUNCTIONS));
	assert_json(r.base.conversation->tools,
	            "[{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":\"object\","
	            "\"properties\":{}}},{\"name\":\"g\",\"description\":\"\",\"parameters\":{"
	            "\"type\":\"object\",\"properties\":{}}}]");
	assert_true(r.legacy_functions);
	assert_true(r.base.single_tool_call);
	assert_false(r.base.tool_call_required);
	chat_request_fini(&r);
	parse(&r, REQUEST(",\"parallel_tool_calls\":true" FUNCTIONS ",\"function_call\":\"auto\""));
	assert_true(r.base.single_tool_call);
	assert_int_equal(json_array_size(r.base.conversation->tools), 2);
	chat_request_fini(&r);
}

static void
the_legacy_choice_is_a_choice(void **state)
{
	struct chat_request r;

	parse(&r, REQUEST(",\"function_call\":\"none\"" FUNCTIONS));
	assert_null(r.base.conversation->tools);
	chat_request_fini(&r);
	parse(&r, REQUEST(",\"function_call\":{\"name\":\"g\"}" FUNCTIONS));
	assert_true(r.base.tool_call_required);
	assert_int_equal(json_array_size(r.base.conversation->tools), 1);
	assert_string_equal(json_get_string(json_array_get(r.base.conversation->tools, 0), "name"),
	                    "g");
	assert_int_equal(json_array_size(r.base.conversation->items), 2);
	chat_request_fini(&r);
	parse(&r, REQUEST(",\"functions\":[],\"function_call\":\"auto\""));
	assert_null(r.base.conversation->tools);
	chat_request_fini(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_request_is_taken_with_the_defaults),
		cmocka_unit_test(null_is_the_same_as_not_given),
		cmocka_unit_test(what_codex_has_a_place_for_is_honoured),
		cmocka_unit_test(the_usual_service_tiers_send_nothing),
		cmocka_unit_test(what_codex_has_no_place_for_is_taken_and_named),
		cmocka_unit_test(what_would_change_the_answer_is_refused),
		cmocka_unit_test(wrong_types_are_refused_by_name),
		cmocka_unit_test(an_unknown_parameter_is_refused),
		cmocka_unit_test(messages_are_required),
		cmocka_unit_test(functions_are_handed_on),
		cmocka_unit_test(strict_functions_are_taken_and_named),
		cmocka_unit_test(functions_that_codex_would_refuse_are_refused_here),
		cmocka_unit_test(no_choice_offers_no_function),
		cmocka_unit_test(a_required_call_is_asked_for_at_the_end_of_the_history),
		cmocka_unit_test(a_function_by_name_is_the_only_one_offered),
		cmocka_unit_test(a_schema_for_the_answer_is_handed_on),
		cmocka_unit_test(what_codex_does_with_a_schema_is_said),
		cmocka_unit_test(a_json_object_is_asked_for_at_the_end_of_the_history),
		cmocka_unit_test(several_choices_and_stop_sequences_are_read),
		cmocka_unit_test(what_stop_and_n_must_be),
		cmocka_unit_test(what_goes_with_a_schema_must_be),
		cmocka_unit_test(a_stop_sequence_has_a_length),
		cmocka_unit_test(the_legacy_form_must_be),
		cmocka_unit_test(legacy_functions_are_tools),
		cmocka_unit_test(the_legacy_choice_is_a_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
