/* How two processes take turns in being one app. The apps are played here: they obey app_fsm, and
 * live and die as a test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/common.h"
#include "supervisor/instance.h"

/* --- two apps that are no processes --------------------------------------------------------- */

struct app {
	struct app_fsm fsm;
	struct app_hooks hooks;
	void *arg;
	struct app_spec spec;
	unsigned generation;
	unsigned terms;
	uint64_t drain_ms; /* it was asked to drain, and given so long */
	char reason[APP_REASON_MAX];
};

static struct app *apps[2];
static unsigned app_count;
static struct instance *in;
static char told[1024];

static void feed(struct app *a, enum app_event ev, const char *why);

static void
obey(struct app *a, unsigned todo)
{
	if (todo & APP_DO_CHECK_GATE)
		feed(a, APP_EV_GO, NULL);
	if (todo & APP_DO_SPAWN)
		a->generation = ++a->spec.history->starts;
	if (todo & APP_DO_DRAIN)
		a->hooks.on_drain(a->arg, a, a->spec.drain_timeout_ms);
	if (todo & APP_DO_TERM)
		a->terms++;
	if (todo & APP_DO_SWEEP)
		feed(a, APP_EV_SWEPT, NULL);
	if (todo & APP_DO_DECIDE)
		feed(a, APP_EV_RETRY, NULL);
}

static void
feed(struct app *a, enum app_event ev, const char *why)
{
	enum app_state from = a->fsm.state;
	bool ignored;
	unsigned todo = app_fsm_step(&a->fsm, ev, &ignored);

	if (ignored)
		return;
	if (why != NULL)
		(void)snprintf(a->reason, sizeof(a->reason), "%s", why);
	if (from != a->fsm.state)
		a->hooks.on_state(a->arg, a, from);
	obey(a, todo);
}

int
app_new(struct app **out, uv_loop_t *loop, struct reaper *reaper, const struct app_spec *spec,
        const struct app_hooks *hooks, void *arg)
{
	struct app *a = calloc(1, sizeof(*a));

	a->spec = *spec;
	a->hooks = *hooks;
	a->arg = arg;
	apps[app_count++] = a;
	*out = a;
	return 0;
}

void
app_set_spec(struct app *a, const struct app_spec *spec)
{
	struct app_history *history = a->spec.history;

	a->spec = *spec;
	a->spec.history = history;
}

void
app_close(struct app *a, void (*fn)(void *arg), void *arg)
{
	assert_int_equal(a->fsm.state, APP_STOPPED);
	free(a);
	fn(arg);
}

void
app_start(struct app *a, const char *why)
{
	feed(a, APP_EV_START, why);
}

void
app_stop(struct app *a, const char *why)
{
	feed(a, APP_EV_STOP, why);
}

void
app_restart(struct app *a, const char *why)
{
	feed(a, APP_EV_RESTART, why);
}

void
app_pause(struct app *a, const char *why, uint64_t pause_ms)
{
	feed(a, APP_EV_PAUSE, why);
}

void
app_hurry(struct app *a)
{
	feed(a, APP_EV_HURRY, NULL);
}

void
app_drained(struct app *a)
{
	feed(a, APP_EV_DRAINED, NULL);
}

void
app_gate_changed(struct app *a)
{
}

void
app_pause_deadline(struct app *a, bool paused)
{
}

const char *
app_name(const struct app *a)
{
	return a->spec.name;
}

enum app_state
app_state(const struct app *a)
{
	return a->fsm.state;
}

struct app_info
app_info(const struct app *a)
{
	return (struct app_info){.state = a->fsm.state,
	                         .phase = a->fsm.phase,
	                         .reason = a->reason,
	                         .generation = a->generation};
}

/* --- what the instance tells ---------------------------------------------------------------- */

static bool
may_start(void *arg, struct instance *i, int side)
{
	return true;
}

static int
on_launch(void *arg, struct instance *i, int side, struct app_launch *out, struct err *err)
{
	return 0;
}

static void
on_state(void *arg, struct instance *i, int side, enum app_state from)
{
	size_t at = strlen(told);

	(void)snprintf(told + at, sizeof(told) - at, "%d %s; ", side,
	               app_state_name(apps[side]->fsm.state));
}

static void
on_drain(void *arg, struct instance *i, int side, uint64_t deadline_ms)
{
	apps[side]->drain_ms = deadline_ms;
}

static int
setup(void **state)
{
	static const struct instance_hooks hooks = {may_start, on_launch, on_state, on_drain};
	struct app_spec spec = {.name = "app", .group = "app", .drain_timeout_ms = 900};

	app_count = 0;
	if (instance_new(&in, NULL, NULL, &spec, &hooks, NULL) != 0)
		return -1;
	instance_start(in, "started");
	feed(apps[0], APP_EV_READY, NULL);
	told[0] = '\0';
	return 0;
}

static int
teardown(void **state)
{
	instance_stop(in, "the end");
	for (int i = 0; i < 2; i++) {
		app_drained(apps[i]);
		feed(apps[i], APP_EV_EXIT, NULL);
	}
	if (!instance_is_stopped(in))
		return -1;
	instance_close(in, NULL, NULL);
	return 0;
}

/* The drain of one that is stopping is over, and it goes. */
static void
let_it_go(int side)
{
	app_drained(apps[side]);
	feed(apps[side], APP_EV_EXIT, NULL);
	assert_int_equal(apps[side]->fsm.state, APP_STOPPED);
}

/* --- replacing ------------------------------------------------------------------------------ */

static void
the_old_one_goes_when_the_new_one_is_ready_and_not_before(void **state)
{
	instance_replace(in, "why not");
	assert_false(instance_is_steady(in));
	assert_int_equal(instance_current_side(in), 0);
	assert_ptr_equal(instance_other(in), apps[1]);
	assert_int_equal(apps[0]->fsm.state, APP_READY);
	feed(apps[1], APP_EV_READY, NULL);
	assert_int_equal(instance_current_side(in), 1);
	assert_int_equal(apps[0]->fsm.phase, APP_PHASE_DRAIN);
	assert_int_equal(apps[0]->drain_ms, 900);
	assert_string_equal(told, "1 waiting; 1 starting; 1 ready; 0 stopping; ");
	assert_false(instance_is_steady(in));
	let_it_go(0);
	assert_true(instance_is_steady(in));
	assert_null(instance_other(in));
	assert_int_equal(app_info(instance_current(in)).generation, 2);
	assert_string_equal(instance_failure(in), "");
}

static void
and_back_again(void **state)
{
	for (int i = 0; i < 5; i++) {
		int old = instance_current_side(in);

		instance_replace(in, "again");
		feed(apps[1 - old], APP_EV_READY, NULL);
		let_it_go(old);
		assert_int_equal(instance_current_side(in), 1 - old);
	}
	assert_int_equal(app_info(instance_current(in)).generation, 6);
}

static void
a_new_one_that_does_not_become_ready_is_given_up(void **state)
{
	static const enum app_event ends[] = {APP_EV_EXIT, APP_EV_TIMER, APP_EV_SPAWN_FAILED};

	for (size_t i = 0; i < NELEM(ends); i++) {
		instance_replace(in, "why not");
		feed(apps[1], ends[i], "it cannot");
		feed(apps[1], APP_EV_EXIT, NULL);
		assert_int_equal(apps[1]->fsm.state, APP_STOPPED);
		assert_int_equal(apps[0]->fsm.state, APP_READY);
		assert_int_equal(instance_current_side(in), 0);
		assert_true(instance_is_steady(in));
		assert_string_equal(instance_failure(in), "it cannot");
	}
}

static void
when_the_old_one_dies_meanwhile_the_new_one_is_it(void **state)
{
	instance_replace(in, "why not");
	feed(apps[0], APP_EV_EXIT, "killed");
	assert_int_equal(instance_current_side(in), 1);
	assert_int_equal(apps[0]->fsm.state, APP_STOPPED);
	assert_true(instance_is_steady(in));
	feed(apps[1], APP_EV_EXIT, "killed too");
	assert_int_equal(apps[1]->fsm.state, APP_BACKOFF); /* from now on it is like any other */
}

static void
one_that_is_not_ready_is_restarted_instead(void **state)
{
	feed(apps[0], APP_EV_EXIT, "killed");
	assert_int_equal(apps[0]->fsm.state, APP_BACKOFF);
	instance_replace(in, "why not");
	assert_int_equal(apps[0]->fsm.state, APP_STARTING);
	assert_int_equal(apps[1]->fsm.state, APP_STOPPED);
	assert_true(instance_is_steady(in));
}

static void
asked_for_twice_it_is_replaced_twice(void **state)
{
	instance_replace(in, "once");
	instance_replace(in, "twice");
	feed(apps[1], APP_EV_READY, NULL);
	instance_replace(in, "and that is the same wish");
	app_drained(apps[0]);
	assert_false(instance_is_steady(in));
	feed(apps[0], APP_EV_EXIT, NULL);
	assert_int_equal(apps[0]->fsm.state, APP_STARTING);
	assert_int_equal(apps[1]->fsm.state, APP_READY);
	feed(apps[0], APP_EV_READY, NULL);
	let_it_go(1);
	assert_true(instance_is_steady(in));
	assert_int_equal(app_info(instance_current(in)).generation, 3);
}

static void
stop_ends_both_at_any_moment(void **state)
{
	instance_replace(in, "why not");
	instance_stop(in, "enough");
	assert_int_equal(apps[1]->fsm.phase, APP_PHASE_TERM);
	assert_int_equal(apps[0]->fsm.phase, APP_PHASE_DRAIN);
	feed(apps[1], APP_EV_EXIT, NULL);
	let_it_go(0);
	assert_true(instance_is_stopped(in));
	instance_start(in, "again");
	feed(apps[0], APP_EV_READY, NULL);
	instance_replace(in, "why not");
	feed(apps[1], APP_EV_READY, NULL);
	instance_stop(in, "enough"); /* one drains already */
	let_it_go(1);
	assert_false(instance_is_stopped(in));
	let_it_go(0);
	assert_true(instance_is_stopped(in));
}

/* --- the other ways ------------------------------------------------------------------------- */

static void
restart_now_waits_for_no_drain_not_even_for_one_that_is_under_way(void **state)
{
	instance_restart_now(in, "it is stuck");
	assert_int_equal(apps[0]->drain_ms, 0);
	assert_int_equal(apps[0]->fsm.phase, APP_PHASE_TERM);
	feed(apps[0], APP_EV_EXIT, NULL);
	feed(apps[0], APP_EV_READY, NULL);
	instance_restart(in, "asked for"); /* the next end is drained again */
	assert_int_equal(apps[0]->drain_ms, 900);
	assert_int_equal(apps[0]->fsm.phase, APP_PHASE_DRAIN);
	instance_restart_now(in, "it is stuck");
	assert_int_equal(apps[0]->fsm.phase, APP_PHASE_TERM);
	feed(apps[0], APP_EV_EXIT, NULL);
	assert_int_equal(apps[0]->fsm.state, APP_STARTING);
}

static void
a_pause_gives_less_time_to_drain_and_rests(void **state)
{
	instance_replace(in, "why not");
	instance_pause(in, "no use", 5000, 30);
	assert_int_equal(apps[0]->drain_ms, 30);
	assert_int_equal(apps[1]->fsm.phase, APP_PHASE_TERM); /* that one is not needed either */
	feed(apps[1], APP_EV_EXIT, NULL);
	app_drained(apps[0]);
	feed(apps[0], APP_EV_EXIT, NULL);
	assert_int_equal(apps[0]->fsm.state, APP_BACKOFF);
	instance_replace(in, "there is hope");
	assert_int_equal(apps[0]->fsm.state, APP_STARTING);
	feed(apps[0], APP_EV_READY, NULL);
	instance_stop(in, "enough");
	assert_int_equal(apps[0]->drain_ms, 900);
}

/* The files are one app's, and not one process's. */
static void
both_write_into_the_same_files(void **state)
{
	static const struct instance_hooks hooks = {may_start, on_launch, on_state, on_drain};
	char dir[] = "/tmp/test-instance-XXXXXX", path[64], put_aside[80], text[64] = "";
	struct log_sink_spec logs = {.max_bytes = 8, .retain = 1, .own_files = true};
	struct app_spec spec = {.name = "app-2", .group = "app", .instance = 2, .logs = &logs};
	struct instance *other;
	FILE *f;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/app.log", dir);
	logs.out_file = logs.error_file = path;
	app_count = 0;
	assert_int_equal(instance_new(&other, NULL, NULL, &spec, &hooks, NULL), 0);
	for (int i = 0; i < 5; i++)
		assert_true(log_sink_line(apps[i % 2]->spec.sink, OUTPUT_STDOUT,
		                          i % 2 == 0 ? "old" : "new", 1));
	instance_close(other, NULL, NULL);
	(void)snprintf(path, sizeof(path), "%s/app-2.log", dir);
	(void)snprintf(put_aside, sizeof(put_aside), "%s.1", path);
	f = fopen(put_aside, "re");
	assert_non_null(f);
	assert_int_equal(fread(text, 1, sizeof(text) - 1, f), 8);
	(void)fclose(f);
	assert_string_equal(text, "old\nnew\n");
	assert_int_equal(unlink(put_aside), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
#define with_instance(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		with_instance(the_old_one_goes_when_the_new_one_is_ready_and_not_before),
		with_instance(and_back_again),
		with_instance(a_new_one_that_does_not_become_ready_is_given_up),
		with_instance(when_the_old_one_dies_meanwhile_the_new_one_is_it),
		with_instance(one_that_is_not_ready_is_restarted_instead),
		with_instance(asked_for_twice_it_is_replaced_twice),
		with_instance(stop_ends_both_at_any_moment),
		with_instance(restart_now_waits_for_no_drain_not_even_for_one_that_is_under_way),
		with_instance(a_pause_gives_less_time_to_drain_and_rests),
		cmocka_unit_test(both_write_into_the_same_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
