/* tend: whether an app that runs is to be replaced by and by: it has grown too big, its cron time
 * has come, its socket takes no connection any more. Pure. */
#ifndef SIDECAR_TEND_H
#define SIDECAR_TEND_H

#include <stddef.h>

#include "supervisor/cron.h"
#include "supervisor/restart_policy.h"

/* So many probes in a row without an answer, and its socket is given up. */
#define TEND_MISSED_MAX 3

enum tend_probe { TEND_NOT_ASKED, TEND_ANSWERED, TEND_MISSED };

/* What is seen of an app at one look. */
struct tend_look {
	bool ready;          /* else nothing is to be done about it */
	unsigned generation; /* of the process that is looked at */
	int64_t rss_bytes;   /* -1: not known */
	uint64_t max_bytes;  /* 0: no limit */
	struct cron cron;    /* zero: none */
	enum tend_probe probe;
};

/* What is remembered from look to look. Zero is a new one. */
struct tend {
	struct cron_plan plan;
	struct restart_spacing memory, socket;
	unsigned generation, missed;
};

/* True: it is to be replaced, and why says why. Each reason but its cron time is spaced: at once,
 * then 30 s to 10 min apart, so that one that is too big from the start is not replaced all the
 * time. now_ms: of a clock that does not jump. */
bool tend_look_at(struct tend *t, const struct tend_look *look, uint64_t now_ms, time_t clock,
                  char *why, size_t size);

#endif
