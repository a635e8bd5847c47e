/* thread: one ephemeral codex thread with its one turn, from thread/start to thread/unsubscribe.
 *
 * What notifications mean is in thread_events.c; here is what is asked, and in which order it all
 * ends. A thread outlives its turn by the calls that clean up after it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "proxy/codex/codex_error.h"
#include "proxy/codex/sweep.h"
#include "proxy/codex/thread_internal.h"
#include "proxy/codex/thread_params.h"

/* Of a call's message, what is not its params. */
#define ENVELOPE_MAX 256

/* Codex unloads a thread 1 ms after it is unsubscribed; of a burst of hundreds, some never. */
#define UNLOAD_MS        1000
#define UNSUBSCRIBES_MAX 3

#define OVERLOADED (-32001) /* a call that codex has no time for */

#define ID_CHARACTERS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_."

static const char *const methods[CALL_COUNT] = {
	[CALL_START] = "thread/start",       [CALL_INJECT] = "thread/inject_items",
	[CALL_TURN] = "turn/start",          [CALL_READ] = "thread/read",
	[CALL_INTERRUPT] = "turn/interrupt", [CALL_UNSUBSCRIBE] = "thread/unsubscribe",
};

static void leave_on(struct thread *t);
static void set_timer(struct thread *t, uint64_t ms);

static void
on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* The last step of every life. */
static void
part(struct thread *t)
{
	struct rpc *rpc = backend_rpc(t->backend);

	if (t->phase == THREAD_PARTED)
		return;
	t->phase = THREAD_PARTED;
	for (size_t i = 0; i < CALL_COUNT; i++)
		if (t->calls[i] != 0 && rpc != NULL)
			rpc_abandon(rpc, t->calls[i]);
	backend_remove_thread(t->backend, &t->link);
	thread_events_free(t);
	uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}

/* --- calls ---------------------------------------------------------------------------------- */

/* Why a call cannot be sent. */
static const struct unsent lost = {.kind = FAILURE_BACKEND_LOST,
                                   .message = "The connection to Codex was lost."};
static const struct unsent no_memory = {.kind = FAILURE_INTERNAL, .message = "Out of memory."};
static const struct unsent no_tools = {
	.kind = FAILURE_INVALID_REQUEST,
	.message = "Functions are not available on this server: it sends conversations as one "
		   "text.",
	.param = "tools"};
static const struct unsent taken_name = {
	.kind = FAILURE_INVALID_REQUEST,
	.message = "A function has the name of one of Codex's own tools, which are on here.",
	.param = "tools"};
static const struct unsent too_large = {.kind = FAILURE_CONTEXT_LENGTH,
                                        .message =
                                                "The request is larger than Codex takes (64 MiB)."};

/* False: it cannot be sent, t->unsent says why. */
static bool
call(struct thread *t, enum thread_call which, const struct json_buf *params, rpc_answer_fn answer)
{
	const struct thread_config *config = t->config;
	uint64_t timeout_ms =
		which == CALL_READ ? config->completion_grace_ms : config->call_timeout_ms;
	struct rpc *rpc = backend_rpc(t->backend);

	if (params->failed)
		t->unsent = &no_memory;
	else if (params->len > RPC_MESSAGE_MAX - ENVELOPE_MAX)
		t->unsent = &too_large;
	else if (rpc == NULL)
		t->unsent = &lost;
	else
		t->calls[which] = rpc_call(rpc, methods[which], params->data, params->len,
		                           timeout_ms, answer, t);
	if (t->calls[which] == 0 && t->unsent == NULL)
		t->unsent = &lost;
	if (t->calls[which] != 0 && which != CALL_READ)
		rpc_wants_little(rpc, t->calls[which]);
	return t->calls[which] != 0;
}

/* False: the connection ended before the answer. The backend tells every thread so at once
 * (thread_on_lost), whatever it waits for: that is the one way out. */
static bool
answered(struct thread *t, enum thread_call which, const struct rpc_error *error)
{
	t->calls[which] = 0;
	return error == NULL || error->code != RPC_LOST;
}

/* Calls that name the thread and nothing else but an empty turn id, which matches any. */
static bool
call_by_id(struct thread *t, enum thread_call which, const char *more, rpc_answer_fn answer)
{
	struct json_buf params = {0};
	bool sent;

	json_buf_append(&params, "{\"threadId\":\"", 13);
	json_buf_append(&params, t->link.id, strlen(t->link.id));
	json_buf_append(&params, "\"", 1);
	json_buf_append(&params, more, strlen(more));
	json_buf_append(&params, "}", 1);
	sent = call(t, which, &params, answer);
	json_buf_free(&params);
	return sent;
}

static void
fail_call(struct thread *t, enum thread_call which, const struct rpc_error *error)
{
	struct failure failure;

	codex_rpc_error_to_failure(&failure, methods[which], error);
	thread_fail(t, &failure);
}

static void
fail_unsent(struct thread *t)
{
	struct failure failure;

	failure_set(&failure, t->unsent->kind, "%s", t->unsent->message);
	if (t->unsent->param != NULL)
		strcpy(failure.upstream_param, t->unsent->param);
	thread_fail(t, &failure);
}

/* --- leaving: the caller has its answer, or has gone ---------------------------------------- */

/* thread/closed, which follows, is the end of it. */
static void
on_unsubscribed(void *arg, json_t *result, const struct rpc_error *error)
{
	struct thread *t = arg;
	const char *status = json_get_string(result, "status");

	if (!answered(t, CALL_UNSUBSCRIBE, error))
		return;
	if (status == NULL || strcmp(status, "notLoaded") == 0 ||
	    ++t->unsubscribed == UNSUBSCRIBES_MAX)
		part(t);
	else
		set_timer(t, UNLOAD_MS);
}

static void
on_interrupted(void *arg, json_t *result, const struct rpc_error *error)
{
	struct thread *t = arg;

	if (!answered(t, CALL_INTERRUPT, error))
		return;
	/* "No active turn": one that was asked for but has not begun yet must not run on unseen. */
	if (error != NULL && !t->turn_over && !t->turn_started)
		return;
	t->turn_over = true;
	leave_on(t);
}

/* The next step of leaving, as far as it can go now. */
static void
leave_on(struct thread *t)
{
	if (t->phase != THREAD_LEAVING)
		return;
	if (t->gone) {
		part(t);
		return;
	}
	if (t->link.id[0] == '\0') {
		if (t->calls[CALL_START] == 0)
			part(t); /* there is no thread */
		return;
	}
	if (t->turn_asked && !t->turn_over) {
		if (t->calls[CALL_INTERRUPT] != 0 || (!t->turn_started && t->calls[CALL_TURN] != 0))
			return;
		if (!call_by_id(t, CALL_INTERRUPT, ",\"turnId\":\"\"", on_interrupted))
			part(t);
		return;
	}
	if (t->calls[CALL_UNSUBSCRIBE] == 0 &&
	    !call_by_id(t, CALL_UNSUBSCRIBE, "", on_unsubscribed))
		part(t);
}

static void
leave(struct thread *t)
{
	t->phase = THREAD_LEAVING;
	t->on_event = NULL;
	t->conversation = NULL;
	backend_turn_over(t->backend, &t->link);
	set_timer(t, t->config->call_timeout_ms);
	leave_on(t);
}

static void
end_with(struct thread *t, const struct event *event)
{
	event_fn on_event = t->on_event;
	void *arg = t->arg;

	leave(t); /* first: whatever the caller does in the event, the thread is not its any more */
	on_event(arg, event);
}

void
thread_fail(struct thread *t, const struct failure *failure)
{
	struct failure last = *failure;
	const struct event event = {.kind = EVENT_FAILED, .failure = &last};

	if (t->acted) {
		last.retryable = false;
		last.given_up = true;
	}
	if (thread_is_over(t))
		leave_on(t);
	else
		end_with(t, &event);
}

void
thread_finish(struct thread *t, enum finish_reason finish)
{
	const struct event event = {.kind = EVENT_FINISHED, .finish = finish};

	if (!thread_is_over(t))
		thread_say_held(t, false);
	if (!thread_is_over(t))
		end_with(t, &event);
}

void
thread_cancel(struct thread *t)
{
	if (!thread_is_over(t))
		leave(t);
}

void
thread_turn_changed(struct thread *t)
{
	leave_on(t);
}

/* Nothing can be asked about it any more. What the model has said to its end counts all the same:
 * an app-server that stops was seen to lose the last turn/completed. */
static void
end_without_server(struct thread *t, const char *why)
{
	struct failure failure;

	t->gone = true;
	if (!thread_is_over(t) && (t->completed || t->error_known))
		thread_end_untold(t, false);
	failure_set(&failure, FAILURE_BACKEND_LOST, "%s", why);
	thread_fail(t, &failure);
	part(t);
}

void
thread_closed_by_server(struct thread *t)
{
	end_without_server(t, "Codex closed the thread in the middle of the turn.");
}

void
thread_on_lost(struct thread_link *link)
{
	end_without_server((struct thread *)link, lost.message);
}

/* --- beginning ------------------------------------------------------------------------------ */

static void
on_turn_started(void *arg, json_t *result, const struct rpc_error *error)
{
	struct thread *t = arg;

	if (!answered(t, CALL_TURN, error))
		return;
	if (error != NULL) {
		/* Refused: there is no turn. Without an answer there may be one all the same. */
		t->turn_over = error->code != RPC_TIMEOUT && !t->turn_started;
		fail_call(t, CALL_TURN, error);
		return;
	}
	thread_learn_turn(t, json_get_string(json_get_object(result, "turn"), "id"));
	leave_on(t);
}

static void
on_injected(void *arg, json_t *result, const struct rpc_error *error)
{
	struct thread *t = arg;

	if (answered(t, CALL_INJECT, error) && error != NULL)
		fail_call(t, CALL_INJECT, error);
}

static bool
inject_history(struct thread *t)
{
	struct json_buf params = {0};
	bool sent;

	if (json_array_size(t->conversation->items) == 0)
		return true;
	thread_params_inject(&params, t->link.id, t->conversation);
	sent = call(t, CALL_INJECT, &params, on_injected);
	json_buf_free(&params);
	return sent;
}

static void
start_turn(struct thread *t, const struct json_buf *params)
{
	t->turn_asked = call(t, CALL_TURN, params, on_turn_started);
	if (!t->turn_asked)
		fail_unsent(t);
}

static void
fail_transcript(struct thread *t, const struct err *err)
{
	switch (err->code) {
	case -EMSGSIZE:
		thread_fail_with(t, FAILURE_CONTEXT_LENGTH, err->text);
		break;
	case -EINVAL:
		thread_fail_with(t, FAILURE_INVALID_REQUEST, err->text);
		break;
	default:
		thread_fail_with(t, FAILURE_INTERNAL, "Out of memory.");
	}
}

/* The history and the turn go out together: codex handles the calls of a thread in order. */
static void
ask_for_turn(struct thread *t)
{
	struct json_buf params = {0};
	struct err err;

	if (t->config->transcript) {
		if (thread_params_turn_as_text(&params, t->link.id, t->conversation, &err) < 0)
			fail_transcript(t, &err);
		else
			start_turn(t, &params);
	} else if (inject_history(t)) {
		thread_params_turn(&params, t->link.id, t->conversation);
		start_turn(t, &params);
	} else {
		fail_unsent(t);
	}
	json_buf_free(&params);
}

/* It goes into the calls' text as it is. */
static bool
is_usable_id(const char *id)
{
	return id != NULL && id[0] != '\0' && strlen(id) < THREAD_ID_MAX &&
	       strspn(id, ID_CHARACTERS) == strlen(id);
}

static void
on_started(void *arg, json_t *result, const struct rpc_error *error)
{
	struct thread *t = arg;
	const char *id = json_get_string(json_get_object(result, "thread"), "id");
	struct rpc_error nameless = {.code = -32603, .message = "an answer without a thread id"};
	struct rpc_error short_of = {.code = -32603, .message = "out of memory"};

	if (!answered(t, CALL_START, error))
		return;
	if (!is_usable_id(id)) {
		fail_call(t, CALL_START, error != NULL ? error : &nameless);
		return;
	}
	strcpy(t->link.id, id);
	if (!backend_name_thread(t->backend, &t->link)) {
		fail_call(t, CALL_START, &short_of); /* the sweep finds the thread over there */
		return;
	}
	if (t->phase == THREAD_LEAVING) {
		leave_on(t); /* cancelled meanwhile */
		return;
	}
	ask_for_turn(t);
}

/* --- its end, when nobody tells it ----------------------------------------------------------- */

/* What is held is the whole of it, one way or the other. */
static bool
knows_all(const struct thread *t)
{
	return t->completed || t->error_known;
}

static void
on_read(void *arg, json_t *result, const struct rpc_error *error)
{
	struct thread *t = arg;
	const json_t *status = json_get_object(json_get_object(result, "thread"), "status");
	const char *type = json_get_string(status, "type");

	if (!answered(t, CALL_READ, error) || !t->settling || thread_is_over(t))
		return;
	if ((type != NULL && strcmp(type, "active") == 0) ||
	    (error != NULL && (error->code == OVERLOADED || !knows_all(t)))) {
		thread_settle(t); /* to the deadline, which is others' business */
		return;
	}
	t->turn_over = error == NULL;
	thread_end_untold(t, type != NULL && strcmp(type, "idle") == 0);
}

static void
ask_for_end(struct thread *t)
{
	if (t->calls[CALL_READ] == 0 && !call_by_id(t, CALL_READ, "", on_read))
		fail_unsent(t);
}

static void
unsubscribe_again(struct thread *t)
{
	set_timer(t, t->config->call_timeout_ms);
	leave_on(t);
}

static void
give_up(struct thread *t)
{
	log_warning("thread %s: not cleaned up in time, not waited for any longer", t->link.id);
	if (t->link.id[0] != '\0')
		sweep_let_go(backend_rpc(t->backend), t->link.id);
	part(t);
}

static void
on_timer(uv_timer_t *timer)
{
	struct thread *t = timer->data;

	switch (t->phase) {
	case THREAD_BEGUN:
		if (t->unsent != NULL)
			fail_unsent(t);
		else
			ask_for_end(t);
		break;
	case THREAD_LEAVING:
		if (t->unsubscribed > 0 && t->calls[CALL_UNSUBSCRIBE] == 0)
			unsubscribe_again(t);
		else
			give_up(t);
		break;
	case THREAD_PARTED:
		break;
	}
}

static void
set_timer(struct thread *t, uint64_t ms)
{
	(void)uv_timer_start(&t->timer, on_timer, ms, 0); /* a live handle */
}

void
thread_settle(struct thread *t)
{
	if (thread_is_over(t))
		return;
	t->settling = true;
	set_timer(t, t->config->completion_grace_ms);
}

void
thread_unsettle(struct thread *t)
{
	t->settling = false;
	(void)uv_timer_stop(&t->timer); /* cannot fail */
}

bool
thread_is_over(const struct thread *t)
{
	return t->phase != THREAD_BEGUN;
}

/* Which of the two the model means could not be told. */
static bool
has_tool_of_codex(const json_t *tools)
{
	static const char *const names[] = {"exec_command", "write_stdin",   "apply_patch",
	                                    "shell",        "shell_command", "local_shell",
	                                    "update_plan",  "view_image",    "container.exec"};
	const json_t *tool;
	size_t i;

	json_array_foreach(tools, i, tool) {
		const char *name = json_get_string(tool, "name");

		if (has_tool_of_codex(json_object_get(tool, "tools")))
			return true;
		for (size_t n = 0; name != NULL && n < NELEM(names); n++)
			if (strcmp(names[n], name) == 0)
				return true;
	}
	return false;
}

struct thread *
thread_begin(struct backend *b, const struct thread_config *config, const struct conversation *c,
             event_fn on_event, void *arg)
{
	struct thread *t = calloc(1, sizeof(*t));
	struct json_buf params = {0};

	if (t == NULL)
		return NULL;
	if (config->agent != NULL && (t->own = agent_calls_new()) == NULL) {
		free(t);
		return NULL;
	}
	t->backend = b;
	t->config = config;
	t->conversation = c;
	t->on_event = on_event;
	t->arg = arg;
	(void)uv_timer_init(backend_loop(b), &t->timer); /* cannot fail */
	t->timer.data = t;
	backend_add_thread(b, &t->link);
	thread_params_start(&params, config, c);
	if (config->transcript && c->tools != NULL)
		t->unsent = &no_tools;
	else if (config->agent != NULL && has_tool_of_codex(c->tools))
		t->unsent = &taken_name;
	if (t->unsent != NULL || !call(t, CALL_START, &params, on_started))
		set_timer(t, 0); /* said from the loop: never from inside this call */
	json_buf_free(&params);
	return t;
}

bool
thread_is_retrying(const struct thread *t, struct failure *out)
{
	if (t->retrying)
		*out = t->error;
	return t->retrying;
}

const char *
thread_id(const struct thread *t)
{
	return t->link.id;
}
