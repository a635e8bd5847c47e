/* notify: what systemd is told, and its watchdog. Without systemd nothing happens. */
#ifndef SIDECAR_NOTIFY_H
#define SIDECAR_NOTIFY_H

#include <stdbool.h>
#include <uv.h>

struct notify {
	uv_timer_t watchdog;
	bool started; /* the timer is open */
	char status[256];
};

/* Starts feeding the watchdog if the unit asks for it, and takes the watchdog
 * variables out of our environment. (Children get an environment made from nothing.) */
void notify_init(struct notify *n, uv_loop_t *loop);
void notify_ready(struct notify *n);
void notify_stopping(struct notify *n);
/* STATUS=, sent when it changed. */
void notify_status(struct notify *n, const char *text);
void notify_close(struct notify *n);

#endif
