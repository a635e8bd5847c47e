/* sweep: lets go of threads in an app-server that nobody needs any more. */
#include "proxy/codex/sweep.h"

#include <string.h>

#include "common/json.h"
#include "common/log.h"

/* A connection has no more turns than admission lets through; this only bounds the memory. */
#define ORPHANS_MAX 4096

#define CALL_TIMEOUT_MS 30000

void
sweep_init(struct sweep *s, bool (*knows)(void *arg, const char *thread_id), void *arg)
{
	*s = (struct sweep){.knows = knows, .arg = arg};
}

void
sweep_remember(struct sweep *s, const char *thread_id)
{
	if (s->orphans == NULL)
		s->orphans = json_object();
	if (json_object_size(s->orphans) < ORPHANS_MAX)
		(void)json_object_set_new(s->orphans, thread_id, json_true());
}

/* Neither answer matters: a thread that is gone is as good. */
static void
let_go(struct rpc *rpc, const char *thread_id)
{
	json_auto_t *both = json_pack("{s:s,s:s}", "threadId", thread_id, "turnId", "");
	json_auto_t *thread = json_pack("{s:s}", "threadId", thread_id);
	AUTO_FREE char *interrupt = NULL, *unsubscribe = NULL;
	size_t interrupt_len, unsubscribe_len;

	interrupt = json_to_text(both, &interrupt_len);
	unsubscribe = json_to_text(thread, &unsubscribe_len);
	if (interrupt == NULL || unsubscribe == NULL)
		return;
	(void)rpc_call(rpc, "turn/interrupt", interrupt, interrupt_len, CALL_TIMEOUT_MS, NULL,
	               NULL);
	(void)rpc_call(rpc, "thread/unsubscribe", unsubscribe, unsubscribe_len, CALL_TIMEOUT_MS,
	               NULL, NULL);
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
		let_go(rpc, id);
	json_decref(s->orphans);
	s->orphans = NULL;
}

static void
on_loaded(void *arg, json_t *result, const struct rpc_error *error)
{
	struct sweep *s = arg;
	struct rpc *rpc = s->rpc;
	json_t *strangers, *entry;
	size_t i, swept = 0;

	s->call = 0;
	s->rpc = NULL;
	if (error != NULL)
		return; /* the next look may do better */
	strangers = json_object();
	json_array_foreach(json_get_array(result, "data"), i, entry) {
		const char *id = json_is_string(entry) ? json_string_value(entry)
		                                       : json_get_string(entry, "id");

		if (id == NULL || s->knows(s->arg, id))
			continue;
		if (json_object_get(s->seen, id) == NULL) {
			(void)json_object_set_new(strangers, id, json_true());
			continue;
		}
		let_go(rpc, id);
		swept++;
	}
	json_decref(s->seen);
	s->seen = strangers;
	if (swept > 0)
		log_warning("%zu threads that nobody uses were still loaded: let go", swept);
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
