/* turn: one request's life: queue, slot, backend, deadlines, retry, cancel, and one way out. */
#include "proxy/turn.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <utlist.h>

#include "common/log.h"
#include "proxy/admission.h"
#include "proxy/turn_retry.h"

enum turn_state {
	TURN_NEW,      /* submitted; goes on with the next turn of the loop */
	TURN_FETCHING, /* its images */
	TURN_WAITING,  /* for a slot */
	TURN_RUNNING,  /* a thread works on it */
	TURN_PAUSING,  /* before the next try */
	TURN_OVER,     /* only its timer's close callback is left */
};

struct turn {
	struct turns *owner;
	struct turn *prev, *next; /* owner->turns */
	struct admission_ticket ticket;
	struct images_wait images;
	enum turn_state state;
	struct conversation *conversation;
	struct thread *thread; /* while TURN_RUNNING */
	int backend;
	int64_t generation;
	event_fn on_event;
	void *arg;
	/* One timer serves every deadline: events only note the time, and the timer, when it
	 * fires early, is set again. So a delta costs no timer operation. */
	uv_timer_t timer;
	uint64_t queue_deadline;
	uint64_t pause_end;
	uint64_t total_deadline;
	uint64_t last_event;
	bool late; /* submitted when no new ones were taken any more */
	bool model_resolved;
	bool started;
	bool committed;
	unsigned attempts;
};

struct turns {
	struct turns_config config;
	struct admission admission;
	struct turn *turns;
	unsigned fetching;
	bool draining;
	uv_timer_t drain_timer;
	uint64_t drain_deadline;
	void (*drain_done)(void *arg, unsigned left);
	void *drain_arg;
};

static void on_timer(uv_timer_t *timer);
static void on_drain_deadline(uv_timer_t *timer);
static void on_admitted(struct admission_ticket *ticket);
static void on_ousted(struct admission_ticket *ticket);

struct turns *
turns_new(const struct turns_config *config)
{
	struct turns *ts = calloc(1, sizeof(*ts));

	if (ts == NULL)
		return NULL;
	ts->config = *config;
	admission_init(&ts->admission, config->max_running, config->max_waiting, on_admitted,
	               on_ousted);
	return ts;
}

void
turns_free(struct turns *ts)
{
	if (ts == NULL)
		return;
	assert(ts->turns == NULL);
	free(ts);
}

struct turns_stats
turns_stats(const struct turns *ts)
{
	return (struct turns_stats){.running = ts->admission.running,
	                            .waiting = ts->admission.waiting};
}

static void
stats_changed(struct turns *ts)
{
	if (ts->config.on_stats != NULL)
		ts->config.on_stats(ts->config.arg);
}

static void refuse_without_login(struct turns *ts);

void
turns_pump(struct turns *ts)
{
	refuse_without_login(ts);
	admission_set_closed(&ts->admission, backend_pool_usable(ts->config.pool) == 0);
	stats_changed(ts);
}

/* Told from the loop, so that nobody's call is under way when the process goes down. */
static void
drain_check(struct turns *ts)
{
	if (ts->drain_done == NULL || ts->turns != NULL)
		return;
	ts->drain_deadline = 0;
	uv_timer_start(&ts->drain_timer, on_drain_deadline, 0, 0);
}

static void
on_turn_closed(uv_handle_t *handle)
{
	struct turn *t = handle->data;

	free(t);
}

static void
emit(struct turn *t, const struct event *event)
{
	t->on_event(t->arg, event);
}

static void
stop_fetching(struct turn *t)
{
	images_leave(&t->images);
	if (t->state == TURN_FETCHING)
		t->owner->fetching--;
}

/* The one way out: the last word, NULL when the caller has gone, and then everything that the turn
 * holds. Its thread is over or cancelled by now. A slot is free behind the last word; a place in
 * the queue is left before it: whoever is told may end others, and would let this one into their
 * slot. */
static void
turn_end(struct turn *t, const struct event *last)
{
	struct turns *ts = t->owner;

	assert(t->state != TURN_OVER);
	stop_fetching(t);
	if (t->state == TURN_WAITING)
		admission_leave(&ts->admission, &t->ticket);
	t->state = TURN_OVER;
	t->thread = NULL;
	if (last != NULL)
		emit(t, last);
	uv_close((uv_handle_t *)&t->timer, on_turn_closed);
	conversation_free(t->conversation);
	t->conversation = NULL;
	DL_DELETE(ts->turns, t);
	admission_leave(&ts->admission, &t->ticket);
	stats_changed(ts);
	drain_check(ts);
}

static void
fail(struct turn *t, const struct failure *failure)
{
	const struct event event = {.kind = EVENT_FAILED, .failure = failure};

	turn_end(t, &event);
}

static void
fail_with(struct turn *t, enum failure_kind kind, const char *message)
{
	struct failure failure;

	failure_set(&failure, kind, "%s", message);
	fail(t, &failure);
}

/* When something must have happened at the latest. */
static uint64_t
phase_deadline(const struct turn *t)
{
	const struct turns_config *config = &t->owner->config;
	uint64_t deadline = t->total_deadline;

	switch (t->state) {
	case TURN_WAITING:
		deadline = t->queue_deadline;
		break;
	case TURN_RUNNING:
		deadline = t->last_event +
		           (t->started ? config->idle_timeout_ms : config->first_event_timeout_ms);
		break;
	case TURN_PAUSING:
		deadline = t->pause_end;
		break;
	case TURN_NEW:
	case TURN_FETCHING:
	case TURN_OVER:
		break;
	}
	return deadline < t->total_deadline ? deadline : t->total_deadline;
}

static void
arm(struct turn *t)
{
	uint64_t now = uv_now(t->owner->config.loop);
	uint64_t deadline = phase_deadline(t);

	uv_timer_start(&t->timer, on_timer, deadline > now ? deadline - now : 0, 0);
}

static void
wait_for_slot(struct turn *t)
{
	const struct turns_config *config = &t->owner->config;

	t->state = TURN_WAITING;
	t->queue_deadline = uv_now(config->loop) + config->queue_timeout_ms;
	arm(t);
}

static void
refuse(struct turn *t)
{
	fail_with(t, FAILURE_QUEUE_FULL, "Too many requests are waiting already.");
}

/* A person has to act first: nobody shall wait for that in a queue. True: the turn is over. */
static bool
lacks_login(struct turn *t)
{
	if (!backend_pool_needs_login(t->owner->config.pool))
		return false;
	fail_with(t, FAILURE_LOGIN_REQUIRED,
	          "The server has no Codex login: its operator has to log in (codex login).");
	return true;
}

static void
refuse_without_login(struct turns *ts)
{
	struct turn *t;

again: /* from the head: whoever is told may end others */
	DL_FOREACH(ts->turns, t) {
		if ((t->state == TURN_WAITING || t->state == TURN_PAUSING) && lacks_login(t))
			goto again;
	}
}

static void
enter(struct turn *t)
{
	struct turns *ts = t->owner;

	if (lacks_login(t))
		return;
	wait_for_slot(t);
	if (!admission_enter(&ts->admission, &t->ticket)) {
		refuse(t);
		return;
	}
	stats_changed(ts);
}

static void
on_images(void *arg, const struct failure *failure)
{
	struct turn *t = arg;

	if (failure != NULL) {
		fail(t, failure);
		return;
	}
	stop_fetching(t);
	enter(t);
}

static void
fetch_images(struct turn *t)
{
	struct turns *ts = t->owner;
	struct failure failure;

	switch (images_fetch(ts->config.images, t->conversation, &t->images, on_images, t,
	                     &failure)) {
	case IMAGES_READY:
		enter(t);
		break;
	case IMAGES_COMING:
		t->state = TURN_FETCHING;
		if (++ts->fetching > ts->config.max_running + ts->config.max_waiting)
			refuse(t);
		else
			arm(t);
		break;
	case IMAGES_FAILED:
		fail(t, &failure);
		break;
	}
}

static void
emit_model(struct turn *t)
{
	const struct event event = {.kind = EVENT_MODEL, .model = t->conversation->model};

	emit(t, &event);
}

/* False: the turn is over. */
static bool
resolve_model(struct turn *t)
{
	struct turns *ts = t->owner;
	struct failure failure;

	if (t->model_resolved)
		return true;
	switch (ts->config.resolve_model(ts->config.arg, t->conversation)) {
	case MODEL_NOT_YET:
		return true;
	case MODEL_UNKNOWN:
		failure_set(&failure, FAILURE_MODEL_NOT_FOUND,
		            "The model '%.128s' does not exist or you do not have access to it.",
		            t->conversation->model);
		fail(t, &failure);
		return false;
	case MODEL_FOUND:
		break;
	}
	t->model_resolved = true;
	emit_model(t);
	return t->state != TURN_OVER;
}

static void
retry(struct turn *t, const struct failure *failure)
{
	const struct event event = {.kind = EVENT_RESTARTED};
	struct turns *ts = t->owner;
	uint64_t pause = turn_retry_pause_ms(failure, t->attempts);

	log_info("turn %s begins again (attempt %u) in %llu ms after: %s", turn_thread_id(t),
	         t->attempts + 1, (unsigned long long)pause, failure->message);
	t->thread = NULL;
	t->started = false;
	t->state = TURN_PAUSING;
	t->pause_end = uv_now(ts->config.loop) + pause;
	arm(t);
	emit(t, &event);
	if (t->state != TURN_OVER)
		emit_model(t); /* the model that answered may have been another */
	if (t->state == TURN_OVER)
		return;
	/* Last: who takes the slot may end others, this one too. */
	admission_leave(&ts->admission, &t->ticket);
	stats_changed(ts);
}

/* The last of its tries: were the caller to try as often as we, a request that brings app-servers
 * down could bring down all of them. */
static void
give_up(struct turn *t, const struct failure *failure)
{
	struct failure last = *failure;

	last.given_up = last.given_up || (last.class_ == FAILURE_SERVER &&
	                                  turn_retry_is_used_up(failure, t->attempts));
	fail(t, &last);
}

static void
report_outcome(struct turn *t, const struct failure *failure)
{
	const struct turns_config *config = &t->owner->config;

	if (config->on_outcome != NULL)
		config->on_outcome(config->arg, t->backend, t->generation, failure);
}

static void
on_thread_event(void *arg, const struct event *event)
{
	struct turn *t = arg;

	t->last_event = uv_now(t->owner->config.loop);
	switch (event->kind) {
	case EVENT_FAILED:
		report_outcome(t, event->failure);
		if (!t->committed && turn_retry_may_help(event->failure, t->attempts))
			retry(t, event->failure);
		else
			give_up(t, event->failure);
		return;
	case EVENT_FINISHED:
		report_outcome(t, NULL);
		turn_end(t, event);
		return;
	case EVENT_STARTED:
		t->started = true;
		arm(t); /* another deadline counts now, and it may be nearer */
		break;
	case EVENT_ADMITTED:
	case EVENT_RESTARTED:
	case EVENT_TEXT:
	case EVENT_REASONING:
	case EVENT_REASONED:
	case EVENT_TOOL_CALL:
	case EVENT_USAGE:
	case EVENT_MODEL:
		break;
	}
	emit(t, event);
}

static struct turn *
turn_of(struct admission_ticket *ticket)
{
	return (struct turn *)((char *)ticket - offsetof(struct turn, ticket));
}

static void
on_ousted(struct admission_ticket *ticket)
{
	refuse(turn_of(ticket));
}

static void
on_admitted(struct admission_ticket *ticket)
{
	struct turn *t = turn_of(ticket);
	const struct event event = {.kind = EVENT_ADMITTED};
	struct turns *ts = t->owner;
	struct backend *b;

	assert(t->state == TURN_WAITING);
	stats_changed(ts);
	if (!resolve_model(t))
		return;
	if (!t->model_resolved) {
		fail_with(t, FAILURE_NO_BACKEND, "The model list is not known yet.");
		return;
	}
	b = backend_pick(ts->config.pool);
	if (b == NULL) {
		/* The last one has just gone: wait for the pool's word, within the queue's time. */
		admission_set_closed(&ts->admission, true);
		t->state = TURN_WAITING;
		admission_reenter(&ts->admission, &t->ticket);
		return;
	}
	t->backend = backend_id(b);
	t->generation = backend_generation(b);
	t->attempts++;
	t->state = TURN_RUNNING;
	t->last_event = uv_now(ts->config.loop);
	t->thread = thread_begin(b, &ts->config.thread, t->conversation, on_thread_event, t);
	if (t->thread == NULL) {
		fail_with(t, FAILURE_INTERNAL, "Out of memory.");
		return;
	}
	arm(t);
	emit(t, &event);
}

static void
on_deadline(struct turn *t, uint64_t now)
{
	struct failure failure;

	if (t->state == TURN_WAITING) {
		bool up = backend_pool_usable(t->owner->config.pool) > 0;

		fail_with(t, up ? FAILURE_QUEUE_TIMEOUT : FAILURE_NO_BACKEND,
		          up ? "The request waited too long for a free slot."
		             : "No Codex app-server became available in time.");
		return;
	}
	if (t->thread != NULL && thread_is_retrying(t->thread, &failure)) {
		/* it is not silence, codex has said what is wrong */
	} else if (now >= t->total_deadline)
		failure_set(&failure, FAILURE_TOTAL_TIMEOUT,
		            "The request took longer than %llu ms.",
		            (unsigned long long)t->owner->config.total_timeout_ms);
	else if (t->started)
		failure_set(&failure, FAILURE_UPSTREAM_TIMEOUT, "The model fell silent.");
	else
		failure_set(&failure, FAILURE_BACKEND_TIMEOUT,
		            "The model gave no sign of life in time.");
	if (t->thread != NULL)
		thread_cancel(t->thread);
	if (t->state == TURN_RUNNING)
		report_outcome(t, &failure);
	fail(t, &failure);
}

static void
begin(struct turn *t)
{
	if (t->late)
		fail_with(t, FAILURE_DRAINING, "The server is shutting down.");
	/* an unknown model is told now, not after a wait in the queue */
	else if (!lacks_login(t) && resolve_model(t))
		fetch_images(t);
}

static void
on_timer(uv_timer_t *timer)
{
	struct turn *t = timer->data;
	uint64_t now = uv_now(t->owner->config.loop);

	if (t->state == TURN_NEW) {
		begin(t);
	} else if (now < phase_deadline(t)) {
		arm(t);
	} else if (t->state == TURN_PAUSING && now < t->total_deadline) {
		wait_for_slot(t);
		admission_reenter(&t->owner->admission, &t->ticket);
		stats_changed(t->owner);
	} else {
		on_deadline(t, now);
	}
}

struct turn *
turn_submit(struct turns *ts, struct conversation *c, unsigned key, event_fn on_event, void *arg)
{
	struct turn *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		conversation_free(c);
		return NULL;
	}
	t->owner = ts;
	t->state = TURN_NEW;
	t->late = ts->draining;
	t->conversation = c;
	t->ticket.key = key;
	t->on_event = on_event;
	t->arg = arg;
	t->backend = -1;
	t->total_deadline = uv_now(ts->config.loop) + ts->config.total_timeout_ms;
	(void)uv_timer_init(ts->config.loop, &t->timer); /* cannot fail */
	t->timer.data = t;
	DL_APPEND(ts->turns, t);
	uv_timer_start(&t->timer, on_timer, 0, 0);
	return t;
}

void
turn_commit(struct turn *t)
{
	t->committed = true;
}

void
turn_cancel(struct turn *t)
{
	if (t->thread != NULL)
		thread_cancel(t->thread);
	turn_end(t, NULL);
}

const char *
turn_thread_id(const struct turn *t)
{
	return t->thread != NULL ? thread_id(t->thread) : "";
}

static void
on_drain_deadline(uv_timer_t *timer)
{
	struct turns *ts = timer->data;
	void (*done)(void *, unsigned) = ts->drain_done;
	unsigned left = 0;

	ts->drain_done = NULL;
	uv_close((uv_handle_t *)&ts->drain_timer, NULL);
	while (ts->turns != NULL) {
		struct turn *t = ts->turns;

		left += !t->late; /* those would have been refused anyway */
		if (t->thread != NULL)
			thread_cancel(t->thread);
		fail_with(t, FAILURE_DRAINING, "The server is shutting down.");
	}
	done(ts->drain_arg, left);
}

void
turns_drain(struct turns *ts, uint64_t deadline_ms, void (*done)(void *arg, unsigned left),
            void *arg)
{
	uint64_t deadline = uv_now(ts->config.loop) + deadline_ms;

	if (!ts->draining) {
		ts->draining = true;
		ts->drain_deadline = UINT64_MAX;
		ts->drain_done = done;
		ts->drain_arg = arg;
		(void)uv_timer_init(ts->config.loop, &ts->drain_timer); /* cannot fail */
		ts->drain_timer.data = ts;
	}
	if (ts->drain_done != NULL && deadline < ts->drain_deadline) {
		ts->drain_deadline = deadline;
		uv_timer_start(&ts->drain_timer, on_drain_deadline, deadline_ms, 0);
	}
	drain_check(ts);
}
