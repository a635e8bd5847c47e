/* supervisor: a whole run, from the settings to the last handle closed. */
#include "supervisor/supervisor.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/backoff.h"
#include "common/exit_code.h"
#include "common/file.h"
#include "common/log.h"
#include "common/loop_memory.h"
#include "common/paths.h"
#include "supervisor/care.h"
#include "supervisor/codex/credentials.h"
#include "supervisor/control.h"
#include "supervisor/lock.h"
#include "supervisor/notify.h"
#include "supervisor/process.h"
#include "supervisor/reload.h"
#include "supervisor/shared_log.h"
#include "supervisor/upkeep.h"

struct supervisor {
	uv_loop_t loop;
	struct configuration *configuration;
	const struct settings *settings; /* the configuration's */
	char *runtime_dir, *state_dir, *control_path;
	int lock_fd;
	struct reaper *reaper;
	struct listener listener;
	struct codex_setup *setup;
	struct fleet *fleet;
	struct control *control;
	struct credentials *credentials;
	struct care *care;
	struct upkeep *upkeep;
	struct roll roll;
	struct reload reload;
	struct wishes wishes;
	struct notify notify;
	uv_signal_t sigterm, sigint, sigusr1, sighup;
	uv_timer_t setup_timer; /* until codex is asked again */
	bool handles_open;      /* the five above */
	char *codex_home;
	struct backoff setup_backoff;
	enum supervisor_state state;
	uint64_t started_ms;
	bool told_ready, told_login;
	int exit_code;
};

/* --- telling -------------------------------------------------------------------------------- */

static struct login
login(const struct supervisor *s)
{
	return s->credentials != NULL ? credentials_login(s->credentials)
	                              : (struct login){.kind = LOGIN_NONE};
}

/* A ChatGPT login where only an API key may be. */
static bool
login_is_unwanted(const struct supervisor *s)
{
	return s->settings->require_api_key_login && s->credentials != NULL &&
	       credentials_is_chatgpt(s->credentials);
}

static struct status_view
view(const struct supervisor *s)
{
	return (struct status_view){
		.state = s->state,
		.uptime_ms = uv_now(&s->loop) - s->started_ms,
		.fleet = s->fleet,
		.warning = s->setup != NULL ? codex_setup_warning(s->setup) : "",
		.reload_warning = s->reload.warning,
		.login = login(s),
		.login_refused = care_login_refused(s->care),
		.login_needs_key = s->settings->require_api_key_login,
		.login_unwanted = login_is_unwanted(s),
		.codex_home = s->codex_home,
	};
}

static json_t *
status(void *arg)
{
	struct status_view v = view(arg);

	return status_to_json(&v);
}

/* Up is what is ready, and what nothing but a login is missing for: that may come at any time. */
static void
look_whether_up(struct supervisor *s, const struct status_view *v)
{
	bool ready = fleet_is_ready(s->fleet, NULL), needs_login = fleet_needs_login(s->fleet);
	char hint[STATUS_HINT_MAX];

	if (ready && !s->told_ready && s->state != SUPERVISOR_STOPPING) {
		s->told_ready = true;
		if (s->configuration->has_proxy)
			log_info("ready: serving on %s", s->listener.text);
		else
			log_info("ready");
	}
	if (needs_login && !s->told_login && status_login_hint(v, hint, sizeof(hint)))
		log_warning("not ready: %s; it is taken up by itself", hint);
	s->told_login = needs_login;
	if (s->state != SUPERVISOR_STARTING || (!ready && !needs_login))
		return;
	s->state = SUPERVISOR_RUNNING;
	notify_ready(&s->notify);
}

static void
on_change(void *arg, struct instance *in)
{
	struct supervisor *s = arg;
	struct status_view v;
	char line[STATUS_HINT_MAX + 256];

	if (s->fleet == NULL || s->care == NULL)
		return; /* still being built */
	v = view(s);
	look_whether_up(s, &v);
	v = view(s);
	status_to_line(&v, line, sizeof(line));
	notify_status(&s->notify, line);
	roll_on_change(&s->roll, in);
	wishes_on_change(&s->wishes);
	notify_busy(&s->notify, roll_is_busy(&s->roll));
}

static void
on_gone(void *arg, const struct instance *in)
{
	struct supervisor *s = arg;

	roll_forget(&s->roll, in);
	wishes_forget(&s->wishes, in);
	care_forget(s->care, in);
}

static bool
is_well(void *arg)
{
	const struct supervisor *s = arg;

	return !fleet_is_failed(s->fleet);
}

/* --- what goes wrong without an end of a process -------------------------------------------- */

static void
on_backend_failed(void *arg, size_t i, const char *kind, const char *message)
{
	struct supervisor *s = arg;

	if (s->state != SUPERVISOR_STOPPING)
		care_backend_failed(s->care, i, kind, message);
}

static void
on_login(void *arg, bool other_login)
{
	struct supervisor *s = arg;

	if (s->state == SUPERVISOR_STOPPING)
		return;
	if (login_is_unwanted(s)) {
		log_error("CODEX_REQUIRE_API_KEY_LOGIN: the new login in %s is a ChatGPT login: it "
		          "is not used, what runs goes on with the API key that it has, if any",
		          s->codex_home);
		return;
	}
	proxy_link_login(fleet_link(s->fleet), login(s).expires_at);
	care_login_changed(s->care, other_login, fleet_needs_login(s->fleet));
}

/* --- stopping ------------------------------------------------------------------------------- */

static void
on_setup_closed(void *arg)
{
	struct supervisor *s = arg;

	s->setup = NULL;
	reaper_close(s->reaper, NULL, NULL);
}

static void
on_credentials_closed(void *arg)
{
	struct supervisor *s = arg;

	s->credentials = NULL;
	if (s->setup != NULL)
		codex_setup_close(s->setup, on_setup_closed, s);
	else
		on_setup_closed(s);
}

static void
on_fleet_closed(void *arg)
{
	struct supervisor *s = arg;

	s->fleet = NULL;
	if (s->credentials != NULL)
		credentials_close(s->credentials, on_credentials_closed, s);
	else
		on_credentials_closed(s);
}

static void
on_control_closed(void *arg)
{
	struct supervisor *s = arg;

	s->control = NULL;
	fleet_close(s->fleet, on_fleet_closed, s);
}

static void
on_stopped(void *arg)
{
	struct supervisor *s = arg;

	reaper_sweep_all(s->reaper);
	notify_close(&s->notify);
	uv_close((uv_handle_t *)&s->sigterm, NULL);
	uv_close((uv_handle_t *)&s->sigint, NULL);
	uv_close((uv_handle_t *)&s->sigusr1, NULL);
	uv_close((uv_handle_t *)&s->sighup, NULL);
	uv_close((uv_handle_t *)&s->setup_timer, NULL);
	s->handles_open = false;
	control_close(s->control, on_control_closed, s);
}

#define STOP_EXTRA_MS 10000 /* sweeping, and the handles' own ends */

/* The longest that it may last, if one app were stopped after the other. */
static void
stop(struct supervisor *s, const char *why)
{
	if (s->state != SUPERVISOR_STOPPING) {
		log_info("stopping: %s", why);
		s->state = SUPERVISOR_STOPPING;
		notify_stopping(&s->notify, fleet_stop_max_ms(s->fleet) + STOP_EXTRA_MS);
		upkeep_close(s->upkeep);
		reload_cancel(&s->reload);
		roll_cancel(&s->roll);
		wishes_cancel(&s->wishes);
	} else {
		log_info("stopping at once: %s", why);
	}
	fleet_stop(s->fleet, on_stopped, s);
}

static void
on_signal(uv_signal_t *handle, int signum)
{
	stop(handle->data, signum == SIGINT ? "SIGINT" : "SIGTERM");
}

/* Who waits for a reload. */
struct reload_wish {
	struct supervisor *supervisor;
	bool told; /* systemd knows of it */
	void (*fn)(void *arg, int code, const char *why);
	void *arg;
};

static void
on_reloaded(void *arg, int code, const char *why)
{
	struct reload_wish *w = arg;

	if (w->told && w->supervisor->state != SUPERVISOR_STOPPING)
		notify_ready(&w->supervisor->notify); /* also when nothing has changed */
	if (w->fn != NULL)
		w->fn(w->arg, code, why);
	free(w);
}

static void
on_reload(void *arg, void (*fn)(void *fn_arg, int code, const char *why), void *fn_arg)
{
	struct supervisor *s = arg;
	struct reload_wish *w = calloc(1, sizeof(*w));

	if (w == NULL || s->state == SUPERVISOR_STOPPING) {
		if (fn != NULL)
			fn(fn_arg, -ECANCELED, w == NULL ? "out of memory" : "shutting down");
		free(w);
		return;
	}
	*w = (struct reload_wish){s, s->state == SUPERVISOR_RUNNING, fn, fn_arg};
	if (w->told)
		notify_reloading(&s->notify);
	/* Whatever comes of the rest: a tighter policy must not wait for another file's mistake. */
	proxy_link_reload(fleet_link(s->fleet));
	reload_start(&s->reload, on_reloaded, w);
}

static void
on_sighup(uv_signal_t *handle, int signum)
{
	on_reload(handle->data, NULL, NULL);
}

static void
on_sigusr1(uv_signal_t *handle, int signum)
{
	log_info("log files reopened: %zu", shared_log_reopen_all());
}

static void
on_shutdown(void *arg)
{
	struct supervisor *s = arg;

	if (s->state != SUPERVISOR_STOPPING)
		stop(s, "asked over the control socket");
}

/* --- starting ------------------------------------------------------------------------------- */

static void on_setup(void *arg, int code, const struct err *err);

static void
on_setup_timer(uv_timer_t *timer)
{
	struct supervisor *s = timer->data;

	codex_setup_run(s->setup, on_setup, s);
}

static void
on_setup(void *arg, int code, const struct err *err)
{
	struct supervisor *s = arg;
	uint64_t delay;

	if (s->state == SUPERVISOR_STOPPING)
		return;
	if (code == 0) {
		s->reload.setup = s->setup; /* from now on it may be asked again */
		s->reload.setup_changes = codex_setup_changes(s->setup);
		fleet_setup_done(s->fleet);
		return;
	}
	if (code == -EINVAL) {
		log_error("%s", err->text);
		s->exit_code = EXIT_CONFIGURATION;
		stop(s, "codex cannot run with this configuration");
		return;
	}
	delay = backoff_next_ms(&s->setup_backoff, backoff_random());
	log_warning("%s; again in %llu ms", err->text, (unsigned long long)delay);
	(void)uv_timer_start(&s->setup_timer, on_setup_timer, delay, 0); /* not NULL */
}

/* Our own children die with us, but not theirs. What the last one that ran on this folder has left
 * behind must not be there twice. */
static void
sweep_after(pid_t before)
{
	char prefix[64];
	unsigned n;

	/* another process by that number is no supervisor of this folder: we have its lock; but its
	 * children, if it is one of another folder, are not ours */
	if (before <= 0 || before == getpid() || kill(before, 0) == 0)
		return;
	(void)snprintf(prefix, sizeof(prefix), APP_MARKER "=%d.", (int)before);
	n = reaper_sweep_strangers(prefix);
	if (n > 0)
		log_warning("%u process%s left behind by the last supervisor, pid %d: killed", n,
		            n == 1 ? "" : "es", (int)before);
}

static int
make_folders(struct supervisor *s, struct err *err)
{
	pid_t before = 0;
	int r;

	s->runtime_dir = paths_runtime_dir(s->settings);
	s->state_dir = paths_state_dir(s->settings);
	s->control_path = paths_control_socket(s->settings);
	if (s->runtime_dir == NULL || s->state_dir == NULL || s->control_path == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	r = file_make_dir(s->runtime_dir, 0700, err);
	if (r == 0)
		r = lock_take(&s->lock_fd, s->runtime_dir, &before, err);
	if (r == 0)
		sweep_after(before);
	if (r == 0)
		r = file_make_dir(s->state_dir, 0700, err);
	return r;
}

static int
start_handles(struct supervisor *s, struct err *err)
{
	int r;

	/* uv_*_init return 0 for these types */
	(void)uv_signal_init(&s->loop, &s->sigterm);
	(void)uv_signal_init(&s->loop, &s->sigint);
	(void)uv_signal_init(&s->loop, &s->sigusr1);
	(void)uv_signal_init(&s->loop, &s->sighup);
	(void)uv_timer_init(&s->loop, &s->setup_timer);
	s->sigterm.data = s->sigint.data = s->sigusr1.data = s->sighup.data = s->setup_timer.data =
		s;
	s->handles_open = true;
	r = uv_signal_start(&s->sigterm, on_signal, SIGTERM);
	if (r == 0)
		r = uv_signal_start(&s->sigint, on_signal, SIGINT);
	if (r == 0)
		r = uv_signal_start(&s->sigusr1, on_sigusr1, SIGUSR1);
	if (r == 0)
		r = uv_signal_start(&s->sighup, on_sighup, SIGHUP);
	if (r == 0)
		r = reaper_new(&s->reaper, &s->loop);
	if (r < 0)
		return err_set(err, r, "signals: %s", strerror(-r));
	return process_become_subreaper(err);
}

/* Who looks after the apps once they run. */
static int
build_care(struct supervisor *s, struct err *err)
{
	int r;

	s->codex_home = paths_codex_home(s->settings);

	roll_init(&s->roll, s->fleet);
	wishes_init(&s->wishes, s->fleet);
	s->reload = (struct reload){
		.configuration = s->configuration, .fleet = s->fleet, .roll = &s->roll};
	s->care = care_new(&s->loop, s->fleet, &s->roll, (uint64_t)s->settings->drain_timeout_ms);
	if (s->care == NULL || s->codex_home == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	r = upkeep_new(&s->upkeep, &s->reload, &s->loop, s->settings);
	if (r < 0)
		return err_set(err, r, "%s", strerror(-r));
	if (!s->configuration->has_recipe)
		return 0;
	r = credentials_new(&s->credentials, &s->loop, s->codex_home, on_login, s, err);
	if (r == 0 && login_is_unwanted(s))
		return err_set(
			err, -EINVAL,
			"CODEX_REQUIRE_API_KEY_LOGIN: the login in %s is a ChatGPT login: use "
			"`codex login --with-api-key`, or unset it where nobody else has that "
			"login",
			s->codex_home);
	if (r == 0)
		proxy_link_login(fleet_link(s->fleet), login(s).expires_at);
	return r;
}

static int
build(struct supervisor *s, struct err *err)
{
	struct fleet_spec fleet = {.loop = &s->loop,
	                           .settings = s->settings,
	                           .listener = &s->listener,
	                           .control_path = s->control_path,
	                           .runtime_dir = s->runtime_dir,
	                           .on_change = on_change,
	                           .on_gone = on_gone,
	                           .on_backend_failed = on_backend_failed,
	                           .arg = s};
	struct control_spec control = {.loop = &s->loop,
	                               .path = s->control_path,
	                               .group = s->settings->control_group,
	                               .roll = &s->roll,
	                               .wishes = &s->wishes,
	                               .status = status,
	                               .shutdown = on_shutdown,
	                               .reload = on_reload,
	                               .arg = s};
	int r = start_handles(s, err);

	if (r == 0 && s->configuration->has_recipe)
		r = codex_setup_new(&s->setup, &s->loop, s->reaper, s->settings, s->runtime_dir,
		                    s->state_dir, err);
	fleet.reaper = s->reaper;
	fleet.setup = s->setup;
	if (r == 0) {
		r = fleet_new(&s->fleet, &fleet, s->configuration->apps, err);
		s->configuration->apps = NULL;
	}
	if (r == 0 && s->configuration->has_proxy)
		r = listener_open(&s->listener, s->settings, err);
	if (r == 0)
		r = build_care(s, err);
	control.fleet = s->fleet;
	if (r == 0)
		r = control_new(&s->control, &control, err);
	return r;
}

/* For a start that failed half way: the same way out as on_stopped's, for what there is. */
static void
unbuild(struct supervisor *s)
{
	if (s->handles_open) {
		uv_close((uv_handle_t *)&s->sigterm, NULL);
		uv_close((uv_handle_t *)&s->sigint, NULL);
		uv_close((uv_handle_t *)&s->sigusr1, NULL);
		uv_close((uv_handle_t *)&s->sighup, NULL);
		uv_close((uv_handle_t *)&s->setup_timer, NULL);
	}
	if (s->fleet != NULL)
		fleet_close(s->fleet, NULL, NULL);
	if (s->upkeep != NULL)
		upkeep_close(s->upkeep);
	if (s->credentials != NULL)
		credentials_close(s->credentials, NULL, NULL);
	if (s->setup != NULL)
		codex_setup_close(s->setup, NULL, NULL);
	if (s->reaper != NULL)
		reaper_close(s->reaper, NULL, NULL);
}

int
supervisor_run(struct configuration *c)
{
	struct supervisor s = {
		.configuration = c,
		.settings = &c->settings,
		.lock_fd = -1,
		.listener = {.fd = -1        },
		.setup_backoff = { .base_ms = 1000, .max_ms = 60000},
		.exit_code = EXIT_WELL
        };
	struct err err = {.code = 0};
	int r;

	loop_memory_init();
	r = uv_loop_init(&s.loop);
	if (r < 0) {
		log_error("the event loop: %s", uv_strerror(r));
		return EXIT_GAVE_UP;
	}
	s.started_ms = uv_now(&s.loop);
	(void)signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error of write */
	(void)signal(SIGHUP, SIG_IGN);  /* until there is something to reload */
	(void)signal(SIGXFSZ, SIG_IGN); /* a log file at its limit is an error of write too */
	(void)signal(SIGUSR1, SIG_IGN); /* until there is something to reopen */
	r = make_folders(&s, &err);
	if (r == 0)
		r = build(&s, &err);
	if (r < 0) {
		log_error("%s", err.text);
		s.exit_code = exit_code_of_start(r);
		unbuild(&s);
	} else {
		notify_init(&s.notify, &s.loop, is_well, &s);
		/* one refresh token serves once: the first one refreshes, the others find it done
		 */
		fleet_start(s.fleet,
		            s.credentials != NULL && credentials_is_chatgpt(s.credentials));
		if (s.setup != NULL)
			codex_setup_run(s.setup, on_setup, &s);
	}
	while (uv_run(&s.loop, UV_RUN_DEFAULT) != 0)
		;
	r = uv_loop_close(&s.loop);
	assert(r == 0); /* a handle that nobody closed */
	care_free(s.care);
	listener_fini(&s.listener);
	auto_close_(&s.lock_fd);
	free(s.runtime_dir);
	free(s.state_dir);
	free(s.control_path);
	free(s.codex_home);
	return s.exit_code;
}
