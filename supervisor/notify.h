/* notify: what systemd is told, and its watchdog. Without systemd nothing happens. */
#ifndef SIDECAR_NOTIFY_H
#define SIDECAR_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct notify {
	uv_timer_t watchdog;
	uv_timer_t patience; /* runs while a start, a stop or something else is under way */
	bool watched;        /* watchdog is open */
	bool told;           /* patience is open: there is somebody to tell */
	bool ready;          /* told once */
	bool busy;           /* see notify_busy */
	bool stopping;
	uint64_t until_ms; /* more time is asked for until then */
	bool (*is_well)(void *arg);
	void *arg;
	char status[256];
};

/* A start that takes longer asks systemd for no more time. */
#define NOTIFY_START_MAX_MS 600000
/* What is drained meanwhile has its own deadlines; none is longer than a day. */
#define NOTIFY_BUSY_MAX_MS  86400000

/* Starts feeding the watchdog if the unit asks for it, and takes the watchdog
 * variables out of our environment. (Children get an environment made from nothing.) It is fed
 * while the loop runs and is_well (NULL: always) says so. Until notify_ready, a start that takes
 * long asks for more time (EXTEND_TIMEOUT_USEC), on the same condition. */
void notify_init(struct notify *n, uv_loop_t *loop, bool (*is_well)(void *arg), void *arg);
/* The start, or a reload, is done. */
void notify_ready(struct notify *n);
/* A reload begins; notify_ready ends it, also when it failed: the old configuration holds. */
void notify_reloading(struct notify *n);
/* Apps are being replaced, or not any more: for as long as it lasts more time is asked for, on the
 * same condition as at the start. It may be a command of systemd's that waits for it (ExecReload).
 */
void notify_busy(struct notify *n, bool busy);
/* A stop begins; for max_ms, the longest that it may last by our own deadlines, it asks for more
 * time. Again: with another one. */
void notify_stopping(struct notify *n, uint64_t max_ms);
/* STATUS=, sent when it changed. */
void notify_status(struct notify *n, const char *text);
void notify_close(struct notify *n);

#endif
