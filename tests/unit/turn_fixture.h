/* turn_fixture: turns on a loop whose time the test moves, over backends that the test plays. */
#ifndef SIDECAR_TESTS_TURN_FIXTURE_H
#define SIDECAR_TESTS_TURN_FIXTURE_H

#include "tests/unit/fake_backend.h"
#include "tests/unit/fake_clock.h"

#include "common/log.h"
#include "proxy/turn.h"

#define CALLERS_MAX 16

/* Who submitted a turn, and what it was told. */
struct caller {
	struct turn *turn; /* NULL when it is over */
	char heard[64];    /* a letter an event: see letter_of */
	struct failure failure;
	char cancel_at; /* cancels from inside this event */
	char commit_at;
	/* Another turn of the same answer, cancelled from inside that event of this one. */
	struct caller *takes;
	char take_at;
};

static uv_loop_t loop;
static struct turns *turns;
static struct caller callers[CALLERS_MAX];
static enum model_answer models; /* what every name resolves to */
static struct {
	unsigned stats, outcomes;
	enum failure_kind last_failure;
	bool last_failed;
	unsigned drained, left;
} told;

static inline char
letter_of(enum event_kind kind)
{
	switch (kind) {
	case EVENT_ADMITTED:
		return 'A';
	case EVENT_RESTARTED:
		return 'R';
	case EVENT_STARTED:
		return 'S';
	case EVENT_TEXT:
		return 'T';
	case EVENT_REASONING:
		return 'Z';
	case EVENT_REASONED:
		return 'Y';
	case EVENT_TOOL_CALL:
		return 'C';
	case EVENT_USAGE:
		return 'U';
	case EVENT_MODEL:
		return 'M';
	case EVENT_FINISHED:
		return 'F';
	case EVENT_FAILED:
		return 'X';
	}
	return '?';
}

static inline void
on_event(void *arg, const struct event *event)
{
	struct caller *c = arg;
	char letter = letter_of(event->kind);
	size_t len = strlen(c->heard);

	assert_non_null(c->turn); /* nothing after the end */
	assert_true(len + 1 < sizeof(c->heard));
	c->heard[len] = letter;
	if (event->kind == EVENT_FAILED)
		c->failure = *event->failure;
	if (letter == 'F' || letter == 'X') {
		c->turn = NULL;
	} else if (letter == c->cancel_at) {
		turn_cancel(c->turn);
		c->turn = NULL;
	} else if (letter == c->commit_at) {
		turn_commit(c->turn);
	}
	if (letter == c->take_at && c->takes->turn != NULL) {
		turn_cancel(c->takes->turn);
		c->takes->turn = NULL;
	}
}

static inline enum model_answer
resolve_model(void *arg, struct conversation *c)
{
	if (models == MODEL_FOUND && c->model == NULL)
		c->model = strdup("gpt-test");
	return models;
}

static inline void
on_stats(void *arg)
{
	told.stats++;
}

static inline void
on_outcome(void *arg, int backend, int64_t generation, const struct failure *failure)
{
	assert_int_equal(backend, 3);
	assert_int_equal(generation, 7);
	told.outcomes++;
	told.last_failed = failure != NULL;
	if (failure != NULL)
		told.last_failure = failure->kind;
}

static inline void
on_drained(void *arg, unsigned left)
{
	assert_ptr_equal(arg, &told);
	told.drained++;
	told.left = left;
}

static inline void
open_turns(unsigned max_running, unsigned max_waiting)
{
	const struct turns_config config = {
		.loop = &loop,
		.max_running = max_running,
		.max_waiting = max_waiting,
		.queue_timeout_ms = 1000,
		.total_timeout_ms = 100000,
		.first_event_timeout_ms = 20000,
		.idle_timeout_ms = 5000,
		.resolve_model = resolve_model,
		.on_stats = on_stats,
		.on_outcome = on_outcome,
	};

	turns = turns_new(&config);
	assert_non_null(turns);
	turns_pump(turns);
}

/* Submits for callers[number]; what is due then happens. */
static inline struct caller *
submit(unsigned number)
{
	struct caller *c = &callers[number];

	c->heard[0] = '\0';
	c->turn = turn_submit(turns, conversation_new(), 0, on_event, c);
	assert_non_null(c->turn);
	run_loop(&loop);
	return c;
}

static inline void
assert_stats(unsigned running, unsigned waiting)
{
	struct turns_stats stats = turns_stats(turns);

	assert_int_equal(stats.running, running);
	assert_int_equal(stats.waiting, waiting);
}

/* It ended with this failure, having heard that. */
static inline void
assert_failed(const struct caller *c, const char *heard, enum failure_kind kind)
{
	assert_string_equal(c->heard, heard);
	assert_null(c->turn);
	if (c->failure.kind != kind)
		fail_msg("%s: %s", failure_kind_name(c->failure.kind), c->failure.message);
	assert_true(c->failure.message[0] != '\0');
}

static inline int
setup(void **state)
{
	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	memset(callers, 0, sizeof(callers));
	memset(&told, 0, sizeof(told));
	codex_reset();
	models = MODEL_FOUND;
	turns = NULL;
	return uv_loop_init(&loop);
}

/* Every test leaves with every turn over: then nothing may be left of them. */
static inline int
teardown(void **state)
{
	run_loop(&loop);
	if (codex.threads != NULL)
		return -1;
	if (turns_stats(turns).running != 0 || turns_stats(turns).waiting != 0)
		return -1;
	if (uv_loop_alive(&loop))
		return -1;
	turns_free(turns);
	return uv_loop_close(&loop);
}

#define with_turns(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
