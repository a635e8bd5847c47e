/* notify: what systemd is told, and its watchdog. Without systemd nothing happens. */
#include "supervisor/notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

/* So often a start or a stop that takes long asks for so much time from then on. It asks from our
 * loop: when that is stuck, systemd's patience ends soon. */
#define EXTEND_EVERY_MS 5000
#define EXTEND_BY_MS    15000

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

static void
on_patience(uv_timer_t *timer)
{
	struct notify *n = timer->data;
	uint64_t now = uv_now(timer->loop);
	uint64_t left_ms = n->until_ms > now ? n->until_ms - now : 0;

	if (left_ms == 0) {
		(void)uv_timer_stop(timer); /* always 0 */
		return;
	}
	if (!n->stopping && n->is_well != NULL && !n->is_well(n->arg))
		return; /* it goes nowhere: systemd may end it */
	if (left_ms > EXTEND_BY_MS)
		left_ms = EXTEND_BY_MS;
	(void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64, left_ms * 1000);
}

static void
ask_for(struct notify *n, uint64_t max_ms)
{
	if (!n->told)
		return;
	n->until_ms = uv_now(n->patience.loop) + max_ms;
	(void)uv_timer_start(&n->patience, on_patience, EXTEND_EVERY_MS, EXTEND_EVERY_MS);
}

void
notify_init(struct notify *n, uv_loop_t *loop, bool (*is_well)(void *arg), void *arg)
{
	uint64_t usec = 0;

	*n = (struct notify){.is_well = is_well, .arg = arg};
	if (getenv("NOTIFY_SOCKET") != NULL) {
		n->told = uv_timer_init(loop, &n->patience) == 0;
		n->patience.data = n;
		ask_for(n, NOTIFY_START_MAX_MS);
	}
	if (sd_watchdog_enabled(1, &usec) <= 0 || usec < 2000)
		return;
	if (uv_timer_init(loop, &n->watchdog) < 0)
		return;
	n->watched = true;
	n->watchdog.data = n;
	(void)uv_timer_start(&n->watchdog, on_watchdog, 0, usec / 2000); /* callback not NULL */
}

void
notify_ready(struct notify *n)
{
	(void)sd_notify(0, "READY=1");
	n->ready = true;
	if (n->told && !n->stopping && !n->busy)
		(void)uv_timer_stop(&n->patience); /* always 0 */
}

void
notify_busy(struct notify *n, bool busy)
{
	if (!n->told || !n->ready || n->stopping || n->busy == busy)
		return;
	n->busy = busy;
	if (busy)
		ask_for(n, NOTIFY_BUSY_MAX_MS);
	else
		(void)uv_timer_stop(&n->patience); /* always 0 */
}

void
notify_reloading(struct notify *n)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
	                 (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

void
notify_stopping(struct notify *n, uint64_t max_ms)
{
	if (!n->stopping)
		(void)sd_notify(0, "STOPPING=1");
	n->stopping = true;
	ask_for(n, max_ms);
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
	if (n->watched)
		uv_close((uv_handle_t *)&n->watchdog, NULL);
	if (n->told)
		uv_close((uv_handle_t *)&n->patience, NULL);
	n->watched = n->told = false;
}
