/* log_stamp: a time in front of a log line, in the format language of PM2's log_date_format. Pure.
 */
#ifndef SIDECAR_LOG_STAMP_H
#define SIDECAR_LOG_STAMP_H

#include <stddef.h>
#include <time.h>

/* YYYY YY MMMM MMM MM M DD D dddd ddd d HH H hh h mm m ss s SSS A a ZZ Z, [text as it is], and
 * everything else as it is. Cut when it does not fit; always ends with NUL. */
void
log_stamp_format(char *text, size_t size, const char *format, const struct tm *tm, unsigned ms);

#endif
