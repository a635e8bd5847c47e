/* supervisor_link: the proxy's end of the control socket. */
#include "proxy/supervisor_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/json.h"
#include "common/log.h"

#define PROTOCOL          1
#define HELLO_TIMEOUT_MS  5000
#define RECONNECT_BASE_MS 100
#define RECONNECT_MAX_MS  5000
#define STATS_INTERVAL_MS 100
/* 64 instances at most, and another process of each while it is replaced */
#define BACKENDS_MAX      128
#define FAREWELL_MS       500

struct supervisor_link {
	uv_loop_t *loop;
	const char *path;
	int64_t generation;
	struct supervisor_link_hooks hooks;
	void *arg;
	struct control_conn *conn; /* NULL: none */
	bool greeted;              /* it has answered hello */
	bool complained;           /* about not reaching it, once */
	uv_timer_t reconnect;
	uv_timer_t stats_timer;
	struct backoff backoff;
	struct supervisor_link_stats stats, told;
	bool stats_told;
	char reason[256]; /* "": ready */
	bool needs_login;
	bool ready_known;            /* reason has been set */
	bool backends[BACKENDS_MAX]; /* by id: has been spoken of, and is not gone */
	unsigned open;
	bool closing;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

static void connect_now(struct supervisor_link *l);

/* --- what we say ---------------------------------------------------------------------------- */

static void
say_ready(struct supervisor_link *l)
{
	bool ready = l->reason[0] == '\0';

	if (!l->greeted || !l->ready_known)
		return;
	control_notify(l->conn, "proxy/ready",
	               ready ? json_pack("{s:b}", "ready", 1)
	                     : json_pack("{s:b,s:o,s:s*}", "ready", 0, "reason",
	                                 json_string_lossy(l->reason), "needs",
	                                 l->needs_login ? "login" : NULL));
}

static void
say_stats(struct supervisor_link *l)
{
	if (!l->greeted)
		return;
	l->told = l->stats;
	l->stats_told = true;
	control_notify(l->conn, "proxy/stats",
	               json_pack("{s:I,s:I,s:I}", "in_flight", (json_int_t)l->stats.in_flight,
	                         "queued", (json_int_t)l->stats.queued, "threads",
	                         (json_int_t)l->stats.threads));
}

static bool
stats_changed(const struct supervisor_link *l)
{
	return !l->stats_told || l->told.in_flight != l->stats.in_flight ||
	       l->told.queued != l->stats.queued || l->told.threads != l->stats.threads;
}

static void
on_stats_timer(uv_timer_t *timer)
{
	struct supervisor_link *l = timer->data;

	if (stats_changed(l))
		say_stats(l);
}

void
supervisor_link_ready(struct supervisor_link *l, const char *reason, bool needs_login)
{
	if (reason == NULL)
		reason = "";
	if (l->ready_known && strcmp(l->reason, reason) == 0 && l->needs_login == needs_login)
		return;
	l->needs_login = needs_login;
	(void)snprintf(l->reason, sizeof(l->reason), "%s", reason);
	l->ready_known = true;
	say_ready(l);
}

void
supervisor_link_stats(struct supervisor_link *l, const struct supervisor_link_stats *stats)
{
	l->stats = *stats;
	if (!l->closing && stats_changed(l) && !uv_is_active((uv_handle_t *)&l->stats_timer))
		(void)uv_timer_start(&l->stats_timer, on_stats_timer, STATS_INTERVAL_MS, 0);
}

void
supervisor_link_failed(struct supervisor_link *l, int id, int64_t generation, const char *kind,
                       const char *message)
{
	if (l->greeted)
		control_notify(l->conn, "backend/failed",
		               json_pack("{s:i,s:I,s:s,s:o}", "id", id, "generation",
		                         (json_int_t)generation, "kind", kind, "message",
		                         json_string_lossy(message)));
}

/* --- what it says --------------------------------------------------------------------------- */

static bool
is_backend(int64_t id)
{
	return id >= 0 && id < BACKENDS_MAX;
}

static void
take_backend(struct supervisor_link *l, const json_t *b, const char *state)
{
	int64_t id = json_get_int(b, "id", -1);
	const char *url = json_get_string(b, "url");
	const char *reason = json_get_string(b, "reason");

	if (is_backend(id))
		l->backends[id] = true;
	if (!is_backend(id) || (strcmp(state, "up") == 0 && url == NULL))
		log_warning("the supervisor speaks of a backend that cannot be: ignored");
	else if (strcmp(state, "up") == 0)
		l->hooks.on_backend_up(l->arg, (int)id, url, json_get_int(b, "generation", 0));
	else
		l->hooks.on_backend_down(l->arg, (int)id, reason != NULL ? reason : "not running",
		                         json_get_int(b, "next_retry_ms", -1));
}

/* All but those that are left are to be forgotten. */
static void
tell_backends(struct supervisor_link *l)
{
	int ids[BACKENDS_MAX];
	size_t count = 0;

	for (int id = 0; id < BACKENDS_MAX; id++)
		if (l->backends[id])
			ids[count++] = id;
	l->hooks.on_backends(l->arg, ids, count);
}

static void
take_gone(struct supervisor_link *l, const json_t *params)
{
	int64_t id = json_get_int(params, "id", -1);

	if (!is_backend(id) || !l->backends[id])
		return;
	l->backends[id] = false;
	tell_backends(l);
}

static void
take_login(struct supervisor_link *l, const json_t *login)
{
	l->hooks.on_login(l->arg, json_get_int(login, "expires_at", 0));
}

static void
on_hello_answer(void *arg, json_t *result, int code, const char *message)
{
	struct supervisor_link *l = arg;
	json_t *list = json_get_array(result, "backends");
	json_t *b;
	size_t i;

	if (l->closing)
		return;
	if (list == NULL) {
		log_warning("the supervisor did not answer proxy/hello: %s",
		            message != NULL ? message : "no backends");
		control_conn_close(l->conn);
		return;
	}
	log_info("connected to the supervisor");
	backoff_reset(&l->backoff);
	l->complained = false;
	l->greeted = true;
	memset(l->backends, 0, sizeof(l->backends));
	json_array_foreach(list, i, b) {
		const char *state = json_get_string(b, "state");

		take_backend(l, b, state != NULL ? state : "down");
	}
	tell_backends(l);
	take_login(l, json_get_object(result, "login"));
	l->hooks.on_connected(l->arg);
	say_ready(l);
	say_stats(l);
}

/* Of the params of a drain; NULL: all are known. */
static const char *
unknown_member(json_t *params, bool backend)
{
	const char *key;
	json_t *value;

	json_object_foreach(params, key, value) {
		if (strcmp(key, "deadline_ms") != 0 &&
		    strcmp(key, backend ? "id" : "delay_ms") != 0)
			return key;
	}
	return NULL;
}

static void
on_request(void *arg, struct control_conn *conn, struct control_request *req, const char *method,
           json_t *params)
{
	struct supervisor_link *l = arg;
	int64_t deadline = json_get_int(params, "deadline_ms", -1);
	bool delayed = json_object_get(params, "delay_ms") != NULL;
	int64_t delay = json_get_int(params, "delay_ms", delayed ? -1 : 0);
	int64_t id = json_get_int(params, "id", -1);
	bool backend = strcmp(method, "backend/drain") == 0;
	const char *stranger = unknown_member(params, backend);

	if (!backend && strcmp(method, "drain") != 0)
		control_reply_error(req, CONTROL_METHOD_NOT_FOUND, "no such method: %s", method);
	else if (stranger != NULL)
		control_reply_error(req, CONTROL_INVALID_PARAMS, "%s: no such member", stranger);
	else if (deadline < 0)
		control_reply_error(req, CONTROL_INVALID_PARAMS,
		                    "deadline_ms: a number of milliseconds is required");
	else if (delay < 0)
		control_reply_error(req, CONTROL_INVALID_PARAMS,
		                    "delay_ms: a number of milliseconds is required");
	else if (backend && !is_backend(id))
		control_reply_error(req, CONTROL_INVALID_PARAMS, "id: a backend is required");
	else if (backend)
		l->hooks.on_backend_drain(l->arg, req, (int)id, (uint64_t)deadline);
	else
		l->hooks.on_drain(l->arg, req, (uint64_t)deadline, (uint64_t)delay);
}

static void
on_notification(void *arg, struct control_conn *conn, const char *method, json_t *params)
{
	struct supervisor_link *l = arg;

	if (strcmp(method, "backend/up") == 0)
		take_backend(l, params, "up");
	else if (strcmp(method, "backend/down") == 0)
		take_backend(l, params, "down");
	else if (strcmp(method, "backend/gone") == 0)
		take_gone(l, params);
	else if (strcmp(method, "login/changed") == 0)
		take_login(l, params);
	else if (strcmp(method, "reload") == 0)
		l->hooks.on_reload(l->arg);
	else
		log_debug("the supervisor says %s, which means nothing here", method);
}

/* --- the connection ------------------------------------------------------------------------- */

static void
let_go(struct supervisor_link *l)
{
	void (*fn)(void *arg) = l->on_closed;
	void *arg = l->on_closed_arg;

	if (--l->open > 0)
		return;
	free(l);
	if (fn != NULL)
		fn(arg);
}

static void
on_timer_closed(uv_handle_t *handle)
{
	let_go(handle->data);
}

static void
on_reconnect(uv_timer_t *timer)
{
	connect_now(timer->data);
}

static void
retry_later(struct supervisor_link *l, const char *why)
{
	uint64_t delay = backoff_next_ms(&l->backoff, backoff_random());

	if (!l->complained)
		log_warning("control socket %s: %s, going on without it and trying again", l->path,
		            why);
	l->complained = true;
	(void)uv_timer_start(&l->reconnect, on_reconnect, delay, 0);
}

static void
on_conn_closed(void *arg, struct control_conn *conn)
{
	struct supervisor_link *l = arg;
	bool greeted = l->greeted;

	l->conn = NULL;
	l->greeted = false;
	l->stats_told = false;
	if (!l->closing)
		retry_later(l, greeted ? "the connection was lost" : "no supervisor answers");
	let_go(l);
}

static void
on_connected(void *arg, struct control_conn *conn, int status)
{
	struct supervisor_link *l = arg;

	if (status < 0 || l->closing)
		return; /* on_conn_closed follows */
	control_call(conn, "proxy/hello",
	             json_pack("{s:i,s:I,s:I}", "protocol", PROTOCOL, "pid", (json_int_t)getpid(),
	                       "generation", (json_int_t)l->generation),
	             HELLO_TIMEOUT_MS, on_hello_answer, l);
}

static void
connect_now(struct supervisor_link *l)
{
	static const struct control_handlers handlers = {
		.on_request = on_request,
		.on_notification = on_notification,
		.on_closed = on_conn_closed,
	};
	int r = control_conn_connect(&l->conn, l->loop, l->path, on_connected, &handlers, l);

	if (r < 0) {
		l->conn = NULL;
		retry_later(l, strerror(-r));
		return;
	}
	l->open++;
}

struct supervisor_link *
supervisor_link_new(uv_loop_t *loop, const char *path, int64_t generation,
                    const struct supervisor_link_hooks *hooks, void *arg)
{
	struct supervisor_link *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->loop = loop;
	l->path = path;
	l->generation = generation;
	l->hooks = *hooks;
	l->arg = arg;
	l->backoff = (struct backoff){.base_ms = RECONNECT_BASE_MS, .max_ms = RECONNECT_MAX_MS};
	(void)uv_timer_init(loop, &l->reconnect); /* cannot fail */
	(void)uv_timer_init(loop, &l->stats_timer);
	l->reconnect.data = l->stats_timer.data = l;
	l->open = 2;
	connect_now(l);
	return l;
}

void
supervisor_link_close(struct supervisor_link *l, void (*fn)(void *arg), void *arg)
{
	if (l->closing)
		return;
	l->closing = true;
	l->on_closed = fn;
	l->on_closed_arg = arg;
	if (l->conn != NULL)
		control_conn_finish(l->conn, FAREWELL_MS);
	uv_close((uv_handle_t *)&l->reconnect, on_timer_closed);
	uv_close((uv_handle_t *)&l->stats_timer, on_timer_closed);
}
