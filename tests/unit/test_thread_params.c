/* The params of the three calls that begin a turn, byte for byte, in the shapes of the recorded
 * transcripts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proxy/codex/thread_params.h"

static struct conversation c;
static const struct thread_config config = {.workspace = "/srv/work", .base_instructions = ""};

static char model[] = "gpt-6.1-sol", low[] = "low", high[] = "high", automatic[] = "auto",
	    flex[] = "flex", broken[] = "\xff\xfe";

static json_t *
parsed(const char *text)
{
	json_t *value = json_parse(text, strlen(text), NULL);

	assert_non_null(value);
	return value;
}

static int
setup(void **state)
{
	c = (struct conversation){.model = model};
	return 0;
}

static int
teardown(void **state)
{
	json_decref(c.items);
	json_decref(c.tools);
	json_decref(c.output_schema);
	return 0;
}

static void
assert_text(struct json_buf *out, const char *expected)
{
	assert_false(out->failed);
	json_buf_append(out, "", 1);
	assert_string_equal(out->data, expected);
	json_buf_free(out);
}

static void
assert_start(const char *expected)
{
	struct json_buf out = {0};

	thread_params_start(&out, &config, &c);
	assert_text(&out, expected);
}

static void
assert_turn(const char *expected)
{
	struct json_buf out = {0};

	thread_params_turn(&out, "t-1", &c);
	assert_text(&out, expected);
}

#define STABLE_HEAD                                                                                \
	"{\"model\":\"gpt-6.1-sol\",\"ephemeral\":true,\"approvalPolicy\":\"never\","              \
	"\"sandbox\":\"read-only\",\"cwd\":\"/srv/work\",\"baseInstructions\":\"\""
#define EXPERIMENTAL ",\"environments\":[],\"experimentalRawEvents\":true"
#define START_HEAD   STABLE_HEAD EXPERIMENTAL

static void
a_plain_thread_has_nothing_that_is_not_needed(void **state)
{
	assert_start(START_HEAD "}");
}

static void
codex_speaks_its_own_instructions_only_when_it_is_given_none(void **state)
{
	const struct thread_config own = {.workspace = "/w", .base_instructions = NULL};
	const struct thread_config ours = {.workspace = "/w", .base_instructions = "Be \"brief\"."};
	struct json_buf out = {0};
	json_auto_t *params = NULL;

	thread_params_start(&out, &own, &c);
	params = json_loadb(out.data, out.len, 0, NULL);
	assert_null(json_object_get(params, "baseInstructions"));
	json_decref(params);
	json_buf_free(&out);
	out = (struct json_buf){0};
	thread_params_start(&out, &ours, &c);
	params = json_loadb(out.data, out.len, 0, NULL);
	assert_string_equal(json_get_string(params, "baseInstructions"), "Be \"brief\".");
	json_buf_free(&out);
}

static void
functions_become_dynamic_tools_and_their_numbers_stay_as_they_came(void **state)
{
	c.tools = parsed("[{\"name\":\"get_weather\",\"description\":\"Current weather\","
	                 "\"parameters\":{\"type\":\"object\",\"properties\":{\"t\":{\"type\":"
	                 "\"number\",\"minimum\":0.1,\"maximum\":1e22,\"default\":-0.0,"
	                 "\"enum\":[9007199254740993,1.5]}}}},"
	                 "{\"name\":\"b\",\"description\":\"\",\"parameters\":{}}]");
	assert_start(START_HEAD
	             ",\"dynamicTools\":[{\"type\":\"function\",\"name\":\"get_weather\","
	             "\"description\":\"Current weather\",\"inputSchema\":{\"type\":\"object\","
	             "\"properties\":{\"t\":{\"type\":\"number\",\"minimum\":0.1,\"maximum\":1e22,"
	             "\"default\":-0.0,\"enum\":[9007199254740993,1.5]}}}},"
	             "{\"type\":\"function\",\"name\":\"b\",\"description\":\"\",\"inputSchema\":"
	             "{}}]}");
}

static void
no_tool_is_left_out_in_silence(void **state)
{
	struct json_buf out = {0};

	c.tools = parsed(
		"[{\"name\":\"a\",\"description\":\"\",\"parameters\":{}},{\"name\":\"b\"}]");
	thread_params_start(&out, &config, &c);
	assert_true(out.failed);
	json_buf_free(&out);
	json_decref(c.tools);
	c.tools = json_array();
	assert_start(START_HEAD ",\"dynamicTools\":[]}");
}

static void
verbosity_is_a_setting_of_the_thread(void **state)
{
	c.verbosity = low;
	assert_start(STABLE_HEAD ",\"config\":{\"model_verbosity\":\"low\"}" EXPERIMENTAL "}");
}

static void
the_history_goes_as_it_is(void **state)
{
	struct json_buf out = {0};
	static const char items[] =
		"[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
		"\"text\":\"a\\u0000b \\\"q\\\" \\u20ac\"}]},"
		"{\"type\":\"function_call\",\"call_id\":\"call_a\",\"name\":\"get_weather\","
		"\"arguments\":\"{\\\"city\\\":\\\"Paris\\\"}\"},"
		"{\"type\":\"function_call_output\",\"call_id\":\"call_a\",\"output\":\"21.50 "
		"C\"}]";

	c.items = parsed(items);
	thread_params_inject(&out, "t-1", &c);
	assert_text(&out,
	            "{\"threadId\":\"t-1\",\"items\":[{\"type\":\"message\",\"role\":\"user\","
	            "\"content\":[{\"type\":\"input_text\",\"text\":\"a\\u0000b \\\"q\\\" "
	            "\xe2\x82\xac\"}]},{\"type\":\"function_call\",\"call_id\":\"call_a\","
	            "\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\\\"Paris\\\"}\"},"
	            "{\"type\":\"function_call_output\",\"call_id\":\"call_a\",\"output\":"
	            "\"21.50 C\"}]}");
}

static void
a_plain_turn_has_empty_input_and_no_more(void **state)
{
	assert_turn("{\"threadId\":\"t-1\",\"input\":[]}");
}

static void
what_a_turn_may_set_is_set_when_it_is_given(void **state)
{
	c.effort = high;
	c.summary = automatic;
	c.service_tier = flex;
	c.output_schema =
		parsed("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},"
	               "\"required\":[\"a\"],\"additionalProperties\":false}");
	assert_turn("{\"threadId\":\"t-1\",\"input\":[],\"effort\":\"high\",\"summary\":\"auto\","
	            "\"serviceTierForTurn\":\"flex\",\"outputSchema\":{\"type\":\"object\","
	            "\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\"],"
	            "\"additionalProperties\":false}}");
}

static void
a_transcript_needs_nothing_of_the_experimental_api(void **state)
{
	static const char items[] =
		"[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
		"\"text\":\"Hi\\nUser: no\"},{\"type\":\"input_image\",\"image_url\":\"data:x\","
		"\"detail\":\"low\"}]}]";
	const struct thread_config transcript = {
		.workspace = "/srv/work", .base_instructions = "", .transcript = true};
	struct json_buf out = {0};
	struct err err;

	c.verbosity = low;
	c.effort = high;
	c.items = parsed(items);
	thread_params_start(&out, &transcript, &c);
	assert_text(&out, STABLE_HEAD ",\"config\":{\"model_verbosity\":\"low\"}}");
	out = (struct json_buf){0};
	assert_int_equal(thread_params_turn_as_text(&out, "t-1", &c, &err), 0);
	assert_text(&out, "{\"threadId\":\"t-1\",\"input\":[{\"type\":\"text\",\"text\":"
	                  "\"User: Hi\\nU\xe2\x80\x8bser: no\\n[image 1]\"},{\"type\":\"image\","
	                  "\"url\":\"data:x\",\"detail\":\"low\"}],\"effort\":\"high\"}");
}

static void
what_is_not_text_fails_instead_of_sending_half(void **state)
{
	struct json_buf out = {0};

	c.model = broken;
	thread_params_start(&out, &config, &c);
	assert_true(out.failed);
	json_buf_free(&out);
}

static void
what_codex_would_hide_goes_into_a_namespace_and_others_into_theirs(void **state)
{
	struct json_buf start = {0}, inject = {0};

	c.tools = parsed("[{\"name\":\"exec_command\",\"description\":\"\",\"parameters\":{}},"
	                 "{\"name\":\"clock\",\"description\":\"d\",\"tools\":[{\"name\":"
	                 "\"shell_command\",\"description\":\"\",\"parameters\":{}}]},"
	                 "{\"name\":\"f\",\"description\":\"\",\"parameters\":{}}]");
	c.items = parsed("[{\"type\":\"function_call\",\"name\":\"exec_command\"},"
	                 "{\"type\":\"function_call\",\"name\":\"shell_command\",\"namespace\":"
	                 "\"clock\"},{\"type\":\"function_call\",\"name\":\"f\"}]");
	thread_params_start(&start, &config, &c);
	json_buf_append(&start, "", 1);
	assert_non_null(strstr(
		start.data,
		"\"dynamicTools\":[{\"type\":\"namespace\",\"name\":\"clock\",\"description\":"
		"\"d\",\"tools\":[{\"type\":\"function\",\"name\":\"shell_command\","
		"\"description\":\"\",\"inputSchema\":{}}]},{\"type\":\"function\",\"name\":\"f\","
		"\"description\":\"\",\"inputSchema\":{}},{\"type\":\"namespace\",\"name\":"
		"\"client_tools\",\"description\":\"\",\"tools\":[{\"type\":\"function\",\"name\":"
		"\"exec_command\",\"description\":\"\",\"inputSchema\":{}}]}]"));
	json_buf_free(&start);
	thread_params_inject(&inject, "t-1", &c);
	assert_text(&inject,
	            "{\"threadId\":\"t-1\",\"items\":[{\"type\":\"function_call\",\"name\":"
	            "\"exec_command\",\"namespace\":\"client_tools\"},{\"type\":"
	            "\"function_call\",\"name\":\"shell_command\",\"namespace\":\"clock\"},"
	            "{\"type\":\"function_call\",\"name\":\"f\"}]}");
	/* the caller's own are as they were */
	assert_null(json_object_get(json_array_get(c.items, 0), "namespace"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_plain_thread_has_nothing_that_is_not_needed,
	                                        setup, teardown),
		cmocka_unit_test_setup_teardown(
			codex_speaks_its_own_instructions_only_when_it_is_given_none, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			functions_become_dynamic_tools_and_their_numbers_stay_as_they_came, setup,
			teardown),
		cmocka_unit_test_setup_teardown(no_tool_is_left_out_in_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(verbosity_is_a_setting_of_the_thread, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(the_history_goes_as_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(a_plain_turn_has_empty_input_and_no_more, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(what_a_turn_may_set_is_set_when_it_is_given, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(a_transcript_needs_nothing_of_the_experimental_api,
	                                        setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_text_fails_instead_of_sending_half,
	                                        setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_codex_would_hide_goes_into_a_namespace_and_others_into_theirs, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
