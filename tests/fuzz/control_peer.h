/* control_peer: a control socket with no file, and a peer of it, for the targets that speak to one.
 */
#ifndef SIDECAR_TESTS_CONTROL_PEER_H
#define SIDECAR_TESTS_CONTROL_PEER_H

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "common/log.h"
#include "tests/fuzz/fuzz.h"

static uv_loop_t loop;
static uv_pipe_t listener_pipe;
static struct sockaddr_un control_address = {.sun_family = AF_UNIX};
static socklen_t control_address_len; /* 0: not open yet */

/* Once: a socket with a name of the kernel's choice, in no file system. */
static inline void
open_control_socket(uv_connection_cb on_connection)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(control_address);

	log_init("fuzz", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	HOLDS(fd >= 0 && bind(fd, (struct sockaddr *)&control_address, sizeof(sa_family_t)) == 0);
	HOLDS(getsockname(fd, (struct sockaddr *)&control_address, &len) == 0);
	control_address_len = len;
	HOLDS(uv_loop_init(&loop) == 0 && uv_pipe_init(&loop, &listener_pipe, 0) == 0);
	HOLDS(uv_pipe_open(&listener_pipe, fd) == 0);
	HOLDS(uv_listen((uv_stream_t *)&listener_pipe, 8, on_connection) == 0);
}

/* Its on_connection is called soon. */
static inline int
connect_to_control(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	HOLDS(fd >= 0 &&
	      connect(fd, (struct sockaddr *)&control_address, control_address_len) == 0);
	return fd;
}

#endif
