/* cron: "0 4 * * 1-5": when the next time is. Pure, but for the time zone (TZ). */
#ifndef SIDECAR_CRON_H
#define SIDECAR_CRON_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/common.h"

/* A set of numbers is a set of bits. */
struct cron {
	uint64_t minutes, hours, days, months, weekdays; /* days and months from 1 on, Sunday 0 */
	bool any_day, any_weekday; /* given as *: the other one decides alone */
};

/* Five fields: minute, hour, day of the month, month, day of the week; each a list of *, numbers,
 * names (JAN, SUN), ranges (1-5), and either of these with a step (0-30/10). 7 is Sunday too. As
 * ever with cron: with a day of the month and a day of the week either one is enough.
 * -EINVAL: *why is a text that lives for ever. */
int cron_parse(struct cron *out, const char *text, const char **why) MUST_CHECK;
/* The first time after `after`, by the local clock; -1: there is none (30 February). A time that
 * the change to summer time skips comes as long after midnight as ever, one that comes twice
 * counts once; but what is meant for each hour is left to the hours as they come. */
time_t cron_next(const struct cron *c, time_t after);

/* What is to come of one, by a clock that may jump. Zero, with cron set, is a new one. */
struct cron_plan {
	struct cron cron;
	time_t seen; /* the clock at the last look; 0: none yet */
	time_t done; /* the last time that came */
	time_t next;
};

/* To be called often. True: it is time. Once, also when the clock has passed several times since
 * the last look; not again when the clock is set back by less than three hours; beyond that it is a
 * new clock. */
bool cron_is_due(struct cron_plan *p, time_t now);

#endif
