/* backend: one app-server as the proxy sees it: its connection, its threads, and their loss. */
#include <assert.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "common/log.h"
#include "proxy/codex/backend_internal.h"
#include "proxy/codex/server_requests.h"

/* Each delta is looked up. uthash's own goes byte by byte; whoever makes the ids is trusted. */
#undef HASH_FUNCTION
#define HASH_FUNCTION(id, len, hash) ((hash) = hash_id((id), (len)))

#define RECONNECT_BASE_MS 50
#define RECONNECT_MAX_MS  5000

static void connect_now(struct backend *b);

static unsigned
hash_id(const char *id, size_t len)
{
	uint64_t hash = len, part;

	for (; len >= sizeof(part); len -= sizeof(part), id += sizeof(part)) {
		memcpy(&part, id, sizeof(part));
		hash = (hash ^ part) * 0x9e3779b97f4a7c15U; /* odd, and its bits are mixed */
		hash ^= hash >> 32;
	}
	part = 0;
	memcpy(&part, id, len);
	hash = (hash ^ part) * 0x9e3779b97f4a7c15U;
	return (unsigned)(hash >> 32);
}

void
backend_set_state(struct backend *b, enum backend_state state, const char *reason)
{
	bool was_usable = b->state == BACKEND_USABLE;

	b->state = state;
	(void)err_set(&b->reason, 0, "%s", reason);
	if (was_usable != (state == BACKEND_USABLE))
		backend_pool_changed(b->pool);
}

/* --- life ------------------------------------------------------------------------------------ */

static void
let_go(struct backend *b)
{
	struct backend_pool *pool = b->pool;

	if (--b->open > 0)
		return;
	assert(b->removed && b->threads == NULL);
	DL_DELETE(pool->backends, b);
	sweep_stop(&b->sweep, true);
	json_decref(b->models);
	free(b->url);
	free(b);
	backend_pool_let_go(pool);
}

static void
on_timer_closed(uv_handle_t *handle)
{
	let_go(handle->data);
}

/* What runs on an app-server that we cannot hear any more is told to stop: now, as far as it still
 * hears us, and again when we are back. */
static void
lose_threads(struct backend *b)
{
	struct thread_link *t;

	DL_FOREACH(b->threads, t) {
		if (t->id[0] == '\0')
			continue;
		sweep_remember(&b->sweep, t->id);
		sweep_let_go(b->rpc, t->id);
	}
	/* Each takes itself off the list; ending one may end others. */
	while (b->threads != NULL)
		thread_on_lost(b->threads);
}

/* The connection, if there is one, is given up by us or has ended by itself. */
static void
disconnect(struct backend *b, const char *why)
{
	struct rpc *rpc = b->rpc;

	(void)uv_timer_stop(&b->timer);
	(void)uv_timer_stop(&b->sweep_timer);
	if (rpc == NULL)
		return;
	if (b->call != 0)
		rpc_abandon(rpc, b->call);
	if (b->login_call != 0)
		rpc_abandon(rpc, b->login_call);
	b->call = b->login_call = 0;
	b->needs_login = false; /* as far as is known */
	sweep_stop(&b->sweep, false);
	backend_set_state(b, BACKEND_WAITING,
	                  why); /* first: no turn may come here again meanwhile */
	lose_threads(b);
	if (b->rpc == rpc) /* else somebody who was told has connected again */
		b->rpc = NULL;
	rpc_close(rpc);
}

static void
on_reconnect(uv_timer_t *timer)
{
	connect_now(timer->data);
}

static void
retry_later(struct backend *b, const char *why)
{
	uint64_t delay;

	if (b->state != BACKEND_WAITING || b->rpc != NULL || b->removed)
		return; /* somebody who was told of the loss has decided otherwise */
	delay = backoff_next_ms(&b->backoff, backoff_random());
	log_warning("app-server %d: %s, connecting again in %llu ms", b->id, why,
	            (unsigned long long)delay);
	(void)uv_timer_start(&b->timer, on_reconnect, delay, 0); /* a live handle */
}

void
backend_break_off(struct backend *b, const char *why)
{
	disconnect(b, why);
	retry_later(b, why);
}

static void
on_open(void *arg, struct rpc *rpc)
{
	struct backend *b = arg;

	if (rpc == b->rpc)
		backend_greet(b);
}

/* --- hearing --------------------------------------------------------------------------------- */

static struct thread_link *
find_thread(const struct backend *b, const char *id, size_t len)
{
	struct thread_link *t;

	HASH_FIND(hh, b->named, id, len, t);
	return t;
}

static bool
on_frame(void *arg, struct rpc *rpc, const char *bytes, size_t len)
{
	struct backend *b = arg;
	struct thread_link *t;
	struct notice notice;
	struct delta delta;

	if (rpc != b->rpc)
		return true; /* given up: nobody is interested */
	if (delta_scan(&delta, bytes, len)) {
		t = find_thread(b, delta.thread_id, delta.thread_id_len);
		if (t != NULL)
			thread_on_delta(t, &delta);
		return true;
	}
	if (!notice_scan(&notice, bytes, len))
		return false;
	t = find_thread(b, notice.thread_id, notice.thread_id_len);
	return t == NULL || thread_on_notice(t, &notice);
}

static void
on_notification(void *arg, struct rpc *rpc, const char *method, json_t *params)
{
	struct backend *b = arg;
	const char *id = json_get_string(params, "threadId");
	struct thread_link *t = id != NULL ? find_thread(b, id, strlen(id)) : NULL;

	if (strcmp(method, "account/rateLimits/updated") == 0)
		account_limits_hear(&b->pool->limits, params);
	else if (strcmp(method, "account/updated") == 0 && b->state >= BACKEND_LISTING)
		backend_ask_login(b);
	else if (t != NULL)
		thread_on_notification(t, method, params);
}

static void
on_request(void *arg, struct rpc *rpc, json_t *id, const char *method, json_t *params)
{
	struct backend *b = arg;
	const char *thread = json_get_string(params, "threadId");
	struct thread_link *t = thread != NULL ? find_thread(b, thread, strlen(thread)) : NULL;
	bool approved = t != NULL && thread_approves(t, method, params);
	struct server_reply reply =
		server_request_reply(method, t != NULL, approved, (json_int_t)time(NULL));

	if (reply.none)
		return;
	log_info("app-server %d asks for %s: %s", b->id, method,
	         reply.result == NULL ? reply.why
	         : approved           ? "approved"
	                              : "answered, nothing is approved");
	if (reply.result != NULL)
		rpc_reply(rpc, id, reply.result);
	else
		rpc_reply_error(rpc, id, reply.code, reply.why);
	json_decref(reply.result);
}

static void
on_closed(void *arg, struct rpc *rpc, const char *reason)
{
	struct backend *b = arg;

	if (rpc == b->rpc) {
		b->call = b->login_call = 0; /* they have been answered */
		backend_break_off(b, reason);
	}
	let_go(b);
}

static void
connect_now(struct backend *b)
{
	static const struct rpc_handlers handlers = {
		.on_open = on_open,
		.on_frame = on_frame,
		.on_notification = on_notification,
		.on_request = on_request,
		.on_closed = on_closed,
	};
	struct err err;
	int r;

	if (b->rpc != NULL)
		return;
	backend_set_state(b, BACKEND_CONNECTING, "connecting");
	r = rpc_open(&b->rpc, b->pool->config.loop, b->url, &handlers, b, &err);
	if (r < 0) {
		b->rpc = NULL;
		backend_set_state(b, BACKEND_WAITING, err.text);
		retry_later(b, err.text);
		return;
	}
	b->open++;
}

/* --- the supervisor's word ------------------------------------------------------------------- */

static bool
knows(void *arg, const char *thread_id)
{
	return find_thread(arg, thread_id, strlen(thread_id)) != NULL;
}

static struct backend *
add(struct backend_pool *pool, int id)
{
	struct backend *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->pool = pool;
	b->id = id;
	b->backoff = (struct backoff){.base_ms = RECONNECT_BASE_MS, .max_ms = RECONNECT_MAX_MS};
	sweep_init(&b->sweep, pool->config.loop, pool->config.stranger_turn_ms, knows, b);
	(void)uv_timer_init(pool->config.loop, &b->timer); /* cannot fail */
	(void)uv_timer_init(pool->config.loop, &b->sweep_timer);
	b->timer.data = b->sweep_timer.data = b;
	b->open = 2;
	(void)err_set(&b->reason, 0, "not started yet");
	DL_APPEND(pool->backends, b);
	pool->open++;
	return b;
}

void
backend_remove(struct backend *b)
{
	if (b->removed)
		return;
	b->removed = true;
	disconnect(b, "removed");
	b->state = BACKEND_DOWN;
	uv_close((uv_handle_t *)&b->timer, on_timer_closed);
	uv_close((uv_handle_t *)&b->sweep_timer, on_timer_closed);
}

/* Where it is from now on; connecting is another matter. */
static bool
move_to(struct backend *b, const char *url, int64_t generation)
{
	char *copy = strdup(url);

	if (copy == NULL)
		return false;
	disconnect(b, "the app-server was started again");
	sweep_stop(&b->sweep, true); /* another process: it knows none of our threads */
	free(b->url);
	b->url = copy;
	b->generation = generation;
	b->pool->limits = (struct account_limits){0}; /* its login may be another one */
	return true;
}

bool
backend_up(struct backend_pool *pool, int id, const char *url, int64_t generation)
{
	struct backend *b;
	bool same, drained;

	if (pool->closing)
		return true;
	b = backend_find(pool, id);
	if (b == NULL)
		b = add(pool, id);
	if (b == NULL) {
		log_error("app-server %d: out of memory, it is not used", id);
		return false;
	}
	same = b->url != NULL && strcmp(b->url, url) == 0 && b->generation == generation;
	drained = b->draining;
	b->draining = false;
	if (same && b->rpc != NULL) {
		if (drained && b->state == BACKEND_USABLE)
			backend_pool_changed(pool);
		return true;
	}
	if (!same && !move_to(b, url, generation)) {
		log_error("app-server %d: out of memory, it stays where it was", id);
		return false;
	}
	(void)uv_timer_stop(&b->timer); /* it would connect, but later */
	backoff_reset(&b->backoff);
	connect_now(b);
	return true;
}

void
backend_down(struct backend_pool *pool, int id, const char *reason, int64_t next_retry_ms)
{
	struct backend *b;

	if (pool->closing)
		return;
	b = backend_find(pool, id);
	if (b == NULL)
		b = add(pool, id);
	if (b == NULL)
		return; /* as good as unknown */
	disconnect(b, reason);
	backend_set_state(b, BACKEND_DOWN, reason);
	if (next_retry_ms >= 0)
		(void)err_set(&b->reason, 0, "%s, next try in %lld ms", reason,
		              (long long)next_retry_ms);
}

void
backend_drain(struct backend_pool *pool, int id)
{
	struct backend *b = backend_find(pool, id);

	if (b == NULL || b->draining)
		return;
	b->draining = true;
	backend_pool_changed(pool);
}

/* --- asking ---------------------------------------------------------------------------------- */

bool
backend_usable(const struct backend *b)
{
	return b->state == BACKEND_USABLE;
}

bool
backend_needs_login(const struct backend *b)
{
	return b->state == BACKEND_USABLE && b->needs_login;
}

int
backend_id(const struct backend *b)
{
	return b->id;
}

int64_t
backend_generation(const struct backend *b)
{
	return b->generation;
}

unsigned
backend_turns(const struct backend *b)
{
	return b->turns;
}

/* --- for thread.c ---------------------------------------------------------------------------- */

struct rpc *
backend_rpc(const struct backend *b)
{
	return b->rpc;
}

uv_loop_t *
backend_loop(const struct backend *b)
{
	return b->pool->config.loop;
}

void
backend_add_retry_after(const struct backend *b, struct failure *f)
{
	if (f->kind == FAILURE_INSUFFICIENT_QUOTA || f->kind == FAILURE_RATE_LIMITED)
		f->retry_after_sec = account_limits_wait_sec(&b->pool->limits, time(NULL));
}

void
backend_add_thread(struct backend *b, struct thread_link *t)
{
	DL_APPEND(b->threads, t);
	b->thread_count++;
	t->counted = true;
	b->turns++;
	backend_pool_stats_changed(b->pool);
}

bool
backend_name_thread(struct backend *b, struct thread_link *t)
{
	HASH_ADD_STR(b->named, id, t);
	if (t->hh.tbl == NULL)
		t->id[0] = '\0';
	return t->hh.tbl != NULL;
}

void
backend_turn_over(struct backend *b, struct thread_link *t)
{
	if (!t->counted)
		return;
	t->counted = false;
	b->turns--;
	backend_pool_stats_changed(b->pool);
}

void
backend_remove_thread(struct backend *b, struct thread_link *t)
{
	backend_turn_over(b, t);
	DL_DELETE(b->threads, t);
	if (t->id[0] != '\0')
		HASH_DELETE(hh, b->named, t);
	b->thread_count--;
	backend_pool_stats_changed(b->pool);
}
