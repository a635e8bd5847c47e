/* listener: the HTTP listening socket: ours, or systemd's; handed to one proxy after the other. */
#ifndef SIDECAR_LISTENER_H
#define SIDECAR_LISTENER_H

#include <stdbool.h>

#include "common/common.h"
#include "common/err.h"
#include "common/listen.h"
#include "common/settings.h"
#include "supervisor/standby.h"

struct listener {
	int fd;                     /* -1: closed */
	bool from_systemd;          /* never closed by us: systemd would not give it again */
	char text[LISTEN_TEXT_MAX]; /* "http://127.0.0.1:3460" or "unix:///path", for people */
	char *host;                 /* what to bind, when it is ours */
	int port;
	char *unix_path;
	bool tls, left;
	struct standby *standby; /* not NULL: systemd's was shut once */
};

/* Takes systemd's socket when LISTEN_FDS names one (and removes LISTEN_* from our environment),
 * else binds CODEX_PROXY_LISTEN_UNIX or CODEX_PROXY_HOST:PORT. Port 0: the kernel's choice, then
 * kept. 0, or a negative errno with a sentence. */
int listener_open(struct listener *l, const struct settings *s, struct err *err) MUST_CHECK;
/* Binds again after listener_shut, at the same place. Nothing to do while open. */
int listener_reopen(struct listener *l, struct err *err) MUST_CHECK;
/* Callers are refused from now on by us; not by a proxy that has the socket too and still accepts.
 * Systemd's is left as it is. */
void listener_close(struct listener *l);
/* Callers are refused from now on, instead of waiting for nobody; on systemd's socket, which cannot
 * refuse, they are answered 503. */
void listener_shut(struct listener *l, uv_loop_t *loop);
/* For good. Callers of systemd's socket wait there for what it starts next. */
void listener_leave(struct listener *l);
void listener_fini(struct listener *l);

#endif
