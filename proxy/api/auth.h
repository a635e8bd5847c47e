/* auth: is this caller's key one of ours? */
#ifndef SIDECAR_PROXY_API_AUTH_H
#define SIDECAR_PROXY_API_AUTH_H

#include "common/common.h"
#include "common/err.h"
#include "common/settings.h"

struct auth;

/* Reads the keys that the settings name (the variable, and the files). No key at all: every caller
 * is let in, which the settings allow on loopback or a unix socket only. */
int auth_new(struct auth **out, const struct settings *s, struct err *err) MUST_CHECK;
void auth_free(struct auth *a);
/* header: the Authorization header, NULL when absent. The number of the key it holds, from 1 in the
 * order of auth_new; 0 when no key is asked for; -1: not one of ours. Takes the same time for every
 * wrong key of the same length. */
int auth_key(const struct auth *a, const char *header);

#endif
