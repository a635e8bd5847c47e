/* err: an error with a sentence for a person, passed up to the caller that knows the context. */
#ifndef SIDECAR_ERR_H
#define SIDECAR_ERR_H

#include "common/common.h"

#define ERR_TEXT_MAX 512 /* one line; longer sentences are cut */

struct err {
	int code; /* negative errno, 0 while nothing is wrong */
	char text[ERR_TEXT_MAX];
};

/* Fills *err (NULL is fine) and returns code, so that `return err_set(...)` reads well. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
