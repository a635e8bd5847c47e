/* service_manager: the two words that systemd, and our supervisor, have with a program they start.
 *
 * Not by libsystemd, which brings six libraries, 1.1 MB and a tenth of the start for them: the
 * protocols are stable, and sd_notify(3) and sd_listen_fds(3) describe them for doing without. */
#ifndef SIDECAR_PROXY_SERVICE_MANAGER_H
#define SIDECAR_PROXY_SERVICE_MANAGER_H

/* Sends it to NOTIFY_SOCKET; nothing where there is none, or it does not listen. */
void service_manager_notify(const char *state);

/* The first socket that was handed to this very process; -1: none was. Sets close-on-exec, and
 * removes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES from the environment. */
int service_manager_socket(void);

#endif
