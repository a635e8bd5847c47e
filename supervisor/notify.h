/* notify: what systemd is told, and its watchdog. Without systemd nothing happens. */
#ifndef SIDECAR_NOTIFY_H
#define SIDECAR_NOTIFY_H

#include <stdbool.h>
#include <uv.h>

struct notify {
	uv_timer_t watchdog;
	bool started; /* the timer is open */
	bool (*is_well)(void *arg);
	void *arg;
	char status[256];
};

/* Starts feeding the watchdog if the unit asks for it, and takes the watchdog
 * variables out of our environment. (Children get an environment made from nothing.) It is fed
 * while the loop runs and is_well (NULL: always) says so. */
void notify_init(struct notify *n, uv_loop_t *loop, bool (*is_well)(void *arg), void *arg);
void notify_ready(struct notify *n);
void notify_stopping(struct notify *n);
/* STATUS=, sent when it changed. */
void notify_status(struct notify *n, const char *text);
void notify_close(struct notify *n);

#endif
