/* chat_answer: the shapes of a chat completion: chunks, and the whole object. Pure. */
#ifndef SIDECAR_PROXY_API_CHAT_ANSWER_H
#define SIDECAR_PROXY_API_CHAT_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/json.h"
#include "proxy/event.h"

/* What all chunks of one choice share; id and created are the same in all choices of an answer. */
struct chat_head {
	char id[40];
	int64_t created;    /* Unix time, seconds */
	char *model;        /* owned */
	unsigned choice;    /* its index */
	bool include_usage; /* every chunk then has a usage member, null but in the last */
	/* A chunk up to its delta, made with the first one: what is above must not change then but
	 * by chat_head_set_model. */
	struct json_buf stem;
};

/* The part of a stream that is not looked at for each delta: everything of a chunk around its text.
 * `before` begins with "data: " and `after` ends with the blank line, so that before + escaped text
 * + after is a whole event. */
struct chat_frame {
	struct json_buf before;
	struct json_buf after;
};

void chat_head_init(struct chat_head *head);
bool chat_head_set_model(struct chat_head *head, const char *model);
void chat_head_fini(struct chat_head *head);

/* member: "content" or "reasoning_content". False: no memory. */
bool chat_frame_init(struct chat_frame *f, struct chat_head *head, const char *member);
void chat_frame_fini(struct chat_frame *f);

/* Each returns the text of one chunk object; caller frees; NULL: no memory. delta: taken over. */
char *chat_chunk(struct chat_head *head, json_t *delta, const char *finish_reason, size_t *len);
/* The first chunk of a choice. */
char *chat_role_chunk(struct chat_head *head, size_t *len);
char *chat_usage_chunk(const struct chat_head *head, const struct usage *usage, size_t *len);
/* A tool call as it stands in a message; with its index when it is part of a delta. */
json_t *chat_tool_call(const struct event *event, bool in_delta);

/* One choice of a whole completion. */
struct chat_whole {
	const struct json_buf *content;   /* escaped */
	const struct json_buf *reasoning; /* escaped */
	json_t *tool_calls;               /* array, borrowed; NULL: none */
	const char *refusal;              /* NULL: none */
	const char *finish_reason;
	bool legacy; /* the first call is said as function_call */
};

/* NULL: no memory. */
json_t *chat_choice_object(unsigned index, const struct chat_whole *whole);
/* The whole completion. choices: array, taken over; NULL: no memory, and so is the answer. */
char *chat_completion(const struct chat_head *head, json_t *choices, const struct usage *usage,
                      size_t *len);
/* legacy: a call is said as function_call. */
const char *chat_finish_name(enum finish_reason finish, bool legacy);

#endif
