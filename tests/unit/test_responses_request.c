/* The parameters of a Responses request: every row of docs/responses.md. */
#include "tests/unit/responses_request_check.h"

static void
a_text_is_a_message_of_the_user(void **state)
{
	struct responses_request r;

	parse(&r, REQUEST(",\"instructions\":\"be\""));
	assert_json(r.base.conversation->items,
	            "[{\"type\":\"message\",\"role\":\"developer\",\"content\":[{\"type\":"
	            "\"input_text\",\"text\":\"be\"}]},{\"type\":\"message\",\"role\":\"user\","
	            "\"content\":[{\"type\":\"input_text\",\"text\":\"hi\"}]}]");
	assert_string_equal(r.base.conversation->effort, "medium");
	assert_true(r.store);
	assert_false(r.base.stream);
	assert_null(json_object_get(r.echo, "input")); /* it may be large */
	assert_string_equal(json_string_value(json_object_get(r.echo, "instructions")), "be");
	responses_request_fini(&r);
	assert_refused("{}", "input", "missing_required_parameter");
	assert_refused("{\"input\":7}", "input", "invalid_type");
}

static void
what_codex_has_a_place_for_is_handed_on(void **state)
{
	struct responses_request r;
	const struct conversation *c;

	parse(&r,
	      REQUEST(",\"model\":\"m\",\"reasoning\":{\"effort\":\"high\",\"summary\":\"auto\"},"
	              "\"text\":{\"verbosity\":\"low\",\"format\":{\"type\":\"json_schema\","
	              "\"name\":\"n\",\"schema\":{\"type\":\"object\"}}},\"service_tier\":"
	              "\"flex\",\"stream\":true,\"store\":false,\"parallel_tool_calls\":false,"
	              "\"include\":[\"reasoning.encrypted_content\"]"));
	c = r.base.conversation;
	assert_string_equal(c->model, "m");
	assert_string_equal(c->effort, "high");
	assert_string_equal(c->summary, "auto");
	assert_string_equal(c->verbosity, "low");
	assert_string_equal(c->service_tier, "flex");
	assert_json(c->output_schema, "{\"type\":\"object\"}");
	assert_true(r.base.stream && r.base.single_tool_call && r.encrypted && !r.store);
	assert_int_equal(r.base.ignored.len, 0);
	responses_request_fini(&r);
	parse(&r, REQUEST(",\"reasoning\":{\"generate_summary\":\"concise\"}"));
	assert_string_equal(r.base.conversation->summary, "concise");
	responses_request_fini(&r);
}

static void
what_is_without_effect_is_taken_and_named(void **state)
{
	static const struct {
		const char *sent;
		const char *named;
	} params[] = {
		{"\"client_metadata\":{\"a\":\"b\"}",                                 "client_metadata"                            },
		{"\"include\":[\"web_search_call.results\"]",                         "include"                                    },
		{"\"max_output_tokens\":16",                                          "max_output_tokens"                          },
		{"\"max_tool_calls\":1",					      "max_tool_calls"                             },
		{"\"prompt_cache_key\":\"k\"",                                        "prompt_cache_key"                           },
		{"\"prompt_cache_options\":{}",                                       "prompt_cache_options"                       },
		{"\"prompt_cache_retention\":\"24h\"",                                "prompt_cache_retention"                     },
		{"\"reasoning\":{\"context\":\"all_turns\"}",                         "reasoning.context"                          },
		{"\"reasoning\":{\"mode\":\"x\"}",                                    "reasoning.mode"                             },
		{"\"safety_identifier\":\"s\"",                                       "safety_identifier"                          },
		{"\"stream\":true,\"stream_options\":{\"include_obfuscation\":true}",
	         "stream_options.include_obfuscation"									      },
		{"\"temperature\":0.5",					       "temperature"                                },
		{"\"top_p\":1",						       "top_p"                                      },
		{"\"truncation\":\"auto\"",                                           "truncation"                                 },
		{"\"user\":\"u\"",						    "user"                                       },
		{"\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"schema\":{},"
	         "\"strict\":false,\"description\":\"d\"}}",         "text.format.description, text.format.strict"},
	};

	for (size_t i = 0; i < NELEM(params); i++) {
		char body[512];

		(void)snprintf(body, sizeof(body), REQUEST(",%s"), params[i].sent);
		assert_ignored(body, params[i].named);
	}
}

static void
what_changes_nothing_is_taken_in_silence(void **state)
{
	static const char *const sent[] = {
		"\"background\":false",
		"\"background\":null,\"conversation\":null,\"prompt\":null",
		"\"service_tier\":\"auto\"",
		"\"service_tier\":\"default\"",
		"\"text\":{\"format\":{\"type\":\"text\"}}",
		"\"text\":{\"format\":null,\"verbosity\":null}",
		"\"top_logprobs\":0",
		"\"truncation\":\"disabled\"",
		"\"stream\":true,\"stream_options\":{\"include_obfuscation\":false}",
		"\"stream\":true,\"stream_options\":{}",
		"\"reasoning\":{\"effort\":null,\"summary\":null}",
		"\"metadata\":{\"k\":\"v\"}",
		"\"tools\":[],\"tool_choice\":\"auto\"",
		"\"include\":[]",
	};

	for (size_t i = 0; i < NELEM(sent); i++) {
		char body[256];

		(void)snprintf(body, sizeof(body), REQUEST(",%s"), sent[i]);
		assert_ignored(body, "");
	}
	assert_refused(REQUEST(",\"unknown\":null"), "unknown", "unknown_parameter");
}

static void
what_codex_cannot_do_is_refused_by_its_name(void **state)
{
	static const struct {
		const char *sent;
		const char *param;
		const char *code;
	} params[] = {
		{"\"background\":true",                              "background",                 "unsupported_value"    },
		{"\"context_management\":[]",                        "context_management",         "unsupported_parameter"},
		{"\"conversation\":\"c\"",                           "conversation",               "unsupported_parameter"},
		{"\"include\":[\"message.output_text.logprobs\"]",   "include",                    "unsupported_value"    },
		{"\"include\":\"x\"",                                "include",                    "invalid_type"         },
		{"\"include\":[7]",                                  "include",                    "invalid_type"         },
		{"\"instructions\":[]",                              "instructions",               "invalid_type"         },
		{"\"metadata\":[]",                                  "metadata",                   "invalid_type"         },
		{"\"metadata\":{\"k\":7}",                           "metadata",                   "invalid_type"         },
		{"\"model\":7",				      "model",                      "invalid_type"         },
		{"\"moderation\":{}",                                "moderation",                 "unsupported_parameter"},
		{"\"parallel_tool_calls\":7",                        "parallel_tool_calls",        "invalid_type"         },
		{"\"previous_response_id\":7",                       "previous_response_id",       "invalid_type"         },
		{"\"prompt\":{\"id\":\"p\"}",                        "prompt",                     "unsupported_parameter"},
		{"\"prompt_cache_key\":7",                           "prompt_cache_key",           "invalid_type"         },
		{"\"reasoning\":\"high\"",                           "reasoning",                  "invalid_type"         },
		{"\"reasoning\":{\"effort\":7}",                     "reasoning.effort",           "invalid_type"         },
		{"\"reasoning\":{\"summary\":\"long\"}",             "reasoning.summary",          "unsupported_value"    },
		{"\"reasoning\":{\"generate_summary\":7}",           "reasoning.generate_summary",
	         "unsupported_value"										      },
		{"\"safety_identifier\":7",                          "safety_identifier",          "invalid_type"         },
		{"\"service_tier\":7",                               "service_tier",               "invalid_type"         },
		{"\"store\":1",				      "store",                      "invalid_type"         },
		{"\"stream\":1",				     "stream",                     "invalid_type"         },
		{"\"stream_options\":{}",                            "stream_options",             ""                     },
		{"\"stream\":true,\"stream_options\":7",             "stream_options",             "invalid_type"         },
		{"\"text\":7",				       "text",                       "invalid_type"         },
		{"\"text\":{\"verbosity\":\"loud\"}",                "text.verbosity",             "unsupported_value"    },
		{"\"text\":{\"format\":{\"type\":\"xml\"}}",         "text.format.type",
	         "unsupported_value"										      },
		{"\"text\":{\"format\":{\"type\":\"json_schema\"}}", "text.format.schema",
	         "missing_required_parameter"									     },
		{"\"top_logprobs\":3",                               "top_logprobs",               "unsupported_value"    },
		{"\"truncation\":\"some\"",                          "truncation",                 "unsupported_value"    },
		{"\"user\":7",				       "user",                       "invalid_type"         },
		{"\"messages\":[]",                                  "messages",                   "unknown_parameter"    },
	};

	for (size_t i = 0; i < NELEM(params); i++) {
		char body[256];

		(void)snprintf(body, sizeof(body), REQUEST(",%s"), params[i].sent);
		assert_refused(body, params[i].param, params[i].code);
	}
}

static void
metadata_is_bounded(void **state)
{
	static const char start[] = "{\"input\":\"\",\"metadata\":{\"k\":\"v\"";
	struct json_buf body = {.data = NULL};
	struct api_error error;
	char pair[32];

	json_buf_append(&body, start, sizeof(start) - 1);
	for (int i = 0; i < 16; i++) {
		int n = snprintf(pair, sizeof(pair), ",\"k%d\":\"v\"", i);

		json_buf_append(&body, pair, (size_t)n);
	}
	json_buf_append(&body, "}}", 3);
	refuse(&error, body.data, 400);
	assert_string_equal(error.param, "metadata");
	json_buf_free(&body);
}

static void
a_json_object_is_asked_for(void **state)
{
	struct responses_request r;

	parse(&r, REQUEST(",\"text\":{\"format\":{\"type\":\"json_object\"}}"));
	assert_string_equal(r.base.json_object, "text.format");
	assert_int_equal(json_array_size(r.base.conversation->items), 2);
	assert_int_equal(json_array_size(r.history), 1); /* what we say is not the caller's */
	responses_request_fini(&r);
}

/* Every member with a value of every type: taken or refused, but nothing worse. */
static const char *const any_values[] = {
	"null",
	"true",
	"0",
	"-1.5",
	"\"\"",
	"\"x\"",
	"[]",
	"{}",
	"[null]",
	"[[]]",
	"[{}]",
	"[\"x\"]",
	"{\"type\":7}",
	"{\"type\":\"function\"}",
	"[{\"type\":\"message\"}]",
	"[{\"type\":\"function\",\"name\":[]}]",
	"[{\"role\":\"user\",\"content\":{}}]",
	"\"\\u0000\"",
	"{\"\":[{}]}",
};

/* What can be said beside the input. */
static const char *const members[] = {
	"background",
	"include",
	"input",
	"instructions",
	"metadata",
	"model",
	"parallel_tool_calls",
	"previous_response_id",
	"reasoning",
	"service_tier",
	"store",
	"stream",
	"stream_options",
	"text",
	"tool_choice",
	"tools",
	"top_logprobs",
	"truncation",
	"user",
	"max_output_tokens",
};

/* Whole requests, with a hole or two. */
static const char *const inside[] = {
	"{\"input\":[{\"type\":%s}]}",
	"{\"input\":[{\"role\":%s,\"content\":\"x\"}]}",
	"{\"input\":[{\"role\":\"user\",\"content\":%s}]}",
	"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":%s}]"
	"}]}",
	"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_"
	"url\":%s}]}]}",
	"{\"input\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\","
	"\"refusal\":%s}],\"phase\":%s}]}",
	"{\"input\":[{\"type\":\"function_call\",\"call_id\":%s,\"name\":\"f\","
	"\"arguments\":\"\"}]}",
	"{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":%s,"
	"\"arguments\":%s}]}",
	"{\"input\":[{\"type\":\"custom_tool_call\",\"call_id\":\"c\",\"name\":\"f\","
	"\"input\":%s}]}",
	"{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\","
	"\"arguments\":\"\"},"
	"{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":%s}]}",
	"{\"input\":[{\"type\":\"reasoning\",\"summary\":%s,\"encrypted_content\":%s}]}",
	"{\"input\":[{\"type\":\"item_reference\",\"id\":%s}]}",
	"{\"input\":[{\"type\":\"additional_tools\",\"tools\":%s}]}",
	"{\"input\":\"\",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"description\":%"
	"s,\"parameters\":%s}]}",
	"{\"input\":\"\",\"tools\":[{\"type\":\"custom\",\"name\":\"f\",\"description\":%s,"
	"\"format\":%s}]}",
	"{\"input\":\"\",\"tools\":[{\"type\":\"custom\",\"name\":\"f\",\"format\":{"
	"\"type\":\"grammar\",\"definition\":%s,\"syntax\":%s}}]}",
	"{\"input\":\"\",\"tools\":[{\"type\":\"namespace\",\"name\":%s,\"tools\":%s}]}",
	"{\"input\":\"\",\"tools\":[{\"type\":\"namespace\",\"name\":\"n\",\"description\":"
	"%s,\"tools\":[%s]}]}",
	"{\"input\":\"\",\"tool_choice\":{\"type\":%s,\"name\":%s}}",
	"{\"input\":\"\",\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":%s,\"tools\":"
	"%s}}",
	"{\"input\":\"\",\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"auto\","
	"\"tools\":[%s]}}",
	"{\"input\":\"\",\"text\":{\"format\":{\"type\":\"json_schema\",\"schema\":%s,"
	"\"name\":%s}}}",
	"{\"input\":\"\",\"reasoning\":{\"effort\":%s,\"summary\":%s}}",
};

/* The i-th request that a value can be put into; false: there are no more. */
static bool
put_into(char *body, size_t size, size_t i, const char *value)
{
	if (i >= NELEM(members) + NELEM(inside))
		return false;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (i < NELEM(members))
		(void)snprintf(body, size, REQUEST(",\"%s\":%s"), members[i], value);
	else
		(void)snprintf(body, size, inside[i - NELEM(members)], value, value);
#pragma GCC diagnostic pop
	return true;
}

static void
values_of_any_type_anywhere_do_no_harm(void **state)
{
	char body[1024];
	size_t taken = 0;

	for (size_t v = 0; v < NELEM(any_values); v++) {
		for (size_t i = 0; put_into(body, sizeof(body), i, any_values[v]); i++) {
			struct responses_request r;
			struct api_error error;

			if (responses_request_parse(&r, body, strlen(body), NULL, store, 0,
			                            &error)) {
				taken++;
				responses_request_fini(&r);
			} else {
				assert_true(error.status == 400 || error.status == 404);
			}
		}
	}
	assert_true(taken > 50); /* or it shows nothing */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_a_message_of_the_user),
		cmocka_unit_test(what_codex_has_a_place_for_is_handed_on),
		cmocka_unit_test(what_is_without_effect_is_taken_and_named),
		cmocka_unit_test(what_changes_nothing_is_taken_in_silence),
		cmocka_unit_test(what_codex_cannot_do_is_refused_by_its_name),
		cmocka_unit_test(metadata_is_bounded),
		cmocka_unit_test(a_json_object_is_asked_for),
		cmocka_unit_test(values_of_any_type_anywhere_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
