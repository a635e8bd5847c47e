/* abilities: what a request may ask for, and this server cannot do as it is set up. */
#ifndef SIDECAR_PROXY_API_ABILITIES_H
#define SIDECAR_PROXY_API_ABILITIES_H

#include <stdbool.h>

#include "common/settings.h"
#include "proxy/api/errors.h"
#include "proxy/conversation.h"

/* tools_param: the parameter that the conversation's tools came from. False: *error names what
 * cannot be done. */
bool abilities_check(const struct settings *settings, const struct conversation *c,
                     const char *tools_param, struct api_error *error) MUST_CHECK;

#endif
