/* delta_scan: the two delta notifications, byte for byte as codex prints them. */
#include "proxy/codex/delta_scan.h"

#include <string.h>

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

static bool
is_id_character(unsigned char b)
{
	return b > ' ' && b < 0x7f && b != '"' && b != '\\';
}

/* An id up to its closing quote: printable ASCII that needs no escape. */
static bool
take_id(struct cursor *c, const char **out, size_t *len)
{
	const unsigned char *start = c->at;

	while (c->at != c->end && is_id_character(*c->at))
		c->at++;
	*out = (const char *)start;
	*len = (size_t)(c->at - start);
	return SKIP(c, "\"");
}

/* A JSON integer of at most max_digits digits, so that it cannot overflow. */
static bool
take_integer(struct cursor *c, size_t max_digits, unsigned long long *out)
{
	const unsigned char *start = c->at;
	unsigned long long value = 0;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
		value = value * 10 + (unsigned long long)(*c->at - '0');
		if ((size_t)(++c->at - start) > max_digits)
			return false;
	}
	*out = value;
	return c->at > start && (*start != '0' || c->at == start + 1);
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
