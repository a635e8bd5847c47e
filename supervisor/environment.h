/* environment: the environment of a child, built from nothing: what is not named is not passed. */
#ifndef SIDECAR_ENVIRONMENT_H
#define SIDECAR_ENVIRONMENT_H

#include <stdbool.h>

#include "common/common.h"

/* Zero-initialised is empty. After a failed call `failed` stays set: check it once, at the end. */
struct environment {
	char **vars; /* "NAME=value", NULL-terminated once not empty */
	size_t count;
	bool failed;
};

/* Replaces an earlier value. value NULL: removes it. */
void environment_set(struct environment *e, const char *name, const char *value);
void environment_set_int(struct environment *e, const char *name, long long value);
/* Copies ours, if we have it. */
void environment_pass(struct environment *e, const char *name);
/* What any program may need and none of which is a secret: PATH, HOME, locale, time zone... */
void environment_pass_basics(struct environment *e);
void environment_free(struct environment *e);

#endif
