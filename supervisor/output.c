/* output: what one run of an app writes to stdout and stderr, line by line into our log. */
#include "supervisor/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/live.h"

#define LAST_WORDS_MAX 256        /* what fits into a reason in `status` */
#define READ_BUDGET    (64 << 10) /* bytes a stream may have at once: a flood starves nobody */

struct stream {
	uv_poll_t poll;
	struct output *owner;
	int fd; /* -1: ended */
	size_t len;
	char line[OUTPUT_LINE_MAX + 1];
};

struct output {
	char *name;
	output_lift_fn lift;
	struct stream streams[2];
	unsigned open; /* handles that libuv still knows */
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

static void
emit_line(struct stream *s)
{
	struct output *o = s->owner;
	enum output_stream which = s == &o->streams[OUTPUT_STDOUT] ? OUTPUT_STDOUT : OUTPUT_STDERR;
	struct output_line line = {.level = LOG_LEVEL_INFO, .text = s->line};
	struct log_field fields[] = {LOG_STR("app", o->name)};
	char lifted[OUTPUT_LINE_MAX];

	if (s->len > 0 && s->line[s->len - 1] == '\r')
		s->len--;
	for (char *nul; (nul = memchr(s->line, '\0', s->len)) != NULL;)
		*nul = ' '; /* or the rest of the line would be lost */
	s->line[s->len] = '\0';
	s->len = 0;
	if (o->lift != NULL)
		o->lift(&line, lifted, sizeof(lifted));
	keep_last_words(o, line.text, which);
	if (line.text[0] == '\0')
		return;
	live_line(o->name, which, &line);
	log_fields(line.level, fields, NELEM(fields), "%s", line.text);
}

static void
take_bytes(struct stream *s, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n') {
			emit_line(s);
			continue;
		}
		if (s->len == OUTPUT_LINE_MAX)
			emit_line(s);
		s->line[s->len++] = data[i];
	}
}

static void
on_poll_closed(uv_handle_t *handle)
{
	struct stream *s = handle->data;
	struct output *o = s->owner;

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
	if (s->len > 0)
		emit_line(s);
	s->fd = -1;
	(void)uv_poll_stop(&s->poll); /* before close, or the loop polls another file */
	auto_close_(&fd);
}

static void
read_stream(struct stream *s)
{
	char buf[4096];
	ssize_t n;

	for (size_t total = 0; s->fd >= 0 && total < READ_BUDGET; total += (size_t)n) {
		n = read(s->fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR) {
			n = 0;
			continue;
		}
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			end_stream(s);
			return;
		}
		take_bytes(s, buf, (size_t)n);
	}
}

static bool
ended(const struct output *o)
{
	return o->streams[0].fd < 0 && o->streams[1].fd < 0;
}

static void
on_readable(uv_poll_t *handle, int status, int events)
{
	struct stream *s = handle->data;
	struct output *o = s->owner;
	void (*fn)(void *arg) = o->on_end;

	if (status < 0)
		end_stream(s);
	else
		read_stream(s);
	if (ended(o) && fn != NULL) {
		o->on_end = NULL;
		fn(o->on_end_arg);
	}
}

int
output_new(struct output **out, uv_loop_t *loop, const char *name, int out_fd, int err_fd,
           output_lift_fn lift)
{
	struct output *o = calloc(1, sizeof(*o));
	int fds[2] = {out_fd, err_fd}, r = 0;

	if (o == NULL || (o->name = strdup(name)) == NULL) {
		free(o);
		auto_close_(&out_fd);
		auto_close_(&err_fd);
		return -ENOMEM;
	}
	o->lift = lift;
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
		s->poll.data = s;
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
		read_stream(&o->streams[i]);
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
	unsigned opened = o->open;

	if (o->closing)
		return;
	o->closing = true;
	o->on_end = NULL;
	for (unsigned i = 0; i < 2; i++) {
		if (i < opened) {
			end_stream(&o->streams[i]);
			uv_close((uv_handle_t *)&o->streams[i].poll, on_poll_closed);
		} else {
			auto_close_(&o->streams[i].fd);
		}
	}
	if (opened == 0) {
		free(o->name);
		free(o);
	}
}
