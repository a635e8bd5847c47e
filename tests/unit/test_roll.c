/* One after the other, each well again before the next one goes. The instances are played here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/common.h"
#include "common/log.h"
#include "supervisor/roll.h"

#define BACKENDS 2
#define PROXY    BACKENDS

/* --- instances that are none ---------------------------------------------------------------- */

struct app {
	const char *name, *group;
	enum app_state state;
	unsigned generation;
	bool steady;
	char failure[64];
};

static struct app apps[BACKENDS + 1];
static struct roll roll;
static char did[256]; /* what was done to whom */

/* An instance and its current app are the same thing here. */
static struct app *
as_app(const struct instance *in)
{
	return (struct app *)(uintptr_t)in;
}

size_t
fleet_count(const struct fleet *p)
{
	return NELEM(apps);
}

struct instance *
fleet_instance(const struct fleet *p, size_t i)
{
	return (struct instance *)&apps[i];
}

struct app *
instance_current(const struct instance *in)
{
	return as_app(in);
}

const char *
instance_name(const struct instance *in)
{
	return as_app(in)->name;
}

const char *
instance_failure(const struct instance *in)
{
	return as_app(in)->failure;
}

bool
instance_is_steady(const struct instance *in)
{
	return as_app(in)->steady;
}

const struct app_spec *
app_spec(const struct app *a)
{
	static const struct app_spec always = {.surge = APP_SURGE_ALWAYS};
	static const struct app_spec reload = {.surge = APP_SURGE_RELOAD};

	return a == &apps[PROXY] ? &reload : &always;
}

enum app_state
app_state(const struct app *a)
{
	return a->state;
}

struct app_info
app_info(const struct app *a)
{
	return (struct app_info){.name = a->name,
	                         .group = a->group,
	                         .state = a->state,
	                         .generation = a->generation,
	                         .reason = "a reason"};
}

static void
note(const char *what, const struct app *a)
{
	size_t at = strlen(did);

	(void)snprintf(did + at, sizeof(did) - at, "%s %s; ", what, a->name);
}

void
instance_replace(struct instance *in, const char *why)
{
	note("replace", as_app(in));
	as_app(in)->failure[0] = '\0';
	as_app(in)->steady = false;
	roll_on_change(&roll, in); /* as a change of its state would */
}

void
instance_restart(struct instance *in, const char *why)
{
	note("restart", as_app(in));
	as_app(in)->state = APP_STOPPING;
	roll_on_change(&roll, in);
}

/* It has been replaced, or restarted. */
static void
is_well(size_t i)
{
	apps[i].generation++;
	apps[i].state = APP_READY;
	apps[i].steady = true;
	roll_on_change(&roll, fleet_instance(roll.fleet, i));
}

/* --- who asks ------------------------------------------------------------------------------- */

static struct {
	unsigned count;
	int code;
	char why[256];
} answer;

static void
on_answer(void *arg, int code, const char *why)
{
	answer.count++;
	answer.code = code;
	(void)snprintf(answer.why, sizeof(answer.why), "%s", why != NULL ? why : "");
}

static int
setup(void **state)
{
	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	apps[0] = (struct app){"app-server-0", "app-server", APP_READY, 1, true, ""};
	apps[1] = (struct app){"app-server-1", "app-server", APP_READY, 1, true, ""};
	apps[PROXY] = (struct app){"proxy", "proxy", APP_READY, 1, true, ""};
	memset(&answer, 0, sizeof(answer));
	did[0] = '\0';
	roll_init(&roll, (struct fleet *)apps); /* only passed on */
	return 0;
}

static int
teardown(void **state)
{
	roll_cancel(&roll);
	return 0;
}

/* --- tests ---------------------------------------------------------------------------------- */

static void
a_group_goes_one_after_the_other(void **state)
{
	roll_start(&roll, "app-server", ROLL_RESTART, on_answer, NULL);
	assert_string_equal(did, "replace app-server-0; ");
	is_well(0);
	assert_string_equal(did, "replace app-server-0; replace app-server-1; ");
	assert_int_equal(answer.count, 0);
	is_well(1);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.code, 0);
}

static void
the_proxy_is_restarted_or_reloaded_as_asked(void **state)
{
	roll_start(&roll, "proxy", ROLL_RESTART, on_answer, NULL);
	is_well(PROXY);
	roll_start(&roll, "proxy", ROLL_RELOAD, on_answer, NULL);
	is_well(PROXY);
	assert_string_equal(did, "restart proxy; replace proxy; ");
	assert_int_equal(answer.count, 2);
}

static void
nobody_by_that_name(void **state)
{
	roll_start(&roll, "app", ROLL_RESTART, on_answer, NULL);
	assert_int_equal(answer.code, -ENOENT);
	assert_string_equal(did, "");
}

static void
ready_but_still_with_the_old_one_beside_it_is_not_done(void **state)
{
	roll_start(&roll, "all", ROLL_RELOAD, on_answer, NULL);
	apps[0].generation++;
	roll_on_change(&roll, fleet_instance(roll.fleet, 0));
	assert_string_equal(did, "replace app-server-0; ");
}

static void
one_that_cannot_be_replaced_ends_it(void **state)
{
	roll_start(&roll, "all", ROLL_RESTART, on_answer, NULL);
	(void)snprintf(apps[0].failure, sizeof(apps[0].failure), "exited with code 1");
	apps[0].steady = true; /* the old one is still there */
	roll_on_change(&roll, fleet_instance(roll.fleet, 0));
	assert_int_equal(answer.code, -EIO);
	assert_string_equal(answer.why, "app-server-0: not ready again: exited with code 1");
	assert_string_equal(did, "replace app-server-0; ");
}

static void
one_that_ends_up_in_backoff_ends_it_too(void **state)
{
	static const enum app_state states[] = {APP_BACKOFF, APP_FAILED, APP_STOPPED};

	for (size_t i = 0; i < NELEM(states); i++) {
		apps[PROXY].state = APP_READY;
		roll_start(&roll, "proxy", ROLL_RESTART, on_answer, NULL);
		apps[PROXY].state = states[i];
		roll_on_change(&roll, fleet_instance(roll.fleet, PROXY));
		assert_int_equal(answer.count, i + 1);
		assert_int_equal(answer.code, -EIO);
	}
}

static void
what_comes_meanwhile_waits_its_turn(void **state)
{
	roll_start(&roll, "app-server-0", ROLL_RESTART, on_answer, NULL);
	roll_start(&roll, "app-server-0", ROLL_RESTART, on_answer, NULL);
	roll_one(&roll, fleet_instance(NULL, 1), "for a reason");
	roll_one(&roll, fleet_instance(NULL, 1), "for another reason"); /* it waits already */
	assert_string_equal(did, "replace app-server-0; ");
	is_well(0);
	assert_int_equal(answer.count, 1);
	is_well(0);
	assert_int_equal(answer.count, 2);
	is_well(1);
	assert_string_equal(did,
	                    "replace app-server-0; replace app-server-0; replace app-server-1; ");
	roll_one(&roll, fleet_instance(NULL, 1), "anew"); /* the other one is over */
	assert_non_null(strstr(did, "replace app-server-1; replace app-server-1; "));
	is_well(1);
}

static void
those_of_a_list_go_one_after_the_other_and_stopped_ones_stay(void **state)
{
	struct instance *list[] = {fleet_instance(NULL, 0), fleet_instance(NULL, 1),
	                           fleet_instance(NULL, PROXY)};

	apps[1].state = APP_STOPPED;
	roll_these(&roll, list, NELEM(list), "for a reason");
	assert_string_equal(did, "replace app-server-0; ");
	is_well(0);
	assert_string_equal(did, "replace app-server-0; replace proxy; ");
	is_well(PROXY);
	assert_null(roll.jobs);
}

static void
what_is_gone_is_not_waited_for(void **state)
{
	roll_start(&roll, "all", ROLL_RESTART, on_answer, NULL);
	roll_forget(&roll, fleet_instance(NULL, 1)); /* its turn has not come */
	roll_forget(&roll, fleet_instance(NULL, 0)); /* it is its turn */
	assert_string_equal(did, "replace app-server-0; restart proxy; ");
	is_well(PROXY);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.code, 0);
}

static void
the_end_answers_all_and_nothing_begins_after_it(void **state)
{
	roll_start(&roll, "all", ROLL_RESTART, on_answer, NULL);
	roll_start(&roll, "proxy", ROLL_RELOAD, on_answer, NULL);
	roll_one(&roll, fleet_instance(NULL, 1), "for a reason");
	roll_cancel(&roll);
	assert_int_equal(answer.count, 2);
	assert_int_equal(answer.code, -ECANCELED);
	did[0] = '\0';
	roll_start(&roll, "all", ROLL_RESTART, on_answer, NULL);
	roll_one(&roll, fleet_instance(NULL, 0), "for a reason");
	assert_int_equal(answer.count, 3);
	assert_int_equal(answer.code, -ECANCELED);
	assert_string_equal(did, "");
}

int
main(void)
{
#define with_roll(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		with_roll(a_group_goes_one_after_the_other),
		with_roll(the_proxy_is_restarted_or_reloaded_as_asked),
		with_roll(nobody_by_that_name),
		with_roll(ready_but_still_with_the_old_one_beside_it_is_not_done),
		with_roll(one_that_cannot_be_replaced_ends_it),
		with_roll(one_that_ends_up_in_backoff_ends_it_too),
		with_roll(what_comes_meanwhile_waits_its_turn),
		with_roll(those_of_a_list_go_one_after_the_other_and_stopped_ones_stay),
		with_roll(what_is_gone_is_not_waited_for),
		with_roll(the_end_answers_all_and_nothing_begins_after_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
