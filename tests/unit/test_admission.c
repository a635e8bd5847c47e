/* Who runs, who waits, in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proxy/admission.h"

static struct admission admission;
static struct admission_ticket tickets[8];
static char order[32];                       /* the tickets as they were admitted: "012" */
static char ousted[32];                      /* as they lost their place */
static void (*in_callback)(unsigned ticket); /* what on_admitted does besides */

static void
on_admitted(struct admission_ticket *ticket)
{
	unsigned number = (unsigned)(ticket - tickets);

	assert_int_equal(ticket->state, ADMISSION_RUNNING);
	assert_true(admission.running <= admission.max_running);
	order[strlen(order)] = (char)('0' + number);
	if (in_callback != NULL)
		in_callback(number);
}

static void
on_ousted(struct admission_ticket *ticket)
{
	unsigned number = (unsigned)(ticket - tickets);

	assert_int_equal(ticket->state, ADMISSION_OUTSIDE);
	ousted[strlen(ousted)] = (char)('0' + number);
	if (in_callback != NULL)
		in_callback(number);
}

static void
begin(unsigned max_running, unsigned max_waiting)
{
	memset(tickets, 0, sizeof(tickets));
	memset(order, 0, sizeof(order));
	in_callback = NULL;
	memset(ousted, 0, sizeof(ousted));
	admission_init(&admission, max_running, max_waiting, on_admitted, on_ousted);
}

static bool
enter(unsigned number)
{
	return admission_enter(&admission, &tickets[number]);
}

static void
leave(unsigned number)
{
	admission_leave(&admission, &tickets[number]);
}

static void
assert_counts(unsigned running, unsigned waiting)
{
	assert_int_equal(admission.running, running);
	assert_int_equal(admission.waiting, waiting);
}

static void
tickets_are_admitted_in_the_order_they_came(void **state)
{
	begin(2, 8);
	for (unsigned i = 0; i < 6; i++)
		assert_true(enter(i));
	assert_string_equal(order, "01");
	assert_counts(2, 4);
	leave(1);
	leave(0);
	assert_string_equal(order, "0123");
	leave(4); /* waits, and goes */
	assert_counts(2, 1);
	leave(2);
	assert_string_equal(order, "01235");
	leave(3);
	leave(5);
	assert_counts(0, 0);
}

static void
keys_are_served_in_turn_and_each_in_its_order(void **state)
{
	static const unsigned keys[] = {7, 7, 7, 7, 9, 9, 8};

	begin(1, 8);
	for (unsigned i = 0; i < NELEM(keys); i++) {
		tickets[i].key = keys[i];
		assert_true(enter(i));
	}
	for (unsigned i = 0; i < NELEM(keys); i++)
		leave((unsigned)(order[i] - '0'));
	assert_string_equal(order, "0641523");
	assert_counts(0, 0);
}

static void
a_key_that_comes_again_and_again_does_not_overtake(void **state)
{
	begin(1, 8);
	tickets[0].key = 1;
	for (unsigned i = 1; i < 4; i++)
		tickets[i].key = 2;
	for (unsigned i = 0; i < 4; i++)
		assert_true(enter(i));
	leave(0); /* one at a time, but always at once */
	assert_true(enter(0));
	leave(1);
	leave(0);
	assert_true(enter(0));
	leave(2);
	assert_string_equal(order, "01020");
	leave(3);
	leave(0);
	assert_counts(0, 0);
}

static void
one_that_comes_again_is_the_next_of_all_keys(void **state)
{
	begin(1, 8);
	for (unsigned i = 0; i < 3; i++) {
		tickets[i].key = i;
		assert_true(enter(i));
	}
	admission_reenter(&admission, &tickets[0]);
	assert_string_equal(order, "00");
	leave(0);
	assert_string_equal(order, "001"); /* and it has not cost the others their place */
	leave(2);
	leave(1);
	assert_counts(0, 0);
}

static void
leave_at_once(unsigned number)
{
	leave(number);
}

static void
a_queue_that_one_key_has_filled_has_room_for_others(void **state)
{
	static const unsigned keys[] = {1, 1, 1, 1, 1, 2, 2, 3};

	begin(1, 4);
	for (unsigned i = 0; i < NELEM(keys); i++)
		tickets[i].key = keys[i];
	for (unsigned i = 0; i < 5; i++)
		assert_true(enter(i));
	assert_true(enter(5));
	assert_string_equal(ousted, "4");
	assert_true(enter(6));
	assert_string_equal(ousted, "43");
	assert_false(enter(3)); /* two of each now */
	assert_true(enter(7));
	assert_string_equal(ousted, "432");
	assert_counts(1, 4);
	leave(0);
	assert_int_equal(order[1], '5');
	for (unsigned i = 1; i < NELEM(keys); i++)
		leave(i);
	assert_counts(0, 0);
}

static void
one_that_comes_again_is_not_ousted(void **state)
{
	begin(1, 2);
	for (unsigned i = 0; i < 3; i++) {
		tickets[i].key = 1;
		assert_true(enter(i));
	}
	admission_set_closed(&admission, true);
	admission_reenter(&admission, &tickets[0]);
	tickets[3].key = 2;
	assert_true(enter(3));
	assert_string_equal(ousted, "2");
	tickets[4].key = 2;
	assert_false(enter(4));
	admission_set_closed(&admission, false);
	assert_string_equal(order, "00");
	leave(0);
	leave(1);
	leave(3);
	assert_counts(0, 0);
}

static void
ousted_ones_may_leave_and_others_too_from_inside(void **state)
{
	begin(1, 3);
	for (unsigned i = 0; i < 4; i++) {
		tickets[i].key = 1;
		assert_true(enter(i));
	}
	in_callback = leave_at_once;
	tickets[4].key = 2;
	assert_true(enter(4));
	assert_string_equal(ousted, "3");
	leave(0);
	assert_string_equal(order, "0412"); /* key 2 is next after key 1 */
	assert_counts(0, 0);
}

static void
a_full_queue_refuses(void **state)
{
	begin(1, 2);
	assert_true(enter(0));
	assert_true(enter(1));
	assert_true(enter(2));
	assert_false(enter(3));
	assert_int_equal(tickets[3].state, ADMISSION_OUTSIDE);
	leave(3); /* nothing */
	assert_counts(1, 2);
	leave(0);
	assert_true(enter(3));
	assert_counts(1, 2);
}

static void
without_a_queue_only_free_slots_count(void **state)
{
	begin(2, 0);
	assert_true(enter(0));
	assert_true(enter(1));
	assert_false(enter(2));
	leave(0);
	assert_true(enter(2));
	assert_string_equal(order, "012");
	admission_set_closed(&admission, true);
	leave(1);
	assert_false(enter(3));
}

static void
while_closed_all_wait(void **state)
{
	begin(2, 4);
	admission_set_closed(&admission, true);
	assert_true(enter(0));
	assert_true(enter(1));
	assert_string_equal(order, "");
	assert_counts(0, 2);
	admission_set_closed(&admission, false);
	assert_string_equal(order, "01");
}

static void
one_that_comes_again_is_the_next(void **state)
{
	begin(1, 2);
	for (unsigned i = 0; i < 3; i++)
		assert_true(enter(i));
	admission_reenter(&admission, &tickets[0]); /* before it gives its slot to another */
	assert_string_equal(order, "00");
	assert_counts(1, 2);
	admission_set_closed(&admission, true);
	leave(0);
	admission_reenter(&admission, &tickets[0]); /* over the limit: it has waited already */
	assert_counts(0, 3);
	admission_reenter(&admission, &tickets[2]); /* also from its place in the queue */
	assert_counts(0, 3);
	admission_set_closed(&admission, false);
	assert_string_equal(order, "002");
	leave(2);
	leave(0);
	leave(1);
	assert_string_equal(order, "00201");
	assert_counts(0, 0);
}

static void
every_ticket_may_leave_from_inside(void **state)
{
	begin(1, 8);
	assert_true(enter(0));
	for (unsigned i = 1; i < 6; i++)
		assert_true(enter(i));
	in_callback = leave_at_once;
	leave(0);
	assert_string_equal(order, "012345");
	assert_counts(0, 0);
}

static void
let_others_go(unsigned number)
{
	if (number == 1)
		for (unsigned i = 2; i < 5; i++)
			leave(i);
}

static void
others_may_leave_from_inside(void **state)
{
	begin(1, 8);
	for (unsigned i = 0; i < 6; i++)
		assert_true(enter(i));
	in_callback = let_others_go;
	leave(0);
	assert_string_equal(order, "01");
	assert_counts(1, 1);
	leave(1);
	assert_string_equal(order, "015");
}

static void
bring_another(unsigned number)
{
	if (number < 5)
		assert_true(enter(number + 1));
}

static void
others_may_enter_from_inside(void **state)
{
	begin(3, 8);
	in_callback = bring_another;
	assert_true(enter(0));
	assert_string_equal(order, "012");
	assert_counts(3, 1);
	leave(1);
	assert_string_equal(order, "0123");
}

static void
close_and_wait(unsigned number)
{
	admission_set_closed(&admission, true);
	admission_reenter(&admission, &tickets[number]);
}

static void
one_may_close_and_go_back_from_inside(void **state)
{
	begin(2, 8);
	in_callback = close_and_wait;
	assert_true(enter(0));
	assert_true(enter(1));
	assert_string_equal(order, "0");
	assert_counts(0, 2);
	in_callback = NULL;
	admission_set_closed(&admission, false);
	assert_string_equal(order, "001");
	assert_counts(2, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tickets_are_admitted_in_the_order_they_came),
		cmocka_unit_test(keys_are_served_in_turn_and_each_in_its_order),
		cmocka_unit_test(a_key_that_comes_again_and_again_does_not_overtake),
		cmocka_unit_test(one_that_comes_again_is_the_next_of_all_keys),
		cmocka_unit_test(a_queue_that_one_key_has_filled_has_room_for_others),
		cmocka_unit_test(one_that_comes_again_is_not_ousted),
		cmocka_unit_test(ousted_ones_may_leave_and_others_too_from_inside),
		cmocka_unit_test(a_full_queue_refuses),
		cmocka_unit_test(without_a_queue_only_free_slots_count),
		cmocka_unit_test(while_closed_all_wait),
		cmocka_unit_test(one_that_comes_again_is_the_next),
		cmocka_unit_test(every_ticket_may_leave_from_inside),
		cmocka_unit_test(others_may_leave_from_inside),
		cmocka_unit_test(others_may_enter_from_inside),
		cmocka_unit_test(one_may_close_and_go_back_from_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
