/* responses_answer: the response object, and the ids of its items. Pure. */
#ifndef SIDECAR_PROXY_API_RESPONSES_ANSWER_H
#define SIDECAR_PROXY_API_RESPONSES_ANSWER_H

#include "proxy/api/answer.h"
#include "proxy/api/responses_request.h"
#include "proxy/event.h"

#define RESPONSES_ID_MAX 64

/* What the response says from its beginning on, before its turn is submitted: in progress, with
 * nothing in it. id: the digits. NULL: no memory. */
json_t *responses_head(const struct responses_request *request, const char *id);
/* The model that answers; without memory the old name stays. */
void responses_set_model(json_t *head, const char *model);

/* Or was the answer cut? */
bool responses_is_whole(enum finish_reason finish);
/* Each returns a response of its own, or NULL: no memory. output: array, borrowed. */
json_t *responses_finished(const json_t *head, enum finish_reason finish, json_t *output,
                           const struct usage *usage);
json_t *responses_failed(const json_t *head, const struct failure *failure,
                         const struct api_error *error, json_t *output);

/* kind: msg, rs, fc or ctc. response_store.h knows how they are made. */
void
responses_item_id(char out[RESPONSES_ID_MAX], const char *kind, const char *id, unsigned index);

#endif
