/* supervisor_link: the proxy's end of the control socket: docs/control.md, "codex-proxy".
 *
 * Reconnects by itself; while it is not connected, the proxy goes on with what it knows. */
#ifndef SIDECAR_PROXY_SUPERVISOR_LINK_H
#define SIDECAR_PROXY_SUPERVISOR_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/common.h"
#include "common/control_conn.h"

struct supervisor_link;

struct supervisor_link_stats {
	unsigned in_flight;
	unsigned queued;
	unsigned threads;
};

struct supervisor_link_hooks {
	/* next_retry_ms: -1 unknown. */
	void (*on_backend_up)(void *arg, int id, const char *url, int64_t generation);
	void (*on_backend_down)(void *arg, int id, const char *reason, int64_t next_retry_ms);
	/* All there are; others are to be forgotten. */
	void (*on_backends)(void *arg, const int *ids, size_t count);
	/* Both owe one control_reply to the request. */
	void (*on_drain)(void *arg, struct control_request *req, uint64_t deadline_ms,
	                 uint64_t delay_ms);
	void (*on_backend_drain)(void *arg, struct control_request *req, int id,
	                         uint64_t deadline_ms);
	/* Until when the login is good, Unix time in seconds; 0: not known, or never. */
	void (*on_login)(void *arg, int64_t expires_at);
	/* The operator has asked for it: what may change while it runs is to be read again. */
	void (*on_reload)(void *arg);
	/* Connected, and told the backends: say again what it must know. */
	void (*on_connected)(void *arg);
};

/* path must outlive it. NULL: no memory. Connects at once. */
struct supervisor_link *supervisor_link_new(uv_loop_t *loop, const char *path, int64_t generation,
                                            const struct supervisor_link_hooks *hooks, void *arg);
/* reason NULL: ready. needs_login: a login is all that is missing. Sent when it differs from what
 * was said last. */
void supervisor_link_ready(struct supervisor_link *l, const char *reason, bool needs_login);
/* Sent when it has changed, at most every 100 ms. */
void supervisor_link_stats(struct supervisor_link *l, const struct supervisor_link_stats *stats);
void supervisor_link_failed(struct supervisor_link *l, int id, int64_t generation, const char *kind,
                            const char *message);
/* fn when nothing of it is left. */
void supervisor_link_close(struct supervisor_link *l, void (*fn)(void *arg), void *arg);

#endif
