/* control_calls: the requests of one connection that wait for the peer's answer. */
#include "common/control_calls.h"

#include <stdlib.h>

struct control_call {
	json_int_t id;
	uint64_t deadline_ms;
	control_answer_fn answer;
	void *arg;
	struct control_call *next;
	bool unsent; /* to be answered with an error, from the loop like all others */
};

json_t *
control_call_id(void)
{
	/* one counter for all connections: an answer from an older one never fits */
	static json_int_t last;

	return json_integer(++last);
}

struct control_call *
control_calls_add(struct control_call **list, const json_t *id, uint64_t deadline_ms,
                  control_answer_fn answer, void *arg)
{
	struct control_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	*call = (struct control_call){.id = json_integer_value(id),
	                              .deadline_ms = deadline_ms,
	                              .answer = answer,
	                              .arg = arg,
	                              .next = *list};
	*list = call;
	return call;
}

void
control_call_unsent(struct control_call *call)
{
	call->unsent = true;
	call->deadline_ms = 0;
}

uint64_t
control_calls_deadline(const struct control_call *list)
{
	uint64_t first = UINT64_MAX;

	for (const struct control_call *call = list; call != NULL; call = call->next)
		if (call->deadline_ms < first)
			first = call->deadline_ms;
	return first;
}

static void
end_call(struct control_call **at, json_t *result, int code, const char *message)
{
	struct control_call *call = *at;

	*at = call->next;
	call->answer(call->arg, result, code, message);
	free(call);
}

bool
control_calls_expire_one(struct control_call **list, uint64_t now_ms)
{
	struct control_call **at = list;

	while (*at != NULL && (*at)->deadline_ms > now_ms)
		at = &(*at)->next;
	if (*at == NULL)
		return false;
	if ((*at)->unsent)
		end_call(at, NULL, CONTROL_INTERNAL_ERROR, "the request could not be sent");
	else
		end_call(at, NULL, CONTROL_TIMEOUT, "no answer in time");
	return true;
}

bool
control_calls_answer(struct control_call **list, const struct control_msg *msg)
{
	struct control_call **at = list;

	while (*at != NULL &&
	       !(json_is_integer(msg->id) && json_integer_value(msg->id) == (*at)->id))
		at = &(*at)->next;
	if (*at == NULL)
		return false;
	if (msg->kind == CONTROL_RESULT)
		end_call(at, msg->result, 0, NULL);
	else
		end_call(at, NULL, msg->code, msg->message);
	return true;
}

void
control_calls_disconnect(struct control_call **list)
{
	while (*list != NULL)
		end_call(list, NULL, CONTROL_DISCONNECTED,
		         "the connection ended before the answer");
}
