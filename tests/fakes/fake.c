/* fake: the listening socket, the signals and the orderly end of a fake server. */
#include "tests/fakes/fake.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

void
fake_die_with_parent(void)
{
	pid_t parent = getppid();

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		err(70, "prctl");
	if (getppid() != parent)
		exit(70); /* it died before the call */
}

static int
listen_unix(struct fake *f, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		errx(64, "socket path too long: %s", path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	memcpy(f->unix_path, path, strlen(path) + 1);
	(void)unlink(path); /* a leftover of a killed run; bind tells if it cannot go */
	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		err(70, "%s", path);
	(void)snprintf(f->url, sizeof(f->url), "unix://%s", path);
	return fd;
}

static int
listen_tcp(struct fake *f, const char *where, const char *scheme)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	const char *colon = strrchr(where, ':');
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	socklen_t len = sizeof(addr);
	char *end;
	long port;

	if (colon == NULL || strncmp(where, "127.0.0.1:", 10) != 0)
		errx(64, "want 127.0.0.1:PORT, not %s", where);
	port = strtol(colon + 1, &end, 10);
	if (end == colon + 1 || *end != '\0' || port < 0 || port > 65535)
		errx(64, "bad port in %s", where);
	addr.sin_port = htons((uint16_t)port);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
		err(70, "%s", where);
	(void)snprintf(f->url, sizeof(f->url), "%s127.0.0.1:%u", scheme, ntohs(addr.sin_port));
	return fd;
}

static void
on_acceptable(uv_poll_t *poll, int status, int events)
{
	struct fake *f = poll->data;
	int one = 1;

	for (int i = 0; i < 64; i++) {
		int fd = accept4(f->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		/* Fails on a unix socket, where nothing delays. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		(void)lws_adopt_socket_vhost(f->vhost, fd); /* closes fd itself on failure */
	}
}

static void
stop(struct fake *f)
{
	if (f->stopping)
		return;
	f->stopping = true;
	uv_close((uv_handle_t *)&f->accepting, NULL);
	uv_close((uv_handle_t *)&f->terminate, NULL);
	uv_close((uv_handle_t *)&f->interrupt, NULL);
	if (f->on_stop != NULL)
		f->on_stop(f);
	lws_context_destroy(f->ctx); /* only begins it: closes every connection */
}

static void
on_signal(uv_signal_t *handle, int number)
{
	stop(handle->data);
}

static void
emit(int level, const char *line)
{
	(void)fputs(line, stderr);
}

void
fake_open(struct fake *f, const char *listen_on, const struct lws_protocols *protocols)
{
	void *loops[] = {&f->loop};
	struct lws_context_creation_info info = {
		.protocols = protocols,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.foreign_loops = loops,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
		.pt_serv_buf_size = 65536,
		.max_http_header_data = 32768,
		.timeout_secs = 30,
		.fd_limit_per_thread = 4096,
	};
	struct lws_context_creation_info vhost = {
		.vhost_name = "fake",
		.protocols = protocols,
		.keepalive_timeout = 120, /* longer than any client keeps an idle connection */
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
	};

	if (uv_loop_init(&f->loop) != 0)
		errx(70, "no event loop");
	lws_set_log_level(LLL_ERR, emit);
	f->ctx = lws_create_context(&info);
	f->vhost = f->ctx != NULL ? lws_create_vhost(f->ctx, &vhost) : NULL;
	if (f->vhost == NULL)
		errx(70, "no libwebsockets context");
	if (strncmp(listen_on, "unix://", 7) == 0)
		f->listen_fd = listen_unix(f, listen_on + 7);
	else if (strncmp(listen_on, "ws://", 5) == 0)
		f->listen_fd = listen_tcp(f, listen_on + 5, "ws://");
	else
		f->listen_fd = listen_tcp(f, listen_on, "");
	if (listen(f->listen_fd, 1024) != 0)
		err(70, "listen");
	f->accepting.data = f->terminate.data = f->interrupt.data = f;
	if (uv_poll_init(&f->loop, &f->accepting, f->listen_fd) != 0 ||
	    uv_poll_start(&f->accepting, UV_READABLE, on_acceptable) != 0 ||
	    uv_signal_init(&f->loop, &f->terminate) != 0 ||
	    uv_signal_start(&f->terminate, on_signal, SIGTERM) != 0 ||
	    uv_signal_init(&f->loop, &f->interrupt) != 0 ||
	    uv_signal_start(&f->interrupt, on_signal, SIGINT) != 0)
		errx(70, "cannot watch the listening socket");
	(void)printf("listening on %s\n", f->url);
	(void)fflush(stdout);
}

FILE *
fake_record(const char *name)
{
	FILE *file = strcmp(name, "-") == 0 ? stdout : fopen(name, "ae");

	if (file == NULL)
		err(70, "%s", name);
	return file;
}

int
fake_run(struct fake *f)
{
	(void)uv_run(&f->loop, UV_RUN_DEFAULT); /* returns once every handle is closed */
	(void)close(f->listen_fd);
	if (f->unix_path[0] != '\0')
		(void)unlink(f->unix_path); /* maybe somebody was faster */
	lws_context_destroy(f->ctx);        /* now it is freed */
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&f->loop) != 0) {
		warnx("a handle was left open");
		return 70;
	}
	return 0;
}
