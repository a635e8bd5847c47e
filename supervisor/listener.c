/* listener: the HTTP listening socket: ours, or systemd's; handed to one proxy after the other. */
#include "supervisor/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

/* The kernel cuts it to net.core.somaxconn; callers wait here while the proxy restarts. */
#define BACKLOG SOMAXCONN

static int
open_unix(struct listener *l, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t mask;
	int r;

	if (strlen(l->unix_path) >= sizeof(addr.sun_path))
		return err_set(err, -ENAMETOOLONG,
		               "CODEX_PROXY_LISTEN_UNIX: %s: longer than the %zu bytes of a unix "
		               "socket path",
		               l->unix_path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, l->unix_path, strlen(l->unix_path) + 1);
	AUTO_FD int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe < 0 || fd < 0)
		return err_set(err, -errno, "%s: %s", l->unix_path, strerror(errno));
	if (connect(probe, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return err_set(err, -EADDRINUSE, "%s: another program listens there", l->unix_path);
	if (errno == ECONNREFUSED)
		(void)unlink(l->unix_path); /* a stale one; bind says so if it stays */
	mask = umask(0117); /* owner and group: whoever may enter the folder's group */
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, BACKLOG) < 0 ? -errno
	                                                                                    : 0;
	(void)umask(mask); /* cannot fail */
	if (r < 0)
		return err_set(err, r, "cannot listen on %s: %s", l->unix_path, strerror(-r));
	l->fd = fd;
	fd = -1;
	(void)snprintf(l->text, sizeof(l->text), "unix://%s", l->unix_path);
	return 0;
}

static int
bound_port(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return -errno;
	if (addr.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&addr)->sin6_port);
	return ntohs(((struct sockaddr_in *)&addr)->sin_port);
}

static int
bind_one(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, r;

	if (fd < 0)
		return -errno;
	/* only lets us bind over connections of an earlier run that are still closing */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		r = -errno;
		(void)close(fd); /* nothing was written */
		return r;
	}
	return fd;
}

static int
open_tcp(struct listener *l, struct err *err)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
	                         .ai_socktype = SOCK_STREAM,
	                         .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *list;
	char port[16];
	int r;

	(void)snprintf(port, sizeof(port), "%d", l->port);
	r = getaddrinfo(l->host, port, &hints, &list);
	if (r != 0)
		return err_set(err, -EINVAL, "CODEX_PROXY_HOST: %s: %s", l->host, gai_strerror(r));
	r = -EADDRNOTAVAIL;
	for (struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
		r = bind_one(ai);
		if (r >= 0)
			break;
	}
	freeaddrinfo(list);
	if (r < 0)
		return err_set(err, r, "cannot listen on %s port %d: %s%s", l->host, l->port,
		               strerror(-r),
		               r == -EADDRINUSE ? " (is another copy running? CODEX_PROXY_PORT "
		                                  "chooses another port)"
		                                : "");
	l->fd = r;
	l->port = bound_port(r);
	(void)snprintf(l->text, sizeof(l->text),
	               strchr(l->host, ':') ? "http://[%s]:%d" : "http://%s:%d", l->host, l->port);
	return 0;
}

static int
take_from_systemd(struct listener *l)
{
	int n = sd_listen_fds(1); /* 1: our children get their own LISTEN_* or none */

	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (l->fd < 0 && sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0)
			l->fd = fd;
		else
			(void)close(fd); /* not for us: one listening socket is all we serve */
	}
	return l->fd;
}

static int
bind_it(struct listener *l, struct err *err)
{
	return l->unix_path != NULL ? open_unix(l, err) : open_tcp(l, err);
}

int
listener_open(struct listener *l, const struct settings *s, struct err *err)
{
	*l = (struct listener){.fd = -1, .port = (int)s->port};
	if (take_from_systemd(l) >= 0) {
		l->from_systemd = true;
		(void)snprintf(l->text, sizeof(l->text), "systemd's socket");
		return 0;
	}
	l->host = strdup(s->host);
	if (s->listen_unix != NULL)
		l->unix_path = strdup(s->listen_unix);
	if (l->host == NULL || (s->listen_unix != NULL && l->unix_path == NULL))
		return err_set(err, -ENOMEM, "out of memory");
	return bind_it(l, err);
}

int
listener_reopen(struct listener *l, struct err *err)
{
	return l->fd >= 0 ? 0 : bind_it(l, err);
}

void
listener_shut(struct listener *l)
{
	if (l->from_systemd)
		return;
	if (l->fd >= 0 && l->unix_path != NULL)
		(void)unlink(l->unix_path); /* gone already is as good */
	auto_close_(&l->fd);
	l->fd = -1;
}

void
listener_fini(struct listener *l)
{
	listener_shut(l);
	free(l->host);
	free(l->unix_path);
	*l = (struct listener){.fd = -1};
}
