/* app_methods: what operators may ask of apps: start, stop, restart, reload, drain, describe. */
#ifndef SIDECAR_APP_METHODS_H
#define SIDECAR_APP_METHODS_H

#include "supervisor/roll.h"
#include "supervisor/wish.h"

struct app_methods {
	struct fleet *fleet;
	struct roll *roll;
	struct wishes *wishes;
};

/* False: it is none of these methods. */
bool app_methods_request(const struct app_methods *m, struct control_request *req,
                         const char *method, json_t *params);

#endif
