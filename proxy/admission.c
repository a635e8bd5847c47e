/* admission: how many turns run at once, and who waits in which order. */
#include "proxy/admission.h"

#include <utlist.h>

void
admission_init(struct admission *a, unsigned max_running, unsigned max_waiting,
               void (*on_admitted)(struct admission_ticket *ticket),
               void (*on_ousted)(struct admission_ticket *ticket))
{
	*a = (struct admission){
		.max_running = max_running,
		.max_waiting = max_waiting,
		.on_admitted = on_admitted,
		.on_ousted = on_ousted,
	};
}

static unsigned *
share_of(struct admission *a, unsigned key)
{
	return &a->shares[key % ADMISSION_SHARES];
}

/* It waits now; where in the queue is the caller's business. */
static void
begin_waiting(struct admission *a, struct admission_ticket *ticket)
{
	ticket->state = ADMISSION_WAITING;
	a->waiting++;
	++*share_of(a, ticket->key);
}

static void
end_waiting(struct admission *a, struct admission_ticket *ticket)
{
	DL_DELETE(a->queue, ticket);
	a->waiting--;
	--*share_of(a, ticket->key);
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
		end_waiting(a, ticket);
		a->running++;
		ticket->state = ADMISSION_RUNNING;
		a->on_admitted(ticket);
	}
	a->pumping = false;
}

/* The newest of the key that has the most in the queue, if it has more than one of this key would
 * have then; NULL: none. One that comes again keeps its place. */
static struct admission_ticket *
who_gives_way(struct admission *a, unsigned key)
{
	struct admission_ticket *ticket, *newest = NULL;
	unsigned *most = &a->shares[0];

	for (size_t i = 1; i < ADMISSION_SHARES; i++)
		if (a->shares[i] > *most)
			most = &a->shares[i];
	if (*most <= *share_of(a, key) + 1)
		return NULL;
	DL_FOREACH(a->queue, ticket) {
		if (share_of(a, ticket->key) == most && !ticket->again)
			newest = ticket;
	}
	return newest;
}

bool
admission_enter(struct admission *a, struct admission_ticket *ticket)
{
	bool free_slot = !a->closed && a->running < a->max_running;
	struct admission_ticket *ousted = NULL;

	/* One that can start at once does not need a place to wait, so that a queue of length 0
	 * works. */
	if (a->waiting >= a->max_waiting && !(free_slot && a->queue == NULL)) {
		ousted = who_gives_way(a, ticket->key);
		if (ousted == NULL)
			return false;
		end_waiting(a, ousted);
		ousted->state = ADMISSION_OUTSIDE;
	}
	DL_APPEND(a->queue, ticket);
	begin_waiting(a, ticket);
	if (ousted != NULL)
		a->on_ousted(ousted);
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
		end_waiting(a, ticket);
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
	begin_waiting(a, ticket);
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
