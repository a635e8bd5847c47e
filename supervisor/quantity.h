/* quantity: times and sizes as people write them: "1.5s", "2m", "300M". Pure. */
#ifndef SIDECAR_QUANTITY_H
#define SIDECAR_QUANTITY_H

#include <stdint.h>

#include "common/common.h"

/* A number with ms, s, m, h or d behind it; without a unit it is milliseconds. "1.5s" is 1500.
 * -EINVAL for anything else, a minus and white space too; -ERANGE over 2^53. */
int quantity_parse_ms(const char *text, int64_t *out) MUST_CHECK;
/* A number with K, M or G behind it, a B after that or not, either case; powers of 1024. Without a
 * unit it is bytes. Errors as above. */
int quantity_parse_bytes(const char *text, int64_t *out) MUST_CHECK;

#endif
