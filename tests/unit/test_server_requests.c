/* What the app-server is told when it asks: in the shapes that codex 0.169.0's own types demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/common.h"
#include "common/json.h"
#include "proxy/codex/server_requests.h"

/* Every method of "codex app-server generate-ts --experimental", and the answer; NULL: refused. */
static const struct {
	const char *method;
	const char *result;
} known[] = {
	{"item/commandExecution/requestApproval", "{\"decision\":\"decline\"}"             },
	{"item/fileChange/requestApproval",       "{\"decision\":\"decline\"}"             },
	{"item/permissions/requestApproval",      "{\"permissions\":{},\"scope\":\"turn\"}"},
	{"applyPatchApproval",
         "{\"decision\":{\"denied\":{\"rejection\":\"This client approves nothing.\"}}}"   },
	{"execCommandApproval",
         "{\"decision\":{\"denied\":{\"rejection\":\"This client approves nothing.\"}}}"   },
	{"mcpServer/elicitation/request",
         "{\"action\":\"decline\",\"content\":null,\"_meta\":null}"                        },
	{"item/tool/requestUserInput",            "{\"answers\":{}}"                       },
	{"currentTime/read",                      "{\"currentTimeAt\":1795418965}"         },
	{"item/tool/call",                        NULL				     },
	{"account/chatgptAuthTokens/refresh",     NULL                                     },
	{"attestation/generate",                  NULL				     },
};

static void
every_method_has_an_answer_in_its_own_shape(void **state)
{
	for (size_t i = 0; i < NELEM(known); i++) {
		struct server_reply reply =
			server_request_reply(known[i].method, false, false, 1795418965);
		AUTO_FREE char *text = NULL;

		assert_false(reply.none);
		if (known[i].result == NULL) {
			assert_null(reply.result);
			assert_int_equal(reply.code, -32000);
			assert_true(strlen(reply.why) > 0);
			continue;
		}
		assert_non_null(reply.result);
		text = json_dumps(reply.result, JSON_COMPACT);
		assert_string_equal(text, known[i].result);
		json_decref(reply.result);
	}
}

static void
a_call_of_a_turn_of_ours_is_not_answered(void **state)
{
	assert_true(server_request_reply("item/tool/call", true, false, 0).none);
	assert_int_equal(server_request_reply("attestation/generate", true, false, 0).code, -32000);
}

static void
an_unknown_method_is_refused_as_json_rpc_does(void **state)
{
	static const char *const names[] = {"", "item/tool/cal", "item/tool/calls",
	                                    "no/such/approval"};

	for (size_t i = 0; i < NELEM(names); i++) {
		struct server_reply reply = server_request_reply(names[i], true, false, 0);

		assert_false(reply.none);
		assert_null(reply.result);
		assert_int_equal(reply.code, -32601);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_method_has_an_answer_in_its_own_shape),
		cmocka_unit_test(a_call_of_a_turn_of_ours_is_not_answered),
		cmocka_unit_test(an_unknown_method_is_refused_as_json_rpc_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
