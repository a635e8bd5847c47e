/* standby: answers on systemd's listening socket while there is no proxy to do it: a fixed 503. */
#ifndef SIDECAR_STANDBY_H
#define SIDECAR_STANDBY_H

#include <stdbool.h>
#include <uv.h>

#include "common/common.h"

struct standby;

/* fd stays the caller's, and must be open until standby_close. tls: callers would not understand,
 * their connections are closed without an answer. */
int standby_new(struct standby **out, uv_loop_t *loop, int fd, bool tls) MUST_CHECK;
/* Whoever waits and whoever comes is answered, until standby_stop. */
void standby_start(struct standby *s);
void standby_stop(struct standby *s);
/* s is freed later, by the loop. */
void standby_close(struct standby *s);

#endif
