/* listener: the HTTP listening socket: ours, or systemd's; handed to one proxy after the other. */
#include "supervisor/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "common/log.h"

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
	int fd = l->unix_path != NULL ? listen_unix(l->unix_path, l->text, err)
	                              : listen_tcp(l->host, &l->port, l->text, err);

	if (fd < 0)
		return fd;
	l->fd = fd;
	return 0;
}

int
listener_open(struct listener *l, const struct settings *s, struct err *err)
{
	*l = (struct listener){.fd = -1, .port = (int)s->port, .tls = s->tls_cert != NULL};
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
	if (l->standby != NULL)
		standby_stop(l->standby);
	return l->fd >= 0 ? 0 : bind_it(l, err);
}

void
listener_close(struct listener *l)
{
	if (l->from_systemd)
		return;
	if (l->fd >= 0 && l->unix_path != NULL)
		(void)unlink(l->unix_path); /* gone already is as good */
	auto_close_(&l->fd);
	l->fd = -1;
}

void
listener_shut(struct listener *l, uv_loop_t *loop)
{
	int r = 0;

	listener_close(l);
	if (!l->from_systemd || l->left)
		return;
	if (l->standby == NULL)
		r = standby_new(&l->standby, loop, l->fd, l->tls);
	if (r == 0)
		standby_start(l->standby);
	else
		log_warning("callers of systemd's socket have to wait: %s", strerror(-r));
}

void
listener_leave(struct listener *l)
{
	listener_close(l);
	l->left = true;
	if (l->standby != NULL)
		standby_close(l->standby);
	l->standby = NULL;
}

void
listener_fini(struct listener *l)
{
	listener_close(l);
	free(l->host);
	free(l->unix_path);
	*l = (struct listener){.fd = -1};
}
