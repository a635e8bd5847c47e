/* answer: what the answers of all dialects share: the model's text, and what it was asked for and
 * may not have kept to. */
#ifndef SIDECAR_PROXY_API_ANSWER_H
#define SIDECAR_PROXY_API_ANSWER_H

#include "proxy/api/params.h"
#include "proxy/event.h"
#include "proxy/http/http.h"

#define ANSWER_ID_DIGITS 24
/* The words of a refusal are lost in codex: these stand for them. */
#define ANSWER_REFUSAL   "The model refused to answer. (Codex does not hand its words on.)"

/* Hexadecimal digits that no other answer has; NUL-terminated. */
void answer_id(char out[ANSWER_ID_DIGITS + 1]);
/* The header that names what was taken and has no effect. */
void answer_tell_ignored(struct http_exchange *x, struct request *request);
/* body: taken over; NULL: no memory, and so says the answer. */
void answer_json(struct http_exchange *x, json_t *body);
/* What became of it, for the access log: of a closed set. */
const char *answer_finish_name(enum finish_reason finish);
/* Decodes escaped text; null when there is none, NULL when it was cut for want of memory. */
json_t *answer_text(const struct json_buf *escaped);
/* Is the text one JSON object? Unlike in requests a key may be there twice. */
bool answer_is_json_object(const struct json_buf *escaped);
/* Of an answer that ended well: has the model not done what it was asked for? Then *out says so. */
bool answer_breaks_promise(const struct request *request, bool has_calls,
                           const struct json_buf *text, struct failure *out);

#endif
