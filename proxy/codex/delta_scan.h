/* delta_scan: recognise the messages that make up most of the traffic without a JSON parser.
 *
 * Only the exact shape that codex sends is recognised; anything else is left to jansson. Pure. */
#ifndef SIDECAR_PROXY_CODEX_DELTA_SCAN_H
#define SIDECAR_PROXY_CODEX_DELTA_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/event.h"

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

/* What else comes with every turn, of which little is needed. */
enum notice_kind {
	NOTICE_TURN_STARTED,
	NOTICE_MESSAGE_BEGUN, /* item/started */
	NOTICE_ITEM_WHOLE,    /* rawResponseItem/completed */
	NOTICE_RESPONSE,      /* rawResponse/completed */
	NOTICE_TOKEN_USAGE,
	NOTICE_TURN_COMPLETED, /* well */
	NOTICE_THREAD_CLOSED,
};

/* Slices of the scanned bytes; those that the kind does not have are empty. */
struct notice {
	enum notice_kind kind;
	const char *thread_id;
	size_t thread_id_len;
	const char *turn_id;
	size_t turn_id_len;
	const char *item_id; /* of a message of the assistant */
	size_t item_id_len;
	const char *phase; /* NOTICE_MESSAGE_BEGUN; NULL: null */
	size_t phase_len;
	const char *response_id; /* NOTICE_RESPONSE */
	size_t response_id_len;
	struct usage usage;
};

/* True, and *out filled, for one of these as recorded. What lies between the members above is not
 * looked at: of JSON it says what jansson would, but it may take what is none. */
bool notice_scan(struct notice *out, const char *bytes, size_t len);

/* An answer of which only one word is needed. */
struct answer {
	unsigned long long id;
	const char *member; /* "thread", "turn", "status"; NULL: the result is {} */
	const char *value;  /* its id; the status itself */
	size_t value_len;
};

/* True, and *out filled, for {"id":N,"result":{"thread":{"id":"..", the same of a turn, and for
 * {"id":N,"result":{"status":".."}} and {"id":N,"result":{}}. What follows the id of a thread or
 * turn is not looked at: of JSON it says what jansson would, but it may take what is none. */
bool answer_scan(struct answer *out, const char *bytes, size_t len);

#endif
