/* hash: uthash, for which no memory is no reason to end the process. What could not be added has
 * hh.tbl == NULL, and is in no table. */
#ifndef SIDECAR_HASH_H
#define SIDECAR_HASH_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#endif
