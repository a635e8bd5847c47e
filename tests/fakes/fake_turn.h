/* fake_turn: what happens in a turn of the fake app-server, as frames made in advance. Pure. */
#ifndef SIDECAR_TESTS_FAKE_TURN_H
#define SIDECAR_TESTS_FAKE_TURN_H

#include <jansson.h>
#include <stdbool.h>

#include "tests/fakes/script.h"

/* A call that goes wrong. */
struct fault {
	char method[48];
	int code;       /* 0: never answered */
	unsigned times; /* left */
};

#define TURN_FAULTS_MAX 8

enum turn_mark {
	MARK_RESPOND, /* answer turn/start now */
	MARK_BINARY,  /* a binary frame */
	MARK_CLOSE,   /* drop the connection */
	MARK_CLOSED,  /* the thread is gone */
	MARK_ENDED,   /* the turn is over */
};

struct turn_plan {
	struct script script; /* STEP_SEND: one text frame; STEP_MARK: enum turn_mark */
	struct fault faults[TURN_FAULTS_MAX];
	size_t fault_count;
	bool twice; /* answers and notifications, all but the deltas */
};

/* items: what was injected, or given as input. See fake_turn.c for the directives. */
void turn_plan_make(struct turn_plan *p, const json_t *items, const char *thread_id,
                    const char *turn_id);
void turn_plan_free(struct turn_plan *p);
/* turn/completed with status "interrupted"; caller frees. */
char *turn_interrupted_frame(const char *thread_id, const char *turn_id);
long long now_ms(void);
/* What no app-server should send; NULL ends them. */
extern const char *const garbage_frames[];

#endif
