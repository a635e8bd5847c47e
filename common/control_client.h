/* control_client: ask one question of a control socket and wait, for command-line tools. */
#ifndef SIDECAR_CONTROL_CLIENT_H
#define SIDECAR_CONTROL_CLIENT_H

#include "common/control_proto.h"

/* Blocks. 0: *result (new reference). Negative errno: not reachable or no answer within timeout_ms.
 * Positive never. A JSON-RPC error answer gives -EPROTO, *rpc_code set, err->text its message. */
int control_ask(json_t **result, const char *path, const char *method, json_t *params,
                unsigned timeout_ms, int *rpc_code, struct err *err) MUST_CHECK;

#endif
