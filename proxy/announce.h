/* announce: tells whoever started us, other than our supervisor, that we are ready.
 *
 * systemd by sd_notify; PM2 (wait_ready) by the word "ready" on Node's IPC channel. */
#ifndef SIDECAR_PROXY_ANNOUNCE_H
#define SIDECAR_PROXY_ANNOUNCE_H

/* The first time only. */
void announce_ready(void);
void announce_stopping(void);

#endif
