/* admission: how many turns run at once, and who waits in which order. Pure.
 *
 * Tickets of one key are taken as they came; of several, each key in its turn. In a full queue
 * the newest of the key that has the most there gives way to one that has less. */
#ifndef SIDECAR_PROXY_ADMISSION_H
#define SIDECAR_PROXY_ADMISSION_H

#include <stdbool.h>

#include "common/common.h"

/* Keys are told apart by this many counters; more of them share some. */
#define ADMISSION_SHARES 64

enum admission_state { ADMISSION_OUTSIDE, ADMISSION_WAITING, ADMISSION_RUNNING };

/* Embedded in whatever waits. Zero-initialised is outside. */
struct admission_ticket {
	enum admission_state state;
	unsigned key; /* whose it is: keys are served in turn. Set before it enters */
	bool again;   /* it has had its turn and is the next */
	struct admission_ticket *prev, *next;
};

struct admission {
	unsigned max_running;
	unsigned max_waiting;
	unsigned running;
	unsigned waiting;
	bool closed; /* nothing is admitted: no backend could take it */
	bool pumping;
	unsigned last_key;                 /* whose turn it was */
	struct admission_ticket *queue;    /* as they came; those that come again first */
	unsigned shares[ADMISSION_SHARES]; /* of those who wait, by key */
	/* The ticket has a slot now. May call anything here, for any ticket. */
	void (*on_admitted)(struct admission_ticket *ticket);
	/* It has lost its place to another key, and is outside. The same holds. */
	void (*on_ousted)(struct admission_ticket *ticket);
};

void admission_init(struct admission *a, unsigned max_running, unsigned max_waiting,
                    void (*on_admitted)(struct admission_ticket *ticket),
                    void (*on_ousted)(struct admission_ticket *ticket));
/* Joins the end of the queue; both callbacks may come from inside. false: the queue is full. */
bool admission_enter(struct admission *a, struct admission_ticket *ticket) MUST_CHECK;
/* A ticket that ran goes back to the head of the queue, past its limit if need be: it has waited
 * its time already. */
void admission_reenter(struct admission *a, struct admission_ticket *ticket);
/* Gives the slot or the place in the queue back; nothing when outside. */
void admission_leave(struct admission *a, struct admission_ticket *ticket);
void admission_set_closed(struct admission *a, bool closed);

#endif
