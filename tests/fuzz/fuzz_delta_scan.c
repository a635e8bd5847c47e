/* The frames that are recognised without a parser: never of another opinion than jansson. */
#include "proxy/codex/delta_scan.h"

#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define TEXT_METHOD    "item/agentMessage/delta"
#define SUMMARY_METHOD "item/reasoning/summaryTextDelta"

/* --- deltas --------------------------------------------------------------------------------- */

static void
delta_agrees(const struct delta *d, const json_t *root)
{
	const json_t *params = json_get_object(root, "params");
	struct json_buf quoted = {.data = NULL};
	json_t *decoded;

	HOLDS(json_object_size(root) == 3 && json_is_integer(json_object_get(root, "emittedAtMs")));
	HOLDS(strcmp(json_get_string(root, "method"),
	             d->kind == DELTA_TEXT ? TEXT_METHOD : SUMMARY_METHOD) == 0);
	HOLDS(json_object_size(params) == (d->kind == DELTA_TEXT ? 4 : 5));
	HOLDS(fuzz_same(d->thread_id, d->thread_id_len, json_object_get(params, "threadId")));
	HOLDS(fuzz_same(d->turn_id, d->turn_id_len, json_object_get(params, "turnId")));
	HOLDS(fuzz_same(d->item_id, d->item_id_len, json_object_get(params, "itemId")));
	if (d->kind == DELTA_REASONING_SUMMARY)
		HOLDS(json_get_int(params, "summaryIndex", -1) == d->summary_index);
	json_buf_append(&quoted, "\"", 1);
	json_buf_append(&quoted, d->escaped, d->escaped_len);
	json_buf_append(&quoted, "\"", 1);
	decoded = fuzz_json(quoted.data, quoted.len);
	HOLDS(json_equal(decoded, json_object_get(params, "delta")));
	json_decref(decoded);
	json_buf_free(&quoted);
}

static bool
is_plain_id(const json_t *value)
{
	const char *text = json_string_value(value);

	if (text == NULL || strlen(text) != json_string_length(value))
		return false;
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text > '~' || *text == '"' || *text == '\\')
			return false;
	return true;
}

/* A delta by its meaning, written as codex would: it must be taken. */
static void
rewritten_is_taken(const json_t *root)
{
	const json_t *params = json_get_object(root, "params");
	const json_t *delta = json_object_get(params, "delta");
	const char *method = json_get_string(root, "method");
	bool summary = method != NULL && strcmp(method, SUMMARY_METHOD) == 0;
	json_int_t index = json_get_int(params, "summaryIndex", -1);
	struct json_buf frame = {.data = NULL};
	char head[512], tail[64];
	struct delta d;

	if (method == NULL || (!summary && strcmp(method, TEXT_METHOD) != 0) ||
	    !json_is_string(delta) || !is_plain_id(json_object_get(params, "threadId")) ||
	    !is_plain_id(json_object_get(params, "turnId")) ||
	    !is_plain_id(json_object_get(params, "itemId")) ||
	    (summary && (index < 0 || index > 999999999)))
		return;
	if ((size_t)snprintf(head, sizeof(head),
	                     "{\"method\":\"%s\",\"params\":{\"threadId\":\"%s\",\"turnId\":\"%s\","
	                     "\"itemId\":\"%s\",\"delta\":",
	                     method, json_get_string(params, "threadId"),
	                     json_get_string(params, "turnId"),
	                     json_get_string(params, "itemId")) >= sizeof(head))
		return;
	(void)snprintf(tail, sizeof(tail), ",\"summaryIndex\":%lld", (long long)index);
	json_buf_append(&frame, head, strlen(head));
	json_print(&frame, delta);
	if (summary)
		json_buf_append(&frame, tail, strlen(tail));
	json_buf_append(&frame, "},\"emittedAtMs\":1}", 18);
	HOLDS(!frame.failed && delta_scan(&d, frame.data, frame.len));
	HOLDS(d.kind == (summary ? DELTA_REASONING_SUMMARY : DELTA_TEXT));
	HOLDS(fuzz_same(d.item_id, d.item_id_len, json_object_get(params, "itemId")));
	json_buf_free(&frame);
}

/* --- what comes once a turn ----------------------------------------------------------------- */

static const char *
method_of(enum notice_kind kind)
{
	switch (kind) {
	case NOTICE_TURN_STARTED:
		return "turn/started";
	case NOTICE_MESSAGE_BEGUN:
		return "item/started";
	case NOTICE_ITEM_WHOLE:
		return "rawResponseItem/completed";
	case NOTICE_RESPONSE:
		return "rawResponse/completed";
	case NOTICE_TOKEN_USAGE:
		return "thread/tokenUsage/updated";
	case NOTICE_TURN_COMPLETED:
		return "turn/completed";
	case NOTICE_THREAD_CLOSED:
		return "thread/closed";
	}
	return "";
}

static bool
is_text(const json_t *value, const char *text)
{
	return fuzz_same(text, strlen(text), value);
}

static void
notice_agrees(const struct notice *n, const json_t *root)
{
	const json_t *params = json_get_object(root, "params");
	const json_t *item = json_get_object(params, "item");
	const json_t *turn = json_get_object(params, "turn");
	const json_t *phase = json_object_get(item, "phase");

	HOLDS(is_text(json_object_get(root, "method"), method_of(n->kind)));
	HOLDS(fuzz_same(n->thread_id, n->thread_id_len, json_object_get(params, "threadId")));
	if (n->kind == NOTICE_TURN_STARTED || n->kind == NOTICE_TURN_COMPLETED)
		HOLDS(fuzz_same(n->turn_id, n->turn_id_len, json_object_get(turn, "id")));
	else if (n->kind != NOTICE_THREAD_CLOSED)
		HOLDS(fuzz_same(n->turn_id, n->turn_id_len, json_object_get(params, "turnId")));
	if (n->item_id_len > 0)
		HOLDS(fuzz_same(n->item_id, n->item_id_len, json_object_get(item, "id")));
	if (n->kind == NOTICE_ITEM_WHOLE && n->item_id_len > 0)
		HOLDS(is_text(json_object_get(item, "role"), "assistant") &&
		      is_text(json_object_get(item, "type"), "message"));
	if (n->kind == NOTICE_RESPONSE) {
		const json_t *usage = json_object_get(params, "usage");

		HOLDS(fuzz_same(n->response_id, n->response_id_len,
		                json_object_get(params, "responseId")));
		HOLDS(json_get_int(usage, "totalTokens", -1) == n->usage.total_tokens &&
		      json_get_int(usage, "outputTokens", -1) == n->usage.output_tokens);
	}
	if (n->kind == NOTICE_TURN_COMPLETED)
		HOLDS(is_text(json_object_get(turn, "status"), "completed") &&
		      json_is_null(json_object_get(turn, "error")));
	if (n->kind == NOTICE_MESSAGE_BEGUN)
		HOLDS(is_text(json_object_get(item, "type"), "agentMessage") &&
		      (n->phase != NULL ? fuzz_same(n->phase, n->phase_len, phase)
		                        : json_is_null(phase)));
}

/* --- answers -------------------------------------------------------------------------------- */

/* The one word that is taken of an answer is there. */
static void
answer_agrees(const struct answer *a, const json_t *root)
{
	const json_t *result = json_object_get(root, "result");
	const json_t *value;

	HOLDS(json_get_int(root, "id", -1) == (json_int_t)a->id);
	if (a->member == NULL) {
		HOLDS(json_is_object(result) && json_object_size(result) == 0);
		return;
	}
	value = json_object_get(result, a->member);
	if (strcmp(a->member, "status") != 0)
		value = json_object_get(value, "id");
	HOLDS(fuzz_same(a->value, a->value_len, value));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	json_t *root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	struct delta delta;
	struct notice notice;
	struct answer answer;

	if (delta_scan(&delta, bytes, size)) {
		HOLDS(root != NULL);
		delta_agrees(&delta, root);
	}
	if (root != NULL)
		rewritten_is_taken(root);
	/* of what is no JSON these two may say anything */
	if (notice_scan(&notice, bytes, size) && root != NULL)
		notice_agrees(&notice, root);
	if (answer_scan(&answer, bytes, size) && root != NULL)
		answer_agrees(&answer, root);
	json_decref(root);
	return 0;
}
