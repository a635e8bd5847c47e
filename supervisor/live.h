/* live: what the apps write and how they change, for whoever asks or listens on the control socket.
 *
 * One for the whole process, like the log: it is told by what runs the apps, without being handed
 * through all of it. docs/control.md: `logs`, `subscribe`. */
#ifndef SIDECAR_LIVE_H
#define SIDECAR_LIVE_H

#include "common/control_conn.h"
#include "supervisor/app_fsm.h"
#include "supervisor/output.h"

/* A line that an app wrote. */
void live_line(const char *app, enum output_stream stream, const struct output_line *line);

struct live_change {
	const char *app;
	enum app_state from, to;
	const char *reason;
	pid_t pid;           /* 0: none */
	unsigned generation; /* of the run; 0: none yet */
};

/* An app has changed its state. */
void live_change(const struct live_change *change);

/* There is no such app any more: its lines are forgotten. */
void live_forget(const char *app);

/* True when the method is one of ours: then the request is answered. */
bool live_request(struct control_conn *conn, struct control_request *req, const char *method,
                  json_t *params);
/* To be called for every connection that has ended. */
void live_closed(struct control_conn *conn);
/* Forgets all lines. Only when no connection is left. */
void live_fini(void);

#endif
