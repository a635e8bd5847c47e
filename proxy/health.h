/* health: which app-servers cannot be relied on, by how their turns ended. Pure.
 *
 * An app-server is unwell when its login is refused, or when its provider has failed too often in
 * a row (outcomes). Turns are given to it all the same; the first that ends well makes it well
 * again, and so does a new generation of it. What nobody has confirmed for a while is forgotten:
 * whoever sends no requests to a server that is not ready would wait for ever. */
#ifndef SIDECAR_PROXY_HEALTH_H
#define SIDECAR_PROXY_HEALTH_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/outcomes.h"

#define HEALTH_MEMORY_MS 300000

enum health_state { HEALTH_WELL, HEALTH_AUTH, HEALTH_DEGRADED };

struct health {
	struct {
		int64_t generation;
		enum health_state state;
		uint64_t until_ms;
		char message[FAILURE_MESSAGE_MAX]; /* of the last failure */
	} backends[OUTCOMES_BACKENDS_MAX];
};

/* A turn ended. kind: what outcomes_add() made of it, NULL for nothing. True: its state, or the
 * reason of it, is another one now. */
bool health_note(struct health *h, int backend, int64_t generation, const struct failure *failure,
                 const char *kind, uint64_t now_ms);
/* generation: the one that is there now. */
enum health_state
health_of(const struct health *h, int backend, int64_t generation, uint64_t now_ms);
/* What is wrong with an unwell one, as a sentence for /readyz. */
void health_reason(const struct health *h, int backend, char *out, size_t size);

#endif
