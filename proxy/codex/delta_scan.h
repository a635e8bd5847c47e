/* delta_scan: recognise the notifications that make up most of the traffic without a JSON parser.
 *
 * Only the exact shape that codex sends is recognised; anything else is left to jansson. Pure. */
#ifndef SIDECAR_PROXY_CODEX_DELTA_SCAN_H
#define SIDECAR_PROXY_CODEX_DELTA_SCAN_H

#include <stdbool.h>
#include <stddef.h>

enum delta_kind { DELTA_TEXT, DELTA_REASONING_SUMMARY };

/* Slices of the scanned bytes. */
struct delta {
	enum delta_kind kind;
	const char *thread_id;
	size_t thread_id_len;
	const char *turn_id;
	size_t turn_id_len;
	const char *item_id;
	size_t item_id_len;
	const char *escaped; /* a valid inside of a JSON string: escapes checked, no raw control */
	size_t escaped_len;
	unsigned summary_index; /* DELTA_REASONING_SUMMARY */
};

/* True, and *out filled, for exactly
 * {"method":"item/agentMessage/delta","params":{"threadId":"..","turnId":"..","itemId":"..","delta":".."},"emittedAtMs":N}
 * or the item/reasoning/summaryTextDelta form, as recorded. */
bool delta_scan(struct delta *out, const char *bytes, size_t len);

#endif
