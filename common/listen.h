/* listen: opens the HTTP listening socket that the settings ask for. */
#ifndef SIDECAR_LISTEN_H
#define SIDECAR_LISTEN_H

#include "common/common.h"
#include "common/err.h"

#define LISTEN_TEXT_MAX 160

/* A TCP socket that listens on host and *port (0: the kernel's choice, told in *port).
 * *text: "http://127.0.0.1:3460", for people. Returns the descriptor (close-on-exec), or a
 * negative errno with a sentence that names the setting at fault. */
int listen_tcp(const char *host, int *port, char text[static LISTEN_TEXT_MAX],
               struct err *err) MUST_CHECK;
/* A unix socket with mode 0660; a stale one is replaced, a live one refused (-EADDRINUSE).
 * *text: "unix:///path". */
int listen_unix(const char *path, char text[static LISTEN_TEXT_MAX], struct err *err) MUST_CHECK;

#endif
