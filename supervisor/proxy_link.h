/* proxy_link: what the supervisor and its codex-proxy say to each other on the control socket.
 *
 * While the proxy is replaced there are two of them: each has its side, 0 or 1. */
#ifndef SIDECAR_PROXY_LINK_H
#define SIDECAR_PROXY_LINK_H

#include <stdbool.h>

#include "common/control_conn.h"

#define PROXY_PROTOCOL 1

struct proxy_link_hooks {
	/* The side of the proxy with this pid; -1: it is none that we run. */
	int (*side_of)(void *arg, pid_t pid);
	/* The array of all backends; new reference. */
	json_t *(*backends)(void *arg);
	/* why: NULL while ready. needs_login: a login is all that is missing. */
	void (*on_ready)(void *arg, int side, bool ready, const char *why, bool needs_login);
	void (*on_backend_failed)(void *arg, int id, unsigned generation, const char *kind,
	                          const char *message);
};

struct proxy_link {
	struct proxy_link_hooks hooks;
	void *arg;
	int64_t login_expires_at; /* Unix time in seconds; 0: not known, or never */
	struct {
		struct control_conn *conn; /* NULL: it has not said hello */
		int64_t in_flight, queued, threads;
	} sides[2];
};

void proxy_link_init(struct proxy_link *l, const struct proxy_link_hooks *hooks, void *arg);

/* For what comes in on any connection; false: not one of the proxy's methods. */
bool proxy_link_request(struct proxy_link *l, struct control_conn *conn,
                        struct control_request *req, const char *method, json_t *params);
bool proxy_link_notification(struct proxy_link *l, struct control_conn *conn, const char *method,
                             json_t *params);
void proxy_link_closed(struct proxy_link *l, struct control_conn *conn);

/* All of these go to every proxy there is. */
void proxy_link_backend_up(struct proxy_link *l, int id, const char *url, unsigned generation);
/* next_retry_ms: -1 unknown. */
void
proxy_link_backend_down(struct proxy_link *l, int id, const char *reason, int64_t next_retry_ms);
/* That one will not come back. */
void proxy_link_backend_gone(struct proxy_link *l, int id);

/* Until when the login is good, as in the struct; said when it is another time than before. */
void proxy_link_login(struct proxy_link *l, int64_t expires_at);
/* It is to read again what it may while it runs: the tool policy. */
void proxy_link_reload(struct proxy_link *l);

/* Once: when it has drained, at the deadline, or because there is nobody to ask. left: requests
 * that were still running. May be called from inside. */
typedef void (*proxy_drained_fn)(void *arg, int64_t left);
/* delay_ms: so much of the time it takes requests, but says that it is not ready. */
void proxy_link_drain(struct proxy_link *l, int side, uint64_t deadline_ms, uint64_t delay_ms,
                      proxy_drained_fn fn, void *arg);
void proxy_link_backend_drain(struct proxy_link *l, int id, uint64_t deadline_ms,
                              proxy_drained_fn fn, void *arg);
/* The sum over both, for `status`: new reference, json null while no proxy is connected. */
json_t *proxy_link_to_json(const struct proxy_link *l);

#endif
