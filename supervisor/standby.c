/* standby: answers on systemd's listening socket while there is no proxy to do it: a fixed 503. */
#include "supervisor/standby.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

#define CALLERS_MAX 256 /* answered, and not closed yet */
#define AT_ONCE     64  /* then the loop looks after others */
/* Closed at once, or with something unread, one that still sends would see a reset, and not the
 * answer: so what it sends is read over, until it has gone. */
#define LINGER_MS   2000
#define LOOK_MS     20
#define LOOK_BYTES  ((size_t)256 << 10) /* of one caller, at one look */

static const char answer[] =
	"HTTP/1.1 503 Service Unavailable\r\n"
	"content-type: application/json\r\n"
	"content-length: 129\r\n"
	"retry-after: 5\r\n"
	"connection: close\r\n"
	"\r\n"
	"{\"error\":{\"message\":\"The service is not running at the moment.\","
	"\"type\":\"server_error\",\"param\":null,\"code\":\"backend_unavailable\"}}";

struct standby {
	int fd; /* the listener's */
	uv_poll_t poll;
	uv_timer_t timer; /* runs while there are callers */
	unsigned open;    /* handles that libuv still knows */
	bool tls, started;
	int callers[CALLERS_MAX]; /* the oldest one first */
	uint64_t until[CALLERS_MAX];
	size_t count;
};

static void
drop(struct standby *s, size_t i)
{
	(void)close(s->callers[i]); /* nothing is to be saved in it */
	s->count--;
	memmove(s->callers + i, s->callers + i + 1, (s->count - i) * sizeof(s->callers[0]));
	memmove(s->until + i, s->until + i + 1, (s->count - i) * sizeof(s->until[0]));
}

static bool
has_gone(int fd)
{
	char over[16 << 10];

	for (size_t total = 0; total < LOOK_BYTES;) {
		ssize_t n = recv(fd, over, sizeof(over), MSG_DONTWAIT);

		if (n <= 0)
			return n == 0 || (errno != EAGAIN && errno != EINTR);
		total += (size_t)n;
	}
	return false;
}

static void
on_timer(uv_timer_t *timer)
{
	struct standby *s = timer->data;
	uint64_t now = uv_now(timer->loop);

	for (size_t i = 0; i < s->count;) {
		if (s->until[i] <= now || has_gone(s->callers[i]))
			drop(s, i);
		else
			i++;
	}
	if (s->count == 0)
		(void)uv_timer_stop(timer); /* always 0 */
}

/* What a new connection's buffer does not take at once is a connection that is broken already. */
static void
answer_caller(struct standby *s, int fd)
{
	if (s->tls) {
		(void)close(fd);
		return;
	}
	(void)send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR); /* gone already is as good */
	if (s->count == CALLERS_MAX)
		drop(s, 0);
	s->callers[s->count] = fd;
	s->until[s->count++] = uv_now(s->poll.loop) + LINGER_MS;
	if (!uv_is_active((uv_handle_t *)&s->timer))
		(void)uv_timer_start(&s->timer, on_timer, LOOK_MS, LOOK_MS); /* not NULL */
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct standby *s = poll->data;

	for (int i = 0; i < AT_ONCE; i++) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return; /* nobody there any more; without descriptors, tried again */
		answer_caller(s, fd);
	}
}

void
standby_start(struct standby *s)
{
	if (s->started || uv_poll_start(&s->poll, UV_READABLE, on_poll) < 0)
		return; /* they wait, as they would without us */
	s->started = true;
	log_warning("there is no proxy: callers of systemd's socket are answered 503");
}

void
standby_stop(struct standby *s)
{
	(void)uv_poll_stop(&s->poll); /* cannot fail */
	s->started = false;
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct standby *s = handle->data;

	if (--s->open == 0)
		free(s);
}

void
standby_close(struct standby *s)
{
	while (s->count > 0)
		drop(s, s->count - 1);
	uv_close((uv_handle_t *)&s->poll, on_handle_closed);
	uv_close((uv_handle_t *)&s->timer, on_handle_closed);
}

int
standby_new(struct standby **out, uv_loop_t *loop, int fd, bool tls)
{
	struct standby *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	r = uv_poll_init(loop, &s->poll, fd);
	if (r < 0) {
		free(s);
		return r;
	}
	(void)uv_timer_init(loop, &s->timer); /* returns 0, always */
	s->poll.data = s->timer.data = s;
	s->open = 2;
	s->fd = fd;
	s->tls = tls;
	*out = s;
	return 0;
}
