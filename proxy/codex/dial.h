/* dial: a stream socket that is connected to a unix socket, or to the first address of a host that
 * takes it. */
#ifndef SIDECAR_PROXY_CODEX_DIAL_H
#define SIDECAR_PROXY_CODEX_DIAL_H

#include <stdbool.h>
#include <uv.h>

#include "common/common.h"
#include "proxy/codex/rpc_url.h"

/* Embedded in its owner; what it holds is for dial.c. */
struct dial {
	uv_loop_t *loop;
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_pipe_t pipe;
		uv_tcp_t tcp;
	} socket;
	bool open; /* the socket is */
	bool closing;
	bool resolving;
	uv_getaddrinfo_t resolver;
	uv_connect_t connect;
	struct addrinfo *addresses, *next; /* of the host; the one that is tried */
	int error;                         /* of the last one */
	void (*on_done)(void *arg, int status);
	void (*on_closed)(void *arg);
	void *arg;
};

/* on_done follows, never from inside: 0, or why it is not connected. A negative errno: it will not
 * follow. */
int dial_start(struct dial *d, uv_loop_t *loop, const struct rpc_url *where,
               void (*on_done)(void *arg, int status), void *arg) MUST_CHECK;
/* Gives up, or hangs up. True: on_closed follows, when nothing of it is in the loop any more;
 * false: nothing was. */
bool dial_close(struct dial *d, void (*on_closed)(void *arg));

#endif
