/* parts: the content of messages, as all dialects mean it, as the parts of Responses items. Pure.
 */
#ifndef SIDECAR_PROXY_API_PARTS_H
#define SIDECAR_PROXY_API_PARTS_H

#include <jansson.h>

#include "proxy/api/errors.h"

/* text: becomes part of it, neither copied nor changed. NULL: *error is set. */
json_t *part_text(const char *type, json_t *text, struct api_error *error);
/* An image by its URL and how closely to look at it (NULL or null: not said), with the paths of the
 * two in the request. What an https URL names is fetched by the turn. NULL: *error is set. */
json_t *part_image(json_t *url, const char *url_param, json_t *detail, const char *detail_param,
                   struct api_error *error);
/* Takes part over; NULL: its making has failed, and *error says why. */
bool part_append(json_t *parts, json_t *part, struct api_error *error);

#endif
