/* reload: the configuration is read again while everything runs, and takes effect where it has
 * changed. */
#ifndef SIDECAR_RELOAD_H
#define SIDECAR_RELOAD_H

#include "supervisor/configuration.h"
#include "supervisor/roll.h"

struct reload {
	const struct configuration *configuration;
	struct fleet *fleet;
	struct roll *roll;
	struct codex_setup *setup;  /* NULL: there is none, or it has not come to its first end */
	unsigned setup_changes;     /* those that the app-servers have seen */
	char warning[ERR_TEXT_MAX]; /* why the last one changed nothing; "": it was well */
	struct fleet_changes done;
	bool file_taken; /* by this one */
	bool busy;
	void (*fn)(void *arg, int code, const char *why);
	void *arg;
};

/* fn once, now or later, when it is known what the new configuration is and the replacements it
 * needs are on their way. code 0, or negative and why: nothing has changed, or what is wrong is
 * codex's configuration, and the app-servers stay as they are. */
void reload_start(struct reload *r, void (*fn)(void *arg, int code, const char *why), void *arg);
/* Codex alone is looked at again, unasked; when it has changed, the app-servers follow. Not while
 * another one is under way. */
void reload_look_at_codex(struct reload *r);
/* Nothing of it may go on. */
void reload_cancel(struct reload *r);

#endif
