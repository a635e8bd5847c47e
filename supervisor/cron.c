/* cron: "0 4 * * 1-5": when the next time is. Pure, but for the time zone (TZ). */
#include "supervisor/cron.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define HOUR_S      ((time_t)3600)
/* 29 February comes once in eight years at the least (1896, 1904). */
#define DAYS_AHEAD  (8 * 366 + 1)
#define CORRECTED_S (3 * HOUR_S)

/* --- reading -------------------------------------------------------------------------------- */

struct field {
	unsigned min, max;
	const char *const *names; /* of min, min + 1, ... */
	unsigned names_count;
	const char *why;
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

#define FORMS ": *, a number, a list (1,2), a range (1-5) or a step (*/5)"

static const struct field fields[] = {
	{0, 59, NULL,        0,                  "its minute (1st field) is not one of 0-59" FORMS},
	{0, 23, NULL,        0,                  "its hour (2nd field) is not one of 0-23" FORMS  },
	{1, 31, NULL,        0,                  "its day (3rd field) is not one of 1-31" FORMS   },
	{1, 12, month_names, NELEM(month_names),
         "its month (4th field) is not one of 1-12, JAN-DEC" FORMS                                },
	{0, 7,  day_names,   NELEM(day_names),
         "its day of the week (5th field) is not one of 0-7, SUN-SAT" FORMS                       },
};

/* Returns what follows the number or name; NULL: there is none that fits. */
static const char *
read_one(const struct field *f, const char *p, const char *end, unsigned *out)
{
	unsigned n = 0;
	const char *begin = p;

	for (unsigned i = 0; i < f->names_count; i++) {
		if (end - p < 3 || strncasecmp(p, f->names[i], 3) != 0)
			continue;
		*out = f->min + i;
		return p + 3;
	}
	for (; p < end && *p >= '0' && *p <= '9' && p - begin < 3; p++)
		n = n * 10 + (unsigned)(*p - '0');
	if (p == begin || n < f->min || n > f->max)
		return NULL;
	*out = n;
	return p;
}

/* One entry of a list: *, n, a-b, and a step behind it. */
static int
read_entry(const struct field *f, const char *p, const char *end, uint64_t *set)
{
	static const struct field steps = {1, 60, NULL, 0, NULL};
	unsigned from = f->min, to = f->max, step = 1;
	bool single = false;

	if (p < end && *p == '*') {
		p++;
	} else {
		p = read_one(f, p, end, &from);
		single = p != NULL && (p == end || *p != '-');
		if (p != NULL && !single)
			p = read_one(f, p + 1, end, &to);
	}
	if (p != NULL && p < end && *p == '/') {
		p = read_one(&steps, p + 1, end, &step);
		single = false; /* 5/10: from 5 on */
	}
	if (p != end)
		return -EINVAL;
	if (single)
		to = from;
	if (f->max == 7 && to == 0 && from > 0)
		to = 7; /* SAT-SUN */
	if (from > to || step > f->max - f->min + 1)
		return -EINVAL;
	for (unsigned n = from; n <= to; n += step)
		*set |= (uint64_t)1 << n;
	return 0;
}

static int
read_field(const struct field *f, const char *p, size_t len, uint64_t *set)
{
	const char *end = p + len;
	int r = 0;

	*set = 0;
	while (r == 0) {
		const char *comma = memchr(p, ',', (size_t)(end - p));

		r = read_entry(f, p, comma != NULL ? comma : end, set);
		if (comma == NULL)
			break;
		p = comma + 1;
	}
	return r;
}

/* Cuts text at blanks; returns how many words there are, of which it stores the first few. */
static size_t
cut(const char *text, const char *words[], size_t lens[], size_t max)
{
	static const char blanks[] = " \t";
	size_t n = 0;

	for (text += strspn(text, blanks); *text != '\0'; text += strspn(text, blanks), n++) {
		size_t len = strcspn(text, blanks);

		if (n < max) {
			words[n] = text;
			lens[n] = len;
		}
		text += len;
	}
	return n;
}

int
cron_parse(struct cron *out, const char *text, const char **why)
{
	const char *words[NELEM(fields)];
	size_t lens[NELEM(fields)];
	uint64_t sets[NELEM(fields)];

	*why = "not five fields such as \"0 4 * * 1-5\"";
	if (cut(text, words, lens, NELEM(fields)) != NELEM(fields))
		return -EINVAL;
	for (size_t i = 0; i < NELEM(fields); i++) {
		*why = fields[i].why;
		if (read_field(&fields[i], words[i], lens[i], &sets[i]) < 0)
			return -EINVAL;
	}
	if (sets[4] & 1u << 7)
		sets[4] |= 1; /* Sunday */
	*out = (struct cron){
		.minutes = sets[0],
		.hours = sets[1],
		.days = sets[2],
		.months = sets[3],
		.weekdays = sets[4],
		.any_day = lens[2] == 1 && *words[2] == '*',
		.any_weekday = lens[4] == 1 && *words[4] == '*',
	};
	return 0;
}

/* --- the next time -------------------------------------------------------------------------- */

static bool
has(uint64_t set, int n)
{
	return set >> n & 1;
}

static bool
is_its_day(const struct cron *c, const struct tm *day)
{
	bool by_date = has(c->days, day->tm_mday), by_weekday = has(c->weekdays, day->tm_wday);

	if (!has(c->months, day->tm_mon + 1))
		return false;
	if (c->any_day || c->any_weekday)
		return by_date && by_weekday;
	return by_date || by_weekday;
}

/* How far the clock reads beyond what it was to read, in seconds. */
static time_t
off_by(const struct tm *read, const struct tm *wanted)
{
	struct tm a = *read, b = *wanted;

	return timegm(&a) - timegm(&b);
}

static bool
reads(time_t t, const struct tm *wanted)
{
	struct tm tm;

	return localtime_r(&t, &tm) != NULL && off_by(&tm, wanted) == 0;
}

/* A time of that day. One that the clock skips: as long after midnight as ever; one that comes
 * twice: the first. */
static time_t
at(const struct tm *day, int hour, int minute)
{
	const struct tm wanted = {.tm_year = day->tm_year,
	                          .tm_mon = day->tm_mon,
	                          .tm_mday = day->tm_mday,
	                          .tm_hour = hour,
	                          .tm_min = minute,
	                          .tm_isdst = -1};
	struct tm tm = wanted;
	time_t t = mktime(&tm), off = off_by(&tm, &wanted);

	if (off != 0)
		return off < 0 ? t - off : t;
	for (time_t back = HOUR_S / 2; back <= HOUR_S; back += HOUR_S / 2)
		if (reads(t - back, &wanted))
			return t - back;
	return t;
}

/* Hour by hour as they come, whatever the clock calls them. */
static time_t
next_minute(const struct cron *c, const struct tm *day, time_t after)
{
	time_t t = at(day, 0, 0);
	struct tm tm;

	if (t <= after)
		t = after - after % 60 + 60;
	for (; localtime_r(&t, &tm) != NULL && tm.tm_mday == day->tm_mday; t += 60)
		if (has(c->minutes, tm.tm_min))
			return t;
	return -1;
}

static time_t
next_on(const struct cron *c, const struct tm *day, time_t after)
{
	if (c->hours == ((uint64_t)1 << 24) - 1)
		return next_minute(c, day, after);
	for (int hour = 0; hour < 24; hour++)
		for (int minute = 0; has(c->hours, hour) && minute < 60; minute++) {
			time_t t = has(c->minutes, minute) ? at(day, hour, minute) : -1;

			if (t > after)
				return t;
		}
	return -1;
}

time_t
cron_next(const struct cron *c, time_t after)
{
	struct tm day;

	if (localtime_r(&after, &day) == NULL)
		return -1;
	for (int i = 0; i < DAYS_AHEAD; i++) {
		time_t t = is_its_day(c, &day) ? next_on(c, &day, after) : -1;

		if (t > after)
			return t;
		day.tm_mday++;
		day.tm_hour = 12; /* no clock is changed at noon */
		day.tm_min = day.tm_sec = 0;
		day.tm_isdst = -1;
		if (mktime(&day) == -1)
			return -1;
	}
	return -1;
}

bool
cron_is_due(struct cron_plan *p, time_t now)
{
	bool due = p->seen > 0 && p->next > 0 && now >= p->next;
	time_t from = now;

	if (p->seen > 0 && !due && now >= p->seen) {
		p->seen = now;
		return false;
	}
	/* it is new, it is due, or the clock was set back */
	if (due)
		p->done = now;
	else if (p->done > now && p->done - now < CORRECTED_S)
		from = p->done;
	p->seen = now;
	p->next = cron_next(&p->cron, from);
	return due;
}
