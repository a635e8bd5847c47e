/* The supervisor's backend/drain: answered when the last turn there ends, or its time. */
#include "common/control_server.h"
#include "proxy/backend_drain.h"
#include "tests/unit/codex_kit.h"

static struct fake_server fake;
static struct caller callers[2];
static struct backend_drains drains;
static struct control_server *server; /* the proxy's side here */
static struct control_conn *supervisor;
static char path[96];
static uint64_t deadline_ms;
static unsigned answers, requests;
static json_int_t left;

static void
on_request(void *arg, struct control_conn *conn, struct control_request *req, const char *method,
           json_t *params)
{
	requests++;
	backend_drains_add(&drains, req, (int)json_get_int(params, "id", -1), deadline_ms);
}

static void
on_answer(void *arg, json_t *result, int code, const char *message)
{
	assert_non_null(result);
	left = json_get_int(result, "in_flight", -1);
	answers++;
}

static void
ask(int id)
{
	control_call(supervisor, "backend/drain", json_pack("{s:i}", "id", id), PATIENCE_MS,
	             on_answer, NULL);
}

static void
look(void *arg)
{
	backend_drains_look(&drains);
}

static int
setup_drains(void **state)
{
	static const struct control_handlers handlers = {.on_request = on_request};
	struct backend_pool_config config;

	memset(callers, 0, sizeof(callers));
	memset(&fake, 0, sizeof(fake));
	answers = requests = 0;
	left = -1;
	deadline_ms = PATIENCE_MS;
	if (setup(state) != 0)
		return -1;
	close_pool(&pool);
	config = (struct backend_pool_config){.loop = &loop,
	                                      .client_version = "0",
	                                      .sweep_interval_ms = 3600000,
	                                      .on_change = count_change,
	                                      .on_stats = look,
	                                      .arg = &changes};
	if (backend_pool_new(&pool, &config, NULL) != 0)
		return -1;
	backend_drains_init(&drains, &loop, pool);
	(void)snprintf(path, sizeof(path), "%s/control.sock", dir);
	if (control_server_new(&server, &loop, path, (gid_t)-1, &handlers, NULL, NULL) != 0 ||
	    control_conn_connect(&supervisor, &loop, path, NULL,
	                         &(const struct control_handlers){.on_request = NULL}, NULL) != 0)
		return -1;
	fake_start(&fake, "fake.sock", NULL);
	connect_backend(0, &fake, 1);
	return 0;
}

static void
set_true(void *arg)
{
	*(bool *)arg = true;
}

static int
teardown_drains(void **state)
{
	bool gone = false;

	close_pool(&pool);
	if (!drains.closed)
		backend_drains_close(&drains);
	control_conn_close(supervisor);
	control_server_close(server, set_true, &gone);
	RUN_UNTIL(gone);
	fake_kill(&fake);
	return teardown(state);
}

static void
begin_endless(struct caller *c)
{
	begin(c, backend_find(pool, 0), "!part some\n!silence");
	RUN_UNTIL(strcmp(c->text, "some") == 0);
}

static void
an_unknown_backend_is_drained_at_once(void **state)
{
	ask(17);
	RUN_UNTIL(answers == 1);
	assert_int_equal(left, 0);
	assert_non_null(backend_pick(pool));
}

static void
one_that_is_alone_is_idle_and_drained_when_no_successor_comes(void **state)
{
	ask(0);
	RUN_UNTIL(requests == 1);
	assert_non_null(backend_pick(pool));
	RUN_UNTIL(answers == 1);
	assert_int_equal(left, 0);
	assert_null(backend_pick(pool));
}

static void
one_that_is_alone_goes_on_until_its_successor_can_take_over(void **state)
{
	backend_up(pool, 1, fake.url, 2);
	ask(0);
	while (answers == 0) {
		assert_non_null(backend_pick(pool));
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	assert_int_equal(backend_id(backend_pick(pool)), 1);
}

static void
a_busy_one_is_answered_when_its_last_turn_is_over(void **state)
{
	begin_endless(&callers[0]);
	begin_endless(&callers[1]);
	ask(0);
	ask(0); /* every request has its answer */
	RUN_UNTIL(requests == 2);
	RUN_UNTIL(backend_pick(pool) == NULL);
	cancel(&callers[0]);
	RUN_UNTIL(backend_pool_threads(pool) == 1);
	assert_int_equal(answers, 0);
	cancel(&callers[1]);
	RUN_UNTIL(answers == 2);
	assert_int_equal(left, 0);
}

static void
its_time_ends_it_with_what_is_left(void **state)
{
	begin_endless(&callers[0]);
	begin_endless(&callers[1]);
	deadline_ms = PATIENCE_MS;
	ask(0);
	RUN_UNTIL(requests == 1);
	deadline_ms = 20; /* the nearer deadline is the later one's */
	ask(0);
	RUN_UNTIL(answers == 1);
	assert_int_equal(left, 2);
	deadline_ms = 0;
	ask(0);
	RUN_UNTIL(answers == 2);
	assert_int_equal(left, 2);
	cancel(&callers[0]);
	cancel(&callers[1]);
	RUN_UNTIL(answers == 3);
	assert_int_equal(left, 0);
}

static void
a_backend_that_goes_away_is_drained(void **state)
{
	begin_endless(&callers[0]);
	ask(0);
	RUN_UNTIL(requests == 1);
	backend_retain(pool, NULL, 0);
	RUN_UNTIL(answers == 1);
	assert_int_equal(left, 0);
}

static void
the_end_answers_all_that_wait_and_all_that_come_later(void **state)
{
	begin_endless(&callers[0]);
	ask(0);
	RUN_UNTIL(requests == 1);
	backend_drains_close(&drains);
	RUN_UNTIL(answers == 1);
	assert_int_equal(left, 1);
	ask(0);
	RUN_UNTIL(answers == 2);
	assert_int_equal(left, 1);
	cancel(&callers[0]);
}

static void
one_who_asks_and_goes_leaves_nothing_behind(void **state)
{
	begin_endless(&callers[0]);
	control_call(supervisor, "backend/drain", json_pack("{s:i}", "id", 0), PATIENCE_MS, NULL,
	             NULL);
	RUN_UNTIL(requests == 1);
	control_conn_close(supervisor);
	assert_int_equal(control_conn_connect(&supervisor, &loop, path, NULL,
	                                      &(const struct control_handlers){.on_request = NULL},
	                                      NULL),
	                 0);
	cancel(&callers[0]);
	ask(0);
	RUN_UNTIL(answers == 1);
}

int
main(int argc, char **argv)
{
#define with_drains(test) cmocka_unit_test_setup_teardown(test, setup_drains, teardown_drains)
	const struct CMUnitTest tests[] = {
		with_drains(an_unknown_backend_is_drained_at_once),
		with_drains(one_that_is_alone_is_idle_and_drained_when_no_successor_comes),
		with_drains(one_that_is_alone_goes_on_until_its_successor_can_take_over),
		with_drains(a_busy_one_is_answered_when_its_last_turn_is_over),
		with_drains(its_time_ends_it_with_what_is_left),
		with_drains(a_backend_that_goes_away_is_drained),
		with_drains(the_end_answers_all_that_wait_and_all_that_come_later),
		with_drains(one_who_asks_and_goes_leaves_nothing_behind),
	};

	find_build(argv[0]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
