/* random: bytes of the kernel's, for ids and masks. */
#ifndef SIDECAR_COMMON_RANDOM_H
#define SIDECAR_COMMON_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

#define RANDOM_BYTES_MAX ((size_t)64)

/* At most RANDOM_BYTES_MAX of them. False: the kernel gives none. Not for processes that fork and
 * go on: both would have the same ones. */
bool random_bytes(void *to, size_t size);

#endif
