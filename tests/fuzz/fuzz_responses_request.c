/* The body of POST /v1/responses, with an earlier response to refer to. */
#include "proxy/api/responses_request.h"

#include "tests/fuzz/request_check.h"

static const struct response_store *
store(void)
{
	static struct response_store *kept;
	json_t *response, *items;

	if (kept != NULL)
		return kept;
	kept = response_store_new(1 << 20);
	response = json_pack("{s:s}", "id", "resp_a");
	items = json_pack("[{s:s,s:s,s:s},{s:s,s:s,s:s,s:s}]", "type", "message", "role", "user",
	                  "content", "hi", "type", "function_call", "call_id", "c", "name", "f",
	                  "arguments", "{}");
	HOLDS(kept != NULL && response != NULL && items != NULL);
	response_store_put(kept, 1, response, items);
	json_decref(response);
	json_decref(items);
	return kept;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct api_error error = {.status = 0};
	struct responses_request r;

	if (!responses_request_parse(&r, (const char *)data, size, "medium", store(), 1, &error)) {
		check_refused(&error);
		return 0;
	}
	HOLDS(json_is_object(r.echo) && json_is_array(r.history));
	check_taken(&r.base);
	responses_request_fini(&r);
	return 0;
}
