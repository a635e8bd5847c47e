/* control_conn: one control connection on a libuv loop; the same for both ends.
 *
 * Both sides may call and be called. A peer that does not read is cut off when more than
 * CONTROL_QUEUE_MAX bytes wait for it; so is one that sends a line over CONTROL_LINE_MAX. While it
 * leaves answers unread no more of its requests are. */
#ifndef SIDECAR_CONTROL_CONN_H
#define SIDECAR_CONTROL_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "common/control_proto.h"

#define CONTROL_QUEUE_MAX ((size_t)4 << 20) /* four of the longest lines */

struct control_conn;

/* A request that waits for its answer. Whoever is handed one owes exactly one control_reply* call,
 * now or later; it is valid until then, also when the connection has gone meanwhile. */
struct control_request;

struct control_handlers {
	/* method and params are valid during the call only; params NULL when absent. */
	void (*on_request)(void *arg, struct control_conn *conn, struct control_request *req,
	                   const char *method, json_t *params);
	void (*on_notification)(void *arg, struct control_conn *conn, const char *method,
	                        json_t *params);
	/* Last call for this connection; conn is freed after it. Not called before
	 * control_conn_open has returned. */
	void (*on_closed)(void *arg, struct control_conn *conn);
};

/* Result XOR error: on success result (borrowed, may be json null), else result NULL and code,
 * message. Called exactly once per control_call. */
typedef void (*control_answer_fn)(void *arg, json_t *result, int code, const char *message);

/* Accepts the pending connection of a listening pipe. peer pid/uid/gid are read from the socket. */
int control_conn_accept(struct control_conn **out, uv_stream_t *listener,
                        const struct control_handlers *handlers, void *arg) MUST_CHECK;
/* Connects to a socket path; on_connected (status 0 or negative errno) is called exactly once,
 * later. After a failure on_closed follows. */
int control_conn_connect(struct control_conn **out, uv_loop_t *loop, const char *path,
                         void (*on_connected)(void *arg, struct control_conn *conn, int status),
                         const struct control_handlers *handlers, void *arg) MUST_CHECK;
/* Idempotent. Pending calls are answered CONTROL_DISCONNECTED before on_closed. */
void control_conn_close(struct control_conn *conn);
/* Reads no more, and closes after what is queued has been written, or after deadline_ms. */
void control_conn_finish(struct control_conn *conn, uint64_t deadline_ms);

pid_t control_conn_peer_pid(const struct control_conn *conn);
uid_t control_conn_peer_uid(const struct control_conn *conn);
/* By its primary or a supplementary group, as they were when it connected. */
bool control_conn_peer_in_group(const struct control_conn *conn, gid_t gid);
void *control_conn_data(const struct control_conn *conn); /* the owner's own note on it */
void control_conn_set_data(struct control_conn *conn, void *data);

/* It will be told more, unasked. */
void control_conn_keep(struct control_conn *conn);
/* Open, and waits for nothing: no answer is owed, and it is not kept. */
bool control_conn_is_idle(const struct control_conn *conn);

/* params: reference taken over (NULL: none). answer may be NULL: nobody waits. */
void control_call(struct control_conn *conn, const char *method, json_t *params,
                  uint64_t timeout_ms, control_answer_fn answer, void *arg);
void control_notify(struct control_conn *conn, const char *method, json_t *params);
/* result: reference taken over (NULL: building it failed, the peer gets an error). Free the
 * request.
 */
void control_reply(struct control_request *req, json_t *result);
void
control_reply_error(struct control_request *req, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
