/* The body of POST /v1/chat/completions: a conversation that codex reads, or a 400 that says where.
 */
#include "proxy/api/chat_request.h"

#include "proxy/api/stop_scan.h"
#include "tests/fuzz/request_check.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct api_error error = {.status = 0};
	struct chat_request r;
	struct stop_scan *stop;

	if (!chat_request_parse(&r, (const char *)data, size, "medium", &error)) {
		check_refused(&error);
		return 0;
	}
	HOLDS(json_array_size(r.base.conversation->items) > 0);
	HOLDS(r.n >= 1 && r.n <= 8);
	if (r.stop != NULL) {
		stop = stop_scan_new(r.stop);
		HOLDS(stop != NULL);
		stop_scan_free(stop);
	}
	check_taken(&r.base);
	chat_request_fini(&r);
	return 0;
}
