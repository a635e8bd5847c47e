/* sweep: lets go of threads in an app-server that nobody needs any more. */
#include "proxy/codex/sweep.h"

#include <string.h>

#include "common/json.h"
#include "common/log.h"

/* A connection has no more turns than admission lets through; this only bounds the memory. */
#define ORPHANS_MAX 4096

/* Strangers that are asked about in one look: the turns' own calls must not wait behind them. */
#define READS_MAX 50

#define CALL_TIMEOUT_MS 30000

void
sweep_init(struct sweep *s, uv_loop_t *loop, uint64_t turn_ms,
           bool (*knows)(void *arg, const char *thread_id), void *arg)
{
	*s = (struct sweep){.loop = loop, .turn_ms = turn_ms, .knows = knows, .arg = arg};
}

void
sweep_remember(struct sweep *s, const char *thread_id)
{
	if (s->orphans == NULL)
		s->orphans = json_object();
	if (json_object_size(s->orphans) < ORPHANS_MAX)
		(void)json_object_set_new(s->orphans, thread_id, json_true());
}

/* Nothing when it cannot be sent: the connection is as good as over then. */
static void
ask(struct rpc *rpc, const char *method, const char *thread_id, const char *turn_id,
    rpc_answer_fn answer, void *arg)
{
	json_auto_t *params = json_pack("{s:s,s:s*}", "threadId", thread_id, "turnId", turn_id);
	size_t len = 0;
	AUTO_FREE char *text = json_to_text(params, &len);

	if (text != NULL)
		(void)rpc_call(rpc, method, text, len, CALL_TIMEOUT_MS, answer, arg);
}

/* Neither answer matters: a thread that is gone is as good. */
void
sweep_let_go(struct rpc *rpc, const char *thread_id)
{
	ask(rpc, "turn/interrupt", thread_id, "", NULL, NULL); /* "": whichever turn it has */
	ask(rpc, "thread/unsubscribe", thread_id, NULL, NULL, NULL);
}

void
sweep_reclaim(struct sweep *s, struct rpc *rpc)
{
	const char *id;
	json_t *value;

	if (s->orphans == NULL)
		return;
	log_info("%zu threads of a lost connection are let go", json_object_size(s->orphans));
	json_object_foreach(s->orphans, id, value)
		sweep_let_go(rpc, id);
	json_decref(s->orphans);
	s->orphans = NULL;
}

static void
on_read(void *arg, json_t *result, const struct rpc_error *error)
{
	struct sweep *s = arg;
	const json_t *thread = json_get_object(result, "thread");
	const char *id = json_get_string(thread, "id");
	const char *status = json_get_string(json_get_object(thread, "status"), "type");
	uint64_t first = (uint64_t)json_get_int(s->seen, id != NULL ? id : "", -1);

	/* ours are never kept on disk */
	if (s->rpc == NULL || id == NULL || s->knows(s->arg, id) ||
	    !json_get_bool(thread, "ephemeral", true))
		return;
	if (status != NULL && strcmp(status, "active") == 0) {
		if (first > uv_now(s->loop) || uv_now(s->loop) - first < s->turn_ms)
			return;
		log_warning("thread %s: nobody here knows it, its turn does not end: let go", id);
		sweep_let_go(s->rpc, id);
		return;
	}
	log_info("thread %s: nobody uses it, let go", id);
	/* Where somebody else is subscribed, nothing happens. */
	ask(s->rpc, "thread/unsubscribe", id, NULL, NULL, NULL);
}

static void
on_loaded(void *arg, json_t *result, const struct rpc_error *error)
{
	struct sweep *s = arg;
	json_t *strangers, *entry;
	size_t i, asked = 0;

	s->call = 0;
	if (error != NULL)
		return; /* the next look may do better */
	strangers = json_object();
	json_array_foreach(json_get_array(result, "data"), i, entry) {
		const char *id = json_text(entry);
		json_t *first = id != NULL ? json_object_get(s->seen, id) : NULL;

		if (id == NULL || s->knows(s->arg, id))
			continue;
		(void)json_object_set_new(strangers, id,
		                          first != NULL
		                                  ? json_incref(first)
		                                  : json_integer((json_int_t)uv_now(s->loop)));
		if (first != NULL && asked++ < READS_MAX)
			ask(s->rpc, "thread/read", id, NULL, on_read, s);
	}
	json_decref(s->seen);
	s->seen = strangers;
}

void
sweep_look(struct sweep *s, struct rpc *rpc)
{
	if (s->call != 0)
		return;
	s->rpc = rpc;
	s->call = rpc_call(rpc, "thread/loaded/list", "{}", 2, CALL_TIMEOUT_MS, on_loaded, s);
}

void
sweep_stop(struct sweep *s, bool forget)
{
	if (s->call != 0)
		rpc_abandon(s->rpc, s->call);
	s->call = 0;
	s->rpc = NULL;
	if (!forget)
		return;
	json_decref(s->orphans);
	json_decref(s->seen);
	s->orphans = s->seen = NULL;
}
