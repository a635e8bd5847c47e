/* lws_orphans: the poll handles that libwebsockets forgets.
 *
 * When connect() itself fails (no such socket, nobody listens), lws 4.1.6 closes the socket and
 * forgets the poll handle that it has made for it: one a try, for as long as the app-server is
 * away, and the loop could never be closed. */
#ifndef SIDECAR_PROXY_CODEX_LWS_ORPHANS_H
#define SIDECAR_PROXY_CODEX_LWS_ORPHANS_H

#include <uv.h>

/* Closes and frees them. To be called right after a connect that failed, before any other socket
 * is made: they are known by their dead socket, whose number nobody may have been given again. */
void lws_orphans_close(uv_loop_t *loop);

#endif
