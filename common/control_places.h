/* control_places: where a supervisor's control socket may be, and the first one that answers. */
#ifndef SIDECAR_CONTROL_PLACES_H
#define SIDECAR_CONTROL_PLACES_H

#include <stdbool.h>

#include "common/control_proto.h"

#define CONTROL_PLACES_MAX 3

struct control_places {
	char *path[CONTROL_PLACES_MAX];
	int failed[CONTROL_PLACES_MAX]; /* negative errno, of those that were tried */
	size_t count;
};

/* chosen, if it is not NULL, or the one that CODEX_CONTROL_SOCKET or CODEX_RUNTIME_DIR names; the
 * usual ones only where nothing is named. */
struct control_places control_places(const char *chosen);
void control_places_free(struct control_places *p);
/* Nobody listens at a place that failed so: the next one may be asked. */
bool control_places_is_empty(int code);

/* Asks at one after the other until one is not empty. As control_ask; *at: the last that was
 * tried. params: borrowed, may be NULL. */
int control_places_ask(struct control_places *p, size_t *at, json_t **result, const char *method,
                       json_t *params, unsigned timeout_ms, struct err *err) MUST_CHECK;

#endif
