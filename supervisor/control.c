/* control: what operators and the proxy may ask of a running supervisor (docs/control.md). */
#include "supervisor/control.h"

#include <errno.h>
#include <grp.h>
#include <string.h>

#include "common/control_server.h"
#include "common/log.h"
#include "supervisor/app_methods.h"
#include "supervisor/live.h"
#include "supervisor/params.h"

#define CONTROL_PROTOCOL 1

struct control {
	struct control_spec spec;
	struct control_server *server;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

typedef void (*method_fn)(struct control *c, struct control_request *req, json_t *params);

static void
do_version(struct control *c, struct control_request *req, json_t *params)
{
	if (params_only(req, params, NULL))
		control_reply(req, json_pack("{s:s, s:i}", "version", SIDECAR_VERSION, "protocol",
		                             CONTROL_PROTOCOL));
}

static void
do_status(struct control *c, struct control_request *req, json_t *params)
{
	if (params_only(req, params, NULL))
		control_reply(req, c->spec.status(c->spec.arg));
}

static void
do_shutdown(struct control *c, struct control_request *req, json_t *params)
{
	if (!params_only(req, params, NULL))
		return;
	control_reply(req, json_object());
	c->spec.shutdown(c->spec.arg);
}

static void
on_reloaded(void *arg, int code, const char *why)
{
	struct control_request *req = arg;

	if (code == 0)
		control_reply(req, json_object());
	else
		control_reply_error(req, CONTROL_FAILED, "%s", why);
}

static const struct {
	const char *name;
	method_fn fn;
} methods[] = {
	{"version",  do_version },
	{"status",   do_status  },
	{"shutdown", do_shutdown},
};

static void
on_request(void *arg, struct control_conn *conn, struct control_request *req, const char *method,
           json_t *params)
{
	struct control *c = arg;
	const struct app_methods apps = {c->spec.fleet, c->spec.roll, c->spec.wishes};

	/* of an app, it is one of the app methods */
	if (strcmp(method, "reload") == 0 && json_object_size(params) == 0) {
		c->spec.reload(c->spec.arg, on_reloaded, req);
		return;
	}
	for (size_t i = 0; i < NELEM(methods); i++) {
		if (strcmp(methods[i].name, method) == 0) {
			methods[i].fn(c, req, params);
			return;
		}
	}
	if (!live_request(conn, req, method, params) &&
	    !app_methods_request(&apps, req, method, params) &&
	    !proxy_link_request(fleet_link(c->spec.fleet), conn, req, method, params))
		control_reply_error(req, CONTROL_METHOD_NOT_FOUND, "no method %s", method);
}

static void
on_notification(void *arg, struct control_conn *conn, const char *method, json_t *params)
{
	struct control *c = arg;

	if (!fleet_notification(c->spec.fleet, conn, method, params))
		log_debug("control: notification %s ignored", method);
}

static void
on_conn_closed(void *arg, struct control_conn *conn)
{
	struct control *c = arg;

	live_closed(conn);
	proxy_link_closed(fleet_link(c->spec.fleet), conn);
}

int
control_new(struct control **out, const struct control_spec *spec, struct err *err)
{
	static const struct control_handlers handlers = {
		.on_request = on_request,
		.on_notification = on_notification,
		.on_closed = on_conn_closed,
	};
	struct control *c = calloc(1, sizeof(*c));
	gid_t gid = (gid_t)-1;
	int r;

	if (c == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	c->spec = *spec;
	if (spec->group != NULL) {
		const struct group *g = getgrnam(spec->group);

		if (g == NULL) {
			free(c);
			return err_set(err, -EINVAL, "CODEX_CONTROL_GROUP: no group %s",
			               spec->group);
		}
		gid = g->gr_gid;
	}
	r = control_server_new(&c->server, spec->loop, spec->path, gid, &handlers, c, err);
	if (r < 0) {
		free(c);
		return r;
	}
	*out = c;
	return 0;
}

static void
on_server_closed(void *arg)
{
	struct control *c = arg;
	void (*fn)(void *arg) = c->on_closed;
	void *fn_arg = c->on_closed_arg;

	free(c);
	live_fini();
	if (fn != NULL)
		fn(fn_arg);
}

void
control_close(struct control *c, void (*fn)(void *arg), void *arg)
{
	c->on_closed = fn;
	c->on_closed_arg = arg;
	control_server_close(c->server, on_server_closed, c);
}
