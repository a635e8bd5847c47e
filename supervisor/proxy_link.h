/* proxy_link: what the supervisor and its codex-proxy say to each other on the control socket. */
#ifndef SIDECAR_PROXY_LINK_H
#define SIDECAR_PROXY_LINK_H

#include <stdbool.h>

#include "common/control_conn.h"

#define PROXY_PROTOCOL 1

struct proxy_link_hooks {
	/* Is this the pid of a proxy that we run? */
	bool (*is_proxy)(void *arg, pid_t pid);
	/* The array of all backends; new reference. */
	json_t *(*backends)(void *arg);
	/* why: NULL while ready. */
	void (*on_ready)(void *arg, bool ready, const char *why);
	void (*on_backend_failed)(void *arg, int id, unsigned generation, const char *kind,
	                          const char *message);
};

struct proxy_link {
	struct proxy_link_hooks hooks;
	void *arg;
	struct control_conn *conn; /* NULL: no proxy has said hello */
	int64_t in_flight, queued, threads;
};

void proxy_link_init(struct proxy_link *l, const struct proxy_link_hooks *hooks, void *arg);

/* For what comes in on any connection; false: not one of the proxy's methods. */
bool proxy_link_request(struct proxy_link *l, struct control_conn *conn,
                        struct control_request *req, const char *method, json_t *params);
bool proxy_link_notification(struct proxy_link *l, struct control_conn *conn, const char *method,
                             json_t *params);
void proxy_link_closed(struct proxy_link *l, struct control_conn *conn);

void proxy_link_backend_up(struct proxy_link *l, int id, const char *url, unsigned generation);
/* next_retry_ms: -1 unknown. */
void
proxy_link_backend_down(struct proxy_link *l, int id, const char *reason, int64_t next_retry_ms);
/* fn once: when it has drained, at the deadline, or because there is nobody to ask. */
void proxy_link_drain(struct proxy_link *l, uint64_t deadline_ms, void (*fn)(void *arg), void *arg);
/* Its entry in `status`: new reference, json null while no proxy is connected. */
json_t *proxy_link_to_json(const struct proxy_link *l);

#endif
