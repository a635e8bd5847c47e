/* tls: HTTPS, and its certificate read again when the files change.
 *
 * Each reading makes a vhost of its own: new connections are given to it, those that there are go
 * on with theirs, and files that do not fit together change nothing. The old vhosts go with the
 * context: a certificate is renewed a few times a year. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "proxy/http/internal.h"

/* Renewed certificates are put in place days before the old ones end. */
#define LOOK_MS 5000

/* Two of them differ when the file was written, or another one put in its place. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec written;
};

struct http_tls {
	struct http_server *server;
	char *paths[2]; /* certificate, key */
	struct stamp read[2];
	uv_timer_t look;
};

static int
take_stamps(const struct http_tls *t, struct stamp out[2], struct err *err)
{
	memset(out, 0, 2 * sizeof(*out)); /* they are compared as bytes */
	for (int i = 0; i < 2; i++) {
		struct stat st;

		/* libwebsockets would go on without a file that is not there. */
		if (stat(t->paths[i], &st) < 0 || access(t->paths[i], R_OK) < 0)
			return err_set(err, -errno, "%s: %s", t->paths[i], strerror(errno));
		out[i].dev = st.st_dev;
		out[i].ino = st.st_ino;
		out[i].size = st.st_size;
		out[i].written = st.st_mtim;
	}
	return 0;
}

static int
read_files(struct http_tls *t, struct err *err)
{
	struct lws_vhost *vhost = server_vhost(t->server, t->paths[0], t->paths[1]);

	if (vhost == NULL)
		return err_set(err, -EINVAL,
		               "%s, %s: not a certificate and its private key, in PEM form",
		               t->paths[0], t->paths[1]);
	t->server->vhost = vhost;
	return 0;
}

static void
on_look(uv_timer_t *timer)
{
	struct http_tls *t = timer->data;
	struct stamp stamps[2];
	struct err err = {.code = 0};

	/* One that is missing is being replaced: the next look will see it. */
	if (take_stamps(t, stamps, &err) < 0 || memcmp(stamps, t->read, sizeof(stamps)) == 0)
		return;
	memcpy(t->read, stamps, sizeof(stamps));
	if (read_files(t, &err) < 0)
		log_warning("TLS: %s; the certificate that was read before stays in use", err.text);
	else
		log_info("TLS: %s was read again", t->paths[0]);
}

static void
on_closed(uv_handle_t *handle)
{
	struct http_tls *t = handle->data;

	free(t->paths[0]);
	free(t->paths[1]);
	free(t);
}

void
tls_close(struct http_tls *t)
{
	if (t != NULL)
		uv_close((uv_handle_t *)&t->look, on_closed);
}

int
http_server_use_tls(struct http_server *s, const char *cert, const char *key, struct err *err)
{
	struct http_tls *t = calloc(1, sizeof(*t));
	int r;

	if (t == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	(void)uv_timer_init(s->loop, &t->look); /* cannot fail */
	t->look.data = t;
	t->server = s;
	s->tls = t; /* freed with the server */
	t->paths[0] = strdup(cert);
	t->paths[1] = strdup(key);
	if (t->paths[0] == NULL || t->paths[1] == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	r = take_stamps(t, t->read, err);
	if (r == 0)
		r = read_files(t, err);
	if (r == 0)
		(void)uv_timer_start(&t->look, on_look, LOOK_MS, LOOK_MS); /* an open handle */
	return r;
}
