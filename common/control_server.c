/* control_server: the listening control socket. */
#include "common/control_server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/log.h"

#define BACKLOG 64

/* One byte is for the name under which it is made. */
#define CONTROL_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 2)
#define PARTING_MS       500  /* for answers on their way when the server closes */
#define LOOK_MS          5000 /* is the file still there? */

struct control_server {
	uv_pipe_t listeners[2]; /* the second one: when the file was gone, and is made again */
	unsigned current;
	bool listening[2]; /* these handles are open */
	uv_timer_t look;
	bool looking;       /* this one too */
	uv_pipe_t unwanted; /* takes a connection for which there is no memory */
	bool refusing;      /* this one too */
	bool refuse_more;
	char *path;
	dev_t dev; /* of the socket file that we made */
	ino_t ino;
	gid_t gid;
	struct control_handlers handlers;
	void *arg;
	/* the oldest one first; as many again may be about to close */
	struct control_conn *conns[2 * CONTROL_CLIENTS_MAX];
	size_t count; /* of conns */
	size_t open;  /* connections not yet freed, refused ones too */
	bool closing;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* --- the socket file ------------------------------------------------------------------------ */

/* 0: nobody answers there and nothing is in the way. */
static int
clear_path(const struct sockaddr_un *addr, struct err *err)
{
	const char *path = addr->sun_path;
	AUTO_FD int fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, -EEXIST, "%s: exists and is no socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, -errno, "socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN)
		return err_set(err, -EADDRINUSE, "%s: somebody else listens there", path);
	if (errno == ENOENT)
		return 0;
	if (errno != ECONNREFUSED)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* Under another name first: who sees the file is answered, and not refused because it was a moment
 * too early. */
static int
bind_socket(int *out, const char *path, gid_t gid, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t before;
	int r;

	if (fd < 0)
		return err_set(err, -errno, "socket: %s", strerror(errno));
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s~", path); /* it fits */
	(void)unlink(addr.sun_path); /* of one that was killed in here; else bind will tell */
	before = umask(0177);        /* never open to others, not for a moment either */
	r = bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	(void)umask(before); /* cannot fail */
	if (r < 0)
		return err_set(err, r, "%s: %s", path, strerror(-r));
	if (gid != (gid_t)-1 &&
	    (chown(addr.sun_path, (uid_t)-1, gid) < 0 || chmod(addr.sun_path, 0660) < 0))
		r = err_set(err, -errno, "%s: cannot be given to group %u: %s", path, (unsigned)gid,
		            strerror(errno));
	else if (listen(fd, BACKLOG) < 0 || rename(addr.sun_path, path) < 0)
		r = err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (r < 0) {
		(void)unlink(addr.sun_path); /* the first error is the one to tell */
		return r;
	}
	*out = fd;
	fd = -1;
	return 0;
}

/* Only the file that we made: another program may have taken the name since. */
static void
remove_file(const struct control_server *s)
{
	struct stat st;

	if (lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		(void)unlink(s->path); /* a stale socket is replaced at the next start */
}

/* --- connections ---------------------------------------------------------------------------- */

static void
end_if_all_gone(struct control_server *s)
{
	if (!s->closing || s->listening[0] || s->listening[1] || s->looking || s->refusing ||
	    s->open > 0)
		return;
	if (s->on_closed != NULL)
		s->on_closed(s->on_closed_arg);
	free(s->path);
	free(s);
}

static void
on_request(void *arg, struct control_conn *conn, struct control_request *req, const char *method,
           json_t *params)
{
	struct control_server *s = arg;

	if (s->handlers.on_request != NULL)
		s->handlers.on_request(s->arg, conn, req, method, params);
	else
		control_reply_error(req, CONTROL_METHOD_NOT_FOUND, "no method %s", method);
}

static void
on_notification(void *arg, struct control_conn *conn, const char *method, json_t *params)
{
	struct control_server *s = arg;

	if (s->handlers.on_notification != NULL)
		s->handlers.on_notification(s->arg, conn, method, params);
}

static void
on_conn_closed(void *arg, struct control_conn *conn)
{
	struct control_server *s = arg;
	size_t i = 0;

	while (i < s->count && s->conns[i] != conn)
		i++;
	if (i < s->count) { /* else it was refused, and nobody knows of it */
		s->count--;
		memmove(s->conns + i, s->conns + i + 1,
		        (s->count - i) * sizeof(struct control_conn *));
		if (s->handlers.on_closed != NULL)
			s->handlers.on_closed(s->arg, conn);
	}
	s->open--;
	end_if_all_gone(s);
}

static bool
may_connect(const struct control_server *s, const struct control_conn *conn)
{
	uid_t uid = control_conn_peer_uid(conn);

	return uid == geteuid() || uid == 0 ||
	       (s->gid != (gid_t)-1 && control_conn_peer_in_group(conn, s->gid));
}

/* Those who only hold on to a connection shall not keep the others out. */
static bool
is_room(struct control_server *s)
{
	if (s->count < CONTROL_CLIENTS_MAX)
		return true;
	for (size_t i = 0; i < s->count && s->count < NELEM(s->conns); i++) {
		if (!control_conn_is_idle(s->conns[i]))
			continue;
		log_warning("control: pid %d asks nothing, and makes room: %d connections already",
		            (int)control_conn_peer_pid(s->conns[i]), CONTROL_CLIENTS_MAX);
		control_conn_close(s->conns[i]);
		return true;
	}
	return false;
}

static void refuse(struct control_server *s);

static void
on_refused(uv_handle_t *handle)
{
	struct control_server *s = handle->data;

	s->refusing = false;
	if (s->refuse_more && !s->closing)
		refuse(s);
	end_if_all_gone(s);
}

/* libuv hears no other connection before this one has been taken. */
static void
refuse(struct control_server *s)
{
	uv_stream_t *listener = (uv_stream_t *)&s->listeners[s->current];

	s->refuse_more = s->refusing;
	if (s->refusing)
		return;
	s->refusing = true;
	(void)uv_pipe_init(listener->loop, &s->unwanted, 0); /* returns 0, always */
	s->unwanted.data = s;
	(void)uv_accept(listener, (uv_stream_t *)&s->unwanted); /* or it has gone */
	uv_close((uv_handle_t *)&s->unwanted, on_refused);
}

static void
on_connection(uv_stream_t *listener, int status)
{
	static const struct control_handlers handlers = {
		.on_request = on_request,
		.on_notification = on_notification,
		.on_closed = on_conn_closed,
	};
	struct control_server *s = listener->data;
	struct control_conn *conn;
	int r = status < 0 ? status : control_conn_accept(&conn, listener, &handlers, s);

	if (r < 0) {
		log_warning("control: accept: %s", strerror(-r));
		if (status == 0)
			refuse(s);
		return;
	}
	s->open++;
	if (!may_connect(s, conn)) {
		log_warning("control: pid %d of user %u refused", (int)control_conn_peer_pid(conn),
		            (unsigned)control_conn_peer_uid(conn));
		control_conn_close(conn);
	} else if (!is_room(s)) {
		log_warning("control: pid %d refused: %d connections already",
		            (int)control_conn_peer_pid(conn), CONTROL_CLIENTS_MAX);
		control_conn_close(conn);
	} else {
		s->conns[s->count++] = conn;
	}
}

/* --- the server ----------------------------------------------------------------------------- */

static void
on_listener_closed(uv_handle_t *handle)
{
	struct control_server *s = handle->data;

	s->listening[handle == (uv_handle_t *)&s->listeners[1]] = false;
	end_if_all_gone(s);
}

static void
on_look_closed(uv_handle_t *handle)
{
	struct control_server *s = handle->data;

	s->looking = false;
	end_if_all_gone(s);
}

void
control_server_close(struct control_server *s, void (*fn)(void *arg), void *arg)
{
	if (fn != NULL) {
		s->on_closed = fn;
		s->on_closed_arg = arg;
	}
	if (s->closing)
		return;
	s->closing = true;
	remove_file(s);
	uv_close((uv_handle_t *)&s->listeners[s->current], on_listener_closed);
	uv_close((uv_handle_t *)&s->look, on_look_closed);
	for (size_t i = 0; i < s->count; i++)
		control_conn_finish(s->conns[i], PARTING_MS);
}

/* fd: taken over. On failure too the handle is open, and the current one. */
static int
start_listening(struct control_server *s, unsigned which, uv_loop_t *loop, int fd, struct err *err)
{
	uv_pipe_t *listener = &s->listeners[which];
	struct stat st;
	int r;

	(void)uv_pipe_init(loop, listener, 0); /* returns 0, always */
	listener->data = s;
	s->listening[which] = true;
	s->current = which;
	if (lstat(s->path, &st) == 0) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
	r = uv_pipe_open(listener, fd);
	if (r < 0)
		(void)close(fd); /* nothing was written to it */
	else
		r = uv_listen((uv_stream_t *)listener, BACKLOG, on_connection);
	return r < 0 ? err_set(err, r, "%s: %s", s->path, strerror(-r)) : 0;
}

/* Somebody has tidied up: nobody could reach us any more. Another program that has taken the name
 * keeps it. */
static void
on_look(uv_timer_t *timer)
{
	struct control_server *s = timer->data;
	unsigned old = s->current;
	struct err err = {.code = 0};
	struct stat st;
	int fd = -1;

	if (lstat(s->path, &st) == 0 || errno != ENOENT || s->listening[1 - old])
		return;
	if (bind_socket(&fd, s->path, s->gid, &err) < 0) {
		log_warning("control: %s; again in %d s", err.text, LOOK_MS / 1000);
		return;
	}
	if (start_listening(s, 1 - old, timer->loop, fd, &err) < 0) {
		log_warning("control: %s; again in %d s", err.text, LOOK_MS / 1000);
		remove_file(s);
	} else {
		log_warning("control: %s was gone, and is there again", s->path);
	}
	uv_close((uv_handle_t *)&s->listeners[old], on_listener_closed);
}

int
control_server_new(struct control_server **out, uv_loop_t *loop, const char *path, gid_t gid,
                   const struct control_handlers *handlers, void *arg, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct control_server *s;
	int fd = -1, r;

	if (strlen(path) > CONTROL_PATH_MAX)
		return err_set(err, -ENAMETOOLONG, "%s: longer than the %zu bytes of a socket path",
		               path, CONTROL_PATH_MAX);
	memcpy(addr.sun_path, path, strlen(path));
	r = clear_path(&addr, err);
	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	s->path = strdup(path);
	s->gid = gid;
	s->handlers = *handlers;
	s->arg = arg;
	r = s->path == NULL ? err_set(err, -ENOMEM, "out of memory")
	                    : bind_socket(&fd, path, gid, err);
	if (r < 0) {
		free(s->path);
		free(s);
		return r;
	}
	r = start_listening(s, 0, loop, fd, err);
	(void)uv_timer_init(loop, &s->look); /* cannot fail, nor can what is done with it */
	s->look.data = s;
	s->looking = true;
	(void)uv_timer_start(&s->look, on_look, LOOK_MS, LOOK_MS);
	uv_unref((uv_handle_t *)&s->look);
	if (r < 0) {
		control_server_close(s, NULL, NULL); /* the loop frees it */
		return r;
	}
	*out = s;
	return 0;
}
