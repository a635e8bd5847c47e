/* rpc_url: where an app-server listens. */
#include "proxy/codex/rpc_url.h"

#include <errno.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>

static int
parse_ws(struct rpc_url *u, const char *url, struct err *err)
{
	const char *scheme, *path;
	int n;

	if (lws_parse_uri(u->text, &scheme, &u->address, &u->port, &path) != 0 ||
	    u->address[0] == '\0' || u->port < 1 || u->port > 65535)
		return err_set(err, -EINVAL, "%s: not ws://HOST:PORT", url);
	n = snprintf(u->host, sizeof(u->host), strchr(u->address, ':') ? "[%s]:%d" : "%s:%d",
	             u->address, u->port);
	if (n < 0 || (size_t)n >= sizeof(u->host))
		return err_set(err, -EINVAL, "the host name of the app-server is too long");
	/* lws took the slash in front of the path; its byte is still there to be used again. */
	u->path = "/";
	if (*path != '\0' && *path != '/') {
		char *slash = u->text + (path - u->text) - 1;

		*slash = '/';
		u->path = slash;
	}
	u->tcp = true;
	return 0;
}

int
rpc_url_parse(struct rpc_url *out, const char *url, struct err *err)
{
	struct rpc_url u = {.text = strdup(url), .path = "/"};
	int r = 0;

	if (u.text == NULL)
		return err_set(err, -ENOMEM, "no memory");
	if (strncmp(url, "unix:///", 8) == 0) {
		u.address = u.text + 7;
		(void)snprintf(u.host, sizeof(u.host), "localhost");
	} else if (strncmp(url, "ws://", 5) == 0) {
		r = parse_ws(&u, url, err);
	} else {
		r = err_set(err, -EINVAL, "%s: not unix:///PATH or ws://HOST:PORT", url);
	}
	if (r < 0) {
		free(u.text);
		return r;
	}
	*out = u;
	return 0;
}

void
rpc_url_free(struct rpc_url *u)
{
	free(u->text);
	u->text = NULL;
}
