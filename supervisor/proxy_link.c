/* proxy_link: what the supervisor and its codex-proxy say to each other on the control socket. */
#include "supervisor/proxy_link.h"

#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "supervisor/params.h"

/* The answer to `drain` may come this much after the deadline that the proxy was given. */
#define DRAIN_GRACE_MS 500
#define FIGURE_MAX     1000000000 /* requests and the like of one proxy */

void
proxy_link_init(struct proxy_link *l, const struct proxy_link_hooks *hooks, void *arg)
{
	*l = (struct proxy_link){.hooks = *hooks, .arg = arg};
}

static int
side_of(const struct proxy_link *l, const struct control_conn *conn)
{
	return l->hooks.side_of(l->arg, control_conn_peer_pid(conn));
}

static json_t *
login_to_json(const struct proxy_link *l)
{
	return json_pack("{s:o}", "expires_at",
	                 l->login_expires_at > 0 ? json_integer(l->login_expires_at) : json_null());
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
	result = json_pack("{s:o, s:o}", "backends", l->hooks.backends(l->arg), "login",
	                   login_to_json(l));
	if (result == NULL) {
		control_reply_error(req, CONTROL_INTERNAL_ERROR, "out of memory");
		return;
	}
	l->sides[side_of(l, conn)].conn =
		conn; /* an older connection of it, if any, is as good as gone */
	control_conn_keep(conn);
	control_reply(req, result);
}

bool
proxy_link_request(struct proxy_link *l, struct control_conn *conn, struct control_request *req,
                   const char *method, json_t *params)
{
	if (strcmp(method, "proxy/hello") != 0)
		return false;
	if (side_of(l, conn) >= 0)
		answer_hello(l, conn, req, params);
	else
		control_reply_error(req, CONTROL_NOT_ALLOWED,
		                    "only the codex-proxy that this supervisor runs may say that");
	return true;
}

/* Whatever it says, a sum of such figures is one that makes sense. */
static int64_t
figure(const json_t *object, const char *key)
{
	int64_t n = json_get_int(object, key, 0);

	return n < 0 ? 0 : n > FIGURE_MAX ? FIGURE_MAX : n;
}

static void
take_stats(struct proxy_link *l, int side, const json_t *params)
{
	l->sides[side].in_flight = figure(params, "in_flight");
	l->sides[side].queued = figure(params, "queued");
	l->sides[side].threads = figure(params, "threads");
}

bool
proxy_link_notification(struct proxy_link *l, struct control_conn *conn, const char *method,
                        json_t *params)
{
	bool ready = strcmp(method, "proxy/ready") == 0;
	bool stats = strcmp(method, "proxy/stats") == 0;
	bool failed = strcmp(method, "backend/failed") == 0;
	int side = side_of(l, conn);

	if (!ready && !stats && !failed)
		return false;
	if (side < 0) {
		log_warning("%s from pid %d, which is no proxy of ours: ignored", method,
		            (int)control_conn_peer_pid(conn));
		return true;
	}
	if (stats)
		take_stats(l, side, params);
	if (ready) {
		bool yes = json_get_bool(params, "ready", false);
		const char *why = json_get_string(params, "reason");
		const char *needs = json_get_string(params, "needs");

		l->hooks.on_ready(l->arg, side, yes,
		                  yes           ? NULL
		                  : why != NULL ? why
		                                : "not ready",
		                  !yes && needs != NULL && strcmp(needs, "login") == 0);
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
	for (int i = 0; i < 2; i++) {
		if (l->sides[i].conn != conn)
			continue;
		l->sides[i].conn = NULL;
		l->sides[i].in_flight = l->sides[i].queued = l->sides[i].threads = 0;
	}
}

/* params: reference taken over. */
static void
notify_all(struct proxy_link *l, const char *method, json_t *params)
{
	for (int i = 0; i < 2; i++)
		if (l->sides[i].conn != NULL)
			control_notify(l->sides[i].conn, method, json_incref(params));
	json_decref(params);
}

/* The same, for news that the proxies must not miss. Without memory for it they are made to connect
 * again: the answer to their hello is the whole picture. */
static void
tell_all(struct proxy_link *l, const char *method, json_t *params)
{
	if (params != NULL) {
		notify_all(l, method, params);
		return;
	}
	log_warning("control: out of memory for %s: connections of the proxy are closed", method);
	for (int i = 0; i < 2; i++)
		if (l->sides[i].conn != NULL)
			control_conn_close(l->sides[i].conn);
}

void
proxy_link_backend_up(struct proxy_link *l, int id, const char *url, unsigned generation)
{
	tell_all(l, "backend/up",
	         json_pack("{s:i, s:s, s:i}", "id", id, "url", url, "generation", (int)generation));
}

void
proxy_link_backend_down(struct proxy_link *l, int id, const char *reason, int64_t next_retry_ms)
{
	json_t *retry = next_retry_ms < 0 ? json_null() : json_integer(next_retry_ms);

	tell_all(l, "backend/down",
	         json_pack("{s:i, s:s, s:o}", "id", id, "reason", reason, "next_retry_ms", retry));
}

void
proxy_link_backend_gone(struct proxy_link *l, int id)
{
	tell_all(l, "backend/gone", json_pack("{s:i}", "id", id));
}

void
proxy_link_login(struct proxy_link *l, int64_t expires_at)
{
	if (l->login_expires_at == expires_at)
		return;
	l->login_expires_at = expires_at;
	notify_all(l, "login/changed", login_to_json(l));
}

void
proxy_link_reload(struct proxy_link *l)
{
	notify_all(l, "reload", NULL);
}

/* --- draining ------------------------------------------------------------------------------- */

struct drain {
	proxy_drained_fn fn;
	void *arg;
	int64_t left;     /* the sum of all answers */
	unsigned waiting; /* for so many more; and one while it is being asked */
};

static void
answered(struct drain *d)
{
	if (--d->waiting > 0)
		return;
	d->fn(d->arg, d->left);
	free(d);
}

static void
on_drained(void *arg, json_t *result, int code, const char *message)
{
	struct drain *d = arg;
	int64_t left = figure(result, "in_flight");

	if (result == NULL && code != CONTROL_DISCONNECTED)
		log_warning("draining: %s", message);
	else if (left > 0)
		log_warning("%lld requests were still running at the drain deadline",
		            (long long)left);
	d->left += left;
	answered(d);
}

/* params: reference taken over. */
static void
ask_to_drain(struct drain *d, struct control_conn *conn, const char *method, json_t *params,
             uint64_t deadline_ms)
{
	if (conn == NULL) {
		json_decref(params);
		return; /* SIGTERM makes it drain too */
	}
	d->waiting++;
	control_call(conn, method, params, deadline_ms + DRAIN_GRACE_MS, on_drained, d);
}

static struct drain *
new_drain(proxy_drained_fn fn, void *arg)
{
	struct drain *d = malloc(sizeof(*d));

	if (d == NULL)
		fn(arg, 0);
	else
		*d = (struct drain){.fn = fn, .arg = arg, .waiting = 1};
	return d;
}

void
proxy_link_drain(struct proxy_link *l, int side, uint64_t deadline_ms, uint64_t delay_ms,
                 proxy_drained_fn fn, void *arg)
{
	struct drain *d = new_drain(fn, arg);
	json_t *params;

	if (d == NULL)
		return;
	params = json_pack("{s:I}", "deadline_ms", (json_int_t)deadline_ms);
	if (delay_ms > 0)
		(void)json_object_set_new(params, "delay_ms", json_integer((json_int_t)delay_ms));
	ask_to_drain(d, l->sides[side].conn, "drain", params, deadline_ms);
	answered(d);
}

void
proxy_link_backend_drain(struct proxy_link *l, int id, uint64_t deadline_ms, proxy_drained_fn fn,
                         void *arg)
{
	struct drain *d = new_drain(fn, arg);

	if (d == NULL)
		return;
	for (int i = 0; i < 2; i++)
		ask_to_drain(
			d, l->sides[i].conn, "backend/drain",
			json_pack("{s:i, s:I}", "id", id, "deadline_ms", (json_int_t)deadline_ms),
			deadline_ms);
	answered(d);
}

json_t *
proxy_link_to_json(const struct proxy_link *l)
{
	int64_t in_flight = 0, queued = 0, threads = 0;

	if (l->sides[0].conn == NULL && l->sides[1].conn == NULL)
		return json_null();
	for (int i = 0; i < 2; i++) {
		in_flight += l->sides[i].in_flight;
		queued += l->sides[i].queued;
		threads += l->sides[i].threads;
	}
	return json_pack("{s:I, s:I, s:I}", "in_flight", (json_int_t)in_flight, "queued",
	                 (json_int_t)queued, "threads", (json_int_t)threads);
}
