/* Backends: becoming usable, being lost, coming back, going away; and the pool of them. */
#include "tests/unit/codex_kit.h"

static struct fake_server fake, other;
static struct caller callers[4];

static int
setup_fakes(void **state)
{
	memset(callers, 0, sizeof(callers));
	memset(&fake, 0, sizeof(fake));
	memset(&other, 0, sizeof(other));
	return setup(state);
}

static int
teardown_fakes(void **state)
{
	close_pool(&pool);
	fake_kill(&fake);
	fake_kill(&other);
	return teardown(state);
}

static void
connected(void)
{
	fake_start(&fake, "fake.sock", NULL);
	connect_backend(0, &fake, 1);
}

/* A turn that says something, and then waits until it is stopped. */
static void
begin_endless(struct caller *c, int id)
{
	begin(c, backend_find(pool, id), "!part some\n!silence");
	RUN_UNTIL(strcmp(c->text, "some") == 0);
}

static void
assert_lost(const struct caller *c)
{
	assert_int_equal(c->ends, 1);
	assert_false(c->finished);
	assert_int_equal(c->failure.kind, FAILURE_BACKEND_LOST);
	assert_true(c->failure.retryable);
}

/* --- becoming usable ------------------------------------------------------------------------ */

static void
usable_means_connected_initialized_and_the_models_known(void **state)
{
	assert_string_equal(backend_pool_reason(pool), "no app-server is known yet");
	assert_null(backend_pool_models(pool));
	assert_null(backend_pick(pool));
	fake_start(&fake, "fake.sock", NULL);
	backend_up(pool, 0, fake.url, 7);
	assert_false(backend_usable(backend_find(pool, 0)));
	assert_string_equal(backend_pool_reason(pool), "app-server 0: connecting");
	assert_int_equal(changes, 0);
	RUN_UNTIL(backend_pool_usable(pool) == 1);
	assert_int_equal(changes, 1);
	assert_int_equal(json_array_size(backend_pool_models(pool)), 2);
	assert_ptr_equal(backend_pick(pool), backend_find(pool, 0));
	assert_int_equal(backend_generation(backend_pick(pool)), 7);
	assert_int_equal(backend_id(backend_pick(pool)), 0);
	assert_string_equal(backend_pool_reason(pool), "");
	assert_int_equal(heard(&fake, "\"initialized\""), 1);
	/* the same again is no news */
	backend_up(pool, 0, fake.url, 7);
	assert_int_equal(backend_pool_usable(pool), 1);
	assert_int_equal(changes, 1);
}

static void
one_that_is_not_there_yet_is_tried_again(void **state)
{
	char url[128];

	(void)snprintf(url, sizeof(url), "unix://%s/fake.sock", dir);
	backend_up(pool, 0, url, 1);
	RUN_UNTIL(strcmp(backend_pool_reason(pool), "app-server 0: connecting") != 0);
	fake_start(&fake, "fake.sock", NULL);
	RUN_UNTIL(backend_pool_usable(pool) == 1);
}

static void
a_refusal_to_begin_is_tried_again(void **state)
{
	static const char *const orders[] = {"rpc-error initialize 1", "rpc-error model/list 1",
	                                     NULL};

	fake_start(&fake, "fake.sock", orders);
	backend_up(pool, 0, fake.url, 1);
	RUN_UNTIL(backend_pool_usable(pool) == 1);
	assert_int_equal(heard(&fake, "\"initialize\""), 3);
	assert_int_equal(changes, 1);
}

static void
one_without_a_login_takes_no_turns_until_it_has_one(void **state)
{
	static const char *const orders[] = {"logout", NULL};

	fake_start(&fake, "fake.sock", orders);
	backend_up(pool, 0, fake.url, 7);
	RUN_UNTIL(backend_pool_needs_login(pool));
	assert_true(backend_usable(backend_find(pool, 0)));
	assert_true(backend_needs_login(backend_find(pool, 0)));
	assert_int_equal(json_array_size(backend_pool_models(pool)), 2);
	assert_null(backend_pick(pool));
	assert_int_equal(backend_pool_usable(pool), 0);
	assert_string_equal(backend_pool_reason(pool),
	                    "no login: the provider of app-server 0 needs one (codex login)");
	assert_int_equal(changes, 1);
	fake_order(&fake, "login");
	RUN_UNTIL(backend_pool_usable(pool) == 1);
	assert_false(backend_pool_needs_login(pool));
	assert_int_equal(changes, 2);
	fake_order(&fake, "logout");
	RUN_UNTIL(backend_pool_needs_login(pool));
	/* what is not connected may have one when it is back */
	backend_down(pool, 0, "gone", -1);
	assert_false(backend_pool_needs_login(pool));
	assert_string_equal(backend_pool_reason(pool), "app-server 0: gone");
}

static void
one_with_a_login_serves_while_another_has_none(void **state)
{
	static const char *const orders[] = {"logout", NULL};

	fake_start(&other, "other.sock", orders);
	backend_up(pool, 1, other.url, 1);
	RUN_UNTIL(backend_pool_needs_login(pool));
	connected();
	assert_false(backend_pool_needs_login(pool));
	assert_ptr_equal(backend_pick(pool), backend_find(pool, 0));
	assert_string_equal(backend_pool_reason(pool), "");
}

static void
an_app_server_that_knows_only_account_read_is_asked_that(void **state)
{
	static const char *const orders[] = {"logout", "rpc-error getAuthStatus 1 -32600", NULL};

	fake_start(&fake, "fake.sock", orders);
	backend_up(pool, 0, fake.url, 7);
	RUN_UNTIL(backend_pool_needs_login(pool));
	assert_int_equal(heard(&fake, "\"account/read\""), 1);
}

static void
one_that_cannot_say_whether_it_has_a_login_is_taken_as_it_is(void **state)
{
	static const char *const orders[] = {"logout", "rpc-error getAuthStatus 1 -32600",
	                                     "rpc-error account/read 1 -32603", NULL};

	fake_start(&fake, "fake.sock", orders);
	backend_up(pool, 0, fake.url, 7);
	RUN_UNTIL(backend_pool_usable(pool) == 1 && heard(&fake, "\"account/read\"") == 1);
	assert_false(backend_needs_login(backend_find(pool, 0)));
}

static void
an_address_that_cannot_be_is_a_reason_and_no_crash(void **state)
{
	backend_up(pool, 0, "http://nowhere", 1);
	assert_false(backend_usable(backend_find(pool, 0)));
	assert_non_null(strstr(backend_pool_reason(pool), "app-server 0: "));
}

/* --- being lost ----------------------------------------------------------------------------- */

static void
a_cut_connection_fails_every_turn_at_once_and_is_made_again(void **state)
{
	connected();
	begin_endless(&callers[0], 0);
	begin_endless(&callers[1], 0);
	fake_order(&fake, "mute thread/start 1");
	begin(&callers[2], backend_find(pool, 0), "never begun");
	begin(&callers[3], backend_find(pool, 0), "!silence\n!mute turn/start");
	RUN_UNTIL(heard(&fake, "\"turn/start\"") == 3);
	assert_int_equal(backend_turns(backend_find(pool, 0)), 4);
	fake_order(&fake, "drop");
	RUN_UNTIL(callers[3].ends == 1);
	for (size_t i = 0; i < NELEM(callers); i++)
		assert_lost(&callers[i]);
	assert_int_equal(backend_pool_threads(pool), 0);
	assert_int_equal(backend_pool_turns(pool), 0);
	RUN_UNTIL(backend_pool_usable(pool) == 1);
	assert_int_equal(changes, 3);
	/* what still runs there is stopped, also the one whose turn/start had no answer yet */
	RUN_UNTIL(heard(&fake, "\"turn/interrupt\"") == 3 &&
	          heard(&fake, "\"thread/unsubscribe\"") == 3);
}

static void
the_one_who_is_told_of_the_loss_finds_the_backend_gone(struct caller *c, const struct event *e)
{
	if (e->kind == EVENT_FAILED)
		assert_null(backend_pick(pool));
}

static void
a_lost_backend_gets_no_turn_while_its_turns_are_told(void **state)
{
	connected();
	for (size_t i = 0; i < NELEM(callers); i++)
		callers[i].on_event = the_one_who_is_told_of_the_loss_finds_the_backend_gone;
	begin_endless(&callers[0], 0);
	begin(&callers[1], backend_find(pool, 0), "!silence\n!mute turn/start");
	RUN_UNTIL(heard(&fake, "\"turn/start\"") == 2);
	fake_order(&fake, "drop");
	RUN_UNTIL(callers[0].ends == 1 && callers[1].ends == 1);
	RUN_UNTIL(backend_pool_usable(pool) == 1);
}

static void
a_turn_that_has_said_all_is_not_lost_with_the_connection(void **state)
{
	connected();
	thread_config.completion_grace_ms = PATIENCE_MS;
	begin(&callers[0], backend_find(pool, 0), "!say 1 0 all\n!lost-completed");
	RUN_UNTIL(callers[0].usages == 1);
	fake_order(&fake, "drop");
	RUN_UNTIL(callers[0].ends == 1);
	assert_true(callers[0].finished);
	assert_int_equal(callers[0].finish, FINISH_STOP);
	assert_string_equal(callers[0].text, "all");
}

static void
a_killed_app_server_is_found_again(void **state)
{
	connected();
	begin_endless(&callers[0], 0);
	fake_kill(&fake);
	RUN_UNTIL(callers[0].ends == 1);
	assert_lost(&callers[0]);
	assert_null(backend_pick(pool));
	fake_start(&fake, "fake.sock", NULL);
	RUN_UNTIL(backend_pool_usable(pool) == 1);
}

static void
one_that_goes_between_asking_and_sending_is_lost_too(void **state)
{
	connected();
	backend_down(pool, 0, "stopped", 500);
	assert_string_equal(backend_pool_reason(pool), "app-server 0: stopped, next try in 500 ms");
	begin(&callers[0], backend_find(pool, 0), "hi");
	RUN_UNTIL(callers[0].ends == 1);
	assert_lost(&callers[0]);
	begin(&callers[1], backend_find(pool, 0), "hi");
	cancel(&callers[1]);
	assert_int_equal(backend_pool_threads(pool), 0);
}

/* --- the supervisor's word ------------------------------------------------------------------ */

static void
down_fails_its_turns_and_lets_go_of_them_while_it_is_heard(void **state)
{
	connected();
	begin_endless(&callers[0], 0);
	backend_down(pool, 0, "it is stopped", -1);
	assert_lost(&callers[0]);
	assert_int_equal(backend_pool_threads(pool), 0);
	assert_string_equal(backend_pool_reason(pool), "app-server 0: it is stopped");
	RUN_UNTIL(heard(&fake, "\"turn/interrupt\"") == 1);
	/* the same process again: it is told once more, for it may not have heard */
	connect_backend(0, &fake, 1);
	RUN_UNTIL(heard(&fake, "\"turn/interrupt\"") == 2);
}

static void
a_new_generation_knows_nothing_of_the_old_turns(void **state)
{
	connected();
	begin_endless(&callers[0], 0);
	fake_start(&other, "other.sock", NULL);
	backend_up(pool, 0, other.url, 2);
	assert_lost(&callers[0]);
	RUN_UNTIL(backend_pool_usable(pool) == 1);
	assert_int_equal(backend_generation(backend_find(pool, 0)), 2);
	begin(&callers[1], backend_find(pool, 0), "!say 1 0 x");
	RUN_UNTIL(callers[1].ends == 1 && backend_pool_threads(pool) == 0);
	assert_int_equal(heard(&other, "\"turn/interrupt\""), 0);
}

static void
up_does_not_wait_for_the_next_try(void **state)
{
	fake_start(&fake, "fake.sock", NULL);
	backend_down(pool, 0, "starting", -1);
	assert_int_equal(changes, 0);
	connect_backend(0, &fake, 1);
	fake_kill(&fake);
	RUN_UNTIL(backend_pool_usable(pool) == 0);
	fake_start(&fake, "fake.sock", NULL);
	connect_backend(0, &fake, 1);
}

static void
a_draining_backend_gets_no_turn_and_keeps_those_it_has(void **state)
{
	connected();
	begin(&callers[0], backend_find(pool, 0), "!part one\n!wait 100\n!say 1 0 two");
	RUN_UNTIL(strcmp(callers[0].text, "one") == 0);
	changes = 0;
	backend_drain(pool, 0);
	backend_drain(pool, 0);
	assert_int_equal(changes, 1);
	assert_null(backend_pick(pool));
	assert_int_equal(backend_pool_usable(pool), 0);
	assert_string_equal(backend_pool_reason(pool), "app-server 0: being replaced");
	assert_int_equal(backend_turns(backend_find(pool, 0)), 1);
	RUN_UNTIL(callers[0].ends == 1);
	assert_string_equal(callers[0].text, "onetwo");
	/* up takes it back, and says so */
	backend_up(pool, 0, fake.url, 1);
	assert_int_equal(changes, 2);
	assert_non_null(backend_pick(pool));
	backend_drain(pool, 5); /* unknown */
}

static void
the_least_busy_backend_is_picked(void **state)
{
	connected();
	fake_start(&other, "other.sock", NULL);
	connect_backend(3, &other, 1);
	assert_int_equal(backend_pool_usable(pool), 2);
	begin_endless(&callers[0], 0);
	assert_int_equal(backend_id(backend_pick(pool)), 3);
	begin_endless(&callers[1], 3);
	begin_endless(&callers[2], 3);
	assert_int_equal(backend_id(backend_pick(pool)), 0);
	assert_int_equal(backend_pool_turns(pool), 3);
	assert_int_equal(backend_pool_threads(pool), 3);
	for (size_t i = 0; i < 3; i++)
		cancel(&callers[i]);
	RUN_UNTIL(backend_pool_threads(pool) == 0);
}

static void
backends_that_are_not_named_are_forgotten(void **state)
{
	static const int ids[] = {3};

	connected();
	fake_start(&other, "other.sock", NULL);
	connect_backend(3, &other, 1);
	begin_endless(&callers[0], 0);
	backend_retain(pool, ids, NELEM(ids));
	assert_lost(&callers[0]);
	assert_null(backend_find(pool, 0));
	assert_int_equal(backend_id(backend_pick(pool)), 3);
	/* its number may come again at once */
	connect_backend(0, &fake, 2);
	assert_int_equal(backend_pool_usable(pool), 2);
	backend_retain(pool, NULL, 0);
	assert_null(backend_pick(pool));
	assert_string_equal(backend_pool_reason(pool), "no app-server is known yet");
}

/* --- told in the middle of it --------------------------------------------------------------- */

static enum event_kind strike_at;
static bool closed;

static void
down_on_event(struct caller *c, const struct event *e)
{
	if (e->kind == strike_at)
		backend_down(pool, 0, "down in the middle", -1);
}

static void
close_on_event(struct caller *c, const struct event *e)
{
	if (e->kind == strike_at && pool != NULL) {
		struct backend_pool *p = pool;

		pool = NULL;
		backend_pool_close(p, on_pool_closed, &closed);
	}
}

static const enum event_kind every_kind[] = {EVENT_STARTED, EVENT_REASONING, EVENT_TEXT,
                                             EVENT_USAGE,   EVENT_TOOL_CALL, EVENT_FINISHED};
static const char everything[] = "!reason a\n!say 2 0 b\n!tool c {}\n!tool d {}";

static void
an_event_may_take_its_own_backend_down(void **state)
{
	fake_start(&fake, "fake.sock", NULL);
	for (size_t i = 0; i < NELEM(every_kind); i++) {
		memset(&callers[0], 0, sizeof(callers[0]));
		strike_at = every_kind[i];
		callers[0].on_event = down_on_event;
		connect_backend(0, &fake, 1);
		begin(&callers[0], backend_find(pool, 0), everything);
		RUN_UNTIL(callers[0].ends == 1);
		assert_int_equal(backend_pool_threads(pool), 0);
		/* with the usage the answer is whole, and it cannot be lost any more */
		if (strike_at == EVENT_USAGE || strike_at == EVENT_FINISHED)
			assert_int_equal(callers[0].finish, FINISH_TOOL_CALLS);
		else
			assert_lost(&callers[0]);
		assert_string_equal(backend_pool_reason(pool), "app-server 0: down in the middle");
	}
	/* also the word of the loss itself, whoever began it */
	strike_at = EVENT_FAILED;
	connect_backend(0, &fake, 1);
	for (size_t i = 0; i < 2; i++) {
		memset(&callers[i], 0, sizeof(callers[i]));
		callers[i].on_event = down_on_event;
		begin_endless(&callers[i], 0);
	}
	fake_order(&fake, "drop");
	RUN_UNTIL(callers[0].ends == 1 && callers[1].ends == 1);
	assert_string_equal(backend_pool_reason(pool), "app-server 0: down in the middle");
}

static void
an_event_may_close_the_pool(void **state)
{
	fake_start(&fake, "fake.sock", NULL);
	for (size_t i = 0; i < NELEM(every_kind); i++) {
		memset(&callers[0], 0, sizeof(callers[0]));
		strike_at = every_kind[i];
		closed = false;
		callers[0].on_event = close_on_event;
		connect_backend(0, &fake, 1);
		begin(&callers[0], backend_find(pool, 0), everything);
		RUN_UNTIL(closed);
		assert_int_equal(callers[0].ends, 1);
		pool = new_pool(1000, 1000);
	}
}

static void
begin_again(struct caller *c, const struct event *e)
{
	struct backend *b = backend_pick(pool);

	if (e->kind == EVENT_FAILED && b != NULL)
		begin(&callers[3], b, "!say 1 0 again");
}

static void
a_lost_turn_may_begin_again_elsewhere_in_the_same_moment(void **state)
{
	connected();
	begin_endless(&callers[0], 0);
	callers[0].on_event = begin_again;
	fake_start(&other, "other.sock", NULL);
	connect_backend(1, &other, 1);
	backend_down(pool, 0, "gone", -1);
	assert_lost(&callers[0]);
	RUN_UNTIL(callers[3].ends == 1);
	assert_string_equal(callers[3].text, "again");
}

/* --- the end -------------------------------------------------------------------------------- */

static void
closing_stops_what_runs_in_the_app_server(void **state)
{
	connected();
	begin_endless(&callers[0], 0);
	close_pool(&pool);
	assert_lost(&callers[0]);
	RUN_UNTIL(heard(&fake, "\"turn/interrupt\"") == 1);
}

static void
closing_ends_turns_in_every_phase(void **state)
{
	connected();
	begin_endless(&callers[0], 0);
	begin_endless(&callers[1], 0);
	cancel(&callers[1]); /* still being cleaned up */
	begin(&callers[2], backend_find(pool, 0), "hi");
	begin(&callers[3], backend_find(pool, 0), "hi");
	cancel(&callers[3]);
	close_pool(&pool);
	assert_lost(&callers[0]);
	assert_lost(&callers[2]);
}

static void
closing_is_possible_at_any_time(void **state)
{
	char url[128];

	close_pool(&pool); /* empty */
	pool = new_pool(1000, 1000);
	(void)snprintf(url, sizeof(url), "unix://%s/nobody.sock", dir);
	backend_up(pool, 0, url, 1);
	close_pool(&pool); /* connecting */
	pool = new_pool(1000, 1000);
	backend_up(pool, 0, url, 1);
	RUN_UNTIL(strcmp(backend_pool_reason(pool), "app-server 0: connecting") != 0);
	close_pool(&pool); /* waiting */
	fake_start(&fake, "fake.sock", (const char *const[]){"mute initialize 1", NULL});
	pool = new_pool(1000, 1000);
	backend_up(pool, 0, fake.url, 1);
	RUN_UNTIL(heard(&fake, "\"initialize\"") == 1);
	close_pool(&pool); /* greeting */
}

static void
while_it_closes_the_supervisor_is_not_heard(void **state)
{
	unsigned before;

	closed = false;
	connected();
	before = changes;
	backend_pool_close(pool, on_pool_closed, &closed);
	backend_up(pool, 0, fake.url, 2);
	backend_up(pool, 1, fake.url, 1);
	backend_down(pool, 2, "x", -1);
	assert_null(backend_pick(pool));
	assert_null(backend_find(pool, 1));
	RUN_UNTIL(closed);
	pool = NULL;
	assert_int_equal(changes, before);
}

/* --- threads that nobody needs -------------------------------------------------------------- */

static void
an_idle_stranger_is_let_go_and_a_busy_one_when_it_is_old(void **state)
{
	struct backend_pool *swept, *patient;

	connected();
	begin_endless(&callers[0], 0); /* ours; for the other pools a stranger */
	patient = new_pool(10, 3600000);
	backend_up(patient, 0, fake.url, 1);
	RUN_UNTIL(heard(&fake, "\"thread/read\"") >= 3);
	assert_int_equal(callers[0].ends, 0);
	assert_int_equal(heard(&fake, "\"turn/interrupt\""), 0);
	assert_int_equal(heard(&fake, "\"thread/unsubscribe\""), 0);
	close_pool(&patient);
	swept = new_pool(10, 20);
	backend_up(swept, 0, fake.url, 1);
	RUN_UNTIL(callers[0].ends == 1);
	assert_int_equal(heard(&fake, "\"turn/interrupt\""), 1);
	/* one that does nothing need not be old */
	fake_order(&fake, "mute thread/unsubscribe 2");
	begin(&callers[1], backend_find(pool, 0), "!say 1 0 x");
	RUN_UNTIL(callers[1].ends == 1);
	RUN_UNTIL(heard(&fake, "\"thread/unsubscribe\"") >= 4 && backend_pool_threads(pool) == 0);
	close_pool(&swept);
}

static void
its_own_threads_are_never_swept(void **state)
{
	close_pool(&pool);
	pool = new_pool(5, 0);
	connected();
	begin_endless(&callers[0], 0);
	RUN_UNTIL(heard(&fake, "\"thread/loaded/list\"") >= 5);
	assert_int_equal(callers[0].ends, 0);
	assert_int_equal(heard(&fake, "\"thread/read\""), 0);
	cancel(&callers[0]);
}

int
main(int argc, char **argv)
{
#define with_fakes(test) cmocka_unit_test_setup_teardown(test, setup_fakes, teardown_fakes)
	const struct CMUnitTest tests[] = {
		with_fakes(usable_means_connected_initialized_and_the_models_known),
		with_fakes(one_that_is_not_there_yet_is_tried_again),
		with_fakes(a_refusal_to_begin_is_tried_again),
		with_fakes(one_without_a_login_takes_no_turns_until_it_has_one),
		with_fakes(one_with_a_login_serves_while_another_has_none),
		with_fakes(an_app_server_that_knows_only_account_read_is_asked_that),
		with_fakes(one_that_cannot_say_whether_it_has_a_login_is_taken_as_it_is),
		with_fakes(an_address_that_cannot_be_is_a_reason_and_no_crash),
		with_fakes(a_cut_connection_fails_every_turn_at_once_and_is_made_again),
		with_fakes(a_lost_backend_gets_no_turn_while_its_turns_are_told),
		with_fakes(a_turn_that_has_said_all_is_not_lost_with_the_connection),
		with_fakes(a_killed_app_server_is_found_again),
		with_fakes(one_that_goes_between_asking_and_sending_is_lost_too),
		with_fakes(down_fails_its_turns_and_lets_go_of_them_while_it_is_heard),
		with_fakes(a_new_generation_knows_nothing_of_the_old_turns),
		with_fakes(up_does_not_wait_for_the_next_try),
		with_fakes(a_draining_backend_gets_no_turn_and_keeps_those_it_has),
		with_fakes(the_least_busy_backend_is_picked),
		with_fakes(backends_that_are_not_named_are_forgotten),
		with_fakes(an_event_may_take_its_own_backend_down),
		with_fakes(an_event_may_close_the_pool),
		with_fakes(a_lost_turn_may_begin_again_elsewhere_in_the_same_moment),
		with_fakes(closing_stops_what_runs_in_the_app_server),
		with_fakes(closing_ends_turns_in_every_phase),
		with_fakes(closing_is_possible_at_any_time),
		with_fakes(while_it_closes_the_supervisor_is_not_heard),
		with_fakes(an_idle_stranger_is_let_go_and_a_busy_one_when_it_is_old),
		with_fakes(its_own_threads_are_never_swept),
	};

	find_build(argv[0]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
