/* dial: a stream socket that is connected. */
#include "proxy/codex/dial.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static void connect_next(struct dial *d);

static void
forget_addresses(struct dial *d)
{
	uv_freeaddrinfo(d->addresses); /* NULL is fine */
	d->addresses = d->next = NULL;
}

static void
on_closed(uv_handle_t *handle)
{
	struct dial *d = handle->data;

	d->open = false;
	if (!d->resolving)
		d->on_closed(d->arg);
}

static void
done(struct dial *d, int status)
{
	forget_addresses(d);
	d->on_done(d->arg, status);
}

/* The socket of an address that did not take it. */
static void
on_failed_closed(uv_handle_t *handle)
{
	struct dial *d = handle->data;

	d->open = false;
	if (d->closing)
		d->on_closed(d->arg);
	else
		connect_next(d);
}

static void
on_connect(uv_connect_t *connect, int status)
{
	struct dial *d = connect->data;

	if (d->closing)
		return;
	if (status == 0) {
		done(d, 0);
		return;
	}
	d->error = status;
	uv_close(&d->socket.handle, on_failed_closed);
}

/* Tries the next address. */
static void
connect_next(struct dial *d)
{
	struct addrinfo *address = d->next;
	int r;

	if (address == NULL) {
		done(d, d->error);
		return;
	}
	d->next = address->ai_next;
	(void)uv_tcp_init(d->loop, &d->socket.tcp); /* cannot fail without flags */
	d->open = true;
	d->socket.handle.data = d;
	(void)uv_tcp_nodelay(&d->socket.tcp, 1); /* kept until there is a socket */
	r = uv_tcp_connect(&d->connect, &d->socket.tcp, address->ai_addr, on_connect);
	if (r < 0) {
		d->error = r;
		uv_close(&d->socket.handle, on_failed_closed);
	}
}

static void
on_resolved(uv_getaddrinfo_t *resolver, int status, struct addrinfo *addresses)
{
	struct dial *d = resolver->data;

	d->resolving = false;
	d->addresses = d->next = addresses;
	if (d->closing) {
		forget_addresses(d);
		d->on_closed(d->arg);
	} else if (status < 0) {
		done(d, status);
	} else {
		connect_next(d);
	}
}

/* A name is asked for in a thread of libuv's: it may take its time. */
static int
dial_tcp(struct dial *d, const struct rpc_url *where)
{
	static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	char service[16];
	int r;

	(void)snprintf(service, sizeof(service), "%d", where->port);
	d->resolver.data = d;
	r = uv_getaddrinfo(d->loop, &d->resolver, on_resolved, where->address, service, &hints);
	d->resolving = r == 0;
	return r;
}

int
dial_start(struct dial *d, uv_loop_t *loop, const struct rpc_url *where,
           void (*on_done)(void *arg, int status), void *arg)
{
	memset(d, 0, sizeof(*d));
	d->loop = loop;
	d->on_done = on_done;
	d->arg = arg;
	d->connect.data = d;
	if (where->tcp)
		return dial_tcp(d, where);
	if (strlen(where->address) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;                 /* libuv would cut it */
	(void)uv_pipe_init(loop, &d->socket.pipe, 0); /* cannot fail */
	d->open = true;
	d->socket.handle.data = d;
	uv_pipe_connect(&d->connect, &d->socket.pipe, where->address, on_connect);
	return 0;
}

bool
dial_close(struct dial *d, void (*fn)(void *arg))
{
	d->closing = true;
	d->on_closed = fn;
	forget_addresses(d);
	if (d->resolving)
		(void)uv_cancel((uv_req_t *)&d->resolver); /* or it will end by itself */
	if (d->open && !uv_is_closing(&d->socket.handle))
		uv_close(&d->socket.handle, on_closed);
	return d->open || d->resolving;
}
