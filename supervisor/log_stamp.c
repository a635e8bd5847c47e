/* log_stamp: a time in front of a log line, in the format language of PM2's log_date_format. Pure.
 */
#include "supervisor/log_stamp.h"

#include <stdio.h>
#include <string.h>

#include "common/common.h"

/* How a token is printed: a number in so many digits, or a word, or the beginning of one; the
 * others have code of their own. English, as in PM2. */
struct token {
	const char *name; /* a longer one before its own beginning */
	int (*value)(const struct tm *tm, unsigned ms);
	int digits;               /* of a word: letters */
	const char *const *words; /* value is the index */
};

static int
year(const struct tm *tm, unsigned ms)
{
	return tm->tm_year + 1900;
}

static int
short_year(const struct tm *tm, unsigned ms)
{
	return (tm->tm_year + 1900) % 100;
}

static int
month(const struct tm *tm, unsigned ms)
{
	return tm->tm_mon + 1;
}

static int
day(const struct tm *tm, unsigned ms)
{
	return tm->tm_mday;
}

static int
weekday(const struct tm *tm, unsigned ms)
{
	return tm->tm_wday;
}

static int
hour(const struct tm *tm, unsigned ms)
{
	return tm->tm_hour;
}

static int
hour_of_12(const struct tm *tm, unsigned ms)
{
	return tm->tm_hour % 12 == 0 ? 12 : tm->tm_hour % 12;
}

static int
minute(const struct tm *tm, unsigned ms)
{
	return tm->tm_min;
}

static int
second(const struct tm *tm, unsigned ms)
{
	return tm->tm_sec;
}

static int
millisecond(const struct tm *tm, unsigned ms)
{
	return (int)ms;
}

static int
month_index(const struct tm *tm, unsigned ms)
{
	return tm->tm_mon;
}

static const char *const months[12] = {"January",   "February", "March",    "April",
                                       "May",       "June",     "July",     "August",
                                       "September", "October",  "November", "December"};
static const char *const days[7] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                    "Thursday", "Friday", "Saturday"};

static const struct token tokens[] = {
	{"YYYY", year,        4, NULL  },
	{"YY",   short_year,  2, NULL  },
	{"MMMM", month_index, 9, months},
	{"MMM",  month_index, 3, months},
	{"MM",   month,       2, NULL  },
	{"M",    month,       1, NULL  },
	{"DD",   day,         2, NULL  },
	{"D",    day,         1, NULL  },
	{"dddd", weekday,     9, days  },
	{"ddd",  weekday,     3, days  },
	{"d",    weekday,     1, NULL  },
	{"HH",   hour,        2, NULL  },
	{"H",    hour,        1, NULL  },
	{"hh",   hour_of_12,  2, NULL  },
	{"h",    hour_of_12,  1, NULL  },
	{"mm",   minute,      2, NULL  },
	{"m",    minute,      1, NULL  },
	{"ss",   second,      2, NULL  },
	{"s",    second,      1, NULL  },
	{"SSS",  millisecond, 3, NULL  },
	{"A",    NULL,        0, NULL  },
	{"a",    NULL,        0, NULL  },
	{"ZZ",   NULL,        0, NULL  },
	{"Z",    NULL,        0, NULL  },
};

static const struct token *
find_token(const char *format)
{
	for (size_t i = 0; i < NELEM(tokens); i++)
		if (strncmp(tokens[i].name, format, strlen(tokens[i].name)) == 0)
			return &tokens[i];
	return NULL;
}

/* "+0100", or "+01:00" with a colon. */
static void
put_zone(char *text, size_t size, const struct tm *tm, const char *colon)
{
	long minutes = (tm->tm_gmtoff < 0 ? -tm->tm_gmtoff : tm->tm_gmtoff) / 60;

	(void)snprintf(text, size, "%c%02ld%s%02ld", tm->tm_gmtoff < 0 ? '-' : '+', minutes / 60,
	               colon, minutes % 60);
}

static void
put_token(char *text, size_t size, const struct token *t, const struct tm *tm, unsigned ms)
{
	if (t->words != NULL)
		(void)snprintf(text, size, "%.*s", t->digits, t->words[t->value(tm, ms)]);
	else if (t->value != NULL)
		(void)snprintf(text, size, "%0*d", t->digits, t->value(tm, ms));
	else if (t->name[0] == 'Z')
		put_zone(text, size, tm, t->name[1] == 'Z' ? "" : ":");
	else if (t->name[0] == 'A')
		(void)snprintf(text, size, "%s", tm->tm_hour < 12 ? "AM" : "PM");
	else
		(void)snprintf(text, size, "%s", tm->tm_hour < 12 ? "am" : "pm");
}

void
log_stamp_format(char *text, size_t size, const char *format, const struct tm *tm, unsigned ms)
{
	size_t used = 0;

	text[0] = '\0';
	while (*format != '\0' && used + 1 < size) {
		const struct token *t = find_token(format);
		const char *end = *format == '[' ? strchr(format, ']') : NULL;
		char piece[64];

		if (end != NULL) {
			used += (size_t)snprintf(text + used, size - used, "%.*s",
			                         (int)(end - format - 1), format + 1);
			format = end + 1;
		} else if (t != NULL) {
			put_token(piece, sizeof(piece), t, tm, ms);
			used += (size_t)snprintf(text + used, size - used, "%s", piece);
			format += strlen(t->name);
		} else {
			text[used++] = *format++;
			text[used] = '\0';
		}
	}
}
