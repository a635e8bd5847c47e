/* chat_internal: a chat completion in work and its choices; for chat.c and chat_choice.c only.
 *
 * A choice is one turn of the model and what has come of it; the chat is what all of them share:
 * the exchange, the stream, and the one end that they come to. */
#ifndef SIDECAR_PROXY_API_CHAT_INTERNAL_H
#define SIDECAR_PROXY_API_CHAT_INTERNAL_H

#include "proxy/api/api.h"
#include "proxy/api/chat_answer.h"
#include "proxy/api/chat_request.h"
#include "proxy/api/stop_scan.h"
#include "proxy/http/sse.h"

/* The two texts of an answer. Commentary goes with the reasoning: it is said on the way, and is not
 * the answer. */
enum channel { CHANNEL_CONTENT, CHANNEL_REASONING, CHANNEL_COUNT };

struct channel_state {
	struct json_buf text;    /* escaped; where it is needed at the end */
	struct chat_frame frame; /* streaming only; made with the first text */
	bool framed;
	bool begun;
	unsigned item;
	enum event_kind kind; /* with item: which message the last text belonged to */
};

struct chat_choice {
	struct chat *chat;
	struct turn *turn; /* NULL when it is over */
	struct chat_head head;
	struct channel_state channels[CHANNEL_COUNT];
	struct stop_scan *stop; /* NULL: no stop sequences */
	size_t size;            /* bytes of it so far, calls included */
	json_t *tool_calls;     /* array, made with the first */
	struct usage usage;
	bool role_sent;
	bool finished;
	enum finish_reason finish; /* when finished */
};

struct chat {
	struct api_request base;
	struct api *api;
	struct http_exchange *x;
	struct chat_request request;
	struct chat_choice *choices; /* request.n of them; NULL: the request was refused */
	size_t size;                 /* of all choices */
	struct sse *sse;             /* NULL: a whole answer */
	const char *outcome;         /* for the access log */
	bool no_memory;              /* for a chunk of the stream */
};

/* --- chat.c: what a choice may ask of its chat --- */

/* A chunk of the stream; text: taken over, NULL: there was no memory for it. */
void chat_send(struct chat *c, char *text, size_t len);
/* Ends every choice, and the answer with an error. choice: the one that failed. */
void chat_fail(struct chat_choice *choice, const struct failure *failure);
void chat_give_up(struct chat_choice *choice, enum failure_kind kind, const char *message);
/* A choice is finished. */
void chat_choice_done(struct chat *c);

/* --- chat_choice.c --- */

/* Of a choice that is zero but for its chat and head: submits its turn. conversation: taken over.
 * False: no memory. */
bool chat_choice_begin(struct chat_choice *choice, struct conversation *conversation);
/* The first event of each choice in a stream; once. */
void chat_choice_send_role(struct chat_choice *choice);
/* True: there was a turn to cancel. */
bool chat_choice_cancel(struct chat_choice *choice);
/* As it stands in a whole answer; NULL: no memory. */
json_t *chat_choice_whole(const struct chat_choice *choice);
void chat_choice_fini(struct chat_choice *choice);

#endif
