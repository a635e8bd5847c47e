/* listen: opens the HTTP listening socket that the settings ask for. */
#include "common/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* The kernel cuts it to net.core.somaxconn; callers wait here while the proxy restarts. */
#define BACKLOG SOMAXCONN

/* 0: nothing is in the way, or no more. */
static int
clear_path(const struct sockaddr_un *addr, struct err *err)
{
	const char *path = addr->sun_path;
	struct stat st;
	/* not blocking: connecting to one with a full queue would wait for it */
	AUTO_FD int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (probe < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (lstat(path, &st) < 0)
		return 0; /* bind tells what is wrong, if anything is */
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, -EEXIST, "%s: exists, and is no socket", path);
	if (connect(probe, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN)
		return err_set(err, -EADDRINUSE, "%s: another program listens there", path);
	if (errno == ECONNREFUSED)
		(void)unlink(path); /* a stale one; bind says so if it stays */
	return 0;
}

int
listen_unix(const char *path, char text[static LISTEN_TEXT_MAX], struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t mask;
	int r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, -ENAMETOOLONG,
		               "CODEX_PROXY_LISTEN_UNIX: %s: longer than the %zu bytes of a unix "
		               "socket path",
		               path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	r = clear_path(&addr, err);
	if (r < 0)
		return r;
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	mask = umask(0117); /* owner and group: whoever may enter the folder's group */
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, BACKLOG) < 0 ? -errno
	                                                                                    : 0;
	(void)umask(mask); /* cannot fail */
	if (r < 0)
		return err_set(err, r, "cannot listen on %s: %s", path, strerror(-r));
	(void)snprintf(text, LISTEN_TEXT_MAX, "unix://%s", path);
	r = fd;
	fd = -1;
	return r;
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

int
listen_tcp(const char *host, int *port, char text[static LISTEN_TEXT_MAX], struct err *err)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
	                         .ai_socktype = SOCK_STREAM,
	                         .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *list;
	char number[16];
	int fd;

	(void)snprintf(number, sizeof(number), "%d", *port);
	fd = getaddrinfo(host, number, &hints, &list);
	if (fd != 0)
		return err_set(err, fd == EAI_MEMORY ? -ENOMEM : -EINVAL,
		               "CODEX_PROXY_HOST: %s: %s", host, gai_strerror(fd));
	fd = -EADDRNOTAVAIL;
	for (struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
		fd = bind_one(ai);
		if (fd >= 0)
			break;
	}
	freeaddrinfo(list);
	if (fd < 0)
		return err_set(err, fd, "cannot listen on %s port %d: %s%s", host, *port,
		               strerror(-fd),
		               fd == -EADDRINUSE ? " (is another copy running? CODEX_PROXY_PORT "
		                                   "chooses another port)"
		                                 : "");
	*port = bound_port(fd);
	(void)snprintf(text, LISTEN_TEXT_MAX, strchr(host, ':') ? "http://[%s]:%d" : "http://%s:%d",
	               host, *port);
	return fd;
}
