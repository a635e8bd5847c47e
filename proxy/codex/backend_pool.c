/* backend_pool: all app-servers: who takes the next turn, and what is true of them together. */
#include <errno.h>
#include <utlist.h>

#include "proxy/codex/backend_internal.h"

/* --- their word ------------------------------------------------------------------------------ */

void
backend_pool_changed(struct backend_pool *pool)
{
	if (!pool->closing)
		pool->config.on_change(pool->config.arg);
}

void
backend_pool_stats_changed(struct backend_pool *pool)
{
	if (!pool->closing && pool->config.on_stats != NULL)
		pool->config.on_stats(pool->config.arg);
}

/* --- life ------------------------------------------------------------------------------------ */

int
backend_pool_new(struct backend_pool **out, const struct backend_pool_config *config,
                 struct err *err)
{
	struct backend_pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	pool->config = *config;
	pool->open = 1;
	*out = pool;
	return 0;
}

void
backend_pool_let_go(struct backend_pool *pool)
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

void
backend_pool_close(struct backend_pool *pool, void (*fn)(void *arg), void *arg)
{
	struct backend *b, *tmp;

	if (pool->closing)
		return;
	pool->closing = true;
	pool->on_closed = fn;
	pool->on_closed_arg = arg;
	DL_FOREACH_SAFE(pool->backends, b, tmp)
		backend_remove(b);
	backend_pool_let_go(pool);
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
			backend_remove(b);
	}
}

/* --- asking ---------------------------------------------------------------------------------- */

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
takes_turns(const struct backend *b)
{
	return b->state == BACKEND_USABLE && !b->draining && !b->needs_login;
}

struct backend *
backend_pick(struct backend_pool *pool)
{
	struct backend *b, *best = NULL;

	DL_FOREACH(pool->backends, b) {
		if (takes_turns(b) && (best == NULL || b->turns < best->turns))
			best = b;
	}
	return best;
}

unsigned
backend_pool_usable(const struct backend_pool *pool)
{
	const struct backend *b;
	unsigned n = 0;

	DL_FOREACH(pool->backends, b)
		n += takes_turns(b);
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

/* NULL: there is none. */
static const struct backend *
without_login(const struct backend_pool *pool)
{
	const struct backend *b;

	DL_FOREACH(pool->backends, b) {
		if (backend_needs_login(b) && !b->draining)
			return b;
	}
	return NULL;
}

bool
backend_pool_needs_login(const struct backend_pool *pool)
{
	return backend_pool_usable(pool) == 0 && without_login(pool) != NULL;
}

const char *
backend_pool_reason(const struct backend_pool *pool)
{
	/* The buffer is of nobody's interest but this call's: the pool is const to all others. */
	struct err *text = &((struct backend_pool *)(uintptr_t)pool)->reason;
	const struct backend *b;

	if (backend_pool_usable(pool) > 0)
		return "";
	b = without_login(pool);
	if (b != NULL) {
		(void)err_set(text, 0,
		              "no login: the provider of app-server %d needs one (codex login)",
		              b->id);
		return text->text;
	}
	DL_FOREACH(pool->backends, b) {
		if (b->removed)
			continue;
		(void)err_set(text, 0, "app-server %d: %s", b->id,
		              b->draining ? "being replaced" : b->reason.text);
		return text->text;
	}
	return "no app-server is known yet";
}

json_t *
backend_pool_models(const struct backend_pool *pool)
{
	return pool->models;
}

const struct account_limits *
backend_pool_limits(const struct backend_pool *pool)
{
	return &pool->limits;
}
