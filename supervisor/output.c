/* output: what one run of an app writes to stdout and stderr, line by line into its log files or
 * into ours. */
#include "supervisor/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "supervisor/live.h"
#include "supervisor/log_sink.h"

#define LAST_WORDS_MAX   256        /* what fits into a reason in `status` */
#define READ_BUDGET      (64 << 10) /* bytes a stream may have at once: a flood starves nobody, ... */
#define TURN_MAX_NS      UINT64_C(5000000) /* ... and neither do short lines, which cost more */
#define LAST_READ_MAX    (1 << 20)         /* the largest pipe, without privileges */
#define LAST_READ_MAX_NS UINT64_C(500000000)
#define HELD_UP_MS       10   /* until our log is looked at again */
#define HELD_UP_MAX_MS   1000 /* so long the app waits for who does not read it */

struct stream {
	uv_poll_t poll;
	struct output *owner;
	int fd;          /* -1: ended */
	bool polled;     /* poll is open */
	bool waits;      /* for our log */
	size_t at, have; /* what is not cut into lines yet: chunk[at .. have] */
	char chunk[4096];
	size_t len;
	char line[OUTPUT_LINE_MAX + 1];
};

struct output {
	char *name;
	output_lift_fn lift;
	struct log_sink *sink;
	struct stream streams[2];
	uv_timer_t timer;          /* while a stream waits */
	uint64_t held_up_since_ms; /* 0: it is not */
	unsigned open;             /* handles that libuv still knows */
	void (*on_end)(void *arg);
	void *on_end_arg;
	bool closing;
	bool error_seen;
	char last_words[LAST_WORDS_MAX];
};

static void
keep_last_words(struct output *o, const char *text, enum output_stream which)
{
	bool error = strncmp(text, "Error", 5) == 0 || strncmp(text, "error", 5) == 0;

	if (which != OUTPUT_STDERR || text[0] == '\0' || (o->error_seen && !error))
		return;
	o->error_seen = error;
	(void)snprintf(o->last_words, sizeof(o->last_words), "%.*s", LAST_WORDS_MAX - 1, text);
}

static enum output_stream
which_of(const struct stream *s)
{
	return s == &s->owner->streams[OUTPUT_STDOUT] ? OUTPUT_STDOUT : OUTPUT_STDERR;
}

static uint64_t
wall_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
emit_line(struct stream *s)
{
	struct output *o = s->owner;
	enum output_stream which = which_of(s);
	struct output_line line = {.level = LOG_LEVEL_INFO, .text = s->line};
	struct log_field fields[] = {LOG_STR("app", o->name)};
	char lifted[OUTPUT_LINE_MAX];
	bool written;

	if (s->len > 0 && s->line[s->len - 1] == '\r')
		s->len--;
	for (char *nul; (nul = memchr(s->line, '\0', s->len)) != NULL;)
		*nul = ' '; /* or the rest of the line would be lost */
	s->line[s->len] = '\0';
	s->len = 0;
	/* before it is taken apart */
	written = o->sink != NULL && log_sink_line(o->sink, which, s->line, wall_ms());
	if (o->lift != NULL)
		o->lift(&line, lifted, sizeof(lifted));
	keep_last_words(o, line.text, which);
	if (line.text[0] == '\0')
		return;
	live_line(o->name, which, &line);
	if (!written)
		log_fields(line.level, fields, NELEM(fields), "%s", line.text);
}

/* Has the next line to wait for the reader of our log? */
static bool
is_held_up(const struct stream *s)
{
	struct output *o = s->owner;

	if ((o->sink != NULL && log_sink_takes(o->sink, which_of(s))) || !log_is_held_up()) {
		o->held_up_since_ms = 0;
		return false;
	}
	if (o->held_up_since_ms == 0)
		o->held_up_since_ms = uv_now(o->timer.loop);
	return uv_now(o->timer.loop) - o->held_up_since_ms < HELD_UP_MAX_MS;
}

/* Cuts the chunk into lines. False: the rest has to wait. */
static bool
take_chunk(struct stream *s, bool at_once)
{
	while (s->at < s->have) {
		char c = s->chunk[s->at];

		if (c == '\n' || s->len == OUTPUT_LINE_MAX) {
			if (!at_once && is_held_up(s))
				return false;
			emit_line(s);
		}
		if (c != '\n')
			s->line[s->len++] = c;
		s->at++;
	}
	return true;
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct output *o = handle->data;

	if (--o->open > 0)
		return;
	free(o->name);
	free(o);
}

static void
end_stream(struct stream *s)
{
	int fd = s->fd;

	if (fd < 0)
		return;
	(void)take_chunk(s, true); /* there is none, but after an error */
	if (s->len > 0)
		emit_line(s);
	s->fd = -1;
	/* Now, and before the file: the handle remembers the number, and takes whatever file has it
	 * when it is closed out of the loop. */
	if (s->polled)
		uv_close((uv_handle_t *)&s->poll, on_handle_closed);
	s->polled = false;
	auto_close_(&fd);
}

/* At most so many bytes, for so long. at_once: whether or not our log takes them. False: there is
 * more, but it has to wait. */
static bool
read_stream(struct stream *s, size_t max, uint64_t max_ns, bool at_once)
{
	uint64_t start = uv_hrtime();
	size_t total = 0;

	for (;;) {
		ssize_t n;

		if (!take_chunk(s, at_once))
			return false;
		s->at = s->have = 0;
		if (total >= max || uv_hrtime() - start >= max_ns)
			return true;
		n = read(s->fd, s->chunk, sizeof(s->chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0) {
			end_stream(s);
			return true;
		}
		s->have = (size_t)n;
		total += s->have;
	}
}

static void on_readable(uv_poll_t *handle, int status, int events);
static void on_timer(uv_timer_t *timer);

/* One turn. A stream that has to wait is left alone by the loop until the timer looks again. */
static void
serve(struct stream *s)
{
	struct output *o = s->owner;
	bool waits = s->fd >= 0 && !read_stream(s, READ_BUDGET, TURN_MAX_NS, false);

	if (waits == s->waits)
		return;
	s->waits = waits;
	if (waits) {
		(void)uv_poll_stop(&s->poll);                                      /* always 0 */
		(void)uv_timer_start(&o->timer, on_timer, HELD_UP_MS, HELD_UP_MS); /* not NULL */
		return;
	}
	if (s->fd >= 0)
		(void)uv_poll_start(&s->poll, UV_READABLE, on_readable); /* as it was before */
	if (!o->streams[0].waits && !o->streams[1].waits)
		(void)uv_timer_stop(&o->timer); /* always 0 */
}

static bool
ended(const struct output *o)
{
	return o->streams[0].fd < 0 && o->streams[1].fd < 0;
}

static void
tell_end(struct output *o)
{
	void (*fn)(void *arg) = o->on_end;

	if (!ended(o) || fn == NULL)
		return;
	o->on_end = NULL;
	fn(o->on_end_arg);
}

static void
on_readable(uv_poll_t *handle, int status, int events)
{
	struct output *o = handle->data;
	struct stream *s = &o->streams[handle == &o->streams[0].poll ? 0 : 1];

	if (status < 0)
		end_stream(s);
	else
		serve(s);
	tell_end(o);
}

static void
on_timer(uv_timer_t *timer)
{
	struct output *o = timer->data;

	for (int i = 0; i < 2; i++)
		if (o->streams[i].waits)
			serve(&o->streams[i]);
	tell_end(o);
}

int
output_new(struct output **out, uv_loop_t *loop, const struct output_spec *spec)
{
	struct output *o = calloc(1, sizeof(*o));
	int fds[2] = {spec->out_fd, spec->err_fd}, r = 0;

	if (o == NULL || (o->name = strdup(spec->name)) == NULL) {
		free(o);
		auto_close_(&fds[0]);
		auto_close_(&fds[1]);
		return -ENOMEM;
	}
	o->lift = spec->lift;
	o->sink = spec->sink;
	(void)uv_timer_init(loop, &o->timer); /* always 0 */
	o->timer.data = o;
	o->open = 1;
	for (int i = 0; i < 2; i++) {
		struct stream *s = &o->streams[i];

		s->owner = o;
		s->fd = fds[i];
	}
	for (int i = 0; i < 2 && r == 0; i++) {
		struct stream *s = &o->streams[i];

		r = uv_poll_init(loop, &s->poll, s->fd);
		if (r < 0)
			break;
		s->poll.data = o;
		s->polled = true;
		o->open++;
		r = uv_poll_start(&s->poll, UV_READABLE, on_readable);
	}
	if (r < 0) {
		output_close(o);
		return r;
	}
	*out = o;
	return 0;
}

void
output_on_end(struct output *o, void (*fn)(void *arg), void *arg)
{
	o->on_end = fn;
	o->on_end_arg = arg;
}

bool
output_drain(struct output *o)
{
	for (int i = 0; i < 2; i++)
		serve(&o->streams[i]);
	return ended(o);
}

const char *
output_last_words(const struct output *o)
{
	return o->last_words;
}

void
output_close(struct output *o)
{
	if (o->closing)
		return;
	o->closing = true;
	o->on_end = NULL;
	for (unsigned i = 0; i < 2; i++) {
		struct stream *s = &o->streams[i];

		if (s->polled)
			(void)read_stream(s, LAST_READ_MAX, LAST_READ_MAX_NS, true);
		end_stream(s);
	}
	uv_close((uv_handle_t *)&o->timer, on_handle_closed);
}
