/* thread_fixture: one app-server, connected, and one caller with a turn in it. */
#ifndef SIDECAR_TESTS_THREAD_FIXTURE_H
#define SIDECAR_TESTS_THREAD_FIXTURE_H

#include "tests/unit/codex_kit.h"

static struct fake_server fake;
static struct caller caller;

static inline int
setup_connected(void **state)
{
	if (setup(state) != 0)
		return -1;
	memset(&caller, 0, sizeof(caller));
	fake_start(&fake, "fake.sock", NULL);
	connect_backend(0, &fake, 1);
	return 0;
}

static inline int
teardown_connected(void **state)
{
	close_pool(&pool);
	fake_kill(&fake);
	return teardown(state);
}

static inline void
begin_turn(const char *said)
{
	memset(&caller, 0, sizeof(caller));
	begin(&caller, backend_find(pool, 0), said);
}

/* Until the turn has ended, and nothing of its thread is left. */
static inline void
run_to_the_end(void)
{
	RUN_UNTIL(caller.ends == 1 && backend_pool_threads(pool) == 0);
	assert_int_equal(backend_pool_turns(pool), 0);
}

static inline void
turn(const char *said)
{
	begin_turn(said);
	run_to_the_end();
}

static inline void
assert_failed(enum failure_kind kind)
{
	assert_false(caller.finished);
	if (caller.failure.kind != kind)
		fail_msg("%s: %s", failure_kind_name(caller.failure.kind), caller.failure.message);
}

static inline void
assert_said(const char *text)
{
	if (!caller.finished)
		fail_msg("%s: %s", failure_kind_name(caller.failure.kind), caller.failure.message);
	assert_string_equal(caller.text, text);
}

#endif
