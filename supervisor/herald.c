/* herald: hears an app say that it is ready, by the ways that systemd and Node have for it. */
#include "supervisor/herald.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define MESSAGE_MAX 4096 /* of sd_notify: a few short lines */
#define READ_BUDGET 16   /* messages at once: an app that floods it starves nobody */

struct way {
	uv_poll_t poll;
	struct herald *owner;
	int fd; /* -1: none, or at its end */
};

struct herald {
	struct way notify, ipc;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	int child_fd;
	/* Node writes one JSON value a line; the only one that we know is short. */
	char line[16];
	size_t len;
	void (*fn)(void *arg); /* NULL: nobody holds it any more */
	void *arg;
	unsigned open; /* handles that libuv still knows */
};

static void
on_closed(uv_handle_t *handle)
{
	struct way *w = handle->data;
	struct herald *h = w->owner;

	if (--h->open == 0 && h->fn == NULL)
		free(h);
}

static void
end_way(struct way *w)
{
	int fd = w->fd;

	if (fd < 0)
		return;
	w->fd = -1;
	(void)uv_poll_stop(&w->poll); /* before close, or the loop polls another file */
	uv_close((uv_handle_t *)&w->poll, on_closed);
	auto_close_(&fd);
}

static void
tell(struct herald *h)
{
	if (h->fn != NULL)
		h->fn(h->arg);
}

/* --- sd_notify ------------------------------------------------------------------------------ */

static bool
says_ready(char *message)
{
	char *save = NULL;

	for (char *line = strtok_r(message, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save))
		if (strcmp(line, "READY=1") == 0)
			return true;
	return false;
}

static void
on_notify(uv_poll_t *handle, int status, int events)
{
	struct way *w = handle->data;
	char message[MESSAGE_MAX + 1];
	bool ready = false;
	ssize_t n;

	for (int i = 0; i < READ_BUDGET; i++) {
		n = recv(w->fd, message, MESSAGE_MAX, MSG_DONTWAIT);
		if (n < 0)
			break; /* no more of them; it cannot end */
		message[n] = '\0';
		ready = says_ready(message) || ready;
	}
	if (ready)
		tell(w->owner);
}

static int
open_notify(struct herald *h, const char *dir, struct err *err)
{
	static unsigned counter; /* a run that is on its way out may still have its own */
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTO_FD int fd = -1;

	if ((size_t)snprintf(h->path, sizeof(h->path), "%s/notify-%u.sock", dir, ++counter) >=
	    sizeof(h->path)) {
		h->path[0] = '\0';
		return err_set(err, -ENAMETOOLONG, "%s is too long for a notify socket", dir);
	}
	memcpy(addr.sun_path, h->path, strlen(h->path));
	(void)unlink(h->path); /* of a supervisor that was killed */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    chmod(h->path, 0600) < 0)
		return err_set(err, -errno, "%s: %s", h->path, strerror(errno));
	h->notify.fd = fd;
	fd = -1;
	return 0;
}

/* --- Node's channel ------------------------------------------------------------------------- */

static bool
take_byte(struct herald *h, char c)
{
	static const char ready[] = "\"ready\"";
	bool is_ready;

	if (c != '\n') {
		if (h->len < sizeof(h->line))
			h->line[h->len++] = c;
		return false;
	}
	is_ready = h->len == strlen(ready) && memcmp(h->line, ready, h->len) == 0;
	h->len = 0;
	return is_ready;
}

static void
on_ipc(uv_poll_t *handle, int status, int events)
{
	struct way *w = handle->data;
	char buf[1024];
	bool ready = false;

	for (int i = 0; i < READ_BUDGET; i++) {
		ssize_t n = read(w->fd, buf, sizeof(buf));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			end_way(w); /* it has closed it, or is gone */
			break;
		}
		for (ssize_t k = 0; k < n; k++)
			ready = take_byte(w->owner, buf[k]) || ready;
	}
	if (ready)
		tell(w->owner);
}

static int
open_ipc(struct herald *h, struct err *err)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return err_set(err, -errno, "socketpair: %s", strerror(errno));
	h->ipc.fd = fds[0];
	h->child_fd = fds[1];
	return 0;
}

/* --- life ----------------------------------------------------------------------------------- */

static int
watch(struct herald *h, uv_loop_t *loop, struct way *w, uv_poll_cb fn)
{
	int r;

	if (w->fd < 0)
		return 0;
	r = uv_poll_init(loop, &w->poll, w->fd);
	if (r < 0) {
		auto_close_(&w->fd);
		w->fd = -1;
		return r;
	}
	w->poll.data = w;
	h->open++;
	return uv_poll_start(&w->poll, UV_READABLE, fn);
}

int
herald_new(struct herald **out, uv_loop_t *loop, const char *dir, unsigned ways,
           void (*fn)(void *arg), void *arg, struct err *err)
{
	struct herald *h = calloc(1, sizeof(*h));
	int r = 0, watched;

	if (h == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	h->notify = h->ipc = (struct way){.owner = h, .fd = -1};
	h->child_fd = -1;
	h->fn = fn;
	h->arg = arg;
	if (ways & HERALD_NOTIFY)
		r = open_notify(h, dir, err);
	if (r == 0 && (ways & HERALD_IPC))
		r = open_ipc(h, err);
	watched = watch(h, loop, &h->notify, on_notify);
	if (watched == 0)
		watched = watch(h, loop, &h->ipc, on_ipc);
	if (r == 0 && watched < 0)
		r = err_set(err, watched, "%s", strerror(-watched));
	if (r < 0) {
		herald_close(h);
		return r;
	}
	*out = h;
	return 0;
}

const char *
herald_socket(const struct herald *h)
{
	return h->path[0] != '\0' ? h->path : NULL;
}

int
herald_child_fd(const struct herald *h)
{
	return h->child_fd;
}

void
herald_release_child_fd(struct herald *h)
{
	auto_close_(&h->child_fd);
	h->child_fd = -1;
}

void
herald_close(struct herald *h)
{
	h->fn = NULL;
	herald_release_child_fd(h);
	if (h->path[0] != '\0')
		(void)unlink(h->path); /* gone already is as good */
	if (h->open == 0) {
		free(h);
		return;
	}
	end_way(&h->notify);
	end_way(&h->ipc);
}
