/* notify: what systemd is told, and its watchdog. Without systemd nothing happens. */
#include "supervisor/notify.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

/* The return values of sd_notify are of no use here: 0 is "no systemd", and a systemd that cannot
 * be told will act on its own timeouts. */

static void
on_watchdog(uv_timer_t *timer)
{
	const struct notify *n = timer->data;

	/* sent from the loop, so a loop that is stuck sends nothing */
	if (n->is_well == NULL || n->is_well(n->arg))
		(void)sd_notify(0, "WATCHDOG=1");
}

void
notify_init(struct notify *n, uv_loop_t *loop, bool (*is_well)(void *arg), void *arg)
{
	uint64_t usec = 0;

	*n = (struct notify){.is_well = is_well, .arg = arg};
	if (sd_watchdog_enabled(1, &usec) <= 0 || usec < 2000)
		return;
	if (uv_timer_init(loop, &n->watchdog) < 0)
		return;
	n->started = true;
	n->watchdog.data = n;
	(void)uv_timer_start(&n->watchdog, on_watchdog, 0, usec / 2000); /* callback not NULL */
}

void
notify_ready(struct notify *n)
{
	(void)sd_notify(0, "READY=1");
}

void
notify_stopping(struct notify *n)
{
	(void)sd_notify(0, "STOPPING=1");
}

void
notify_status(struct notify *n, const char *text)
{
	if (strcmp(n->status, text) == 0)
		return;
	(void)snprintf(n->status, sizeof(n->status), "%s", text);
	(void)sd_notifyf(0, "STATUS=%s", n->status);
}

void
notify_close(struct notify *n)
{
	if (n->started)
		uv_close((uv_handle_t *)&n->watchdog, NULL);
	n->started = false;
}
