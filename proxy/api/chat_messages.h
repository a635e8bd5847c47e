/* chat_messages: chat messages become Responses items, each with its own role. Pure. */
#ifndef SIDECAR_PROXY_API_CHAT_MESSAGES_H
#define SIDECAR_PROXY_API_CHAT_MESSAGES_H

#include <jansson.h>
#include <stdbool.h>

#include "proxy/api/errors.h"

/* Appends the items of `messages` to `items`. *names_seen: some message had a `name`, which Codex
 * has no place for. False: *error names the message. */
bool chat_messages_to_items(json_t *items, const json_t *messages, bool *names_seen,
                            struct api_error *error);

#endif
