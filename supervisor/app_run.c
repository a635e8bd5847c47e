/* app_run: one process of an app while it runs: executed, heard, and asked whether it is ready. */
#include "supervisor/app_run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "supervisor/herald.h"
#include "supervisor/readiness.h"

static void
on_answer(void *arg)
{
	struct app_run *r = arg;

	readiness_close(r->readiness);
	r->readiness = NULL;
	r->on_ready(r->arg);
}

static void
on_said_ready(void *arg)
{
	struct app_run *r = arg;

	r->on_ready(r->arg);
}

/* How it can say that it is ready. */
static int
open_channels(struct app_run *r, const struct app_spec *spec, struct app_launch *l, struct err *err)
{
	enum app_readiness how = spec->readiness;
	unsigned ways = how == APP_READY_TOLD     ? HERALD_NOTIFY | HERALD_IPC
	                : how == APP_READY_NOTIFY ? HERALD_NOTIFY
	                : how == APP_READY_IPC    ? HERALD_IPC
	                                          : 0;
	int code;

	if (ways == 0)
		return 0;
	code = herald_new(&r->herald, r->loop, spec->channel_dir, ways, on_said_ready, r, err);
	if (code < 0)
		return code;
	if (ways & HERALD_NOTIFY)
		environment_set(&l->env, "NOTIFY_SOCKET", herald_socket(r->herald));
	if (ways & HERALD_IPC)
		environment_set_int(&l->env, "NODE_CHANNEL_FD", l->listen_fd >= 0 ? 4 : 3);
	return 0;
}

static int
watch_readiness(struct app_run *r, enum app_readiness how, const struct app_launch *l)
{
	if (how != APP_READY_WEBSOCKET && how != APP_READY_HTTP && how != APP_READY_CONNECT)
		return 0;
	return readiness_new(&r->readiness, r->loop,
	                     how == APP_READY_WEBSOCKET ? READINESS_WEBSOCKET
	                     : how == APP_READY_HTTP    ? READINESS_HTTP
	                                                : READINESS_CONNECT,
	                     l->ready_target, on_answer, r);
}

static void
close_channels(struct app_run *r)
{
	if (r->readiness != NULL)
		readiness_close(r->readiness);
	r->readiness = NULL;
	if (r->herald != NULL)
		herald_close(r->herald);
	r->herald = NULL;
}

static int
execute(struct app_run *r, const struct app_spec *spec, struct app_launch *l, struct err *err)
{
	struct process_spec ps = {.file = l->file,
	                          .argv = l->argv,
	                          .envp = l->env.vars,
	                          .cwd = l->cwd,
	                          .stdin_fd = -1,
	                          .listen_fd = l->listen_fd,
	                          .ipc_fd = -1};
	struct output_spec os = {.name = spec->name, .lift = spec->lift, .sink = spec->sink};
	int code;

	if (r->herald != NULL)
		ps.ipc_fd = herald_child_fd(r->herald);
	code = process_spawn(&r->process, &os.out_fd, &os.err_fd, &ps, err);
	if (code < 0)
		return code;
	if (r->herald != NULL)
		herald_release_child_fd(r->herald);
	r->session = r->process.pid;
	code = reaper_watch(r->reaper, r->process.pid, r->on_exit, r->arg);
	if (code == 0)
		code = output_new(&r->output, r->loop, &os);
	if (code == 0)
		code = watch_readiness(r, spec->readiness, l);
	if (code < 0) {
		/* out of memory or descriptors: not even watched, so it must not live */
		(void)process_signal(&r->process, SIGKILL);
		reaper_unwatch(r->reaper, r->process.pid);
		process_fini(&r->process);
		app_run_close_output(r);
		return err_set(err, code, "%s: %s", spec->name, strerror(-code));
	}
	return 0;
}

int
app_run_start(struct app_run *r, const struct app_spec *spec, const char *marker,
              struct app_launch *l, struct err *err)
{
	const char *equals = strchr(marker, '=');
	AUTO_FREE char *name = strndup(marker, (size_t)(equals - marker));
	int code;

	r->session = 0;
	if (name == NULL)
		return err_set(err, -ENOMEM, "%s: out of memory", spec->name);
	environment_set(&l->env, name, equals + 1);
	if (l->listen_fd >= 0) {
		environment_set(&l->env, "LISTEN_FDS", "1");
		environment_set(&l->env, "LISTEN_PID", "0"); /* process_spawn knows better */
	}
	code = open_channels(r, spec, l, err);
	if (code == 0 && l->env.failed)
		code = err_set(err, -ENOMEM, "%s: out of memory", spec->name);
	if (code == 0)
		code = execute(r, spec, l, err);
	if (code < 0)
		close_channels(r);
	return code;
}

void
app_run_ended(struct app_run *r)
{
	close_channels(r);
	process_fini(&r->process);
}

void
app_run_close_output(struct app_run *r)
{
	if (r->output != NULL)
		output_close(r->output);
	r->output = NULL;
}
