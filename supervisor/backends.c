/* backends: the app-servers as the proxy knows them: by an id, where to find each, up or down. */
#include "supervisor/backends.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int
id_of(int number, int side)
{
	return number + side * BACKENDS_MAX;
}

static struct app_info
info_of(const struct backend *b, int side)
{
	return app_info(instance_app(b->in, side));
}

static struct app_info
current(const struct backend *b)
{
	return app_info(instance_current(b->in));
}

int
backends_add(struct backends *b, struct instance *in)
{
	for (int i = 0; i < BACKENDS_MAX; i++) {
		if (b->list[i].in != NULL)
			continue;
		b->list[i] = (struct backend){.in = in};
		return i;
	}
	return -ENOSPC;
}

void
backends_remove(struct backends *b, int number)
{
	struct backend *e = &b->list[number];

	for (int side = 0; side < 2; side++) {
		if (e->url[side] != NULL)
			proxy_link_backend_gone(b->link, id_of(number, side));
		free(e->url[side]);
	}
	*e = (struct backend){.in = NULL};
}

int
backends_set_url(struct backends *b, int number, int side, const char *url)
{
	struct backend *e = &b->list[number];

	free(e->url[side]);
	e->url[side] = strdup(url);
	return e->url[side] != NULL ? 0 : -ENOMEM;
}

/* --- telling -------------------------------------------------------------------------------- */

static void
tell_up(struct backends *b, int number, int side)
{
	struct backend *e = &b->list[number];

	if (e->url[side] == NULL)
		return;
	e->told_up[side] = true;
	proxy_link_backend_up(b->link, id_of(number, side), e->url[side],
	                      info_of(e, side).generation);
}

static void
tell_down(struct backends *b, int number, int side)
{
	struct backend *e = &b->list[number];
	struct app_info info = info_of(e, side);

	e->told_up[side] = false;
	proxy_link_backend_down(b->link, id_of(number, side), info.reason, info.next_retry_ms);
}

void
backends_on_state(struct backends *b, int number, int side)
{
	struct backend *e = &b->list[number];
	struct app_info info = info_of(e, side);

	if (info.state == APP_READY) {
		e->drained = false;
		tell_up(b, number, side);
	} else if (e->told_up[side] ? info.phase != APP_PHASE_DRAIN
	                            : info.state == APP_FAILED || (info.state == APP_BACKOFF &&
	                                                           info.next_retry_ms > 0)) {
		tell_down(b, number, side);
	}
	if (info.state == APP_STOPPED && side != instance_current_side(e->in))
		proxy_link_backend_gone(b->link, id_of(number, side));
}

json_t *
backends_to_json(const struct backends *b)
{
	json_t *list = json_array();
	int r = 0;

	for (int i = 0; i < BACKENDS_MAX; i++) {
		const struct backend *e = &b->list[i];
		int side = e->in != NULL ? instance_current_side(e->in) : 0;
		struct app_info info;

		if (e->url[side] == NULL)
			continue;
		info = current(e);
		r |= json_array_append_new(
			list, json_pack("{s:i, s:s, s:i, s:s, s:o}", "id", id_of(i, side), "url",
		                        e->url[side], "generation", (int)info.generation, "state",
		                        info.state == APP_READY && !e->drained ? "up" : "down",
		                        "next_retry_ms",
		                        info.next_retry_ms < 0 ? json_null()
		                                               : json_integer(info.next_retry_ms)));
	}
	if (r == 0)
		return list;
	json_decref(list); /* one that is missing would be forgotten */
	return NULL;
}

/* --- draining ------------------------------------------------------------------------------- */

void
backends_take_back(struct backends *b, int number)
{
	b->list[number].drained = false;
	tell_up(b, number, instance_current_side(b->list[number].in));
}

void
backends_drain(struct backends *b, int number, uint64_t deadline_ms, proxy_drained_fn fn, void *arg)
{
	struct backend *e = &b->list[number];

	e->drained = true;
	backends_part(b, number, instance_current_side(e->in), deadline_ms, fn, arg);
}

void
backends_part(struct backends *b, int number, int side, uint64_t deadline_ms, proxy_drained_fn fn,
              void *arg)
{
	proxy_link_backend_drain(b->link, id_of(number, side), deadline_ms, fn, arg);
}

void
backends_parted(struct backends *b, int number, int side)
{
	tell_down(b, number, side);
}

/* --- how they are --------------------------------------------------------------------------- */

int
backends_find(const struct backends *b, int id, unsigned generation)
{
	int number = id >= 0 ? id % BACKENDS_MAX : 0;
	const struct backend *e = &b->list[number];
	struct app_info info;

	if (id < 0 || id >= 2 * BACKENDS_MAX || e->in == NULL ||
	    id != id_of(number, instance_current_side(e->in)))
		return -1;
	info = current(e);
	return info.generation == generation && info.state == APP_READY ? number : -1;
}

bool
backends_any(const struct backends *b)
{
	for (int i = 0; i < BACKENDS_MAX; i++)
		if (b->list[i].in != NULL)
			return true;
	return false;
}

bool
backends_any_ready(const struct backends *b)
{
	for (int i = 0; i < BACKENDS_MAX; i++)
		if (b->list[i].in != NULL && current(&b->list[i]).state == APP_READY)
			return true;
	return false;
}

bool
backends_all_failed(const struct backends *b)
{
	for (int i = 0; i < BACKENDS_MAX; i++)
		if (b->list[i].in != NULL && current(&b->list[i]).state != APP_FAILED)
			return false;
	return backends_any(b);
}
