/* outcomes: counts how turns end on each backend, and says when one has had enough. */
#include "proxy/outcomes.h"

#include <stddef.h>

/* Calls that an app-server did not answer in a row before it is taken for stuck. */
#define SERVER_THRESHOLD 3

const char *
outcomes_add(struct outcomes *o, int backend, int64_t generation, const struct failure *failure)
{
	if (backend < 0 || backend >= OUTCOMES_BACKENDS_MAX)
		return NULL;
	if (o->backends[backend].generation != generation || failure == NULL) {
		o->backends[backend].generation = generation;
		o->backends[backend].upstream = 0;
		o->backends[backend].server = 0;
	}
	if (failure == NULL)
		return NULL;
	switch (failure->class_) {
	case FAILURE_AUTH:
		return "auth";
	case FAILURE_UPSTREAM:
		if (++o->backends[backend].upstream < o->upstream_threshold)
			return NULL;
		o->backends[backend].upstream = 0;
		return "upstream";
	case FAILURE_SERVER:
		/* A lost connection is noticed by those who watch it; our own limits are no fault
		 * of the app-server. */
		if (failure->kind != FAILURE_BACKEND_TIMEOUT ||
		    ++o->backends[backend].server < SERVER_THRESHOLD)
			return NULL;
		o->backends[backend].server = 0;
		return "server";
	case FAILURE_REQUEST:
	case FAILURE_QUOTA:
	case FAILURE_BUSY:
		break;
	}
	return NULL;
}
