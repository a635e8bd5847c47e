/* upkeep: looks at all apps at regular times, and has those replaced that need it. */
#ifndef SIDECAR_UPKEEP_H
#define SIDECAR_UPKEEP_H

#include "common/settings.h"
#include "supervisor/reload.h"

struct upkeep;

/* Looks every check_interval_ms, at whole multiples of it by the clock on the wall: at the full
 * minute too, when that is one. Memory, cron times, and whether the app-servers' sockets still take
 * connections: one that has not answered by the next look has missed it. And every
 * catalog_interval_ms, at the next look then, whether codex is another one. */
int upkeep_new(struct upkeep **out, struct reload *reload, uv_loop_t *loop,
               const struct settings *settings) MUST_CHECK;
/* No look any more; u is freed later. */
void upkeep_close(struct upkeep *u);

/* From now_ms, in ms since the epoch, until the next look. Pure. */
uint64_t upkeep_wait_ms(uint64_t now_ms, uint64_t interval_ms);

#endif
