/* delta_scan: the deltas, and what comes with every turn, byte for byte as codex prints them. */
#include "proxy/codex/delta_scan.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "common/common.h"
#include "common/json.h"

/* Where the scan stands; never moves past end. */
struct cursor {
	const unsigned char *at;
	const unsigned char *end;
};

#define SKIP(c, literal) skip(c, literal, sizeof(literal) - 1)

static bool
skip(struct cursor *c, const char *literal, size_t len)
{
	if ((size_t)(c->end - c->at) < len || memcmp(c->at, literal, len) != 0)
		return false;
	c->at += len;
	return true;
}

#define EACH_BYTE(n) (UINT64_MAX / 255 * (n))

/* How many of eight bytes, from the first on, are ASCII that needs no escape. */
static size_t
plain_bytes(const unsigned char *at)
{
	uint64_t bytes, quotes, backslashes, others;

	memcpy(&bytes, at, sizeof(bytes));
	bytes = le64toh(bytes);
	quotes = bytes ^ EACH_BYTE('"');
	backslashes = bytes ^ EACH_BYTE('\\');
	/* A byte that is less than what is taken from it gets its highest bit; it borrows from the
	 * next one, so that only the lowest of these bits is for sure. */
	others = (bytes | (bytes - EACH_BYTE(' ')) | (quotes - EACH_BYTE(1)) |
	          (backslashes - EACH_BYTE(1))) &
	         EACH_BYTE(0x80);
	return others != 0 ? (size_t)__builtin_ctzll(others) / 8 : sizeof(bytes);
}

static bool
is_plain(unsigned char b)
{
	return b >= ' ' && b < 0x80 && b != '"' && b != '\\';
}

/* An id up to its closing quote. There are a hundred characters of ids in a delta: they are not
 * looked at one by one but at the end of the message. */
static bool
take_id(struct cursor *c, const char **out, size_t *len)
{
	const unsigned char *at = c->at;
	size_t n = sizeof(uint64_t);

	while (n == sizeof(uint64_t) && (size_t)(c->end - at) >= sizeof(uint64_t)) {
		n = plain_bytes(at);
		at += n;
	}
	while (n == sizeof(uint64_t) && at < c->end && is_plain(*at))
		at++;
	*out = (const char *)c->at;
	*len = (size_t)(at - c->at);
	c->at = at;
	return SKIP(c, "\"");
}

/* A JSON integer of at most max_digits digits, so that it cannot overflow. */
static bool
take_integer(struct cursor *c, size_t max_digits, unsigned long long *out)
{
	const unsigned char *start = c->at, *at = start;
	unsigned long long value = 0;

	for (; at < c->end && *at >= '0' && *at <= '9'; at++) {
		if ((size_t)(at - start) == max_digits)
			return false;
		value = value * 10 + (unsigned long long)(*at - '0');
	}
	c->at = at;
	*out = value;
	return at > start && (*start != '0' || at == start + 1);
}

static int
hex4(const struct cursor *c)
{
	int value = 0;

	if (c->end - c->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		unsigned char d = c->at[i];

		if (d >= '0' && d <= '9')
			value = value * 16 + (d - '0');
		else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
			value = value * 16 + ((d | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

/* The rest of \uXXXX, with its second half where it is a surrogate; lone ones are refused. */
static bool
skip_unicode_escape(struct cursor *c)
{
	int high = hex4(c), low;

	if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
		return false;
	c->at += 4;
	if (high < 0xd800 || high > 0xdbff)
		return true;
	if (!SKIP(c, "\\u"))
		return false;
	low = hex4(c);
	if (low < 0xdc00 || low > 0xdfff)
		return false;
	c->at += 4;
	return true;
}

static bool
skip_escape(struct cursor *c)
{
	if (c->at == c->end)
		return false;
	switch (*c->at++) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return true;
	case 'u':
		return skip_unicode_escape(c);
	}
	return false;
}

/* The inside of a string, up to and over its closing quote. */
static bool
take_string(struct cursor *c, const char **out, size_t *len)
{
	const unsigned char *start = c->at;

	while (c->at < c->end) {
		unsigned char b = *c->at;

		if (b >= 0x80) {
			size_t width =
				json_utf8_length((const char *)c->at, (size_t)(c->end - c->at));

			if (width == 0)
				return false;
			c->at += width;
			continue;
		}
		if (b < 0x20)
			return false;
		c->at++;
		if (b == '"') {
			*out = (const char *)start;
			*len = (size_t)(c->at - 1 - start);
			return true;
		}
		if (b == '\\' && !skip_escape(c))
			return false;
	}
	return false;
}

bool
delta_scan(struct delta *out, const char *bytes, size_t len)
{
	struct cursor c = {(const unsigned char *)bytes, (const unsigned char *)bytes + len};
	unsigned long long index = 0, emitted;
	struct delta d;

	if (!SKIP(&c, "{\"method\":\"item/"))
		return false;
	if (SKIP(&c, "agentMessage/delta\""))
		d.kind = DELTA_TEXT;
	else if (SKIP(&c, "reasoning/summaryTextDelta\""))
		d.kind = DELTA_REASONING_SUMMARY;
	else
		return false;
	if (!SKIP(&c, ",\"params\":{\"threadId\":\"") ||
	    !take_id(&c, &d.thread_id, &d.thread_id_len))
		return false;
	if (!SKIP(&c, ",\"turnId\":\"") || !take_id(&c, &d.turn_id, &d.turn_id_len))
		return false;
	if (!SKIP(&c, ",\"itemId\":\"") || !take_id(&c, &d.item_id, &d.item_id_len))
		return false;
	if (!SKIP(&c, ",\"delta\":\"") || !take_string(&c, &d.escaped, &d.escaped_len))
		return false;
	if (d.kind == DELTA_REASONING_SUMMARY &&
	    (!SKIP(&c, ",\"summaryIndex\":") || !take_integer(&c, 9, &index)))
		return false;
	if (!SKIP(&c, "},\"emittedAtMs\":") || !take_integer(&c, 18, &emitted))
		return false;
	if (!SKIP(&c, "}") || c.at != c.end)
		return false;
	d.summary_index = (unsigned)index;
	*out = d;
	return true;
}

/* --- what comes once a turn ------------------------------------------------------------------ */

#define TAKE_ID(c, n, which) take_id(c, &(n)->which, &(n)->which##_len)

static bool
take_turn(struct cursor *c, struct notice *n)
{
	return SKIP(c, "\"turn\":{\"id\":\"") && TAKE_ID(c, n, turn_id);
}

static bool
take_turn_id(struct cursor *c, struct notice *n)
{
	return SKIP(c, "\"turnId\":\"") && TAKE_ID(c, n, turn_id);
}

/* ","emittedAtMs":N}" and nothing more. */
static bool
ends(struct cursor *c)
{
	unsigned long long emitted;

	return SKIP(c, ",\"emittedAtMs\":") && take_integer(c, 18, &emitted) && SKIP(c, "}") &&
	       c->at == c->end;
}

/* The last members of a turn that went well. Its items, which come before them, can be long and are
 * not read: a quotation mark that no backslash precedes is none of a text's, so what looks like the
 * name of a member is one, and the brackets at the end say that it is one of the turn's. */
static bool
ends_well(const struct cursor *whole)
{
	static const char status[] =
		",\"itemsView\":\"summary\",\"status\":\"completed\",\"error\":null,";
	static const size_t tail_max = 256; /* three times and their names are shorter */
	size_t len = (size_t)(whole->end - whole->at);
	const unsigned char *from = len > tail_max ? whole->end - tail_max : whole->at;
	struct cursor c = {memmem(from, (size_t)(whole->end - from), status, sizeof(status) - 1),
	                   whole->end};
	unsigned long long ms;

	return c.at != NULL && SKIP(&c, status) && SKIP(&c, "\"startedAt\":") &&
	       take_integer(&c, 18, &ms) && SKIP(&c, ",\"completedAt\":") &&
	       take_integer(&c, 18, &ms) && SKIP(&c, ",\"durationMs\":") &&
	       take_integer(&c, 18, &ms) && SKIP(&c, "}}") && ends(&c);
}

/* After "item/started". */
static bool
take_message_begun(struct cursor *c, struct notice *n)
{
	unsigned long long ms;

	if (!SKIP(c, ",\"params\":{\"item\":{\"type\":\"agentMessage\",\"moderation\":null,\"id\":"
	             "\"") ||
	    !TAKE_ID(c, n, item_id) || !SKIP(c, ",\"text\":\"\",\"phase\":"))
		return false;
	if (!SKIP(c, "null") && (!SKIP(c, "\"") || !TAKE_ID(c, n, phase)))
		return false;
	return SKIP(c, ",\"memoryCitation\":null,\"delivery\":null,\"questions\":null,"
	               "\"startedAtMs\":") &&
	       take_integer(c, 18, &ms) && SKIP(c, ",\"completedAtMs\":null},\"threadId\":\"") &&
	       TAKE_ID(c, n, thread_id) && SKIP(c, ",") && take_turn_id(c, n) &&
	       SKIP(c, ",\"startedAtMs\":") && take_integer(c, 18, &ms) && SKIP(c, "}") && ends(c);
}

/* What is injected comes back in these, and can be long: its turn is all that is needed then. */
static bool
take_item_whole(struct cursor *c, struct notice *n)
{
	struct notice with = *n;

	if (!take_turn_id(c, &with))
		return false;
	*n = with;
	if (SKIP(c, ",\"item\":{\"type\":\"message\",\"status\":\"completed\",\"id\":\"") &&
	    TAKE_ID(c, &with, item_id) && SKIP(c, ",\"role\":\"assistant\","))
		*n = with;
	return true;
}

/* Figures that do not fit are none; the parser sees to them. */
static bool
take_usage(struct cursor *c, struct usage *u)
{
	const struct {
		const char *name;
		int64_t *figure;
	} figures[] = {
		{"{\"totalTokens\":",           &u->total_tokens            },
		{",\"inputTokens\":",           &u->input_tokens            },
		{",\"cachedInputTokens\":",     &u->cached_input_tokens     },
		{",\"cacheWriteInputTokens\":", &u->cache_write_input_tokens},
		{",\"outputTokens\":",          &u->output_tokens           },
		{",\"reasoningOutputTokens\":", &u->reasoning_output_tokens },
	};
	unsigned long long n;

	for (size_t i = 0; i < NELEM(figures); i++) {
		if (!skip(c, figures[i].name, strlen(figures[i].name)) || !take_integer(c, 15, &n))
			return false;
		*figures[i].figure = (int64_t)n;
	}
	return SKIP(c, "}");
}

/* What follows the usage is the same in the provider's words. */
static bool
take_response(struct cursor *c, struct notice *n)
{
	return take_turn_id(c, n) && SKIP(c, ",\"responseId\":\"") && TAKE_ID(c, n, response_id) &&
	       SKIP(c, ",\"usage\":") && take_usage(c, &n->usage);
}

static bool
take_notice(struct cursor *c, struct notice *n)
{
	switch (n->kind) {
	case NOTICE_TURN_STARTED:
		return SKIP(c, ",") && take_turn(c, n);
	case NOTICE_ITEM_WHOLE:
		return SKIP(c, ",") && take_item_whole(c, n);
	case NOTICE_RESPONSE:
		return SKIP(c, ",") && take_response(c, n);
	case NOTICE_TOKEN_USAGE:
		return SKIP(c, ",") && take_turn_id(c, n);
	case NOTICE_TURN_COMPLETED:
		return SKIP(c, ",") && take_turn(c, n) && ends_well(c);
	case NOTICE_THREAD_CLOSED:
		return SKIP(c, "}") && ends(c);
	case NOTICE_MESSAGE_BEGUN:
		break; /* it has its thread elsewhere */
	}
	return false;
}

bool
notice_scan(struct notice *out, const char *bytes, size_t len)
{
	static const struct {
		const char *method;
		size_t len;
		enum notice_kind kind;
	} methods[] = {
#define METHOD(name, kind) {name "\"", sizeof(name), kind}
		METHOD("turn/started", NOTICE_TURN_STARTED),
		METHOD("rawResponseItem/completed", NOTICE_ITEM_WHOLE),
		METHOD("rawResponse/completed", NOTICE_RESPONSE),
		METHOD("thread/tokenUsage/updated", NOTICE_TOKEN_USAGE),
		METHOD("turn/completed", NOTICE_TURN_COMPLETED),
		METHOD("thread/closed", NOTICE_THREAD_CLOSED),
#undef METHOD
	};
	struct cursor c = {(const unsigned char *)bytes, (const unsigned char *)bytes + len};
	struct notice n = {.kind = NOTICE_MESSAGE_BEGUN};

	if (!SKIP(&c, "{\"method\":\""))
		return false;
	if (SKIP(&c, "item/started\"")) {
		if (!take_message_begun(&c, &n))
			return false;
		*out = n;
		return true;
	}
	for (size_t i = 0; i < NELEM(methods); i++) {
		if (!skip(&c, methods[i].method, methods[i].len))
			continue;
		n.kind = methods[i].kind;
		if (!SKIP(&c, ",\"params\":{\"threadId\":\"") || !TAKE_ID(&c, &n, thread_id) ||
		    !take_notice(&c, &n))
			return false;
		*out = n;
		return true;
	}
	return false;
}

bool
answer_scan(struct answer *out, const char *bytes, size_t len)
{
	struct cursor c = {(const unsigned char *)bytes, (const unsigned char *)bytes + len};
	struct answer a = {.id = 0};

	if (!SKIP(&c, "{\"id\":") || !take_integer(&c, 18, &a.id) || !SKIP(&c, ",\"result\":{"))
		return false;
	if (SKIP(&c, "\"thread\":{\"id\":\""))
		a.member = "thread";
	else if (SKIP(&c, "\"turn\":{\"id\":\""))
		a.member = "turn";
	else if (SKIP(&c, "\"status\":\""))
		a.member = "status";
	if (a.member != NULL && !take_id(&c, &a.value, &a.value_len))
		return false;
	if (a.member == NULL || a.member[0] == 's') {
		if (!SKIP(&c, "}}") || c.at != c.end)
			return false;
	}
	*out = a;
	return true;
}
