/* rpc_queue: messages on their way out, each in one allocation with room for lws in front. */
#include "proxy/codex/rpc_queue.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

struct rpc_message *
rpc_message_new(const char *const *pieces, const size_t *lens, size_t count)
{
	struct rpc_message *m;
	size_t len = 0, at = LWS_PRE;

	for (size_t i = 0; i < count; i++)
		len += lens[i];
	m = malloc(sizeof(*m) + LWS_PRE + len);
	if (m == NULL)
		return NULL;
	m->next = NULL;
	m->len = len;
	m->sent = 0;
	for (size_t i = 0; i < count; i++) {
		memcpy(m->room + at, pieces[i], lens[i]);
		at += lens[i];
	}
	return m;
}

void
rpc_queue_push(struct rpc_queue *q, struct rpc_message *m)
{
	m->next = NULL;
	if (q->first == NULL)
		q->first = m;
	else
		q->last->next = m;
	q->last = m;
	q->bytes += m->len;
}

void
rpc_queue_pop(struct rpc_queue *q)
{
	struct rpc_message *m = q->first;

	q->first = m->next;
	q->bytes -= m->len;
	free(m);
}

void
rpc_queue_clear(struct rpc_queue *q)
{
	while (q->first != NULL)
		rpc_queue_pop(q);
}
