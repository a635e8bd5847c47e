/* capture: run a program once, with a deadline, and keep what it prints. */
#include "supervisor/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "supervisor/process.h"

#define LAST_WORDS_MAX 4096

struct stream {
	uv_pipe_t pipe;
	bool ended;
};

struct capture {
	struct reaper *reaper;
	struct process process;
	struct stream out, errs;
	uv_timer_t timer;
	unsigned open;
	int input_fd; /* our end of its stdin */
	bool (*enough)(const char *text, size_t len);
	size_t max_bytes;
	char *text;
	size_t len, cap;
	char words[LAST_WORDS_MAX];
	size_t words_len;
	bool reaped, settled, closing;
	int status;
	struct err err; /* code 0 and settled: it went well */
	capture_fn fn;
	void *arg;
	char chunk[16384];
};

static void
on_handle_closed(uv_handle_t *handle)
{
	struct capture *c = handle->data;

	if (--c->open > 0)
		return;
	auto_close_(&c->input_fd);
	c->fn(c->arg, c->err.code, c->text != NULL ? c->text : "", c->len, &c->err);
	free(c->text);
	free(c);
}

static void
close_all(struct capture *c)
{
	if (c->closing)
		return;
	c->closing = true;
	process_fini(&c->process);
	uv_close((uv_handle_t *)&c->out.pipe, on_handle_closed);
	uv_close((uv_handle_t *)&c->errs.pipe, on_handle_closed);
	uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}

/* The outcome is known; what is left is to see the process off. */
static void
settle(struct capture *c, int code, const char *why)
{
	if (c->settled)
		return;
	c->settled = true;
	if (code < 0)
		err_set(&c->err, code, "%s", why);
	process_signal_group(&c->process, SIGKILL);
	if (c->reaped)
		close_all(c);
}

/* "Error: ..." if it says so somewhere, else its last line. */
static const char *
last_words(struct capture *c)
{
	char *p = c->words, *end, *line;

	c->words[c->words_len] = '\0';
	while (c->words_len > 0 && c->words[c->words_len - 1] == '\n')
		c->words[--c->words_len] = '\0';
	line = strstr(p, "Error: ");
	if (line == NULL)
		line = strrchr(p, '\n') != NULL ? strrchr(p, '\n') + 1 : p;
	end = strchr(line, '\n');
	if (end != NULL)
		*end = '\0';
	return line;
}

static void
settle_if_over(struct capture *c)
{
	char how[64], why[ERR_TEXT_MAX];
	const char *words;

	if (c->settled) {
		if (c->reaped)
			close_all(c);
		return;
	}
	if (!c->reaped || !c->out.ended || !c->errs.ended)
		return;
	if (WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0 && c->enough == NULL) {
		settle(c, 0, NULL);
		return;
	}
	process_describe_status(how, sizeof(how), c->status);
	words = last_words(c);
	(void)snprintf(why, sizeof(why), "%s%s%.400s", how, words[0] != '\0' ? ": " : "", words);
	settle(c, -ECHILD, why);
}

static void
on_exit_(void *arg, int status)
{
	struct capture *c = arg;

	c->reaped = true;
	c->status = status;
	settle_if_over(c);
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct capture *c = handle->data;

	*buf = uv_buf_init(c->chunk, sizeof(c->chunk));
}

static int
keep(struct capture *c, const char *data, size_t len)
{
	if (c->len + len > c->max_bytes)
		return -EFBIG;
	if (c->len + len + 1 > c->cap) {
		size_t cap = 2 * (c->len + len + 1);
		char *more = realloc(c->text, cap);

		if (more == NULL)
			return -ENOMEM;
		c->text = more;
		c->cap = cap;
	}
	memcpy(c->text + c->len, data, len);
	c->len += len;
	c->text[c->len] = '\0';
	return 0;
}

static void
on_read(uv_stream_t *pipe, ssize_t nread, const uv_buf_t *buf)
{
	struct capture *c = pipe->data;
	bool is_out = pipe == (uv_stream_t *)&c->out.pipe;
	int r;

	if (nread == 0)
		return;
	if (nread < 0) {
		(void)uv_read_stop(pipe); /* always 0 */
		*(is_out ? &c->out.ended : &c->errs.ended) = true;
		settle_if_over(c);
		return;
	}
	if (!is_out) {
		size_t room = sizeof(c->words) - 1 - c->words_len;
		size_t n = (size_t)nread < room ? (size_t)nread : room;

		memcpy(c->words + c->words_len, buf->base, n);
		c->words_len += n;
		return;
	}
	r = keep(c, buf->base, (size_t)nread);
	if (r < 0)
		settle(c, r, r == -EFBIG ? "it prints more than it should" : "out of memory");
	else if (c->enough != NULL && c->enough(c->text, c->len))
		settle(c, 0, NULL);
}

static void
on_deadline(uv_timer_t *timer)
{
	settle(timer->data, -ETIMEDOUT, "no answer in time");
}

static int
open_stream(struct stream *s, int *fd)
{
	int r = uv_pipe_open(&s->pipe, *fd);

	if (r < 0)
		return r;
	*fd = -1; /* the handle's now */
	return uv_read_start((uv_stream_t *)&s->pipe, on_alloc, on_read);
}

static int
open_input(struct capture *c, const char *input, int *child_fd)
{
	int fds[2];

	if (input == NULL)
		return 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*child_fd = fds[0];
	c->input_fd = fds[1];
	if (write(fds[1], input, strlen(input)) != (ssize_t)strlen(input))
		return -EIO;
	return 0;
}

static void
free_unborn(struct capture *c)
{
	auto_close_(&c->input_fd);
	free(c);
}

int
capture_start(struct capture **out, uv_loop_t *loop, struct reaper *reaper,
              const struct capture_spec *spec, capture_fn fn, void *arg, struct err *err)
{
	struct capture *c = calloc(1, sizeof(*c));
	AUTO_FD int stdin_fd = -1;
	AUTO_FD int out_fd = -1;
	AUTO_FD int err_fd = -1;
	int r;

	if (c == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	c->input_fd = -1;
	c->reaper = reaper;
	c->enough = spec->enough;
	c->max_bytes = spec->max_bytes;
	c->fn = fn;
	c->arg = arg;
	c->process = (struct process){.pid = 0, .pidfd = -1};
	r = open_input(c, spec->input, &stdin_fd);
	if (r < 0) {
		free_unborn(c);
		return err_set(err, r, "%s: %s", spec->file, strerror(-r));
	}
	r = process_spawn(&c->process, &out_fd, &err_fd,
	                  &(struct process_spec){.file = spec->file,
	                                         .argv = (char *const *)(uintptr_t)spec->argv,
	                                         .envp = spec->envp,
	                                         .cwd = spec->cwd,
	                                         .stdin_fd = stdin_fd,
	                                         .listen_fd = -1,
	                                         .ipc_fd = -1},
	                  err);
	if (r == 0) {
		r = reaper_watch(reaper, c->process.pid, on_exit_, c);
		if (r < 0) /* killed, and reaped as an orphan */
			process_signal_group(&c->process, SIGKILL);
	}
	if (r < 0) {
		process_fini(&c->process);
		free_unborn(c);
		return err->code < 0 ? r : err_set(err, r, "%s: %s", spec->file, strerror(-r));
	}
	/* from here on there is one way out: fn, through close_all */
	(void)uv_timer_init(loop, &c->timer); /* these three always return 0 */
	(void)uv_pipe_init(loop, &c->out.pipe, 0);
	(void)uv_pipe_init(loop, &c->errs.pipe, 0);
	c->timer.data = c->out.pipe.data = c->errs.pipe.data = c;
	c->open = 3;
	(void)uv_timer_start(&c->timer, on_deadline, spec->deadline_ms, 0); /* not NULL */
	r = open_stream(&c->out, &out_fd);
	if (r == 0)
		r = open_stream(&c->errs, &err_fd);
	if (r < 0)
		settle(c, r, strerror(-r));
	*out = c;
	return 0;
}

void
capture_cancel(struct capture *c)
{
	settle(c, -ECANCELED, "stopped");
}
