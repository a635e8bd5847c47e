/* turn: one request's life: images, queue, slot, backend, deadlines, retry, cancel, and one way
 * out.
 *
 * What a conversation only names is fetched before the turn waits for a slot: a slow host takes
 * none, nor a place in the queue. As many turns may be at it as may run and wait.
 *
 * Knows neither HTTP nor a dialect: a dialect submits a conversation and gets events. */
#ifndef SIDECAR_PROXY_TURN_H
#define SIDECAR_PROXY_TURN_H

#include <stdint.h>
#include <uv.h>

#include "proxy/codex/backend.h"
#include "proxy/codex/thread.h"
#include "proxy/conversation.h"
#include "proxy/event.h"
#include "proxy/images.h"

struct turns; /* all turns of the process */
struct turn;

enum model_answer { MODEL_FOUND, MODEL_UNKNOWN, MODEL_NOT_YET };

struct turns_config {
	uv_loop_t *loop;
	struct backend_pool *pool;
	struct images *images; /* NULL: none are fetched */
	struct thread_config thread;
	unsigned max_running;
	unsigned max_waiting;
	uint64_t queue_timeout_ms;       /* waiting for a slot or a backend */
	uint64_t total_timeout_ms;       /* from submit to the last event */
	uint64_t first_event_timeout_ms; /* from thread/start to the first sign of the model */
	uint64_t idle_timeout_ms;        /* between two events after that */
	/* Replaces c->model (NULL: the default) by the name codex knows. */
	enum model_answer (*resolve_model)(void *arg, struct conversation *c);
	/* A figure of turns_stats changed. */
	void (*on_stats)(void *arg);
	/* A turn ended on a backend; failure NULL: well. */
	void (*on_outcome)(void *arg, int backend, int64_t generation,
	                   const struct failure *failure);
	void *arg;
};

struct turns_stats {
	unsigned running;
	unsigned waiting;
};

struct turns *turns_new(const struct turns_config *config); /* NULL: no memory */
/* Every turn must be over, and the loop drained. */
void turns_free(struct turns *ts);
struct turns_stats turns_stats(const struct turns *ts);
/* The backends changed: start who can start now. */
void turns_pump(struct turns *ts);
/* New turns are refused with FAILURE_DRAINING; done(left) is called once, from the loop, when no
 * turn is left or the deadline is over, whichever is first; turns left then are failed with
 * FAILURE_DRAINING before it. A second call only moves the deadline nearer. */
void turns_drain(struct turns *ts, uint64_t deadline_ms, void (*done)(void *arg, unsigned left),
                 void *arg);

/* Takes the conversation over. Events come later, never from inside; after FINISHED or FAILED the
 * pointer is dead. NULL: no memory (the conversation is freed all the same).
 * key: any number. Those who wait are taken in turn, a key at a time, so that nobody waits behind
 * all that another has asked for; nor is a queue that is full of one key's turns full for another:
 * the newest of them is failed with FAILURE_QUEUE_FULL instead. */
struct turn *
turn_submit(struct turns *ts, struct conversation *c, unsigned key, event_fn on_event, void *arg);
/* Content has left for the caller: from now on the turn cannot be begun again. */
void turn_commit(struct turn *t);
/* The caller has gone. No event follows; the pointer is dead. */
void turn_cancel(struct turn *t);
/* For the access log; "" until known. Valid while the turn is. */
const char *turn_thread_id(const struct turn *t);

#endif
