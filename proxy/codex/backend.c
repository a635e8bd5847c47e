/* backend: one app-server as the proxy sees it, and the pool of them. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "common/backoff.h"
#include "common/log.h"
#include "proxy/codex/internal.h"
#include "proxy/codex/sweep.h"

#define CALL_TIMEOUT_MS   10000
#define RECONNECT_BASE_MS 50
#define RECONNECT_MAX_MS  5000
/* Codex learns of new models while it runs. */
#define MODELS_REFRESH_MS 600000
/* Pages of the model list; it has one. */
#define MODEL_PAGES_MAX   50

enum backend_state {
	BACKEND_DOWN,       /* the supervisor says so, or has not spoken yet */
	BACKEND_WAITING,    /* before the next try to connect */
	BACKEND_CONNECTING, /* until the WebSocket is open */
	BACKEND_GREETING,   /* initialize is on its way */
	BACKEND_LISTING,    /* so is the first model/list */
	BACKEND_USABLE,
};

struct backend {
	struct backend *prev, *next;
	struct backend_pool *pool;
	int id;
	char *url;
	int64_t generation;
	enum backend_state state;
	bool draining;
	bool removed; /* freed when its last handle has gone */
	char reason[200];
	struct rpc *rpc;  /* the current one */
	unsigned open;    /* rpcs and timers that may still call back */
	uint64_t call;    /* initialize or model/list, under way */
	uv_timer_t timer; /* the next try, or the next look at the models */
	uv_timer_t sweep_timer;
	struct backoff backoff;
	struct sweep sweep;
	struct thread_link *threads; /* all */
	struct thread_link *named;   /* by id */
	unsigned thread_count;
	unsigned turns;
	json_t *models; /* of the pages so far */
	unsigned pages;
};

struct backend_pool {
	struct backend_pool_config config;
	struct lws_vhost *vhost;
	struct backend *backends;
	json_t *models;
	unsigned open; /* backends that are not freed yet, and the pool itself */
	bool closing;
	char reason[240];
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

static void connect_now(struct backend *b);

/* --- the pool's word ------------------------------------------------------------------------ */

static void
changed(struct backend *b)
{
	struct backend_pool *pool = b->pool;

	if (!pool->closing)
		pool->config.on_change(pool->config.arg);
}

static void
stats_changed(struct backend *b)
{
	struct backend_pool *pool = b->pool;

	if (!pool->closing && pool->config.on_stats != NULL)
		pool->config.on_stats(pool->config.arg);
}

static void
set_state(struct backend *b, enum backend_state state, const char *reason)
{
	bool was_usable = b->state == BACKEND_USABLE;

	b->state = state;
	(void)snprintf(b->reason, sizeof(b->reason), "%s", reason);
	if (was_usable != (state == BACKEND_USABLE))
		changed(b);
}

/* --- life ----------------------------------------------------------------------------------- */

static void
pool_let_go(struct backend_pool *pool)
{
	void (*fn)(void *arg) = pool->on_closed;
	void *arg = pool->on_closed_arg;

	if (--pool->open > 0)
		return;
	json_decref(pool->models);
	free(pool);
	if (fn != NULL)
		fn(arg);
}

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
	pool_let_go(pool);
}

static void
on_timer_closed(uv_handle_t *handle)
{
	let_go(handle->data);
}

static void
lose_threads(struct backend *b)
{
	struct thread_link *t;

	DL_FOREACH(b->threads, t) {
		if (t->id[0] != '\0')
			sweep_remember(&b->sweep, t->id);
	}
	/* Each takes itself off the list; ending one may end others. */
	while (b->threads != NULL)
		thread_on_lost(b->threads);
}

/* The connection is given up by us, or has ended by itself. */
static void
disconnect(struct backend *b)
{
	struct rpc *rpc = b->rpc;

	(void)uv_timer_stop(&b->timer);
	(void)uv_timer_stop(&b->sweep_timer);
	if (rpc == NULL)
		return;
	if (b->call != 0)
		rpc_abandon(rpc, b->call);
	b->call = 0;
	sweep_stop(&b->sweep, false);
	if (b->state == BACKEND_USABLE) /* first: no turn may come here again meanwhile */
		set_state(b, BACKEND_WAITING, "the connection was lost");
	lose_threads(b);
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
	uint64_t delay = backoff_next_ms(&b->backoff, backoff_random());

	log_warning("app-server %d: %s, connecting again in %llu ms", b->id, why,
	            (unsigned long long)delay);
	set_state(b, BACKEND_WAITING, why);
	if (b->state == BACKEND_WAITING) /* nobody has changed it meanwhile */
		(void)uv_timer_start(&b->timer, on_reconnect, delay, 0);
}

/* What we asked was not answered as it must be. */
static void
break_off(struct backend *b, const char *why)
{
	disconnect(b);
	retry_later(b, why);
}

/* --- becoming usable ------------------------------------------------------------------------ */

static void
on_sweep(uv_timer_t *timer)
{
	struct backend *b = timer->data;

	if (b->state == BACKEND_USABLE)
		sweep_look(&b->sweep, b->rpc);
}

static void ask_models(struct backend *b, const char *cursor);

static void
on_refresh(uv_timer_t *timer)
{
	struct backend *b = timer->data;

	if (b->state == BACKEND_USABLE && b->call == 0)
		ask_models(b, NULL);
}

static void
take_models(struct backend *b)
{
	struct backend_pool *pool = b->pool;
	bool first = b->state == BACKEND_LISTING;
	bool same = json_equal(pool->models, b->models) == 1;

	if (!same) {
		json_decref(pool->models);
		pool->models = json_incref(b->models);
	}
	(void)uv_timer_start(&b->timer, on_refresh, MODELS_REFRESH_MS, 0);
	if (!first) {
		if (!same)
			changed(b);
		return;
	}
	log_info("app-server %d: connected, %zu models", b->id, json_array_size(b->models));
	backoff_reset(&b->backoff);
	sweep_reclaim(&b->sweep, b->rpc);
	(void)uv_timer_start(&b->sweep_timer, on_sweep, pool->config.sweep_interval_ms,
	                     pool->config.sweep_interval_ms);
	set_state(b, BACKEND_USABLE, "");
}

static void
on_models(void *arg, json_t *result, const struct rpc_error *error)
{
	struct backend *b = arg;
	json_t *page = json_get_array(result, "data");
	const char *cursor = json_get_string(result, "nextCursor");

	b->call = 0;
	if (error != NULL || page == NULL) {
		if (b->state == BACKEND_LISTING)
			break_off(b, error != NULL ? error->message : "no model list");
		else
			(void)uv_timer_start(&b->timer, on_refresh, MODELS_REFRESH_MS, 0);
		return;
	}
	(void)json_array_extend(b->models, page);
	if (cursor != NULL && ++b->pages < MODEL_PAGES_MAX)
		ask_models(b, cursor);
	else
		take_models(b);
}

/* cursor NULL: from the beginning. */
static void
ask_models(struct backend *b, const char *cursor)
{
	json_auto_t *params = json_pack("{s:s*}", "cursor", cursor);
	size_t len = 0;
	AUTO_FREE char *text = json_to_text(params, &len);

	if (cursor == NULL) {
		json_decref(b->models);
		b->models = json_array();
		b->pages = 0;
	}
	if (text != NULL)
		b->call = rpc_call(b->rpc, "model/list", text, len, CALL_TIMEOUT_MS, on_models, b);
	if (b->call == 0 && b->state == BACKEND_LISTING)
		break_off(b, "the model list could not be asked for");
}

static void
on_initialized(void *arg, json_t *result, const struct rpc_error *error)
{
	struct backend *b = arg;

	b->call = 0;
	if (error != NULL) {
		break_off(b, error->message);
		return;
	}
	rpc_notify(b->rpc, "initialized");
	set_state(b, BACKEND_LISTING, "the model list is not known yet");
	ask_models(b, NULL);
}

/* What we have no use for is not sent to us. */
static json_t *
unwanted_notifications(void)
{
	static const char *const names[] = {
		"thread/started",
		"thread/settings/updated",
		"thread/status/changed",
		"warning",
		"configWarning",
		"remoteControl/status/changed",
		"account/rateLimits/updated",
		"item/completed",
		"item/reasoning/summaryPartAdded",
		"item/reasoning/textDelta",
		"turn/diff/updated",
		"turn/plan/updated",
	};
	json_t *list = json_array();

	for (size_t i = 0; i < NELEM(names); i++)
		(void)json_array_append_new(list, json_string(names[i]));
	return list;
}

static void
on_open(void *arg, struct rpc *rpc)
{
	struct backend *b = arg;
	json_auto_t *params = NULL;
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	if (rpc != b->rpc)
		return;
	params = json_pack("{s:{s:s,s:n,s:s},s:{s:b,s:b,s:o}}", "clientInfo", "name",
	                   "codex-sidecar", "title", "version", b->pool->config.client_version,
	                   "capabilities", "experimentalApi", 1, "requestAttestation", 0,
	                   "optOutNotificationMethods", unwanted_notifications());
	text = json_to_text(params, &len);
	set_state(b, BACKEND_GREETING, "it has not answered initialize yet");
	if (text != NULL)
		b->call =
			rpc_call(rpc, "initialize", text, len, CALL_TIMEOUT_MS, on_initialized, b);
	if (b->call == 0)
		break_off(b, "initialize could not be sent");
}

/* --- hearing -------------------------------------------------------------------------------- */

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
	struct delta delta;

	if (rpc != b->rpc)
		return true; /* given up: nobody is interested */
	if (!delta_scan(&delta, bytes, len))
		return false;
	t = find_thread(b, delta.thread_id, delta.thread_id_len);
	if (t != NULL)
		thread_on_delta(t, &delta);
	return true;
}

static void
on_notification(void *arg, struct rpc *rpc, const char *method, json_t *params)
{
	struct backend *b = arg;
	const char *id = json_get_string(params, "threadId");
	struct thread_link *t = id != NULL ? find_thread(b, id, strlen(id)) : NULL;

	if (t != NULL)
		thread_on_notification(t, method, params);
}

static void
on_request(void *arg, struct rpc *rpc, json_t *id, const char *method, json_t *params)
{
	struct backend *b = arg;
	const char *thread_id = json_get_string(params, "threadId");
	struct thread_link *t =
		thread_id != NULL ? find_thread(b, thread_id, strlen(thread_id)) : NULL;

	if (strcmp(method, "item/tool/call") == 0 && t != NULL) {
		thread_on_tool_request(t); /* its turn is interrupted: no answer is needed */
		return;
	}
	log_debug("app-server %d asks for %s: refused", b->id, method);
	rpc_reply_error(rpc, id, -32601, "codex-sidecar does not answer this");
}

static void
on_closed(void *arg, struct rpc *rpc, const char *reason)
{
	struct backend *b = arg;

	if (rpc == b->rpc) {
		b->call = 0; /* it has been answered */
		disconnect(b);
		retry_later(b, reason);
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

	set_state(b, BACKEND_CONNECTING, "connecting");
	r = rpc_open(&b->rpc, b->pool->vhost, b->pool->config.loop, b->url, &handlers, b, &err);
	if (r < 0) {
		b->rpc = NULL;
		retry_later(b, err.text);
		return;
	}
	b->open++;
}

/* --- the supervisor's word ------------------------------------------------------------------ */

struct backend *
backend_find(struct backend_pool *pool, int id)
{
	struct backend *b;

	DL_FOREACH(pool->backends, b) {
		if (b->id == id && !b->removed)
			return b;
	}
	return NULL;
}

static bool
knows(void *arg, const char *thread_id)
{
	return find_thread(arg, thread_id, strlen(thread_id)) != NULL;
}

static struct backend *
add_backend(struct backend_pool *pool, int id)
{
	struct backend *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->pool = pool;
	b->id = id;
	b->backoff = (struct backoff){.base_ms = RECONNECT_BASE_MS, .max_ms = RECONNECT_MAX_MS};
	sweep_init(&b->sweep, knows, b);
	(void)uv_timer_init(pool->config.loop, &b->timer); /* cannot fail */
	(void)uv_timer_init(pool->config.loop, &b->sweep_timer);
	b->timer.data = b->sweep_timer.data = b;
	b->open = 2;
	(void)snprintf(b->reason, sizeof(b->reason), "not started yet");
	DL_APPEND(pool->backends, b);
	pool->open++;
	return b;
}

static void
remove_backend(struct backend *b)
{
	if (b->removed)
		return;
	b->removed = true;
	disconnect(b);
	set_state(b, BACKEND_DOWN, "removed");
	uv_close((uv_handle_t *)&b->timer, on_timer_closed);
	uv_close((uv_handle_t *)&b->sweep_timer, on_timer_closed);
}

void
backend_up(struct backend_pool *pool, int id, const char *url, int64_t generation)
{
	struct backend *b = backend_find(pool, id);
	bool same;

	if (b == NULL)
		b = add_backend(pool, id);
	if (b == NULL) {
		log_error("app-server %d: out of memory, it is not used", id);
		return;
	}
	same = b->url != NULL && strcmp(b->url, url) == 0 && b->generation == generation;
	b->draining = false;
	if (same && b->state != BACKEND_DOWN && b->state != BACKEND_WAITING)
		return;
	disconnect(b);
	if (!same) {
		char *copy = strdup(url);

		if (copy == NULL) {
			log_error("app-server %d: out of memory, it is not used", id);
			return;
		}
		sweep_stop(&b->sweep, true); /* another process: it knows none of our threads */
		free(b->url);
		b->url = copy;
		b->generation = generation;
	}
	backoff_reset(&b->backoff);
	connect_now(b);
}

void
backend_down(struct backend_pool *pool, int id, const char *reason, int64_t next_retry_ms)
{
	struct backend *b = backend_find(pool, id);

	if (b == NULL)
		b = add_backend(pool, id);
	if (b == NULL)
		return; /* as good as unknown */
	disconnect(b);
	set_state(b, BACKEND_DOWN, reason);
	if (next_retry_ms >= 0)
		(void)snprintf(b->reason, sizeof(b->reason), "%.150s, next try in %lld ms", reason,
		               (long long)next_retry_ms);
}

void
backend_retain(struct backend_pool *pool, const int *ids, size_t count)
{
	struct backend *b, *tmp;

	DL_FOREACH_SAFE(pool->backends, b, tmp) {
		bool kept = false;

		for (size_t i = 0; i < count; i++)
			kept |= ids[i] == b->id;
		if (!kept)
			remove_backend(b);
	}
}

void
backend_drain(struct backend_pool *pool, int id)
{
	struct backend *b = backend_find(pool, id);

	if (b == NULL || b->draining)
		return;
	b->draining = true;
	changed(b);
}

/* --- the pool ------------------------------------------------------------------------------- */

int
backend_pool_new(struct backend_pool **out, const struct backend_pool_config *config,
                 struct err *err)
{
	struct backend_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	pool->config = *config;
	pool->open = 1;
	pool->vhost = rpc_vhost_new(config->ctx, err);
	if (pool->vhost == NULL) {
		free(pool);
		return err->code;
	}
	*out = pool;
	return 0;
}

void
backend_pool_close(struct backend_pool *pool, void (*fn)(void *arg), void *arg)
{
	struct backend *b, *tmp;

	pool->closing = true;
	pool->on_closed = fn;
	pool->on_closed_arg = arg;
	DL_FOREACH_SAFE(pool->backends, b, tmp)
		remove_backend(b);
	pool_let_go(pool);
}

struct backend *
backend_pick(struct backend_pool *pool)
{
	struct backend *b, *best = NULL;

	DL_FOREACH(pool->backends, b) {
		if (b->state == BACKEND_USABLE && !b->draining &&
		    (best == NULL || b->turns < best->turns))
			best = b;
	}
	return best;
}

bool
backend_usable(const struct backend *b)
{
	return b->state == BACKEND_USABLE;
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

unsigned
backend_pool_usable(const struct backend_pool *pool)
{
	const struct backend *b;
	unsigned n = 0;

	DL_FOREACH(pool->backends, b)
		n += b->state == BACKEND_USABLE && !b->draining;
	return n;
}

unsigned
backend_pool_turns(const struct backend_pool *pool)
{
	const struct backend *b;
	unsigned n = 0;

	DL_FOREACH(pool->backends, b)
		n += b->turns;
	return n;
}

unsigned
backend_pool_threads(const struct backend_pool *pool)
{
	const struct backend *b;
	unsigned n = 0;

	DL_FOREACH(pool->backends, b)
		n += b->thread_count;
	return n;
}

const char *
backend_pool_reason(const struct backend_pool *pool)
{
	/* The pool's own buffer is scratch space of this call. */
	struct backend_pool *scratch = (struct backend_pool *)(uintptr_t)pool;
	const struct backend *b;

	if (backend_pool_usable(pool) > 0)
		return "";
	DL_FOREACH(pool->backends, b) {
		if (b->removed)
			continue;
		(void)snprintf(scratch->reason, sizeof(scratch->reason), "app-server %d: %s", b->id,
		               b->draining ? "being replaced" : b->reason);
		return pool->reason;
	}
	return "no app-server is known yet";
}

json_t *
backend_pool_models(const struct backend_pool *pool)
{
	return pool->models;
}

/* --- for thread.c --------------------------------------------------------------------------- */

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
backend_add_thread(struct backend *b, struct thread_link *t)
{
	DL_APPEND(b->threads, t);
	b->thread_count++;
	t->counted = true;
	b->turns++;
	stats_changed(b);
}

void
backend_name_thread(struct backend *b, struct thread_link *t)
{
	HASH_ADD_STR(b->named, id, t);
}

void
backend_turn_over(struct backend *b, struct thread_link *t)
{
	if (!t->counted)
		return;
	t->counted = false;
	b->turns--;
	stats_changed(b);
}

void
backend_remove_thread(struct backend *b, struct thread_link *t)
{
	backend_turn_over(b, t);
	DL_DELETE(b->threads, t);
	if (t->id[0] != '\0')
		HASH_DELETE(hh, b->named, t);
	b->thread_count--;
	stats_changed(b);
}
