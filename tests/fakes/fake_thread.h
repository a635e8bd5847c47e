/* fake_thread: the threads of the fake app-server, each with the one turn that it plays. */
#ifndef SIDECAR_TESTS_FAKE_THREAD_H
#define SIDECAR_TESTS_FAKE_THREAD_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "tests/fakes/connection.h"
#include "tests/fakes/fake_turn.h"

#define THREAD_ID_SIZE 40

struct thread {
	struct thread *next;
	struct connection *owner;
	char id[THREAD_ID_SIZE];
	char turn[THREAD_ID_SIZE];
	json_t *items;
	struct turn_plan plan;
	bool planned;
	bool running;
	char *start_id; /* turn/start's, until it is answered */
	size_t at;
	bool closed;
	uv_timer_t timer; /* closes last: frees the thread */
};

/* Those that are loaded, the latest first. */
extern struct thread *threads;

/* Exits when there is no memory. */
struct thread *thread_new(uv_loop_t *loop, struct connection *owner);
struct thread *thread_find(const char *id); /* NULL: there is none; nor is one of NULL */
/* Plans its turn by what the items say. */
void thread_plan(struct thread *t, const json_t *items);
/* Plays the plan until it waits or ends, which may be the end of the thread. */
void thread_go_on(struct thread *t);
/* Tells every client that it is closed, and frees it. */
void thread_unload(struct thread *t);
/* As codex does: a thread that nobody is subscribed to is unloaded. */
void threads_drop(const struct connection *owner);

#endif
