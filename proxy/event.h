/* event: what happens in a turn, in words that every layer shares.
 *
 * The order is: MODEL, ADMITTED, STARTED, then TEXT / REASONING / REASONED / TOOL_CALL in the
 * model's order, USAGE at any time after STARTED, then exactly one FINISHED or FAILED, after which
 * nothing comes. MODEL comes behind ADMITTED where the model list was not known before, and again
 * whenever another model answers. RESTARTED sets all of it back to the beginning; it comes only
 * before the turn is committed. */
#ifndef SIDECAR_PROXY_EVENT_H
#define SIDECAR_PROXY_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/failure.h"

enum event_kind {
	EVENT_ADMITTED,  /* out of the queue: a backend works on it (made by turn.c) */
	EVENT_RESTARTED, /* begun again on another backend: what came before is void (turn.c) */
	EVENT_STARTED,   /* the upstream works: the first sign of a model response */
	EVENT_TEXT,      /* text */
	EVENT_REASONING, /* text: a piece of the reasoning summary */
	EVENT_REASONED,  /* reasoned: the reasoning so far is complete */
	EVENT_TOOL_CALL, /* tool_call: complete */
	EVENT_USAGE,     /* usage: the totals so far */
	EVENT_MODEL,     /* model: the one that really answers */
	EVENT_FINISHED,  /* finish */
	EVENT_FAILED,    /* failure */
};

enum finish_reason {
	FINISH_STOP,
	FINISH_LENGTH,
	FINISH_TOOL_CALLS,
	FINISH_CONTENT_FILTER,
	FINISH_REFUSED, /* the model refuses to answer; its words are lost in codex */
};

/* What the provider calls a message; nothing, which is meant as the answer too. */
enum message_phase { PHASE_UNSAID, PHASE_COMMENTARY, PHASE_FINAL };

struct usage {
	int64_t input_tokens;
	int64_t cached_input_tokens;
	int64_t cache_write_input_tokens;
	int64_t output_tokens;
	int64_t reasoning_output_tokens;
	int64_t total_tokens;
};

/* Valid during the callback only. */
struct event {
	enum event_kind kind;
	union {
		struct {
			const char
				*escaped; /* inside of a JSON string: escaped, no quotes, no NUL */
			size_t len;
			unsigned item; /* 0, 1, ...: the message (or summary part) it belongs to */
			enum message_phase phase;
		} text;
		struct {
			const char *encrypted; /* what the provider wants back of it; "" */
		} reasoned;
		struct {
			unsigned index; /* 0, 1, ... in the model's order */
			const char *call_id;
			const char *space; /* the namespace of the function; NULL: none */
			const char *name;
			const char *arguments; /* the model's raw string, maybe not JSON */
			size_t arguments_len;
		} tool_call;
		struct usage usage;
		const char *model;
		enum finish_reason finish;
		const struct failure *failure;
	};
};

typedef void (*event_fn)(void *arg, const struct event *event);

#endif
