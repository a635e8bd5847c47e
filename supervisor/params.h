/* params: check the params of a control message. */
#ifndef SIDECAR_PARAMS_H
#define SIDECAR_PARAMS_H

#include <stdbool.h>

#include "common/control_conn.h"

/* True when params (may be NULL) has no member but those in allowed (NULL-terminated, may be
 * NULL). Else the request, if there is one, has been answered -32602, naming the member. */
bool params_only(struct control_request *req, const json_t *params, const char *const *allowed);

#endif
