/* admission: how many turns run at once, and who waits in which order. */
#include "proxy/admission.h"

#include <utlist.h>

void
admission_init(struct admission *a, unsigned max_running, unsigned max_waiting,
               void (*on_admitted)(struct admission_ticket *ticket))
{
	*a = (struct admission){
		.max_running = max_running,
		.max_waiting = max_waiting,
		.on_admitted = on_admitted,
	};
}

/* The ticket to take: the first of the key that comes next after the last one, counted round. */
static struct admission_ticket *
next_of(const struct admission *a)
{
	struct admission_ticket *best = a->queue, *ticket;

	if (best->again)
		return best;
	DL_FOREACH(a->queue, ticket) {
		if (ticket->key - a->last_key - 1 < best->key - a->last_key - 1)
			best = ticket;
	}
	return best;
}

/* Not re-entered: a ticket that leaves from inside on_admitted is made up for by the loop that is
 * already running. */
static void
pump(struct admission *a)
{
	if (a->pumping)
		return;
	a->pumping = true;
	while (!a->closed && a->queue != NULL && a->running < a->max_running) {
		struct admission_ticket *ticket = next_of(a);

		if (!ticket->again)
			a->last_key = ticket->key;
		ticket->again = false;
		DL_DELETE(a->queue, ticket);
		a->waiting--;
		a->running++;
		ticket->state = ADMISSION_RUNNING;
		a->on_admitted(ticket);
	}
	a->pumping = false;
}

bool
admission_enter(struct admission *a, struct admission_ticket *ticket)
{
	bool free_slot = !a->closed && a->running < a->max_running;

	/* One that can start at once does not need a place to wait, so that a queue of length 0
	 * works. */
	if (a->waiting >= a->max_waiting && !(free_slot && a->queue == NULL))
		return false;
	DL_APPEND(a->queue, ticket);
	ticket->state = ADMISSION_WAITING;
	a->waiting++;
	pump(a);
	return true;
}

/* Takes the ticket out of where it is; does not look who could start now. */
static void
take_out(struct admission *a, struct admission_ticket *ticket)
{
	switch (ticket->state) {
	case ADMISSION_OUTSIDE:
		break;
	case ADMISSION_WAITING:
		DL_DELETE(a->queue, ticket);
		a->waiting--;
		break;
	case ADMISSION_RUNNING:
		a->running--;
		break;
	}
	ticket->state = ADMISSION_OUTSIDE;
	ticket->again = false;
}

void
admission_reenter(struct admission *a, struct admission_ticket *ticket)
{
	take_out(a, ticket);
	ticket->again = true;
	DL_PREPEND(a->queue, ticket);
	ticket->state = ADMISSION_WAITING;
	a->waiting++;
	pump(a);
}

void
admission_leave(struct admission *a, struct admission_ticket *ticket)
{
	take_out(a, ticket);
	pump(a);
}

void
admission_set_closed(struct admission *a, bool closed)
{
	a->closed = closed;
	pump(a);
}
