/* A server that says nothing is asked whether it lives. */
#include "tests/unit/fake_clock.h"
#include "tests/unit/rpc_fixture.h"

static void
connect_and_stop_the_watchdog(void)
{
	connect_rpc();
	(void)uv_timer_stop(&watchdog); /* time passes quickly here */
}

/* What is on its way arrives: the socket takes no time that the clock would know of. */
static void
pass(uint64_t ms)
{
	pass_time(&loop, ms);
	for (int i = 0; i < 4; i++)
		run_loop(&loop);
}

static void
one_that_is_silent_is_asked_and_given_up(void **state)
{
	struct asker a = {.answers = 0};

	connect_and_stop_the_watchdog();
	(void)call("m", &a, 10 * LONG_MS);
	pass(19999);
	assert_int_equal(peer.pings, 0);
	pass(1);
	assert_int_equal(peer.pings, 1);
	pass(9999);
	assert_int_equal(owner.closes, 0);
	pass(1);
	assert_int_equal(owner.closes, 1);
	assert_non_null(strstr(owner.reason, "no ping"));
	assert_int_equal(a.code, RPC_LOST);
	assert_int_equal(peer.pings, 1);
}

static void
one_that_answers_is_asked_again_and_again(void **state)
{
	connect_and_stop_the_watchdog();
	for (unsigned i = 1; i <= 5; i++) {
		pass(20000);
		assert_int_equal(peer.pings, i);
		peer_send_frame(WS_PONG, true, "", 0);
		pass(0);
	}
	assert_int_equal(owner.closes, 0);
}

static void
one_that_talks_is_not_asked(void **state)
{
	connect_and_stop_the_watchdog();
	for (unsigned i = 1; i <= 10; i++) {
		pass(15000);
		peer_send("{\"method\":\"n\"}");
		pass(0);
		assert_int_equal(owner.notifications, i);
	}
	assert_int_equal(peer.pings, 0);
	assert_int_equal(owner.closes, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_rpc(one_that_is_silent_is_asked_and_given_up),
		with_rpc(one_that_answers_is_asked_again_and_again),
		with_rpc(one_that_talks_is_not_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
