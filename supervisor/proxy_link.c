/* proxy_link: what the supervisor and its codex-proxy say to each other on the control socket. */
#include "supervisor/proxy_link.h"

#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "supervisor/params.h"

/* The answer to `drain` may come this much after the deadline that the proxy was given. */
#define DRAIN_GRACE_MS 500

void
proxy_link_init(struct proxy_link *l, const struct proxy_link_hooks *hooks, void *arg)
{
	*l = (struct proxy_link){.hooks = *hooks, .arg = arg};
}

static bool
is_ours(const struct proxy_link *l, const struct control_conn *conn)
{
	return l->hooks.is_proxy(l->arg, control_conn_peer_pid(conn));
}

static void
answer_hello(struct proxy_link *l, struct control_conn *conn, struct control_request *req,
             json_t *params)
{
	static const char *const allowed[] = {"protocol", "pid", "generation", NULL};
	json_t *result;

	if (!params_only(req, params, allowed))
		return;
	if (json_get_int(params, "protocol", 0) != PROXY_PROTOCOL) {
		control_reply_error(req, CONTROL_INVALID_PARAMS,
		                    "protocol: this supervisor speaks %d", PROXY_PROTOCOL);
		return;
	}
	result = json_pack("{s:o}", "backends", l->hooks.backends(l->arg));
	if (result == NULL) {
		control_reply_error(req, CONTROL_INTERNAL_ERROR, "out of memory");
		return;
	}
	l->conn = conn; /* an older connection of it, if any, is as good as gone */
	control_reply(req, result);
}

bool
proxy_link_request(struct proxy_link *l, struct control_conn *conn, struct control_request *req,
                   const char *method, json_t *params)
{
	if (strcmp(method, "proxy/hello") != 0)
		return false;
	if (is_ours(l, conn))
		answer_hello(l, conn, req, params);
	else
		control_reply_error(req, CONTROL_NOT_ALLOWED,
		                    "only the codex-proxy that this supervisor runs may say that");
	return true;
}

static void
take_stats(struct proxy_link *l, const json_t *params)
{
	l->in_flight = json_get_int(params, "in_flight", l->in_flight);
	l->queued = json_get_int(params, "queued", l->queued);
	l->threads = json_get_int(params, "threads", l->threads);
}

bool
proxy_link_notification(struct proxy_link *l, struct control_conn *conn, const char *method,
                        json_t *params)
{
	bool ready = strcmp(method, "proxy/ready") == 0;
	bool stats = strcmp(method, "proxy/stats") == 0;
	bool failed = strcmp(method, "backend/failed") == 0;

	if (!ready && !stats && !failed)
		return false;
	if (!is_ours(l, conn)) {
		log_warning("%s from pid %d, which is no proxy of ours: ignored", method,
		            (int)control_conn_peer_pid(conn));
		return true;
	}
	if (stats)
		take_stats(l, params);
	if (ready) {
		bool yes = json_get_bool(params, "ready", false);
		const char *why = json_get_string(params, "reason");

		l->hooks.on_ready(l->arg, yes, yes ? NULL : why != NULL ? why : "not ready");
	}
	if (failed)
		l->hooks.on_backend_failed(l->arg, (int)json_get_int(params, "id", -1),
		                           (unsigned)json_get_int(params, "generation", 0),
		                           json_get_string(params, "kind"),
		                           json_get_string(params, "message"));
	return true;
}

void
proxy_link_closed(struct proxy_link *l, struct control_conn *conn)
{
	if (l->conn != conn)
		return;
	l->conn = NULL;
	l->in_flight = l->queued = l->threads = 0;
}

void
proxy_link_backend_up(struct proxy_link *l, int id, const char *url, unsigned generation)
{
	if (l->conn != NULL)
		control_notify(l->conn, "backend/up",
		               json_pack("{s:i, s:s, s:i}", "id", id, "url", url, "generation",
		                         (int)generation));
}

void
proxy_link_backend_down(struct proxy_link *l, int id, const char *reason, int64_t next_retry_ms)
{
	json_t *retry = next_retry_ms < 0 ? json_null() : json_integer(next_retry_ms);

	if (l->conn != NULL)
		control_notify(l->conn, "backend/down",
		               json_pack("{s:i, s:s, s:o}", "id", id, "reason", reason,
		                         "next_retry_ms", retry));
	else
		json_decref(retry);
}

struct drain {
	void (*fn)(void *arg);
	void *arg;
};

static void
on_drained(void *arg, json_t *result, int code, const char *message)
{
	struct drain *d = arg;

	if (result == NULL)
		log_warning("draining the proxy: %s", message);
	else if (json_get_int(result, "in_flight", 0) > 0)
		log_warning("the proxy still had %lld requests at the drain deadline",
		            (long long)json_get_int(result, "in_flight", 0));
	d->fn(d->arg);
	free(d);
}

void
proxy_link_drain(struct proxy_link *l, uint64_t deadline_ms, void (*fn)(void *arg), void *arg)
{
	struct drain *d = l->conn != NULL ? malloc(sizeof(*d)) : NULL;

	if (d == NULL) {
		fn(arg); /* SIGTERM makes it drain too */
		return;
	}
	*d = (struct drain){fn, arg};
	control_call(l->conn, "drain", json_pack("{s:I}", "deadline_ms", (json_int_t)deadline_ms),
	             deadline_ms + DRAIN_GRACE_MS, on_drained, d);
}

json_t *
proxy_link_to_json(const struct proxy_link *l)
{
	if (l->conn == NULL)
		return json_null();
	return json_pack("{s:I, s:I, s:I}", "in_flight", (json_int_t)l->in_flight, "queued",
	                 (json_int_t)l->queued, "threads", (json_int_t)l->threads);
}
