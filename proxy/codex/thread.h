/* thread: one ephemeral codex thread with its one turn, from thread/start to thread/unsubscribe.
 *
 * Turns a conversation into app-server calls, and notifications into events. */
#ifndef SIDECAR_PROXY_CODEX_THREAD_H
#define SIDECAR_PROXY_CODEX_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/codex/backend.h"
#include "proxy/conversation.h"
#include "proxy/event.h"

struct thread;
struct agent;

/* Fixed for the process. */
struct thread_config {
	const char *workspace;         /* cwd of every thread: an empty folder */
	const char *base_instructions; /* "" none, NULL codex's own, else the text */
	const struct agent *agent;     /* NULL: codex has no tool of its own */
	bool transcript; /* the history as one text: nothing of the experimental API is used */
	uint64_t call_timeout_ms;     /* one JSON-RPC call */
	uint64_t completion_grace_ms; /* from the last of a response to asking for the turn's end */
};

/* Begins at once: thread/start, thread/inject_items, turn/start with empty input (as a transcript:
 * thread/start, turn/start; tools are a failure then, for there is no way to offer them). on_event
 * is called later, never from inside this call; after FINISHED or FAILED the thread is gone (it
 * unsubscribes by itself). The conversation is borrowed until the first of: FINISHED, FAILED,
 * thread_cancel. NULL: no memory. */
struct thread *thread_begin(struct backend *b, const struct thread_config *config,
                            const struct conversation *c, event_fn on_event, void *arg);
/* The caller has lost interest: interrupts the turn, unsubscribes, no event from now on. The
 * pointer is dead after it. */
void thread_cancel(struct thread *t);
/* True: codex asks the provider again and again, and *out says why. */
bool thread_is_retrying(const struct thread *t, struct failure *out);
const char *thread_id(const struct thread *t); /* "" until known; for the log */

#endif
