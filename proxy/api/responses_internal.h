/* responses_internal: a response in work; for responses.c and responses_output.c only. */
#ifndef SIDECAR_PROXY_API_RESPONSES_INTERNAL_H
#define SIDECAR_PROXY_API_RESPONSES_INTERNAL_H

#include "proxy/api/api.h"
#include "proxy/api/responses_answer.h"
#include "proxy/api/responses_request.h"
#include "proxy/http/sse.h"

/* The item that the model is at. Items come one after the other. */
struct open_item {
	enum { OPEN_NONE, OPEN_MESSAGE, OPEN_REASONING } kind;
	char id[RESPONSES_ID_MAX];
	unsigned source; /* which text of the turn it is, or which part of its reasoning */
	enum message_phase phase;
	struct json_buf text;  /* escaped; of the part that is open */
	struct json_buf frame; /* streaming only: what stands before each delta of it */
	json_t *summary;       /* of reasoning: the parts that are complete */
	bool part_open;        /* of reasoning */
};

struct responses {
	struct api_request base;
	struct api *api;
	struct http_exchange *x;
	struct responses_request request;
	struct turn *turn; /* NULL when it is over */
	struct sse *sse;   /* NULL: a whole answer */
	char id[ANSWER_ID_DIGITS + 1];
	json_t *head;      /* the response as it began */
	bool begun;        /* the first two events are sent */
	bool no_memory;    /* something of the answer is missing */
	bool over;         /* the last event is sent, or the answer */
	unsigned sequence; /* number of the next event */
	struct open_item open;
	json_t *output;       /* array: the items that are complete */
	json_t *history;      /* array: the same, with all that leads on from them */
	unsigned calls;       /* among them */
	struct json_buf said; /* escaped: the last message that is an answer */
	size_t size;          /* of the answer so far */
	struct usage usage;
	const char *outcome; /* for the access log */
};

/* --- responses.c --- */

void responses_fail(struct responses *r, const struct failure *failure);

/* --- responses_output.c --- */

bool responses_output_init(struct responses *r);
void responses_output_fini(struct responses *r);
/* An event of the stream, when there is one; taken over. NULL: there was no memory for it. False:
 * there was none, and r->no_memory says so. */
bool responses_emit(struct responses *r, json_t *event);
/* The first events of the stream, if they are not sent. */
void responses_begin(struct responses *r);
/* What the turn says. */
void responses_on_text(struct responses *r, const struct event *event);
void responses_on_reasoned(struct responses *r, const char *encrypted);
void responses_on_call(struct responses *r, const struct event *event);
/* The message of a model that refuses. */
void responses_add_refusal(struct responses *r);
/* Forget all of it: the turn has begun again. */
void responses_reset(struct responses *r);
/* The item that is open is complete; whole: not cut short. */
void responses_close_item(struct responses *r, bool whole);

#endif
