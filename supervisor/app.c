/* app: one supervised program: obeys app_fsm, and knows nothing of what the program is. */
#include "supervisor/app.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/log.h"
#include "supervisor/app_run.h"
#include "supervisor/live.h"
#include "supervisor/text.h"

#define KILL_REPEAT_MS 5000 /* SIGKILL that does nothing: a process stuck in the kernel */
#define HURRY_MS       2000 /* to SIGKILL, once somebody is impatient */
#define SWEEP_MAX_MS   2000 /* leftovers that survive SIGKILL, output held open by a stranger */
#define SWEEP_TICK_MS  10

struct app {
	struct app_spec spec, next_spec; /* of this run, and of the next one */
	char *name;
	char *group;
	uv_loop_t *loop;
	struct reaper *reaper;
	struct app_hooks hooks;
	void *arg;

	struct app_fsm fsm;
	uint64_t since_ms; /* in this state */
	uint64_t ready_since_ms;
	uint64_t kill_at_ms; /* when stopping turns into SIGKILL */
	bool ran_ready;      /* the last run was ready once */
	char reason[APP_REASON_MAX];
	unsigned generation;
	struct app_history *history;
	uint64_t delay_ms; /* of the backoff to come */

	struct app_run run;
	bool ended_itself; /* the run that has ended */
	char marker[96];   /* "CODEX_SIDECAR_RUN=..." of this run: to recognise its leftovers */
	uint64_t sweep_since_ms;
	struct app_launch launch; /* of the last run; without its environment */

	uv_timer_t timer;
	bool deadline_paused;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

static void feed(struct app *a, enum app_event ev, const char *why);

static void on_timer(uv_timer_t *timer);

static void
arm(struct app *a, uint64_t ms)
{
	(void)uv_timer_start(&a->timer, on_timer, ms, 0); /* on_timer is not NULL */
}

static void
set_reason(struct app *a, const char *why)
{
	if (why == NULL)
		return;
	(void)snprintf(a->reason, sizeof(a->reason), "%s", why);
	text_clean(a->reason);
}

/* --- starting ------------------------------------------------------------------------------- */

static void
on_process_exit(void *arg, int status)
{
	struct app *a = arg;
	char how[64], why[APP_REASON_MAX];
	const char *last;

	/* the rest of the output is already in the pipe; with it the reason is complete */
	(void)output_drain(a->run.output);
	last = output_last_words(a->run.output);
	process_describe_status(how, sizeof(how), status);
	(void)snprintf(why, sizeof(why), "%s%s%s", how, last[0] != '\0' ? ": " : "", last);
	text_clean(why);
	a->history->has_exit = true;
	a->history->exit_status = status;
	a->ended_itself = a->fsm.state != APP_STOPPING;
	(void)snprintf(a->history->exit_reason, sizeof(a->history->exit_reason), "%s", why);
	feed(a, APP_EV_EXIT, a->fsm.state == APP_STOPPING ? NULL : why);
}

static void
on_run_ready(void *arg)
{
	feed(arg, APP_EV_READY, NULL);
}

static void
spawn(struct app *a)
{
	struct app_launch launch = {.listen_fd = -1};
	struct err err = {.code = 0};
	int r;

	a->spec = a->next_spec;
	a->ended_itself = false;
	a->generation = ++a->history->starts;
	(void)snprintf(a->marker, sizeof(a->marker), APP_MARKER "=%d.%s.%u", (int)getpid(), a->name,
	               a->generation);
	r = a->hooks.on_launch(a->arg, a, &launch, &err);
	if (r == 0)
		r = app_run_start(&a->run, &a->spec, a->marker, &launch, &err);
	environment_free(&launch.env);
	launch.env = (struct environment){.vars = NULL};
	app_launch_free(&a->launch);
	a->launch = launch;
	if (r < 0) {
		a->run.session = 0;
		feed(a, APP_EV_SPAWN_FAILED, err.text);
		return;
	}
	set_reason(a, "started");
	if (!a->deadline_paused)
		arm(a, a->spec.listen_timeout_ms);
	if (a->spec.readiness == APP_READY_NONE)
		feed(a, APP_EV_READY, NULL);
}

/* --- ending --------------------------------------------------------------------------------- */

static void
term(struct app *a)
{
	uint64_t now = uv_now(a->loop);
	uint64_t left;

	if (a->fsm.phase == APP_PHASE_TERM && a->spec.term_kill_ms > 0 &&
	    a->kill_at_ms > now + a->spec.term_kill_ms)
		a->kill_at_ms = now + a->spec.term_kill_ms;
	left = a->kill_at_ms > now ? a->kill_at_ms - now : 0;
	/* A stopped one could not hear the other. First: it takes back any SIGSTOP on the way, and
	 * one that is ending already may be under a tracer (a leak check, a debugger) that waits
	 * for it. Both fail only for one that is gone. */
	(void)process_signal(&a->run.process, SIGCONT);
	(void)process_signal(&a->run.process, a->spec.stop_signal);
	if (a->fsm.phase == APP_PHASE_TERM && a->spec.term_again_ms < left)
		left = a->spec.term_again_ms;
	arm(a, left);
}

static void
kill_all(struct app *a)
{
	(void)process_signal(&a->run.process, SIGKILL); /* as above */
	process_signal_group(&a->run.process, SIGKILL);
	arm(a, KILL_REPEAT_MS);
}

static void
finish_sweep(struct app *a)
{
	app_run_close_output(&a->run);
	a->run.session = 0;
	feed(a, APP_EV_SWEPT, NULL);
}

static void
on_output_end(void *arg)
{
	struct app *a = arg;

	if (a->fsm.phase == APP_PHASE_SWEEP)
		arm(a, 0);
}

/* Kills what the dead process left behind and reads its output to the end; again and again until
 * both are done. */
static void
sweep(struct app *a)
{
	unsigned left = 0;
	bool ended = true;

	if (a->run.session > 0)
		left = reaper_sweep(a->reaper, a->run.session, a->marker, SIGKILL);
	if (left > 0) {
		log_debug("%s: %u left behind, killed", a->name, left);
		reaper_collect(a->reaper);
	}
	if (a->run.output != NULL)
		ended = output_drain(a->run.output);
	if (left == 0 && ended) {
		finish_sweep(a);
		return;
	}
	if (uv_now(a->loop) - a->sweep_since_ms >= SWEEP_MAX_MS) {
		log_warning("%s: %s; going on without waiting for it", a->name,
		            left > 0 ? "processes it left behind cannot be killed"
		                     : "its output is held open by another process");
		finish_sweep(a);
		return;
	}
	if (a->run.output != NULL)
		output_on_end(a->run.output, on_output_end, a);
	arm(a, SWEEP_TICK_MS);
}

static void
begin_sweep(struct app *a)
{
	app_run_ended(&a->run);
	a->sweep_since_ms = uv_now(a->loop);
	sweep(a);
}

/* Is an end of this kind what its spec takes for the last one? */
static bool
is_final(const struct app *a)
{
	int status = a->history->exit_status;

	if (a->spec.one_shot)
		return true;
	return a->ended_itself && WIFEXITED(status) && a->spec.stop_exit[WEXITSTATUS(status)];
}

static void
decide(struct app *a)
{
	uint64_t now = uv_now(a->loop);
	uint64_t ready_ms = a->ready_since_ms > 0 ? now - a->ready_since_ms : 0;

	a->ready_since_ms = 0;
	if (is_final(a)) {
		feed(a, APP_EV_LEAVE, NULL);
		return;
	}
	if (restart_decide(&a->history->record, &a->spec.restart, now, ready_ms, backoff_random(),
	                   &a->delay_ms)) {
		feed(a, APP_EV_RETRY, NULL);
		return;
	}
	a->delay_ms = a->spec.restart.rest_ms;
	log_error("%s: crash loop (max_restarts: %u); trying again in %llu s", a->name,
	          a->spec.restart.limit, (unsigned long long)(a->delay_ms / 1000));
	feed(a, APP_EV_GIVE_UP, NULL);
}

/* --- the table's orders --------------------------------------------------------------------- */

static void
obey(struct app *a, unsigned todo)
{
	if (todo & APP_DO_FORGIVE)
		restart_forgive(&a->history->record);
	if (todo & APP_DO_CHECK_GATE)
		app_gate_changed(a);
	if (todo & APP_DO_SPAWN)
		spawn(a);
	if (todo & APP_DO_DRAIN) {
		if (a->spec.drain_timeout_ms == 0) {
			feed(a, APP_EV_DRAINED, NULL);
		} else {
			arm(a, a->spec.drain_timeout_ms);
			a->hooks.on_drain(a->arg, a, a->spec.drain_timeout_ms);
		}
	}
	if (todo & APP_DO_TERM)
		term(a);
	if (todo & APP_DO_KILL)
		kill_all(a);
	if (todo & APP_DO_SWEEP)
		begin_sweep(a);
	if (todo & APP_DO_DECIDE)
		decide(a);
	if (todo & (APP_DO_BACKOFF | APP_DO_REST)) {
		if (a->delay_ms == 0)
			feed(a, APP_EV_TIMER, NULL);
		else
			arm(a, a->delay_ms);
	}
}

static void
log_change(struct app *a, const struct app_fsm *from)
{
	const struct log_field fields[] = {
		LOG_STR("app", a->name),
		LOG_STR("from", app_state_name(from->state)),
		LOG_STR("to", app_state_name(a->fsm.state)),
		LOG_INT("pid", a->run.process.pid),
		LOG_STR("reason", a->reason),
	};
	bool bad = (from->state == APP_READY || from->state == APP_STARTING) &&
	           a->fsm.goal == APP_GOAL_UP && a->fsm.state == APP_STOPPING;

	if (a->fsm.state == APP_BACKOFF && a->delay_ms > 0)
		log_fields(LOG_LEVEL_WARNING, fields, NELEM(fields), "%s: again in %llu ms (%s)",
		           a->name, (unsigned long long)a->delay_ms, a->reason);
	else
		log_fields(bad ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, fields, NELEM(fields),
		           "%s: %s -> %s (%s)", a->name, app_state_name(from->state),
		           app_state_name(a->fsm.state), a->reason);
}

static void
tell_change(const struct app *a, enum app_state from)
{
	live_change(&(struct live_change){.app = a->name,
	                                  .from = from,
	                                  .to = a->fsm.state,
	                                  .reason = a->reason,
	                                  .pid = a->run.process.pid,
	                                  .generation = a->generation});
}

static void
feed(struct app *a, enum app_event ev, const char *why)
{
	struct app_fsm from = a->fsm;
	bool ignored;
	unsigned todo = app_fsm_step(&a->fsm, ev, &ignored);

	if (ignored) {
		log_debug("%s: %s means nothing while %s", a->name, app_event_name(ev),
		          app_state_name(from.state));
		return;
	}
	set_reason(a, why);
	if (from.state != a->fsm.state || from.phase != a->fsm.phase)
		(void)uv_timer_stop(&a->timer); /* always 0 */
	if (from.state != a->fsm.state) {
		a->since_ms = uv_now(a->loop);
		if (a->fsm.state == APP_READY) {
			a->ready_since_ms = a->since_ms;
			a->ran_ready = true;
		}
		if (a->fsm.state == APP_STARTING) {
			a->ready_since_ms = 0;
			a->ran_ready = false;
		}
		if (a->fsm.state == APP_STOPPING)
			a->kill_at_ms = a->since_ms + a->spec.kill_timeout_ms;
		log_change(a, &from);
		tell_change(a, from.state);
		a->hooks.on_state(a->arg, a, from.state);
	}
	obey(a, todo);
}

static void
on_timer(uv_timer_t *timer)
{
	struct app *a = timer->data;

	if (a->fsm.phase == APP_PHASE_SWEEP)
		sweep(a);
	else
		feed(a, APP_EV_TIMER, a->fsm.state == APP_STARTING ? "not ready in time" : NULL);
}

/* --- the outside ---------------------------------------------------------------------------- */

int
app_new(struct app **out, uv_loop_t *loop, struct reaper *reaper, const struct app_spec *spec,
        const struct app_hooks *hooks, void *arg)
{
	struct app *a = calloc(1, sizeof(*a));
	int r;

	if (a == NULL)
		return -ENOMEM;
	a->spec = a->next_spec = *spec;
	a->name = strdup(spec->name);
	a->group = strdup(spec->group);
	a->spec.name = a->next_spec.name = a->name;
	a->spec.group = a->next_spec.group = a->group;
	a->loop = loop;
	a->reaper = reaper;
	a->hooks = *hooks;
	a->arg = arg;
	a->history = spec->history;
	a->launch.listen_fd = -1;
	a->run = (struct app_run){
		.process = {.pid = 0, .pidfd = -1},
		.loop = loop,
		.reaper = reaper,
		.on_exit = on_process_exit,
		.on_ready = on_run_ready,
		.arg = a
        };
	a->since_ms = uv_now(loop);
	r = a->name == NULL || a->group == NULL ? -ENOMEM : uv_timer_init(loop, &a->timer);
	if (r < 0) {
		free(a->name);
		free(a->group);
		free(a);
		return r;
	}
	a->timer.data = a;
	set_reason(a, "not started yet");
	*out = a;
	return 0;
}

static void
on_timer_closed(uv_handle_t *handle)
{
	struct app *a = handle->data;
	void (*fn)(void *arg) = a->on_closed;
	void *arg = a->on_closed_arg;

	app_launch_free(&a->launch);
	free(a->name);
	free(a->group);
	free(a);
	if (fn != NULL)
		fn(arg);
}

void
app_close(struct app *a, void (*fn)(void *arg), void *arg)
{
	assert(a->fsm.state == APP_STOPPED);
	a->on_closed = fn;
	a->on_closed_arg = arg;
	uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

void
app_set_spec(struct app *a, const struct app_spec *spec)
{
	a->next_spec = *spec;
	a->next_spec.name = a->spec.name;
	a->next_spec.group = a->spec.group;
	a->next_spec.history = a->spec.history;
	if (a->run.process.pid == 0)
		a->spec = a->next_spec;
}

void
app_start(struct app *a, const char *why)
{
	feed(a, APP_EV_START, why);
}

void
app_stop(struct app *a, const char *why)
{
	feed(a, APP_EV_STOP, why);
}

void
app_restart(struct app *a, const char *why)
{
	feed(a, APP_EV_RESTART, why);
}

void
app_pause(struct app *a, const char *why, uint64_t pause_ms)
{
	if (a->fsm.state != APP_STARTING && a->fsm.state != APP_READY)
		return;
	a->delay_ms = pause_ms; /* no policy is asked for another one on the way */
	feed(a, APP_EV_PAUSE, why);
}

void
app_hurry(struct app *a)
{
	a->kill_at_ms = uv_now(a->loop) + HURRY_MS;
	feed(a, APP_EV_HURRY, NULL);
}

void
app_drained(struct app *a)
{
	feed(a, APP_EV_DRAINED, NULL);
}

void
app_tell_ready(struct app *a)
{
	feed(a, APP_EV_READY, NULL);
}

void
app_gate_changed(struct app *a)
{
	if (a->fsm.state == APP_WAITING && a->hooks.may_start(a->arg, a))
		feed(a, APP_EV_GO, NULL);
}

void
app_pause_deadline(struct app *a, bool paused)
{
	if (a->deadline_paused == paused)
		return;
	a->deadline_paused = paused;
	if (a->fsm.state != APP_STARTING)
		return;
	if (paused)
		(void)uv_timer_stop(&a->timer); /* always 0 */
	else
		arm(a, a->spec.listen_timeout_ms);
}

struct app_info
app_info(const struct app *a)
{
	bool planned = a->fsm.state == APP_BACKOFF || a->fsm.state == APP_FAILED;
	uint64_t in_state_ms = uv_now(a->loop) - a->since_ms;
	uint64_t left_ms = a->delay_ms > in_state_ms ? a->delay_ms - in_state_ms : 0;

	return (struct app_info){
		.name = a->name,
		.group = a->group,
		.instance = a->spec.instance,
		.state = a->fsm.state,
		.phase = a->fsm.phase,
		.reason = a->reason,
		.pid = a->run.process.pid,
		.generation = a->generation,
		.restarts = a->history->starts > 0 ? a->history->starts - 1 : 0,
		.since_ms = in_state_ms,
		.next_retry_ms = planned ? (int64_t)left_ms : -1,
		.ran_ready = a->ran_ready,
		.has_exit = a->history->has_exit,
		.exit_status = a->history->exit_status,
		.exit_reason = a->history->exit_reason,
	};
}

enum app_state
app_state(const struct app *a)
{
	return a->fsm.state;
}

const char *
app_name(const struct app *a)
{
	return a->name;
}

const struct app_launch *
app_last_launch(const struct app *a)
{
	return a->launch.file != NULL ? &a->launch : NULL;
}

const struct app_spec *
app_spec(const struct app *a)
{
	return &a->spec;
}
