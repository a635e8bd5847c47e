/* log: one line an event on stderr; JSON, a form for people, or the journal's priority prefix. */
#ifndef SIDECAR_LOG_H
#define SIDECAR_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/common.h"

enum log_level {
	LOG_LEVEL_ERROR,   /* we stop, or lose work */
	LOG_LEVEL_WARNING, /* we go on, and the line says how */
	LOG_LEVEL_INFO,    /* state changes */
	LOG_LEVEL_DEBUG,
};

enum log_format {
	LOG_FORMAT_AUTO, /* journal under systemd (JOURNAL_STREAM), human on a terminal, else JSON
	                  */
	LOG_FORMAT_JSON,
	LOG_FORMAT_HUMAN,
	LOG_FORMAT_JOURNAL,
};

/* program: static string, shown in each line. May be called again. Never allocates, never fails. */
void log_init(const char *program, enum log_level level, enum log_format format);
/* 0 or -EINVAL; names: error warning info debug. */
int log_level_parse(enum log_level *out, const char *name) MUST_CHECK;
enum log_level log_level(void);

/* Does the reader of stderr lag behind? There is still room for a few lines; one that does not fit
 * waits for him, in all a tenth of the time, or is lost. Whoever has many lines, and can keep them,
 * asks before each: the room is for who cannot. */
bool log_is_held_up(void);

/* A field of a structured line. Exactly one of string/integer is shown: string when not NULL. */
struct log_field {
	const char *key; /* static, a plain identifier */
	const char *string;
	int64_t integer;
};

#define LOG_STR(k, v) ((struct log_field){.key = (k), .string = (v) != NULL ? (v) : ""})
#define LOG_INT(k, v) ((struct log_field){.key = (k), .integer = (int64_t)(v)})

/* All keep errno. Control characters and broken UTF-8 in the text are escaped. */
void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warning(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_fields(enum log_level level, const struct log_field *fields, size_t count, const char *fmt,
                ...) PRINTF_LIKE(4, 5);

#endif
