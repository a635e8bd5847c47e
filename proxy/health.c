/* health: which app-servers cannot be relied on, by how their turns ended. */
#include "proxy/health.h"

#include <stdio.h>
#include <string.h>

static bool
is_known(int backend)
{
	return backend >= 0 && backend < OUTCOMES_BACKENDS_MAX;
}

static enum health_state
state_of(const char *kind)
{
	if (kind != NULL && strcmp(kind, "auth") == 0)
		return HEALTH_AUTH;
	if (kind != NULL && strcmp(kind, "upstream") == 0)
		return HEALTH_DEGRADED;
	return HEALTH_WELL;
}

bool
health_note(struct health *h, int backend, int64_t generation, const struct failure *failure,
            const char *kind, uint64_t now_ms)
{
	enum health_state before, state = state_of(kind);

	if (!is_known(backend) || generation < h->backends[backend].generation)
		return false; /* or a late word of one that is gone */
	before = health_of(h, backend, generation, now_ms);
	if (failure != NULL && state == HEALTH_WELL) {
		/* It says nothing new; but a provider that fails on is not forgotten. */
		if (before == HEALTH_DEGRADED && failure->class_ == FAILURE_UPSTREAM)
			h->backends[backend].until_ms = now_ms + HEALTH_MEMORY_MS;
		return false;
	}
	h->backends[backend].generation = generation;
	h->backends[backend].state = state;
	h->backends[backend].until_ms = now_ms + HEALTH_MEMORY_MS;
	(void)snprintf(h->backends[backend].message, sizeof(h->backends[backend].message), "%s",
	               failure != NULL ? failure->message : "");
	return before != state;
}

enum health_state
health_of(const struct health *h, int backend, int64_t generation, uint64_t now_ms)
{
	if (!is_known(backend) || h->backends[backend].generation != generation ||
	    now_ms >= h->backends[backend].until_ms)
		return HEALTH_WELL;
	return h->backends[backend].state;
}

void
health_reason(const struct health *h, int backend, char *out, size_t size)
{
	const char *message = is_known(backend) ? h->backends[backend].message : "";

	out[0] = '\0';
	if (!is_known(backend))
		return;
	switch (h->backends[backend].state) {
	case HEALTH_WELL:
		break;
	case HEALTH_AUTH:
		(void)snprintf(out, size, "the login of app-server %d is refused: %s", backend,
		               message);
		break;
	case HEALTH_DEGRADED:
		(void)snprintf(out, size, "app-server %d: its provider fails again and again: %s",
		               backend, message);
		break;
	}
}
