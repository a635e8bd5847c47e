/* stop_scan: finds stop sequences in a text that comes in pieces, and cuts the text before them.
 * Pure.
 *
 * The text is the inside of a JSON string, as the model's deltas are. Sequences are matched against
 * what it means: "\u0041" and "A" are the same. Text is held back only as long as it can be the
 * beginning of a sequence. */
#ifndef SIDECAR_PROXY_API_STOP_SCAN_H
#define SIDECAR_PROXY_API_STOP_SCAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define STOP_SEQUENCES_MAX      4   /* as OpenAI's */
#define STOP_SEQUENCE_BYTES_MAX 256 /* of UTF-8; a bound on what is held back */

struct stop_scan;

/* sequences: array of 1 to STOP_SEQUENCES_MAX strings of 1 to STOP_SEQUENCE_BYTES_MAX bytes;
 * borrowed until the end of the call. NULL: no memory. */
struct stop_scan *stop_scan_new(const json_t *sequences);
void stop_scan_free(struct stop_scan *s); /* NULL is fine */
/* Back to the beginning: another text. */
void stop_scan_reset(struct stop_scan *s);

enum stop_found {
	STOP_NONE,      /* *out may be sent; the rest is held back */
	STOP_HIT,       /* *out is the end of the text */
	STOP_NO_MEMORY, /* *out is empty */
};

/* The next piece, cut anywhere. *out is valid until the next call. After a hit nothing more comes.
 */
enum stop_found stop_scan_feed(struct stop_scan *s, const char *escaped, size_t len,
                               const char **out, size_t *out_len);
/* The text ends here, or something else stands between what comes and what came: what was held
 * back, and no sequence goes over this point. */
void stop_scan_flush(struct stop_scan *s, const char **out, size_t *out_len);

#endif
