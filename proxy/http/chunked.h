/* chunked: takes the framing off a chunked request body (RFC 9112, 7.1). Pure.
 *
 * libwebsockets hands chunked request bodies out with their framing. */
#ifndef SIDECAR_PROXY_HTTP_CHUNKED_H
#define SIDECAR_PROXY_HTTP_CHUNKED_H

#include <stdint.h>

#include "common/common.h"

enum chunked_state {
	CHUNKED_SIZE, /* the first digit is still to come */
	CHUNKED_SIZE_MORE,
	CHUNKED_EXTENSION,
	CHUNKED_SIZE_LF,
	CHUNKED_CONTENT,
	CHUNKED_CONTENT_CR,
	CHUNKED_CONTENT_LF,
	CHUNKED_TRAILER, /* at the start of a line */
	CHUNKED_TRAILER_LINE,
	CHUNKED_TRAILER_LF,
	CHUNKED_LAST_LF,
	CHUNKED_OVER,
};

/* Zero-initialised is the start of a body. */
struct chunked {
	enum chunked_state state;
	uint64_t left;     /* of the current chunk */
	unsigned overhead; /* bytes of extensions and trailers so far */
};

enum chunked_result {
	CHUNKED_MORE,  /* all of the input is used */
	CHUNKED_PIECE, /* *piece, *piece_len are content; call again with the rest */
	CHUNKED_END,   /* the body is complete; what is left of the input is not part of it */
	CHUNKED_BAD,
};

/* Moves *in and *len past what was used. */
enum chunked_result chunked_next(struct chunked *c, const char **in, size_t *len,
                                 const char **piece, size_t *piece_len) MUST_CHECK;

#endif
