/* thread_internal: a thread's state, shared by thread.c (its life), thread_events.c (what is heard
 * of its turn), thread_text.c (what the model says in it) and thread_calls.c (what it calls). */
#ifndef SIDECAR_PROXY_CODEX_THREAD_INTERNAL_H
#define SIDECAR_PROXY_CODEX_THREAD_INTERNAL_H

#include <stdbool.h>

#include "proxy/codex/agent.h"
#include "proxy/codex/internal.h"
#include "proxy/codex/replay.h"

/* A turn of chat has a handful of messages; so many are an app-server that went mad. */
#define ITEMS_MAX 10000

/* A longer id of a response is as good as none: the provider's have about 60 characters. */
#define RESPONSE_ID_MAX 128

enum thread_call {
	CALL_START,
	CALL_INJECT,
	CALL_TURN,
	CALL_READ,
	CALL_INTERRUPT,
	CALL_UNSUBSCRIBE,
	CALL_COUNT,
};

enum thread_phase {
	THREAD_BEGUN,   /* the caller waits for events */
	THREAD_LEAVING, /* over for the caller; being cleaned up */
	THREAD_PARTED,  /* only its timer's close callback is left */
};

/* A message of the model. */
struct thread_item {
	char *id;
	unsigned index; /* 0, 1, ... in order of appearance */
	enum message_phase phase;
	bool heard;           /* some text of it has come */
	bool whole;           /* all of it has */
	struct json_buf held; /* agent: escaped, until it is known whether it was the last word */
};

/* Why a call could not be sent. */
struct unsent {
	enum failure_kind kind;
	const char *message;
	const char *param; /* of the request, that is at fault; NULL: none */
};

struct thread {
	struct thread_link link; /* first: the backend knows threads by it */
	struct backend *backend;
	const struct thread_config *config;
	const struct conversation *conversation; /* NULL once over */
	event_fn on_event;                       /* NULL once over */
	void *arg;
	enum thread_phase phase;
	uint64_t calls[CALL_COUNT];  /* ids of those without an answer */
	uv_timer_t timer;            /* asks for the end while settling; deadline while leaving */
	const struct unsent *unsent; /* a call could not be sent; NULL: all could */
	bool gone;                   /* nothing can be asked about it any more */
	bool turn_asked;
	bool turn_started; /* seen running, by any sign */
	bool turn_over;
	bool settling;         /* the end has been near since the last event */
	unsigned unsubscribed; /* how often */
	char turn_id[THREAD_ID_MAX];

	/* thread_text.c */
	struct thread_item *items;
	size_t item_count, item_cap;
	unsigned reasoning_parts; /* begun so far; the last of them is: */
	char *reasoning_id;       /* NULL: none in this response */
	unsigned reasoning_summary;
	size_t response_items;   /* item_count where the current response began */
	unsigned response_parts; /* reasoning_parts there */
	struct replay text, reasoning;
	unsigned reasoned; /* items of reasoning that the current response has completed so far */
	unsigned reasoned_told; /* of those, also before it began again */

	/* thread_events.c */
	bool started;       /* EVENT_STARTED was given */
	struct usage usage; /* sum of the responses */
	bool usage_known;
	char response_id[RESPONSE_ID_MAX]; /* the last one that was complete */
	bool completed;                    /* the model has said its last word */
	bool error_known;                  /* the turn has failed, but its end is still to come */
	bool retrying;        /* codex asks the provider again, and nothing has come since */
	bool refused;         /* a message was begun that has no words and no end */
	unsigned retries;     /* since something new was said */
	struct failure error; /* of either */

	/* thread_calls.c */
	json_t *tool_calls;      /* raw items, until the response is complete */
	struct agent_calls *own; /* of codex's own tools; NULL: it has none */
	bool acted;              /* something was approved: it may not happen twice */
	bool own_calls;          /* the current response has some */
};

/* thread.c */

bool thread_is_over(const struct thread *t);
/* Each ends it for the caller; nothing when that has happened. */
void thread_fail(struct thread *t, const struct failure *failure);
void thread_finish(struct thread *t, enum finish_reason finish);
/* turn_started or turn_over has changed: leaving may go on. */
void thread_turn_changed(struct thread *t);
void thread_closed_by_server(struct thread *t);
/* The turn's end should come now: when it does not, codex is asked how the thread is. */
void thread_settle(struct thread *t);
/* It goes on after all. */
void thread_unsettle(struct thread *t);

/* thread_events.c */

/* NULL is fine. */
void thread_learn_turn(struct thread *t, const char *turn_id);
/* A sign that the turn runs, seen in a notification: whichever comes first settles its id. */
bool thread_is_our_turn(struct thread *t, const char *id, size_t len);
/* The upstream works. May end the thread, as every event may. */
void thread_mark_started(struct thread *t);
/* Nothing once it is over. */
void thread_emit(struct thread *t, const struct event *event);
void thread_fail_with(struct thread *t, enum failure_kind kind, const char *message);
/* The turn is over, but nobody has said how: ends it with what is known. well: codex is idle. */
void thread_end_untold(struct thread *t, bool well);
void thread_events_free(struct thread *t);

/* thread_text.c */

/* As codex names it; NULL is unsaid. */
enum message_phase thread_phase(const char *name, size_t len);
void thread_begin_message(struct thread *t, const char *id, size_t len, enum message_phase phase);
/* A delta in a shape that the scanner does not know. */
void thread_hear_slow_delta(struct thread *t, json_t *params, enum delta_kind kind);
/* A message as a Responses item, complete: says it if it came without deltas. */
void thread_hear_message(struct thread *t, const json_t *message);
/* The same of a message that has come in deltas. False: nothing of it has, so it is not dealt with.
 */
bool thread_end_heard_message(struct thread *t, const char *id, size_t len);
/* A raw item of reasoning, complete. */
void thread_hear_reasoned(struct thread *t, const json_t *item);
/* The current response begins again. */
void thread_restart_text(struct thread *t);
/* False: after a restart less was said than before it. */
bool thread_text_is_whole(const struct thread *t);
/* The current response is over, and a message of it was begun of which nothing has come. */
bool thread_has_wordless_message(const struct thread *t);
/* Says what was held back: the turn goes on after this response, or it does not. */
void thread_say_held(struct thread *t, bool goes_on);
/* The current response is over: what comes now belongs to the next. */
void thread_end_text(struct thread *t);
void thread_free_text(struct thread *t);

/* thread_calls.c */

/* A raw item of a call, complete. One that is none of the caller's functions is codex's own: codex
 * makes it, and asks the model again. */
void thread_hear_call(struct thread *t, json_t *call);
/* Of the caller's functions, in the current response. */
bool thread_has_calls(const struct thread *t);
/* The current response begins again. */
void thread_forget_calls(struct thread *t);
/* Hands the calls out. Codex waits for their answers from us, but the caller's come with the next
 * request, in a thread of its own: this one ends here. */
void thread_finish_with_calls(struct thread *t);

#endif
