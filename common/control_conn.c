/* control_conn: one control connection on a libuv loop. */
#include "common/control_conn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/control_calls.h"
#include "common/json.h"
#include "common/line.h"
#include "common/log.h"

#define READ_MAX   (2 << 10)  /* bytes at once, 32 times in a row: none holds up the others */
#define UNREAD_MAX (64 << 10) /* bytes of answers; with more its requests have to wait */
#define OWED_MAX   128        /* requests of one peer that wait for our answer */
#define PARTING_MS 500        /* for the last answers to reach a peer that we leave */

struct control_request {
	struct control_conn *conn; /* NULL: gone */
	json_t *id;
	struct control_request *prev, *next;
};

struct write {
	uv_write_t req;
	struct control_conn *conn;
	size_t len;
	char text[];
};

struct control_conn {
	uv_pipe_t pipe;
	uv_timer_t timer; /* the earliest of all deadlines */
	unsigned open;    /* handles that libuv still knows */
	uv_connect_t connect;
	void (*on_connected)(void *arg, struct control_conn *conn, int status);
	struct control_handlers handlers;
	void *arg;
	void *data;
	struct ucred peer;
	struct line_buf *line;
	size_t queued;                    /* bytes given to libuv and not yet written */
	struct control_request *requests; /* that we owe an answer */
	unsigned owed;
	struct control_call *calls;  /* that we wait for an answer to */
	uint64_t finish_deadline_ms; /* 0: not finishing */
	bool connected;
	bool closing;
	bool paused; /* not read from, until it has read its answers */
	bool kept;
	bool silent; /* never handed out: nobody to tell that it closed */
};

/* --- deadlines ------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer);

static void
arm_timer(struct control_conn *c)
{
	uint64_t first = control_calls_deadline(c->calls), now = uv_now(c->pipe.loop);

	if (c->closing)
		return;
	if (c->finish_deadline_ms != 0 && c->finish_deadline_ms < first)
		first = c->finish_deadline_ms;
	if (first == UINT64_MAX)
		(void)uv_timer_stop(&c->timer); /* cannot fail */
	else
		(void)uv_timer_start(&c->timer, on_timer, first > now ? first - now : 0, 0);
}

static uint64_t
deadline_after(const struct control_conn *c, uint64_t ms)
{
	uint64_t now = uv_now(c->pipe.loop);

	return ms < UINT64_MAX - 1 - now ? now + ms : UINT64_MAX - 1;
}

/* --- calls: we ask, the peer answers -------------------------------------------------------- */

static void
on_timer(uv_timer_t *timer)
{
	struct control_conn *c = timer->data;
	uint64_t now = uv_now(timer->loop);

	if (c->finish_deadline_ms != 0 && c->finish_deadline_ms <= now) {
		control_conn_close(c);
		return;
	}
	while (!c->closing && control_calls_expire_one(&c->calls, now))
		;
	arm_timer(c);
}

static void
take_answer(struct control_conn *c, const struct control_msg *msg)
{
	if (control_calls_answer(&c->calls, msg))
		arm_timer(c);
	else if (msg->kind == CONTROL_ERROR) /* it was late, or nobody waits for it */
		log_debug("control: pid %d answers: %s", (int)c->peer.pid, msg->message);
}

/* --- requests: the peer asks, we owe the answer --------------------------------------------- */

static void
detach_request(struct control_request *req)
{
	struct control_conn *c = req->conn;

	if (c == NULL)
		return;
	if (req->prev != NULL)
		req->prev->next = req->next;
	else
		c->requests = req->next;
	if (req->next != NULL)
		req->next->prev = req->prev;
	req->prev = req->next = NULL;
	req->conn = NULL;
	c->owed--;
}

static struct control_request *
new_request(struct control_conn *c, json_t *id)
{
	struct control_request *req = calloc(1, sizeof(*req));

	if (req == NULL)
		return NULL;
	req->conn = c;
	req->id = json_incref(id);
	req->next = c->requests;
	if (c->requests != NULL)
		c->requests->prev = req;
	c->requests = req;
	c->owed++;
	return req;
}

/* --- closing -------------------------------------------------------------------------------- */

/* The only place a connection is freed: its last handle has let go. */
static void
on_handle_closed(uv_handle_t *handle)
{
	struct control_conn *c = handle->data;

	if (--c->open > 0)
		return;
	while (c->requests != NULL)
		detach_request(c->requests);
	control_calls_disconnect(&c->calls);
	if (!c->silent && c->handlers.on_closed != NULL)
		c->handlers.on_closed(c->arg, c);
	line_buf_free(c->line);
	free(c);
}

void
control_conn_close(struct control_conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	uv_close((uv_handle_t *)&c->pipe, on_handle_closed);
	uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}

void
control_conn_finish(struct control_conn *c, uint64_t deadline_ms)
{
	if (c->closing)
		return;
	if (c->queued == 0) {
		control_conn_close(c);
		return;
	}
	(void)uv_read_stop((uv_stream_t *)&c->pipe); /* cannot fail */
	c->finish_deadline_ms = deadline_after(c, deadline_ms);
	arm_timer(c);
}

/* --- reading no faster than the peer does ---------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void
pause_reading(struct control_conn *c)
{
	if (c->closing || c->finish_deadline_ms != 0 || c->queued <= UNREAD_MAX)
		return;
	(void)uv_read_stop((uv_stream_t *)&c->pipe); /* cannot fail */
	c->paused = true;
}

static void
go_on_reading(struct control_conn *c)
{
	if (!c->paused || c->closing || c->finish_deadline_ms != 0 || c->queued > UNREAD_MAX / 2)
		return;
	c->paused = false;
	if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) < 0)
		control_conn_close(c);
}

/* --- writing -------------------------------------------------------------------------------- */

static void
on_written(uv_write_t *req, int status)
{
	struct write *w = req->data;
	struct control_conn *c = w->conn;

	c->queued -= w->len;
	free(w);
	if (status < 0 || (c->finish_deadline_ms != 0 && c->queued == 0))
		control_conn_close(c);
	else
		go_on_reading(c);
}

/* False when the line is too long to be sent, or there is no memory for it; the connection is
 * untouched then. text: freed here. */
static bool
send_line(struct control_conn *c, char *text, size_t len)
{
	AUTO_FREE char *owned = text;
	struct write *w;
	uv_buf_t buf;

	if (owned == NULL || len > CONTROL_LINE_MAX)
		return false;
	if (c->closing)
		return true; /* as if it had been lost on the way */
	if (c->queued + len > CONTROL_QUEUE_MAX) {
		log_warning("control: pid %d does not read what it is sent; connection closed",
		            (int)c->peer.pid);
		control_conn_close(c);
		return true;
	}
	w = malloc(sizeof(*w) + len);
	if (w == NULL)
		return false;
	*w = (struct write){.conn = c, .len = len};
	memcpy(w->text, owned, len);
	w->req.data = w;
	buf = uv_buf_init(w->text, (unsigned)len);
	if (uv_write(&w->req, (uv_stream_t *)&c->pipe, &buf, 1, on_written) < 0) {
		free(w);
		if (c->connected) /* else on_connect is about to tell why */
			control_conn_close(c);
		return true;
	}
	c->queued += len;
	return true;
}

void
control_call(struct control_conn *c, const char *method, json_t *params, uint64_t timeout_ms,
             control_answer_fn answer, void *arg)
{
	json_auto_t *owned = params;
	json_auto_t *id = control_call_id();
	struct control_call *call = NULL;
	size_t len = 0;
	char *text;

	if (answer != NULL) {
		call = control_calls_add(&c->calls, id, deadline_after(c, timeout_ms), answer, arg);
		if (call == NULL) {
			answer(arg, NULL, CONTROL_INTERNAL_ERROR, "out of memory");
			return;
		}
	}
	text = control_format_request(id, method, owned, &len);
	if (!send_line(c, text, len) && call != NULL)
		control_call_unsent(call);
	arm_timer(c);
}

void
control_notify(struct control_conn *c, const char *method, json_t *params)
{
	json_auto_t *owned = params;
	size_t len = 0;
	char *text = control_format_notification(method, owned, &len);

	if (send_line(c, text, len))
		return;
	log_warning("control: %s: could not be sent", method);
	if (text == NULL || len <= CONTROL_LINE_MAX)
		control_conn_close(c); /* its picture would be wrong: let it ask again */
}

static void
send_error(struct control_conn *c, json_t *id, int code, const char *message)
{
	size_t len = 0;
	char *text = control_format_error(id, code, message, &len);

	if (send_line(c, text, len))
		return;
	log_warning("control: an error answer could not be sent; connection closed");
	control_conn_close(c);
}

static void
free_request(struct control_request *req)
{
	detach_request(req);
	json_decref(req->id);
	free(req);
}

void
control_reply(struct control_request *req, json_t *result)
{
	json_auto_t *owned = result;
	size_t len = 0;
	char *text;

	if (req->conn != NULL) {
		/* NULL: building it failed; a null result would look like success */
		text = owned != NULL ? control_format_result(req->id, owned, &len) : NULL;
		if (!send_line(req->conn, text, len))
			send_error(req->conn, req->id, CONTROL_INTERNAL_ERROR,
			           len > CONTROL_LINE_MAX ? "the answer is too long for a line"
			                                  : "the answer could not be built");
	}
	free_request(req);
}

void
control_reply_error(struct control_request *req, int code, const char *fmt, ...)
{
	char text[2 * ERR_TEXT_MAX];
	struct err err;
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	(void)err_set(&err, code, "%s", text); /* cuts it between characters */
	if (req->conn != NULL)
		send_error(req->conn, req->id, code, err.text);
	free_request(req);
}

/* --- reading -------------------------------------------------------------------------------- */

static void
take_request(struct control_conn *c, const struct control_msg *msg)
{
	struct control_request *req;

	if (c->owed >= OWED_MAX) {
		send_error(c, msg->id, CONTROL_FAILED, "too many requests at once");
		return;
	}
	req = new_request(c, msg->id);
	if (req == NULL)
		send_error(c, msg->id, CONTROL_INTERNAL_ERROR, "out of memory");
	else if (c->handlers.on_request == NULL)
		control_reply_error(req, CONTROL_METHOD_NOT_FOUND, "no method %s", msg->method);
	else
		c->handlers.on_request(c->arg, c, req, msg->method, msg->params);
}

static void
dispatch(struct control_conn *c, const struct control_msg *msg)
{
	switch (msg->kind) {
	case CONTROL_REQUEST:
		take_request(c, msg);
		return;
	case CONTROL_NOTIFICATION:
		if (c->handlers.on_notification != NULL)
			c->handlers.on_notification(c->arg, c, msg->method, msg->params);
		return;
	case CONTROL_RESULT:
	case CONTROL_ERROR:
		take_answer(c, msg);
		return;
	}
}

static int
on_line(void *arg, char *line, size_t len)
{
	struct control_conn *c = arg;
	struct err err = {.code = 0};
	struct control_msg msg;
	int r = control_parse(&msg, line, len, &err);

	if (r == 0)
		dispatch(c, &msg);
	else if (r == CONTROL_INTERNAL_ERROR) /* who waits for what is not known */
		control_conn_close(c);
	else /* the id of a wrong answer is one of ours, and no business of the peer's */
		send_error(c, json_object_get(msg.root, "method") != NULL ? msg.id : NULL, r,
		           err.text);
	control_msg_fini(&msg);
	return c->closing || c->finish_deadline_ms != 0 ? -ECANCELED : 0;
}

static char read_space[READ_MAX]; /* used up within one callback, so one is enough for all */

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	*buf = uv_buf_init(read_space, sizeof(read_space));
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct control_conn *c = stream->data;
	int r;

	if (n == 0)
		return;
	if (n < 0) { /* a peer that only closed its side still gets what was answered */
		control_conn_finish(c, PARTING_MS);
		return;
	}
	r = line_buf_feed(c->line, buf->base, (size_t)n, on_line, c);
	if (r == 0)
		pause_reading(c);
	if (r == 0 || c->closing)
		return;
	if (r == -EMSGSIZE) {
		log_warning("control: pid %d sent a line over %zu bytes; connection closed",
		            (int)c->peer.pid, CONTROL_LINE_MAX);
		send_error(c, NULL, CONTROL_PARSE_ERROR, "line too long");
	}
	control_conn_finish(c, PARTING_MS);
}

/* --- opening -------------------------------------------------------------------------------- */

static int
conn_new(struct control_conn **out, uv_loop_t *loop, const struct control_handlers *handlers,
         void *arg)
{
	struct control_conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->line = line_buf_new(CONTROL_LINE_MAX);
	if (c->line == NULL) {
		free(c);
		return -ENOMEM;
	}
	c->handlers = *handlers;
	c->arg = arg;
	c->peer = (struct ucred){.pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1};
	/* both return 0, always */
	(void)uv_pipe_init(loop, &c->pipe, 0);
	(void)uv_timer_init(loop, &c->timer);
	c->pipe.data = c->timer.data = c;
	c->open = 2;
	*out = c;
	return 0;
}

static int
start_reading(struct control_conn *c)
{
	socklen_t len = sizeof(c->peer);
	uv_os_fd_t fd;
	int r = uv_fileno((uv_handle_t *)&c->pipe, &fd);

	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->peer, &len) < 0)
		return -errno;
	c->connected = true;
	return uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
}

int
control_conn_accept(struct control_conn **out, uv_stream_t *listener,
                    const struct control_handlers *handlers, void *arg)
{
	struct control_conn *c;
	int r = conn_new(&c, listener->loop, handlers, arg);

	if (r < 0)
		return r;
	r = uv_accept(listener, (uv_stream_t *)&c->pipe);
	if (r == 0)
		r = start_reading(c);
	if (r < 0) {
		c->silent = true;
		control_conn_close(c);
		return r;
	}
	*out = c;
	return 0;
}

static void
on_connect(uv_connect_t *req, int status)
{
	struct control_conn *c = req->data;

	if (status == 0 && !c->closing)
		status = start_reading(c);
	if (c->on_connected != NULL)
		c->on_connected(c->arg, c, status);
	if (status < 0)
		control_conn_close(c);
}

int
control_conn_connect(struct control_conn **out, uv_loop_t *loop, const char *path,
                     void (*on_connected)(void *arg, struct control_conn *conn, int status),
                     const struct control_handlers *handlers, void *arg)
{
	struct control_conn *c;
	int r;

	/* libuv would cut it, and connect to something else */
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return -ENAMETOOLONG;
	r = conn_new(&c, loop, handlers, arg);
	if (r < 0)
		return r;
	c->on_connected = on_connected;
	c->connect.data = c;
	uv_pipe_connect(&c->connect, &c->pipe, path, on_connect);
	*out = c;
	return 0;
}

/* --- who is there --------------------------------------------------------------------------- */

pid_t
control_conn_peer_pid(const struct control_conn *c)
{
	return c->peer.pid;
}

uid_t
control_conn_peer_uid(const struct control_conn *c)
{
	return c->peer.uid;
}

bool
control_conn_peer_in_group(const struct control_conn *c, gid_t gid)
{
	gid_t groups[1024]; /* more than any login has; a longer list counts as not in it */
	socklen_t len = sizeof(groups);
	uv_os_fd_t fd;

	if (c->peer.gid == gid)
		return true;
	if (uv_fileno((const uv_handle_t *)&c->pipe, &fd) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

void
control_conn_keep(struct control_conn *c)
{
	c->kept = true;
}

bool
control_conn_is_idle(const struct control_conn *c)
{
	return !c->closing && !c->kept && c->owed == 0;
}

void *
control_conn_data(const struct control_conn *c)
{
	return c->data;
}

void
control_conn_set_data(struct control_conn *c, void *data)
{
	c->data = data;
}
