/* thread_internal: a thread's state, shared by thread.c (its life) and thread_events.c (what is
 * heard of its turn). */
#ifndef SIDECAR_PROXY_CODEX_THREAD_INTERNAL_H
#define SIDECAR_PROXY_CODEX_THREAD_INTERNAL_H

#include <stdbool.h>

#include "proxy/codex/internal.h"
#include "proxy/codex/replay.h"

enum thread_call {
	CALL_START,
	CALL_INJECT,
	CALL_TURN,
	CALL_INTERRUPT,
	CALL_UNSUBSCRIBE,
	CALL_COUNT,
};

enum thread_phase {
	THREAD_BEGUN,   /* the caller waits for events */
	THREAD_LEAVING, /* over for the caller; being cleaned up */
	THREAD_PARTED,  /* only its timer's close callback is left */
};

/* A message of the model, or a part of its reasoning. */
struct thread_item {
	char *id;
	unsigned index; /* 0, 1, ... in order of appearance */
	enum message_phase phase;
	bool heard; /* some text of it has come */
};

struct thread {
	struct thread_link link; /* first: the backend knows threads by it */
	struct backend *backend;
	const struct thread_config *config;
	const struct conversation *conversation; /* NULL once over */
	event_fn on_event;                       /* NULL once over */
	void *arg;
	enum thread_phase phase;
	uint64_t calls[CALL_COUNT]; /* ids of those without an answer */
	uv_timer_t timer;           /* grace while begun, deadline while leaving */
	bool unsent;                /* thread/start could not be sent */
	bool turn_asked;
	bool turn_started; /* seen running, by any sign */
	bool turn_over;
	char turn_id[THREAD_ID_MAX];

	/* thread_events.c */
	bool started; /* EVENT_STARTED was given */
	struct thread_item *items;
	size_t item_count, item_cap;
	unsigned reasoning_part;
	unsigned reasoning_summary;
	char *reasoning_id;
	size_t response_items; /* item_count where the current response began */
	struct replay text, reasoning;
	json_t *tool_calls; /* raw items, until the response is complete */
	struct usage usage; /* sum of the responses */
	bool usage_known;
	bool completed; /* the model has said its last word */
	bool error_known;
	struct failure error; /* told, but the turn's end is still to come */
};

/* thread.c */

bool thread_is_over(const struct thread *t);
/* Each ends it for the caller; nothing when that has happened. */
void thread_fail(struct thread *t, const struct failure *failure);
void thread_finish(struct thread *t, enum finish_reason finish);
/* turn_started or turn_over has changed: leaving may go on. */
void thread_turn_changed(struct thread *t);
void thread_closed_by_server(struct thread *t);
/* Calls thread_grace_over while begun. */
void thread_set_timer(struct thread *t, uint64_t ms);
void thread_stop_timer(struct thread *t);

/* thread_events.c */

/* NULL is fine. */
void thread_learn_turn(struct thread *t, const char *turn_id);
/* What should have ended the turn has not come: ends it with what is known. */
void thread_grace_over(struct thread *t);
void thread_events_free(struct thread *t);

#endif
