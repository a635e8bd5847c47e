/* The table of states and events of an app: every state with every event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/common.h"
#include "supervisor/app_fsm.h"

static const struct app_fsm places[] = {
	{APP_STOPPED,  APP_PHASE_NONE,  APP_GOAL_DOWN },
	{APP_WAITING,  APP_PHASE_NONE,  APP_GOAL_UP   },
	{APP_STARTING, APP_PHASE_NONE,  APP_GOAL_UP   },
	{APP_READY,    APP_PHASE_NONE,  APP_GOAL_UP   },
	{APP_STOPPING, APP_PHASE_DRAIN, APP_GOAL_DOWN },
	{APP_STOPPING, APP_PHASE_DRAIN, APP_GOAL_AGAIN},
	{APP_STOPPING, APP_PHASE_DRAIN, APP_GOAL_LATER},
	{APP_STOPPING, APP_PHASE_TERM,  APP_GOAL_DOWN },
	{APP_STOPPING, APP_PHASE_TERM,  APP_GOAL_UP   },
	{APP_STOPPING, APP_PHASE_TERM,  APP_GOAL_AGAIN},
	{APP_STOPPING, APP_PHASE_TERM,  APP_GOAL_LATER},
	{APP_STOPPING, APP_PHASE_TERM2, APP_GOAL_DOWN },
	{APP_STOPPING, APP_PHASE_TERM2, APP_GOAL_UP   },
	{APP_STOPPING, APP_PHASE_TERM2, APP_GOAL_AGAIN},
	{APP_STOPPING, APP_PHASE_TERM2, APP_GOAL_LATER},
	{APP_STOPPING, APP_PHASE_KILL,  APP_GOAL_DOWN },
	{APP_STOPPING, APP_PHASE_KILL,  APP_GOAL_UP   },
	{APP_STOPPING, APP_PHASE_KILL,  APP_GOAL_AGAIN},
	{APP_STOPPING, APP_PHASE_KILL,  APP_GOAL_LATER},
	{APP_STOPPING, APP_PHASE_SWEEP, APP_GOAL_DOWN },
	{APP_STOPPING, APP_PHASE_SWEEP, APP_GOAL_UP   },
	{APP_STOPPING, APP_PHASE_SWEEP, APP_GOAL_AGAIN},
	{APP_STOPPING, APP_PHASE_SWEEP, APP_GOAL_LATER},
	{APP_BACKOFF,  APP_PHASE_NONE,  APP_GOAL_UP   },
	{APP_FAILED,   APP_PHASE_NONE,  APP_GOAL_UP   },
};

static bool
has_process(struct app_fsm f)
{
	return f.state == APP_STARTING || f.state == APP_READY ||
	       (f.state == APP_STOPPING && f.phase != APP_PHASE_SWEEP);
}

/* The environment of an app that always does what the table expects of it. */
static struct app_fsm
live_on(struct app_fsm f, unsigned todo, unsigned *executed, enum app_state until)
{
	for (int i = 0; i < 20 && f.state != until; i++) {
		enum app_event ev;

		if (todo & APP_DO_SPAWN)
			(*executed)++;
		if (todo & APP_DO_CHECK_GATE)
			ev = APP_EV_GO;
		else if (todo & APP_DO_SPAWN)
			ev = APP_EV_READY;
		else if (todo & APP_DO_DRAIN)
			ev = APP_EV_DRAINED;
		else if (todo & (APP_DO_TERM | APP_DO_KILL))
			ev = APP_EV_EXIT;
		else if (todo & APP_DO_SWEEP)
			ev = APP_EV_SWEPT;
		else if (todo & APP_DO_DECIDE)
			ev = APP_EV_RETRY;
		else
			ev = APP_EV_TIMER;
		todo = app_fsm_step(&f, ev, NULL);
	}
	return f;
}

/* What would have been ordered on the way into this place. */
static unsigned
pending(struct app_fsm f)
{
	switch (f.state) {
	case APP_WAITING:
		return APP_DO_CHECK_GATE;
	case APP_STARTING:
		return APP_DO_SPAWN;
	case APP_STOPPING:
		break;
	case APP_STOPPED:
	case APP_READY:
	case APP_BACKOFF:
	case APP_FAILED:
		return 0;
	}
	switch (f.phase) {
	case APP_PHASE_DRAIN:
		return APP_DO_DRAIN;
	case APP_PHASE_TERM:
	case APP_PHASE_TERM2:
		return APP_DO_TERM;
	case APP_PHASE_KILL:
		return APP_DO_KILL;
	case APP_PHASE_SWEEP:
		return APP_DO_SWEEP;
	case APP_PHASE_NONE:
		break;
	}
	return 0;
}

static void
no_event_starts_a_second_copy(void **state)
{
	for (size_t i = 0; i < NELEM(places); i++) {
		for (int ev = APP_EV_START; ev <= APP_EV_LEAVE; ev++) {
			struct app_fsm f = places[i];
			unsigned todo = app_fsm_step(&f, (enum app_event)ev, NULL);

			if (!(todo & APP_DO_SPAWN))
				continue;
			assert_false(has_process(places[i]));
			assert_int_not_equal(places[i].phase, APP_PHASE_SWEEP);
		}
	}
}

static void
only_an_exit_or_a_failed_spawn_ends_a_process(void **state)
{
	for (size_t i = 0; i < NELEM(places); i++) {
		for (int ev = APP_EV_START; ev <= APP_EV_LEAVE; ev++) {
			struct app_fsm f = places[i];

			(void)app_fsm_step(&f, (enum app_event)ev, NULL);
			if (has_process(places[i]) && !has_process(f))
				assert_true(ev == APP_EV_EXIT || ev == APP_EV_SPAWN_FAILED);
		}
	}
}

static void
a_phase_is_kept_exactly_while_stopping(void **state)
{
	for (size_t i = 0; i < NELEM(places); i++) {
		for (int ev = APP_EV_START; ev <= APP_EV_LEAVE; ev++) {
			struct app_fsm f = places[i];

			(void)app_fsm_step(&f, (enum app_event)ev, NULL);
			assert_int_equal(f.state == APP_STOPPING, f.phase != APP_PHASE_NONE);
		}
	}
}

static void
an_ignored_event_changes_nothing(void **state)
{
	for (size_t i = 0; i < NELEM(places); i++) {
		for (int ev = APP_EV_START; ev <= APP_EV_LEAVE; ev++) {
			struct app_fsm f = places[i];
			bool ignored;
			unsigned todo = app_fsm_step(&f, (enum app_event)ev, &ignored);

			if (!ignored)
				continue;
			assert_int_equal(todo, 0);
			assert_memory_equal(&f, &places[i], sizeof(f));
		}
	}
}

static void
stop_ends_in_stopped_from_everywhere(void **state)
{
	for (size_t i = 0; i < NELEM(places); i++) {
		struct app_fsm f = places[i];
		unsigned executed = 0;
		bool ignored;
		unsigned todo = app_fsm_step(&f, APP_EV_STOP, &ignored);

		if (todo == 0)
			todo = pending(f);
		f = live_on(f, todo, &executed, APP_STOPPED);
		assert_int_equal(f.state, APP_STOPPED);
		assert_int_equal(executed, 0);
	}
}

static void
start_and_restart_end_in_ready_from_everywhere(void **state)
{
	static const enum app_event evs[] = {APP_EV_START, APP_EV_RESTART};

	for (size_t i = 0; i < NELEM(places); i++) {
		for (size_t k = 0; k < NELEM(evs); k++) {
			struct app_fsm f = places[i];
			unsigned executed = 0;
			unsigned todo = app_fsm_step(&f, evs[k], NULL);

			if (todo == 0)
				todo = pending(f);
			f = live_on(f, todo, &executed, APP_READY);
			assert_int_equal(f.state, APP_READY);
			assert_true(executed <= 1);
		}
	}
}

static void
every_stop_phase_leads_on_when_the_app_does_nothing(void **state)
{
	struct app_fsm f = {APP_READY, APP_PHASE_NONE, APP_GOAL_UP};

	assert_int_equal(app_fsm_step(&f, APP_EV_STOP, NULL), APP_DO_DRAIN);
	assert_int_equal(app_fsm_step(&f, APP_EV_TIMER, NULL), APP_DO_TERM);
	assert_int_equal(app_fsm_step(&f, APP_EV_TIMER, NULL), APP_DO_TERM);
	assert_int_equal(app_fsm_step(&f, APP_EV_TIMER, NULL), APP_DO_KILL);
	assert_int_equal(app_fsm_step(&f, APP_EV_TIMER, NULL), APP_DO_KILL);
	assert_int_equal(app_fsm_step(&f, APP_EV_EXIT, NULL), APP_DO_SWEEP);
	assert_int_equal(app_fsm_step(&f, APP_EV_SWEPT, NULL), 0);
	assert_int_equal(f.state, APP_STOPPED);
}

static void
a_readiness_timeout_is_a_failure(void **state)
{
	struct app_fsm f = {APP_STARTING, APP_PHASE_NONE, APP_GOAL_UP};

	assert_int_equal(app_fsm_step(&f, APP_EV_TIMER, NULL), APP_DO_TERM);
	assert_int_equal(app_fsm_step(&f, APP_EV_EXIT, NULL), APP_DO_SWEEP);
	assert_int_equal(app_fsm_step(&f, APP_EV_SWEPT, NULL), APP_DO_DECIDE);
	assert_int_equal(app_fsm_step(&f, APP_EV_RETRY, NULL), APP_DO_BACKOFF);
	assert_int_equal(f.state, APP_BACKOFF);
}

static void
a_planned_restart_asks_no_policy(void **state)
{
	struct app_fsm f = {APP_READY, APP_PHASE_NONE, APP_GOAL_UP};

	assert_int_equal(app_fsm_step(&f, APP_EV_RESTART, NULL), APP_DO_DRAIN);
	assert_int_equal(app_fsm_step(&f, APP_EV_DRAINED, NULL), APP_DO_TERM);
	assert_int_equal(app_fsm_step(&f, APP_EV_EXIT, NULL), APP_DO_SWEEP);
	assert_int_equal(app_fsm_step(&f, APP_EV_SWEPT, NULL), APP_DO_CHECK_GATE);
	assert_int_equal(f.state, APP_WAITING);
	assert_int_equal(f.goal, APP_GOAL_UP);
}

static void
a_pause_asks_no_policy_and_ends_by_itself(void **state)
{
	struct app_fsm f = {APP_READY, APP_PHASE_NONE, APP_GOAL_UP};

	assert_int_equal(app_fsm_step(&f, APP_EV_PAUSE, NULL), APP_DO_DRAIN);
	assert_int_equal(app_fsm_step(&f, APP_EV_DRAINED, NULL), APP_DO_TERM);
	assert_int_equal(app_fsm_step(&f, APP_EV_EXIT, NULL), APP_DO_SWEEP);
	assert_int_equal(app_fsm_step(&f, APP_EV_SWEPT, NULL), APP_DO_BACKOFF);
	assert_int_equal(f.state, APP_BACKOFF);
	assert_int_equal(f.goal, APP_GOAL_UP);
	assert_int_equal(app_fsm_step(&f, APP_EV_TIMER, NULL), APP_DO_CHECK_GATE);
	assert_int_equal(f.state, APP_WAITING);
}

static void
a_pause_is_cut_short_by_a_start_and_a_restart(void **state)
{
	static const enum app_event evs[] = {APP_EV_START, APP_EV_RESTART};

	for (size_t i = 0; i < NELEM(evs); i++) {
		struct app_fsm f = {APP_STOPPING, APP_PHASE_TERM, APP_GOAL_LATER};

		(void)app_fsm_step(&f, evs[i], NULL);
		assert_int_equal(f.goal, APP_GOAL_AGAIN);
	}
}

static void
stop_during_backoff_stays_stopped(void **state)
{
	struct app_fsm f = {APP_BACKOFF, APP_PHASE_NONE, APP_GOAL_UP};

	assert_int_equal(app_fsm_step(&f, APP_EV_STOP, NULL), 0);
	assert_int_equal(app_fsm_step(&f, APP_EV_TIMER, NULL), 0);
	assert_int_equal(f.state, APP_STOPPED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_event_starts_a_second_copy),
		cmocka_unit_test(only_an_exit_or_a_failed_spawn_ends_a_process),
		cmocka_unit_test(a_phase_is_kept_exactly_while_stopping),
		cmocka_unit_test(an_ignored_event_changes_nothing),
		cmocka_unit_test(stop_ends_in_stopped_from_everywhere),
		cmocka_unit_test(start_and_restart_end_in_ready_from_everywhere),
		cmocka_unit_test(every_stop_phase_leads_on_when_the_app_does_nothing),
		cmocka_unit_test(a_readiness_timeout_is_a_failure),
		cmocka_unit_test(a_planned_restart_asks_no_policy),
		cmocka_unit_test(a_pause_asks_no_policy_and_ends_by_itself),
		cmocka_unit_test(a_pause_is_cut_short_by_a_start_and_a_restart),
		cmocka_unit_test(stop_during_backoff_stays_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
