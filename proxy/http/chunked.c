/* chunked: takes the framing off a chunked request body. */
#include "proxy/http/chunked.h"

#include <stdbool.h>

/* Chunk extensions and trailers are read over. Nobody sends more of them than this in honesty. */
#define OVERHEAD_MAX 4096

#define SIZE_MOST (UINT64_MAX >> 4) /* one more digit still fits */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
on_size(struct chunked *c, char byte)
{
	int digit = hex_digit(byte);

	if (digit >= 0) {
		if (c->left > SIZE_MOST)
			return false;
		c->left = c->left << 4 | (unsigned)digit;
		c->state = CHUNKED_SIZE_MORE;
		return true;
	}
	if (c->state == CHUNKED_SIZE)
		return false;
	if (byte == '\r')
		c->state = CHUNKED_SIZE_LF;
	else if (byte == ';' || byte == ' ' || byte == '\t')
		c->state = CHUNKED_EXTENSION;
	else
		return false;
	return true;
}

static bool
expect(struct chunked *c, char byte, char wanted, enum chunked_state next)
{
	c->state = next;
	return byte == wanted;
}

/* Everything but content, a byte at a time. A bare LF ends no line here: being lenient with it is
 * how requests are smuggled. */
static bool
on_byte(struct chunked *c, char byte)
{
	switch (c->state) {
	case CHUNKED_SIZE:
	case CHUNKED_SIZE_MORE:
		return on_size(c, byte);
	case CHUNKED_EXTENSION:
		if (byte == '\r')
			c->state = CHUNKED_SIZE_LF;
		return byte != '\n' && ++c->overhead <= OVERHEAD_MAX;
	case CHUNKED_SIZE_LF:
		return expect(c, byte, '\n', c->left > 0 ? CHUNKED_CONTENT : CHUNKED_TRAILER);
	case CHUNKED_CONTENT_CR:
		return expect(c, byte, '\r', CHUNKED_CONTENT_LF);
	case CHUNKED_CONTENT_LF:
		return expect(c, byte, '\n', CHUNKED_SIZE);
	case CHUNKED_TRAILER:
		c->state = byte == '\r' ? CHUNKED_LAST_LF : CHUNKED_TRAILER_LINE;
		return byte != '\n' && ++c->overhead <= OVERHEAD_MAX;
	case CHUNKED_TRAILER_LINE:
		if (byte == '\r')
			c->state = CHUNKED_TRAILER_LF;
		return byte != '\n' && ++c->overhead <= OVERHEAD_MAX;
	case CHUNKED_TRAILER_LF:
		return expect(c, byte, '\n', CHUNKED_TRAILER);
	case CHUNKED_LAST_LF:
		return expect(c, byte, '\n', CHUNKED_OVER);
	case CHUNKED_CONTENT:
	case CHUNKED_OVER:
		break;
	}
	return false; /* never asked with these */
}

enum chunked_result
chunked_next(struct chunked *c, const char **in, size_t *len, const char **piece, size_t *piece_len)
{
	while (*len > 0 && c->state != CHUNKED_OVER) {
		if (c->state == CHUNKED_CONTENT) {
			*piece = *in;
			*piece_len = *len < c->left ? *len : (size_t)c->left;
			*in += *piece_len;
			*len -= *piece_len;
			c->left -= *piece_len;
			if (c->left == 0)
				c->state = CHUNKED_CONTENT_CR;
			return CHUNKED_PIECE;
		}
		if (!on_byte(c, **in))
			return CHUNKED_BAD;
		(*in)++;
		(*len)--;
	}
	return c->state == CHUNKED_OVER ? CHUNKED_END : CHUNKED_MORE;
}
