/* fake_thread: the threads of the fake app-server. */
#include "tests/fakes/fake_thread.h"

#include <err.h>
#include <stdio.h>
#include <string.h>

#include "common/common.h"

struct thread *threads;

struct thread *
thread_new(uv_loop_t *loop, struct connection *owner)
{
	static unsigned ids;
	struct thread *t = calloc(1, sizeof(*t));

	if (t == NULL || uv_timer_init(loop, &t->timer) != 0)
		errx(70, "no memory");
	t->timer.data = t;
	t->owner = owner;
	t->items = json_array();
	t->next = threads;
	threads = t;
	(void)snprintf(t->id, sizeof(t->id), "01a2074f-0000-7000-8000-%012x", ids);
	(void)snprintf(t->turn, sizeof(t->turn), "01a2074f-1111-7000-8000-%012x", ids++);
	return t;
}

struct thread *
thread_find(const char *id)
{
	struct thread *t = threads;

	while (t != NULL && (id == NULL || strcmp(t->id, id) != 0))
		t = t->next;
	return t;
}

static void
on_thread_closed(uv_handle_t *handle)
{
	struct thread *t = handle->data;

	turn_plan_free(&t->plan);
	json_decref(t->items);
	free(t->start_id);
	free(t);
}

static void
thread_close(struct thread *t)
{
	struct thread **at = &threads;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	uv_close((uv_handle_t *)&t->timer, on_thread_closed);
}

void
thread_unload(struct thread *t)
{
	notify_all(
		text_printf("{\"method\":\"thread/status/changed\",\"params\":{\"threadId\":\"%s\","
	                    "\"status\":{\"type\":\"notLoaded\"}},\"emittedAtMs\":%lld}",
	                    t->id, now_ms()));
	notify_all(text_printf("{\"method\":\"thread/closed\",\"params\":{\"threadId\":\"%s\"},"
	                       "\"emittedAtMs\":%lld}",
	                       t->id, now_ms()));
	thread_close(t);
}

static void
on_timer(uv_timer_t *timer)
{
	struct thread *t = timer->data;

	t->at++;
	thread_go_on(t);
}

static void
answer_turn_start(struct thread *t)
{
	AUTO_FREE char *result = text_printf(
		"{\"turn\":{\"id\":\"%s\",\"rootTurnId\":\"%s\",\"items\":[],\"itemsView\":"
		"\"notLoaded\",\"status\":\"inProgress\",\"error\":null,\"startedAt\":null,"
		"\"completedAt\":null,\"durationMs\":null}}",
		t->turn, t->turn);

	for (unsigned i = 0; t->start_id != NULL && i < (t->plan.twice ? 2 : 1); i++)
		respond(t->owner, t->start_id, result);
	free(t->start_id);
	t->start_id = NULL;
}

/* false: the thread is no more. */
static bool
obey(struct thread *t, enum turn_mark mark)
{
	switch (mark) {
	case MARK_RESPOND:
		answer_turn_start(t);
		break;
	case MARK_BINARY:
		enqueue(t->owner, "\0\1\2{}", 5, 1, true);
		break;
	case MARK_CLOSE:
		connection_cut(t->owner);
		t->running = false;
		return false;
	case MARK_CLOSED:
		thread_unload(t);
		return false;
	case MARK_ENDED:
		t->running = false;
		break;
	}
	return true;
}

void
thread_go_on(struct thread *t)
{
	while (t->running && t->at < t->plan.script.count) {
		const struct step *step = &t->plan.script.steps[t->at];

		switch (step->kind) {
		case STEP_SEND:
			notify(t->owner, step->data + SCRIPT_HEADROOM, step->len, step->value);
			break;
		case STEP_WAIT:
			(void)uv_timer_start(&t->timer, on_timer, step->value,
			                     0); /* valid by init */
			return;
		case STEP_STALL:
		case STEP_CUT:
			return;
		case STEP_MARK:
			if (!obey(t, (enum turn_mark)step->value))
				return;
			break;
		}
		t->at++;
	}
}

void
thread_plan(struct thread *t, const json_t *items)
{
	if (t->planned)
		turn_plan_free(&t->plan);
	turn_plan_make(&t->plan, items, t->id, t->turn);
	t->planned = true;
}

void
threads_drop(const struct connection *owner)
{
	struct thread *t, *next;

	for (t = threads; t != NULL; t = next) {
		next = t->next;
		if (t->owner == owner)
			thread_close(t);
	}
}
