/* response_store: the latest responses, in memory, for those who made them.
 *
 * Bounded in bytes and number; the oldest go first. Kept as text, so that the bytes are what they
 * take. */
#ifndef SIDECAR_PROXY_API_RESPONSE_STORE_H
#define SIDECAR_PROXY_API_RESPONSE_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct response_store;

#define RESPONSE_STORE_MAX 10000 /* responses; an id is looked for in less than a microsecond */

/* max_bytes 0: nothing is kept. NULL: no memory. */
struct response_store *response_store_new(size_t max_bytes);
void response_store_free(struct response_store *s); /* NULL is fine */

/* Keeps a response (with its id) and the items that lead on from it: all that the model was given,
 * and what it answered. One that does not fit is not kept. */
void response_store_put(struct response_store *s, int caller, const json_t *response,
                        const json_t *items);
/* The text of the response; NULL: not there, or another caller's. Valid until the next change. */
const char *
response_store_get(const struct response_store *s, int caller, const char *id, size_t *len);
/* The items that lead on from it: an array, the caller's of this function to decref. NULL: not
 * there. */
json_t *response_store_items(const struct response_store *s, int caller, const char *id);
/* The id of the response that an item with this id is of, as responses_item_id made it. False: it
 * is none of ours. */
bool response_store_id_of_item(const char *item_id, char *out, size_t size);
bool response_store_delete(struct response_store *s, int caller, const char *id);

#endif
