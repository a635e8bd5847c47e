/* The input of a Responses request as the items that Codex takes. */
#include "tests/unit/responses_request_check.h"

#define CALL(id)                                                                                   \
	"{\"type\":\"function_call\",\"call_id\":\"" id "\",\"name\":\"f\",\"arguments\":\"{}\"}"
#define OUTPUT(id) "{\"type\":\"function_call_output\",\"call_id\":\"" id "\",\"output\":\"o\"}"

#define PNG "data:image/png;base64,AA=="

static void
messages_of_every_role_and_form(void **state)
{
	assert_items(
		"{\"role\":\"system\",\"content\":\"s\"},"
		"{\"type\":\"message\",\"role\":\"developer\",\"content\":[{\"type\":\"input_"
		"text\",\"text\":\"d\"}]},"
		"{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"u\"},{"
		"\"type\":\"input_image\",\"image_url\":\"" PNG "\",\"detail\":\"low\"}]},"
		"{\"id\":\"msg_1\",\"status\":\"completed\",\"type\":\"message\",\"role\":"
		"\"assistant\",\"phase\":\"final_answer\",\"content\":[{\"type\":\"output_text\","
		"\"text\":\"a\",\"annotations\":[]},{\"type\":\"refusal\",\"refusal\":\"r\"}]},"
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"input_text\",\"text\":\"b\"}],"
		"\"phase\":null}",
		"[{\"type\":\"message\",\"role\":\"developer\",\"content\":[{\"type\":\"input_"
		"text\",\"text\":\"s\"}]},"
		"{\"type\":\"message\",\"role\":\"developer\",\"content\":[{\"type\":\"input_"
		"text\",\"text\":\"d\"}]},"
		"{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
		"\"text\":\"u\"},{\"type\":\"input_image\",\"image_url\":\"" PNG
		"\",\"detail\":\"low\"}]},"
		"{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_"
		"text\",\"text\":\"a\"},{\"type\":\"output_text\",\"text\":\"r\"}],\"phase\":"
		"\"final_answer\"},"
		"{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_"
		"text\",\"text\":\"b\"}]}]");
}

static void
what_is_wrong_in_a_message_is_named(void **state)
{
	assert_items_refused("7", "input[0].type");
	assert_items_refused("{\"role\":\"user\",\"content\":\"\"},{}", "input[1].type");
	assert_items_refused("{\"type\":\"message\"}", "input[0].role");
	assert_items_refused("{\"role\":\"tool\",\"content\":\"\"}", "input[0].role");
	assert_items_refused("{\"role\":\"user\"}", "input[0].content");
	assert_items_refused("{\"role\":\"user\",\"content\":[7]}", "input[0].content[0]");
	assert_items_refused("{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}",
	                     "input[0].content[0].text");
	assert_items_refused("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\"}]}",
	                     "input[0].content[0].type");
	assert_items_refused(
		"{\"role\":\"user\",\"content\":[{\"type\":\"input_file\",\"file_id\":\"f\"}]}",
		"input[0].content[0].type");
	assert_items_refused(
		"{\"role\":\"user\",\"content\":[{\"type\":\"refusal\",\"refusal\":\"\"}]}",
		"input[0].content[0].type");
	assert_items_refused("{\"role\":\"assistant\",\"content\":[{\"type\":\"input_image\","
	                     "\"image_url\":\"" PNG "\"}]}",
	                     "input[0].content[0].type");
	assert_items_refused("{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_"
	                     "url\":\"http://x/y.png\"}]}",
	                     "input[0].content[0].image_url");
	assert_items_refused(
		"{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"file_id\":\"f\"}]}",
		"input[0].content[0].image_url");
	assert_items_refused(
		"{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":\"" PNG
		"\",\"detail\":\"x\"}]}",
		"input[0].content[0].detail");
}

static void
calls_and_their_outputs(void **state)
{
	assert_items(
		CALL("1") ",{\"type\":\"custom_tool_call\",\"call_id\":\"2\",\"name\":\"c\","
			  "\"input\":\"a \\\"b\\\"\\n\"},"
			  "{\"type\":\"function_call\",\"call_id\":\"3\",\"name\":\"g\","
			  "\"namespace\":\"clock\",\"arguments\":\"\"},"
			  "{\"type\":\"function_call\",\"call_id\":\"4\",\"name\":\"h\","
			  "\"namespace\":\"functions\",\"arguments\":\"\"}," OUTPUT(
				  "1") ",{\"type\":\"custom_tool_call_output\",\"call_id\":\"2\","
				       "\"output\":[{\"type\":\"input_text\",\"text\":\"t\"},{"
				       "\"type\":\"input_image\",\"image_url\":\"" PNG
				       "\"}]}," OUTPUT("3") "," OUTPUT("4"),
		"[" CALL("1") ",{\"type\":\"function_call\",\"call_id\":\"2\",\"name\":\"c\","
			      "\"arguments\":\"{\\\"input\\\":\\\"a \\\\\\\"b\\\\\\\"\\\\n\\\"}\"},"
			      "{\"type\":\"function_call\",\"call_id\":\"3\",\"namespace\":"
			      "\"clock\",\"name\":\"g\",\"arguments\":\"\"},"
			      "{\"type\":\"function_call\",\"call_id\":\"4\",\"name\":\"h\","
			      "\"arguments\":\"\"}," OUTPUT(
				      "1") ",{\"type\":\"function_call_output\",\"call_id\":\"2\","
					   "\"output\":[{\"type\":\"input_text\",\"text\":\"t\"},{"
					   "\"type\":\"input_image\",\"image_url\":\"" PNG
					   "\"}]}," OUTPUT("3") "," OUTPUT("4") "]");
}

/* Codex would drop the one in silence, and make up the other. */
static void
a_call_without_output_and_an_output_without_call_are_errors(void **state)
{
	assert_items_refused(CALL("1"), "input");
	assert_items_refused(OUTPUT("1"), "input[0].call_id");
	assert_items_refused(CALL("1") "," OUTPUT("2"), "input[1].call_id");
	assert_items_refused(CALL("1") "," CALL("1") "," OUTPUT("1"), "input[1].call_id");
	assert_items_refused(CALL("1") "," OUTPUT("1") "," OUTPUT("1"), "input[2].call_id");
	assert_items_refused("{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"\"}",
	                     "input[0].call_id");
	assert_items_refused("{\"type\":\"function_call\",\"call_id\":\"1\",\"arguments\":\"\"}",
	                     "input[0].name");
	assert_items_refused(
		"{\"type\":\"function_call\",\"call_id\":\"1\",\"name\":\"f\",\"arguments\":{}}",
		"input[0].arguments");
	assert_items_refused("{\"type\":\"custom_tool_call\",\"call_id\":\"1\",\"name\":\"f\"}",
	                     "input[0].input");
	assert_items_refused("{\"type\":\"function_call_output\",\"output\":\"\"}",
	                     "input[0].call_id");
	assert_items_refused(CALL("1") ",{\"type\":\"function_call_output\",\"call_id\":\"1\"}",
	                     "input[1].output");
}

static void
reasoning_goes_back_if_its_provider_can_read_it(void **state)
{
	assert_items("{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[{\"type\":\"summary_"
	             "text\",\"text\":\"s\"}],\"encrypted_content\":\"e\",\"content\":[]},"
	             "{\"type\":\"reasoning\",\"id\":\"rs_2\",\"summary\":[{\"type\":\"summary_"
	             "text\",\"text\":\"s\"}],\"encrypted_content\":null},"
	             "{\"type\":\"reasoning\",\"summary\":[]}",
	             "[{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":"
	             "\"s\"}],\"encrypted_content\":\"e\"}]");
	assert_items_refused("{\"type\":\"reasoning\",\"encrypted_content\":7}",
	                     "input[0].encrypted_content");
	assert_items_refused("{\"type\":\"reasoning\",\"summary\":7}", "input[0].summary");
	assert_items_refused("{\"type\":\"reasoning\",\"summary\":[7]}",
	                     "input[0].summary[0].text");
}

static void
items_of_tools_that_are_not_here_are_refused_by_their_type(void **state)
{
	static const char *const types[] = {
		"web_search_call", "file_search_call", "computer_call",         "local_shell_call",
		"mcp_call",        "compaction",       "image_generation_call", "nonsense"};

	for (size_t i = 0; i < NELEM(types); i++) {
		struct api_error error;
		char body[128];

		(void)snprintf(body, sizeof(body), "{\"input\":[{\"type\":\"%s\"}]}", types[i]);
		refuse(&error, body, 400);
		assert_string_equal(error.param, "input[0]");
		assert_non_null(strstr(error.message, types[i]));
	}
}

/* --- the store ------------------------------------------------------------------------------- */

static void
keep(int caller, const char *id, const char *items)
{
	json_auto_t *response = json_pack("{s:s}", "id", id);
	json_auto_t *list = json_loads(items, 0, NULL);

	assert_non_null(list);
	response_store_put(store, caller, response, list);
}

static int
setup_store(void **state)
{
	store = response_store_new(100000);
	keep(0, "resp_a",
	     "[{\"role\":\"user\",\"content\":\"q\"},{\"type\":\"function_call\",\"id\":\"fc_a_0\","
	     "\"call_id\":\"1\",\"name\":\"f\",\"arguments\":\"{}\"}]");
	keep(1, "resp_b",
	     "[{\"type\":\"function_call\",\"id\":\"fc_b_0\",\"call_id\":\"1\",\"name\":\"f\","
	     "\"arguments\":\"{}\"}]");
	return store != NULL ? 0 : -1;
}

static int
teardown_store(void **state)
{
	response_store_free(store);
	store = NULL;
	return 0;
}

#define MESSAGE(role, type, text)                                                                  \
	"{\"type\":\"message\",\"role\":\"" role "\",\"content\":[{\"type\":\"" type               \
	"\",\"text\":\"" text "\"}]}"

static void
an_earlier_response_comes_before_the_input(void **state)
{
	struct responses_request r;

	parse(&r, "{\"previous_response_id\":\"resp_a\",\"instructions\":\"i\",\"input\":[" OUTPUT(
			  "1") "]}");
	assert_json(r.base.conversation->items,
	            "[" MESSAGE("developer", "input_text", "i") "," MESSAGE(
			    "user", "input_text", "q") "," CALL("1") "," OUTPUT("1") "]");
	assert_json(
		r.history,
		"[{\"role\":\"user\",\"content\":\"q\"},{\"type\":\"function_call\",\"id\":\"fc_a_"
		"0\",\"call_id\":\"1\",\"name\":\"f\",\"arguments\":\"{}\"}," OUTPUT("1") "]");
	responses_request_fini(&r);
	/* its call still wants an output */
	assert_refused("{\"previous_response_id\":\"resp_a\",\"input\":\"x\"}", "input", "");
}

static void
what_is_not_there_or_another_ones_is_not_found(void **state)
{
	static const char *const ids[] = {"resp_b", "resp_c", "", "resp_a\\u0000"};
	static const char *const items[] = {
		"fc_b_0",
		"fc_a_1",
		"fc_a",
		"a",
		"_",
		"fc__0",
		"",
		"fc_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_0"};
	struct api_error error;
	char body[256];

	for (size_t i = 0; i < NELEM(ids); i++) {
		(void)snprintf(body, sizeof(body),
		               "{\"previous_response_id\":\"%s\",\"input\":\"x\"}", ids[i]);
		refuse(&error, body, 404);
		assert_string_equal(error.code, "previous_response_not_found");
		assert_string_equal(error.param, "previous_response_id");
	}
	for (size_t i = 0; i < NELEM(items); i++) {
		(void)snprintf(body, sizeof(body),
		               "{\"input\":[{\"type\":\"item_reference\",\"id\":\"%s\"}]}",
		               items[i]);
		refuse(&error, body, 404);
		assert_string_equal(error.code, "item_not_found");
		assert_string_equal(error.param, "input[0].id");
	}
}

static void
a_reference_is_the_item_itself(void **state)
{
	assert_items("{\"type\":\"item_reference\",\"id\":\"fc_a_0\"}," OUTPUT("1"),
	             "[" CALL("1") "," OUTPUT("1") "]");
	assert_items("{\"id\":\"fc_a_0\"}," OUTPUT("1"), "[" CALL("1") "," OUTPUT("1") "]");
	assert_items_refused("{\"type\":\"item_reference\"}", "input[0].id");
}

static void
the_store_forgets_the_oldest_first_and_keeps_its_bounds(void **state)
{
	char big[4000], id[32];
	size_t len = 0;

	memset(big, 'x', sizeof(big));
	memcpy(big, "[\"", 2);
	memcpy(big + sizeof(big) - 3, "\"]", 3);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(id, sizeof(id), "resp_%d", i);
		keep(0, id, big);
	}
	assert_null(response_store_get(store, 0, "resp_a", &len));
	assert_null(response_store_get(store, 0, "resp_70", &len));
	assert_string_equal(response_store_get(store, 0, "resp_80", &len), "{\"id\":\"resp_80\"}");
	assert_int_equal(len, 16);
	assert_false(response_store_delete(store, 1, "resp_80")); /* another one's */
	assert_true(response_store_delete(store, 0, "resp_80"));
	assert_false(response_store_delete(store, 0, "resp_80"));
	/* what is larger than all of it is not kept, and pushes nobody out */
	response_store_free(store);
	store = response_store_new(1000);
	keep(0, "resp_a", "[]");
	keep(0, "resp_big", big);
	assert_non_null(response_store_get(store, 0, "resp_a", &len));
	assert_null(response_store_get(store, 0, "resp_big", &len));
}

static void
a_store_of_no_size_keeps_nothing(void **state)
{
	size_t len = 0;

	response_store_free(store);
	store = response_store_new(0);
	keep(0, "resp_a", "[]");
	assert_null(response_store_get(store, 0, "resp_a", &len));
	assert_null(response_store_get(NULL, 0, "resp_a", &len));
	assert_null(response_store_items(NULL, 0, "resp_a"));
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, setup_store, teardown_store)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_every_role_and_form),
		cmocka_unit_test(what_is_wrong_in_a_message_is_named),
		cmocka_unit_test(calls_and_their_outputs),
		cmocka_unit_test(a_call_without_output_and_an_output_without_call_are_errors),
		cmocka_unit_test(reasoning_goes_back_if_its_provider_can_read_it),
		cmocka_unit_test(items_of_tools_that_are_not_here_are_refused_by_their_type),
		with_store(an_earlier_response_comes_before_the_input),
		with_store(what_is_not_there_or_another_ones_is_not_found),
		with_store(a_reference_is_the_item_itself),
		with_store(the_store_forgets_the_oldest_first_and_keeps_its_bounds),
		with_store(a_store_of_no_size_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
