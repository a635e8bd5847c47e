/* fake_backend: backends and threads that do what the test says, in place of proxy/codex.
 *
 * The whole of backend.h and thread.h that turn.c and the dialects need: include it in one file of
 * the program, and the archive's own are left out. */
#ifndef SIDECAR_TESTS_FAKE_BACKEND_H
#define SIDECAR_TESTS_FAKE_BACKEND_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <utlist.h>

#include "proxy/codex/backend.h"
#include "proxy/codex/thread.h"

struct backend {
	int id;
};

struct thread {
	struct thread *prev, *next;
	const struct conversation *conversation;
	event_fn on_event;
	void *arg;
};

static struct {
	struct backend backend;
	int64_t generation;
	bool usable;
	bool no_memory;    /* for threads */
	bool none_to_pick; /* although usable */
	bool needs_login;
	bool retrying;          /* every thread, the provider */
	struct thread *threads; /* that work */
	unsigned begun, cancelled;
} codex;

static inline void
codex_reset(void)
{
	memset(&codex, 0, sizeof(codex));
	codex.backend.id = 3;
	codex.generation = 7;
	codex.usable = true;
}

struct backend *
backend_pick(struct backend_pool *pool)
{
	return codex.usable && !codex.none_to_pick ? &codex.backend : NULL;
}

int
backend_id(const struct backend *b)
{
	return b->id;
}

int64_t
backend_generation(const struct backend *b)
{
	return codex.generation;
}

unsigned
backend_pool_usable(const struct backend_pool *pool)
{
	return codex.usable;
}

bool
backend_pool_needs_login(const struct backend_pool *pool)
{
	return codex.needs_login;
}

struct thread *
thread_begin(struct backend *b, const struct thread_config *config, const struct conversation *c,
             event_fn on_event, void *arg)
{
	struct thread *t;

	if (codex.no_memory)
		return NULL;
	t = calloc(1, sizeof(*t));
	assert_non_null(t);
	assert_non_null(c->model);
	t->conversation = c;
	t->on_event = on_event;
	t->arg = arg;
	codex.begun++;
	DL_APPEND(codex.threads, t);
	return t;
}

void
thread_cancel(struct thread *t)
{
	assert_non_null(t->conversation->model); /* still there */
	codex.cancelled++;
	DL_DELETE(codex.threads, t);
	free(t);
}

bool
thread_is_retrying(const struct thread *t, struct failure *out)
{
	if (codex.retrying)
		failure_set(out, FAILURE_UPSTREAM_UNREACHABLE, "no way to the provider");
	return codex.retrying;
}

const char *
thread_id(const struct thread *t)
{
	return t->on_event != NULL ? "thread-1" : "";
}

/* The oldest thread says it. */
static inline void
codex_says(struct event event)
{
	struct thread *t = codex.threads;

	assert_non_null(t);
	assert_non_null(t->conversation->model);
	if (event.kind != EVENT_FINISHED && event.kind != EVENT_FAILED) {
		t->on_event(t->arg, &event);
		return;
	}
	DL_DELETE(codex.threads, t);
	t->on_event(t->arg, &event);
	free(t);
}

static inline void
codex_starts(void)
{
	codex_says((struct event){.kind = EVENT_STARTED});
}

static inline void
codex_says_text(const char *escaped)
{
	codex_says((struct event){
		.kind = EVENT_TEXT, .text = {.escaped = escaped, .len = strlen(escaped)}
        });
}

static inline void
codex_finishes(enum finish_reason finish)
{
	codex_says((struct event){.kind = EVENT_FINISHED, .finish = finish});
}

static inline void
codex_fails(enum failure_kind kind)
{
	struct failure failure;

	failure_set(&failure, kind, "as the test wanted");
	codex_says((struct event){.kind = EVENT_FAILED, .failure = &failure});
}

#endif
