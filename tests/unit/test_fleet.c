/* In which order apps start and stop, when all is ready, and what another list changes. The
 * instances are played here. */
#include "tests/unit/ecosystem_fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "supervisor/fleet.h"

/* --- instances that are none ---------------------------------------------------------------- */

/* An instance and its current app are the same thing here. */
struct app {
	char name[48], group[48];
	struct app_spec spec;
	struct instance_hooks hooks;
	void *arg;
	enum app_state state;
	bool ran_ready, hurried;
	unsigned generation;
};

static char did[1024]; /* what was done to whom */
static unsigned gone, live;

static struct app *
as_app(const struct instance *in)
{
	return (struct app *)(uintptr_t)in;
}

static void
note(const char *what, const struct app *a)
{
	size_t at = strlen(did);

	(void)snprintf(did + at, sizeof(did) - at, "%s %s; ", what, a->name);
}

static void
become(struct app *a, enum app_state to)
{
	enum app_state from = a->state;

	a->state = to;
	a->generation += to == APP_STARTING;
	a->ran_ready = to == APP_READY || (a->ran_ready && to != APP_STARTING);
	a->hooks.on_state(a->arg, (struct instance *)a, 0, from);
}

int
instance_new(struct instance **out, uv_loop_t *loop, struct reaper *reaper,
             const struct app_spec *spec, const struct instance_hooks *hooks, void *arg)
{
	struct app *a = calloc(1, sizeof(*a));

	(void)snprintf(a->name, sizeof(a->name), "%s", spec->name);
	(void)snprintf(a->group, sizeof(a->group), "%s", spec->group);
	a->spec = *spec;
	a->hooks = *hooks;
	a->arg = arg;
	live++;
	*out = (struct instance *)a;
	return 0;
}

void
instance_close(struct instance *in, void (*fn)(void *arg), void *arg)
{
	assert_int_equal(as_app(in)->state, APP_STOPPED);
	free(in);
	live--;
	if (fn != NULL)
		fn(arg);
}

void
instance_set_spec(struct instance *in, const struct app_spec *spec)
{
	as_app(in)->spec = *spec;
}

void
instance_gate_changed(struct instance *in)
{
	struct app *a = as_app(in);

	if (a->state == APP_WAITING && a->hooks.may_start(a->arg, in, 0)) {
		note("start", a);
		become(a, APP_STARTING);
	}
}

void
instance_start(struct instance *in, const char *why)
{
	if (as_app(in)->state != APP_STOPPED)
		return;
	become(as_app(in), APP_WAITING);
	instance_gate_changed(in);
}

void
instance_stop(struct instance *in, const char *why)
{
	struct app *a = as_app(in);

	if (a->state == APP_STOPPED || a->state == APP_STOPPING)
		return;
	note("stop", a);
	become(a, a->state == APP_WAITING ? APP_STOPPED : APP_STOPPING);
}

void
instance_restart(struct instance *in, const char *why)
{
	note("restart", as_app(in));
}

void
instance_hurry(struct instance *in)
{
	as_app(in)->hurried = true;
}

void
instance_pause_deadline(struct instance *in, bool paused)
{
}

struct app *
instance_app(const struct instance *in, int side)
{
	static struct app other = {.state = APP_STOPPED};

	return side == 0 ? as_app(in) : &other;
}

struct app *
instance_current(const struct instance *in)
{
	return as_app(in);
}

int
instance_current_side(const struct instance *in)
{
	return 0;
}

const char *
instance_name(const struct instance *in)
{
	return as_app(in)->name;
}

bool
instance_is_stopped(const struct instance *in)
{
	return as_app(in)->state == APP_STOPPED;
}

struct app_info
app_info(const struct app *a)
{
	return (struct app_info){.name = a->name,
	                         .group = a->group,
	                         .state = a->state,
	                         .next_retry_ms = -1,
	                         .ran_ready = a->ran_ready,
	                         .generation = a->generation,
	                         .reason = "a reason"};
}

enum app_state
app_state(const struct app *a)
{
	return a->state;
}

const char *
app_name(const struct app *a)
{
	return a->name;
}

const struct app_spec *
app_spec(const struct app *a)
{
	return &a->spec;
}

void
app_drained(struct app *a)
{
	note("drained", a);
}

void
app_tell_ready(struct app *a)
{
}

/* --- a fleet of them ------------------------------------------------------------------------ */

static uv_loop_t loop;
static struct fleet *fleet;
static struct listener listener;
static unsigned stopped;

static void
on_change(void *arg, struct instance *in)
{
}

static void
on_gone(void *arg, const struct instance *in)
{
	gone++;
}

static void
on_stopped(void *arg)
{
	stopped++;
}

static struct app *
the(const char *name)
{
	for (size_t i = 0; i < fleet_count(fleet); i++)
		if (strcmp(instance_name(fleet_instance(fleet, i)), name) == 0)
			return as_app(fleet_instance(fleet, i));
	fail_msg("no %s", name);
	return NULL;
}

static void
is(const char *name, enum app_state state)
{
	become(the(name), state);
}

static void
assert_did(const char *what)
{
	assert_string_equal(did, what);
	did[0] = '\0';
}

/* '...' in list are quotes. */
static struct ecosystem *
list_of(const char *list)
{
	char text[2048];
	struct ecosystem *e;

	(void)snprintf(text, sizeof(text), "{\"apps\":[%s]}", list);
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	e = parse(text);
	if (e->errors > 0)
		dump(e);
	assert_int_equal(e->errors, 0);
	return e;
}

static void
open_fleet(const char *list)
{
	struct fleet_spec spec = {
		.loop = &loop, .listener = &listener, .on_change = on_change, .on_gone = on_gone};
	struct err err;

	assert_int_equal(fleet_new(&fleet, &spec, list_of(list), &err), 0);
	fleet_start(fleet, false);
}

static void
take(const char *list, struct fleet_changes *changes)
{
	assert_int_equal(fleet_take(fleet, list_of(list), changes), 0);
	free(changes->changed);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
}

static int
setup(void **state)
{
	listener = (struct listener){.fd = -1};
	did[0] = '\0';
	gone = stopped = 0;
	return uv_loop_init(&loop);
}

static int
teardown(void **state)
{
	for (size_t i = 0; i < fleet_count(fleet); i++)
		as_app(fleet_instance(fleet, i))->state = APP_STOPPED;
	fleet_close(fleet, NULL, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(live, 0);
	return uv_loop_close(&loop);
}

#define APP(name, more) "{'name':'" name "','script':'x'" more "}"

static const char chain[] = APP("c", ",'after':['b','d']") "," APP("b", ",'after':'a'") "," APP(
	"a", ",'instances':2") "," APP("d", "");

static void
each_starts_when_all_that_it_comes_after_are_ready(void **state)
{
	open_fleet(chain);
	assert_did("start a-0; start a-1; start d; ");
	is("d", APP_READY);
	is("a-0", APP_READY);
	assert_did("");
	is("a-1", APP_READY);
	assert_did("start b; ");
	is("b", APP_READY);
	assert_did("start c; ");
}

static void
what_was_ready_and_is_stopped_is_no_obstacle(void **state)
{
	open_fleet(APP("once", ",'autorestart':false") "," APP("b", ",'after':'once'"));
	is("once", APP_READY);
	is("once", APP_STOPPED);
	did[0] = '\0';
	is("b", APP_WAITING); /* as after a backoff */
	instance_gate_changed((struct instance *)the("b"));
	assert_did("start b; ");
	/* but one that failed is */
	the("b")->state = APP_WAITING;
	is("once", APP_STARTING);
	is("once", APP_BACKOFF);
	assert_did("");
}

static void
tiers_stop_in_the_reverse_order_each_at_once(void **state)
{
	open_fleet(chain);
	for (size_t i = 0; i < fleet_count(fleet); i++)
		as_app(fleet_instance(fleet, i))->state = APP_READY;
	did[0] = '\0';
	fleet_stop(fleet, on_stopped, NULL);
	assert_did("stop c; ");
	is("c", APP_STOPPED);
	assert_did("stop b; ");
	fleet_stop(fleet, on_stopped, NULL); /* impatient */
	assert_true(the("b")->hurried);
	assert_false(the("a-0")->hurried);
	is("b", APP_STOPPED);
	assert_did("stop a-0; stop a-1; stop d; ");
	is("a-1", APP_STOPPED);
	is("a-0", APP_STOPPED);
	assert_int_equal(stopped, 0);
	is("d", APP_STOPPED);
	assert_int_equal(stopped, 1);
}

static void
a_stop_of_what_never_ran_ends_at_once(void **state)
{
	open_fleet(APP("b", ",'after':'a'") "," APP("a", ",'autostart':false"));
	assert_did("");
	fleet_stop(fleet, on_stopped, NULL);
	assert_int_equal(stopped, 1);
}

static void
nothing_starts_while_all_stops(void **state)
{
	open_fleet(APP("b", ",'after':'a'") "," APP("a", ""));
	is("a", APP_READY);
	is("b", APP_READY);
	did[0] = '\0';
	fleet_stop(fleet, on_stopped, NULL);
	is("a", APP_WAITING); /* it has ended by itself meanwhile */
	instance_gate_changed((struct instance *)the("a"));
	assert_did("stop b; ");
}

static void
ready_is_one_of_each_that_is_wanted(void **state)
{
	const char *why;

	open_fleet(APP("a", ",'instances':2") "," APP("b", "") "," APP("c", ",'autostart':false"));
	assert_false(fleet_is_ready(fleet, &why));
	assert_string_equal(why, "a is not ready");
	is("a-1", APP_READY);
	assert_false(fleet_is_ready(fleet, &why));
	assert_string_equal(why, "b is not ready");
	is("b", APP_READY);
	assert_true(fleet_is_ready(fleet, &why));
	is("b", APP_BACKOFF);
	assert_false(fleet_is_ready(fleet, &why));
	is("b", APP_STOPPED); /* by hand */
	assert_true(fleet_is_ready(fleet, &why));
	assert_false(fleet_is_failed(fleet));
}

static void
a_new_list_touches_only_what_has_changed(void **state)
{
	struct fleet_changes c;
	struct app *a, *b;

	open_fleet(
		APP("a", "") "," APP("b", "") "," APP("gone", "") "," APP("n", ",'instances':2"));
	for (size_t i = 0; i < fleet_count(fleet); i++)
		as_app(fleet_instance(fleet, i))->state = APP_READY;
	a = the("a");
	b = the("b");
	did[0] = '\0';
	/* another order, of the apps and of what is said of one, is no change */
	take("{'script':'x','name':'a'}," APP("new", ",'after':'a'") "," APP(
		     "n", ",'instances':3") "," APP("b", ",'kill_timeout':7"),
	     &c);
	assert_did("stop gone; start new; start n-2; ");
	assert_int_equal(c.kept, 1);
	assert_int_equal(c.changed_count, 3); /* b, n-0, n-1 */
	assert_int_equal(c.added, 2);
	assert_int_equal(c.removed, 1);
	assert_ptr_equal(the("a"), a);
	assert_ptr_equal(the("b"), b);
	assert_int_equal(b->spec.kill_timeout_ms, 7);
	assert_int_equal(fleet_count(fleet), 7);
	assert_string_equal(instance_name(fleet_instance(fleet, 0)), "a");
	assert_string_equal(instance_name(fleet_instance(fleet, 1)), "new");
	assert_int_equal(gone, 0);
	is("gone", APP_STOPPED);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(gone, 1);
	assert_int_equal(fleet_count(fleet), 6);
}

static void
one_that_comes_back_waits_for_the_end_of_its_namesake(void **state)
{
	struct fleet_changes c;

	open_fleet(APP("a", "") "," APP("b", ""));
	is("a", APP_READY);
	is("b", APP_READY);
	did[0] = '\0';
	take(APP("b", ""), &c);
	take(APP("a", "") "," APP("b", ""), &c);
	assert_did("stop a; ");
	assert_int_equal(c.added, 1);
	assert_int_equal(fleet_count(fleet), 3);
	become(as_app(fleet_instance(fleet, 2)), APP_STOPPED);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_did("start a; ");
	assert_int_equal(fleet_count(fleet), 2);
}

static void
another_number_of_a_program_starts_when_the_old_one_is_gone(void **state)
{
	struct fleet_changes c;

	open_fleet(APP("a", ""));
	is("a", APP_READY);
	did[0] = '\0';
	take(APP("a", ",'instances':2"), &c);
	assert_did("stop a; ");
	is("a", APP_STOPPED);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_did("start a-0; start a-1; ");
}

static void
one_that_leaves_is_not_started_again(void **state)
{
	struct fleet_changes c;

	open_fleet(APP("a", "") "," APP("b", ""));
	is("b", APP_READY);
	take(APP("a", ""), &c);
	did[0] = '\0';
	is("b", APP_WAITING); /* a restart was asked for */
	instance_gate_changed((struct instance *)the("b"));
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_did("stop b; ");
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(gone, 1);
}

static void
new_ones_that_never_ran_leave_without_a_word(void **state)
{
	struct fleet_changes c;

	open_fleet(APP("a", "") "," APP("b", ",'after':'a'"));
	take(APP("a", ""), &c);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(fleet_count(fleet), 1);
	assert_int_equal(gone, 1);
}

int
main(void)
{
#define with_fleet(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		with_fleet(each_starts_when_all_that_it_comes_after_are_ready),
		with_fleet(what_was_ready_and_is_stopped_is_no_obstacle),
		with_fleet(tiers_stop_in_the_reverse_order_each_at_once),
		with_fleet(a_stop_of_what_never_ran_ends_at_once),
		with_fleet(nothing_starts_while_all_stops),
		with_fleet(ready_is_one_of_each_that_is_wanted),
		with_fleet(a_new_list_touches_only_what_has_changed),
		with_fleet(one_that_comes_back_waits_for_the_end_of_its_namesake),
		with_fleet(another_number_of_a_program_starts_when_the_old_one_is_gone),
		with_fleet(one_that_leaves_is_not_started_again),
		with_fleet(new_ones_that_never_ran_leave_without_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
