/* rpc_url: where an app-server listens: unix:///PATH or ws://HOST:PORT[/PATH]. Pure. */
#ifndef SIDECAR_PROXY_CODEX_RPC_URL_H
#define SIDECAR_PROXY_CODEX_RPC_URL_H

#include <stdbool.h>

#include "common/common.h"
#include "common/err.h"

struct rpc_url {
	char *text;          /* owned; address and path point into it */
	const char *address; /* a host, or the path of a unix socket */
	const char *path;    /* of the request, with its slash */
	char host[300];      /* the Host header */
	int port;            /* 0 for a unix socket */
	bool tcp;
};

/* 0, -EINVAL or -ENOMEM; only after 0 there is something to free. */
int rpc_url_parse(struct rpc_url *out, const char *url, struct err *err) MUST_CHECK;
void rpc_url_free(struct rpc_url *u);

#endif
