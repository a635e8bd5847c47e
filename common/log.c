/* log: one line an event on stderr. */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define TEXT_MAX       (8192 + 256)      /* a whole line of a child, and what we say about it */
#define LINE_MAX_BYTES (2 * TEXT_MAX)    /* escaping makes it longer; what does not fit is cut */
#define FIELDS_MAX     2048              /* of the line, kept free for the fields */
#define PIECE_MAX      ((size_t)4 << 10) /* PIPE_BUF: a pipe that polls writable takes that much */
#define PATIENCE       100               /* ms to wait for a reader that lags behind ... */
#define PATIENCE_FOR   1000              /* ... altogether, in so many ms */

static struct {
	const char *program;
	enum log_level level;
	enum log_format format; /* never LOG_FORMAT_AUTO once ready */
	bool ready;
	bool stuck;         /* a line got lost: no more waiting until a write works */
	bool torn;          /* the last line was written in part */
	unsigned long lost; /* lines since the reader stopped */
	int64_t since_us;   /* PATIENCE counts from here */
	int64_t waited_us;  /* of it */
	bool no_socket;     /* stderr is none: send() need not be tried */
} log_state = {.program = "?", .level = LOG_LEVEL_INFO, .format = LOG_FORMAT_AUTO};

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

/* --- set-up --------------------------------------------------------------------------------- */

/* systemd.exec(5): JOURNAL_STREAM names the device and inode of the journal's end; it is inherited
 * by programs whose stderr has been redirected since, so both must match. */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t dev, ino;
	struct stat st;

	return stream != NULL && sscanf(stream, "%ju:%ju", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && (uintmax_t)st.st_dev == dev &&
	       (uintmax_t)st.st_ino == ino;
}

void
log_init(const char *program, enum log_level level, enum log_format format)
{
	int saved = errno;

	log_state.program = program;
	log_state.level = level;
	if (format == LOG_FORMAT_AUTO)
		format = stderr_is_journal()          ? LOG_FORMAT_JOURNAL
		         : isatty(STDERR_FILENO) != 0 ? LOG_FORMAT_HUMAN
		                                      : LOG_FORMAT_JSON;
	log_state.format = format;
	log_state.ready = true;
	errno = saved;
}

static int
find_name(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -EINVAL;
}

int
log_level_parse(enum log_level *out, const char *name)
{
	int i = find_name(level_names, NELEM(level_names), name);

	if (i < 0)
		return i;
	*out = (enum log_level)i;
	return 0;
}

enum log_level
log_level(void)
{
	return log_state.level;
}

/* --- a line --------------------------------------------------------------------------------- */

struct line {
	size_t len;
	size_t limit; /* appends that would go beyond it are left out */
	char data[LINE_MAX_BYTES];
};

static bool
put(struct line *l, const char *text, size_t len)
{
	if (len > l->limit - l->len)
		return false;
	memcpy(l->data + l->len, text, len);
	l->len += len;
	return true;
}

static bool
put_string(struct line *l, const char *text)
{
	return put(l, text, strlen(text));
}

/* Length of the printable UTF-8 character at s, 0 when it is broken or a control character. */
static size_t
character(const unsigned char *s)
{
	unsigned min, code;
	size_t len;

	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7F ? 1 : 0;
	if (s[0] >= 0xC2 && s[0] <= 0xDF) {
		len = 2, code = s[0] & 0x1F, min = 0xA0; /* below: C1 controls */
	} else if ((s[0] & 0xF0) == 0xE0) {
		len = 3, code = s[0] & 0x0F, min = 0x800;
	} else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
		len = 4, code = s[0] & 0x07, min = 0x10000;
	} else {
		return 0;
	}
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xC0) != 0x80) /* stops at the NUL too */
			return 0;
		code = code << 6 | (s[i] & 0x3F);
	}
	return code >= min && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF) ? len : 0;
}

/* One character of text, escaped where needed. Returns how many bytes of it were taken, 0 when the
 * line is full. */
static size_t
put_character(struct line *l, const unsigned char *s, bool json)
{
	size_t len = character(s);
	char escape[8];

	if (len == 1 && json && (s[0] == '"' || s[0] == '\\')) {
		(void)snprintf(escape, sizeof(escape), "\\%c", s[0]);
	} else if (len > 0) {
		return put(l, (const char *)s, len) ? len : 0;
	} else if (s[0] == '\n' || s[0] == '\t' || s[0] == '\r') {
		(void)snprintf(escape, sizeof(escape), "\\%c",
		               s[0] == '\n'   ? 'n'
		               : s[0] == '\t' ? 't'
		                              : 'r');
	} else if (json && s[0] < 0x20) {
		(void)snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)s[0]);
	} else { /* in JSON a text that shows the byte: JSON has no way to hold it */
		(void)snprintf(escape, sizeof(escape), "%s\\x%02x", json ? "\\" : "",
		               (unsigned)s[0]);
	}
	return put_string(l, escape) ? 1 : 0;
}

/* keep: bytes of the line to leave free behind it. */
static void
put_text(struct line *l, const char *text, size_t keep, bool json)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t limit = l->limit, taken;

	if (limit - l->len < keep + 3)
		return;
	l->limit = limit - keep - 3;
	while (*s != '\0' && (taken = put_character(l, s, json)) > 0)
		s += taken;
	l->limit = limit - keep;
	if (*s != '\0')
		(void)put_string(l, "..."); /* three bytes were kept for it */
	l->limit = limit;
}

static void
put_time(struct line *l, bool human)
{
	char text[64];
	struct timespec now;
	struct tm tm;
	size_t n;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
	if (human)
		(void)localtime_r(&now.tv_sec, &tm);
	else
		(void)gmtime_r(&now.tv_sec, &tm);
	n = strftime(text, sizeof(text), human ? "%H:%M:%S" : "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text + n, sizeof(text) - n, human ? ".%03ld" : ".%03ldZ",
	               now.tv_nsec / 1000000);
	(void)put_string(l, text);
}

static void
put_json_field(struct line *l, const struct log_field *f)
{
	size_t start = l->len;
	char number[24];

	if (!put_string(l, ",\"") || !put_string(l, f->key) || !put_string(l, "\":")) {
		l->len = start;
		return;
	}
	if (f->string == NULL) {
		(void)snprintf(number, sizeof(number), "%" PRId64, f->integer);
		if (!put_string(l, number))
			l->len = start;
		return;
	}
	if (!put_string(l, "\"")) {
		l->len = start;
		return;
	}
	put_text(l, f->string, 1, true);
	if (!put_string(l, "\""))
		l->len = start;
}

static void
put_plain_field(struct line *l, const struct log_field *f)
{
	char number[24];

	if (!put_string(l, " ") || !put_string(l, f->key) || !put_string(l, "="))
		return;
	(void)snprintf(number, sizeof(number), "%" PRId64, f->integer);
	put_text(l, f->string != NULL ? f->string : number, 0, false);
}

static void
put_head(struct line *l, enum log_level level)
{
	static const int priorities[] = {
		[LOG_LEVEL_ERROR] = 3,
		[LOG_LEVEL_WARNING] = 4,
		[LOG_LEVEL_INFO] = 6,
		[LOG_LEVEL_DEBUG] = 7,
	};
	char text[64];

	switch (log_state.format) {
	case LOG_FORMAT_AUTO:
	case LOG_FORMAT_JSON:
		(void)put_string(l, "{\"ts\":\"");
		put_time(l, false);
		(void)snprintf(text, sizeof(text), "\",\"level\":\"%s\",\"program\":\"",
		               level_names[level]);
		(void)put_string(l, text);
		put_text(l, log_state.program, FIELDS_MAX, true);
		(void)snprintf(text, sizeof(text), "\",\"pid\":%d,\"msg\":\"", (int)getpid());
		break;
	case LOG_FORMAT_HUMAN:
		put_time(l, true);
		(void)snprintf(text, sizeof(text), " %-7s ", level_names[level]);
		(void)put_string(l, text);
		put_text(l, log_state.program, FIELDS_MAX, false);
		(void)snprintf(text, sizeof(text), ": ");
		break;
	case LOG_FORMAT_JOURNAL:
		(void)snprintf(text, sizeof(text), "<%d>", priorities[level]);
		break;
	}
	(void)put_string(l, text);
}

static void
build(struct line *l, enum log_level level, const struct log_field *fields, size_t count,
      const char *text)
{
	bool json = log_state.format == LOG_FORMAT_JSON;

	l->len = 0;
	l->limit = sizeof(l->data) - 2; /* the end of a line always fits: "}\n" */
	put_head(l, level);
	put_text(l, text, FIELDS_MAX, json);
	if (json)
		(void)put_string(l, "\"");
	for (size_t i = 0; i < count; i++) {
		if (json)
			put_json_field(l, &fields[i]);
		else
			put_plain_field(l, &fields[i]);
	}
	l->limit = sizeof(l->data);
	(void)put_string(l, json ? "}\n" : "\n");
}

/* --- writing -------------------------------------------------------------------------------- */

static int64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool
poll_stderr(int timeout_ms)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	int r = poll(&p, 1, timeout_ms);

	return r > 0 || (r < 0 && errno == EINTR);
}

/* Waits until stderr takes bytes; with a reader known to be stuck it only looks. A slow one could
 * have us wait at every line: so the patience is for all lines together. */
static bool
wait_writable(void)
{
	int64_t start;
	bool yes;

	if (poll_stderr(0))
		return true;
	start = now_us();
	if (start - log_state.since_us >= (int64_t)PATIENCE_FOR * 1000) {
		log_state.since_us = start;
		log_state.waited_us = 0;
	}
	if (log_state.stuck || log_state.waited_us >= (int64_t)PATIENCE * 1000)
		return false;
	yes = poll_stderr((int)(PATIENCE - log_state.waited_us / 1000));
	log_state.waited_us += now_us() - start;
	return yes;
}

bool
log_is_held_up(void)
{
	int saved = errno, size = fcntl(STDERR_FILENO, F_GETPIPE_SZ), queued;
	bool yes;

	/* a pipe polls writable to its last page; a socket (unix(7)) only while it is quite empty
	 */
	if (size > 0 && ioctl(STDERR_FILENO, FIONREAD, &queued) == 0)
		yes = queued > size / 2;
	else
		yes = !poll_stderr(0);
	errno = saved;
	return yes;
}

/* How many of the bytes went out. A reader that stopped reading must not stop us: the answers to
 * our callers matter more than the words about them. */
static size_t
write_some(const char *data, size_t len)
{
	size_t done = 0;
	int retries = 0; /* poll and write never disagree for long, but who knows every driver */

	while (done < len && retries < 10) {
		size_t piece = len - done < PIECE_MAX ? len - done : PIECE_MAX;
		bool full = false;
		ssize_t n = -1;

		if (!log_state.no_socket) {
			n = send(STDERR_FILENO, data + done, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
			full = n < 0 && errno == EAGAIN;
			log_state.no_socket = n < 0 && errno == ENOTSOCK;
		}
		if (log_state.no_socket) {
			if (!wait_writable())
				break;
			n = write(STDERR_FILENO, data + done, piece);
		}
		if (full && !wait_writable())
			break;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			break;
		if (n < 0)
			retries++;
		else
			done += (size_t)n;
	}
	log_state.stuck = done < len;
	return done;
}

static void
emit(const struct line *l)
{
	char note[64];
	size_t done;
	int n;

	if (log_state.torn) {
		if (write_some("\n", 1) == 0) {
			log_state.lost++;
			return;
		}
		log_state.torn = false;
	}
	done = write_some(l->data, l->len);
	if (done < l->len) {
		log_state.torn = done > 0;
		log_state.lost++;
		return;
	}
	if (log_state.lost == 0)
		return;
	n = snprintf(note, sizeof(note), "%lu log lines were lost: nobody read them",
	             log_state.lost);
	log_state.lost = 0;
	if (n > 0)
		log_warning("%s", note);
}

static void log_line(enum log_level level, const struct log_field *fields, size_t count,
                     const char *fmt, va_list ap) PRINTF_LIKE(4, 0);

static void
log_line(enum log_level level, const struct log_field *fields, size_t count, const char *fmt,
         va_list ap)
{
	int saved = errno;
	char text[TEXT_MAX];
	struct line l;
	int n;

	if (!log_state.ready)
		log_init(log_state.program, log_state.level, log_state.format);
	if (level > log_state.level)
		return;
	errno = saved; /* for %m */
	n = vsnprintf(text, sizeof(text), fmt, ap);
	if (n < 0)
		(void)snprintf(text, sizeof(text), "%s", fmt);
	else if ((size_t)n >= sizeof(text))
		memcpy(text + sizeof(text) - sizeof("..."), "...", sizeof("..."));
	build(&l, level, fields, count, text);
	emit(&l);
	errno = saved;
}

void
log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_ERROR, NULL, 0, fmt, ap);
	va_end(ap);
}

void
log_warning(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_WARNING, NULL, 0, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_INFO, NULL, 0, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_DEBUG, NULL, 0, fmt, ap);
	va_end(ap);
}

void
log_fields(enum log_level level, const struct log_field *fields, size_t count, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(level, fields, count, fmt, ap);
	va_end(ap);
}
