/* backend_drain: answers the supervisor when the turns of one backend have ended, or their time. */
#ifndef SIDECAR_PROXY_BACKEND_DRAIN_H
#define SIDECAR_PROXY_BACKEND_DRAIN_H

#include <stdbool.h>

#include "common/control_conn.h"
#include "proxy/codex/backend.h"

struct backend_drains {
	struct backend_drain *list;
	struct backend_pool *pool;
	uv_timer_t timer; /* the soonest deadline */
	bool closed;
	bool looking; /* and what it does may ask for another look */
	bool look_again;
};

void backend_drains_init(struct backend_drains *d, uv_loop_t *loop, struct backend_pool *pool);
/* No new turn goes to the backend; req is answered {"in_flight":N}, now or later. The only one that
 * takes turns goes on with that for a moment: its successor may just be connecting. */
void backend_drains_add(struct backend_drains *d, struct control_request *req, int id,
                        uint64_t deadline_ms);
/* Some backend has fewer turns than before. */
void backend_drains_look(struct backend_drains *d);
/* Answers all that still wait, and closes the timer; one that is added later is answered at once.
 */
void backend_drains_close(struct backend_drains *d);

#endif
