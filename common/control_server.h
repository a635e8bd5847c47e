/* control_server: the listening control socket: file mode, stale sockets, peer check, caps. */
#ifndef SIDECAR_CONTROL_SERVER_H
#define SIDECAR_CONTROL_SERVER_H

#include "common/control_conn.h"

#define CONTROL_CLIENTS_MAX 64 /* ops tools and probes; more means a leak somewhere */

struct control_server;

/* Listens on path with mode 0600, or 0660 and group gid when gid is not (gid_t)-1. A socket that
 * nobody answers on is replaced; a live one is refused with -EADDRINUSE. Peers must be our own
 * uid, root, or in that group (their process's primary gid or supplementary groups); others are
 * closed at once. handlers get every accepted connection. */
int
control_server_new(struct control_server **out, uv_loop_t *loop, const char *path, gid_t gid,
                   const struct control_handlers *handlers, void *arg, struct err *err) MUST_CHECK;
/* Idempotent. Removes the socket file, closes the listener and all connections; fn when all gone.
 */
void control_server_close(struct control_server *s, void (*fn)(void *arg), void *arg);

#endif
