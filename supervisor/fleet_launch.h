/* fleet_launch: how each kind of app is executed. */
#ifndef SIDECAR_FLEET_LAUNCH_H
#define SIDECAR_FLEET_LAUNCH_H

#include "supervisor/codex/setup.h"
#include "supervisor/ecosystem.h"
#include "supervisor/app.h"
#include "supervisor/listener.h"

/* What is the same for all of them. */
struct fleet_launcher {
	struct codex_setup *setup; /* NULL: no app needs it */
	const struct settings *settings;
	struct listener *listener;
	const char *control_path;
};

/* Which process of which app. */
struct fleet_launch {
	const struct ecosystem_app *app;
	unsigned number; /* of the instance */
	int backend;     /* of an app-server */
	int side;        /* which of the two that take turns */
	unsigned generation;
	const char *url;
	bool linked; /* a proxy: it is told of app-servers by us */
};

/* Where an app-server will be found, new; NULL: no memory. */
char *fleet_launch_url(const struct fleet_launcher *l, const struct ecosystem_app *app, int backend,
                       int side);
int fleet_launch_fill(const struct fleet_launcher *l, const struct fleet_launch *what,
                      struct app_launch *out, struct err *err) MUST_CHECK;

#endif
