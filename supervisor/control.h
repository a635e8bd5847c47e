/* control: what operators and the proxy may ask of a running supervisor (docs/control.md). */
#ifndef SIDECAR_CONTROL_H
#define SIDECAR_CONTROL_H

#include "supervisor/roll.h"
#include "supervisor/status.h"
#include "supervisor/wish.h"

struct control;

struct control_spec {
	uv_loop_t *loop;
	const char *path;
	const char *group; /* name of the group that may ask; NULL: none */
	struct fleet *fleet;
	struct roll *roll;
	struct wishes *wishes;
	json_t *(*status)(void *arg);
	void (*shutdown)(void *arg);
	/* fn once, now or later; code 0: done, else why not. */
	void (*reload)(void *arg, void (*fn)(void *fn_arg, int code, const char *why),
	               void *fn_arg);
	void *arg;
};

int control_new(struct control **out, const struct control_spec *spec, struct err *err) MUST_CHECK;
void control_close(struct control *c, void (*fn)(void *arg), void *arg);

#endif
