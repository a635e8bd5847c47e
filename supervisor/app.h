/* app: one supervised program: obeys app_fsm, and knows nothing of what the program is. */
#ifndef SIDECAR_APP_H
#define SIDECAR_APP_H

#include <uv.h>

#include "common/err.h"
#include "supervisor/app_fsm.h"
#include "supervisor/app_launch.h"
#include "supervisor/cron.h"
#include "supervisor/log_sink.h"
#include "supervisor/output.h"
#include "supervisor/reaper.h"
#include "supervisor/restart_policy.h"

struct app;

/* In the environment of every run: "PID.NAME.NUMBER", our own pid first. By it what is left of a
 * run is recognised. */
#define APP_MARKER "CODEX_SIDECAR_RUN"

enum app_readiness {
	APP_READY_NONE,      /* once executed */
	APP_READY_WEBSOCKET, /* these three: what is asked of launch.ready_target (readiness.h) */
	APP_READY_HTTP,
	APP_READY_CONNECT,
	APP_READY_CONTROL, /* somebody calls app_tell_ready */
	APP_READY_NOTIFY,  /* these two: it says so on a channel of its own (herald.h) */
	APP_READY_IPC,
	APP_READY_TOLD, /* by any of these three */
};

/* May a second process of it run beside the first one? */
enum app_surge {
	APP_SURGE_NEVER,
	APP_SURGE_RELOAD, /* when a reload is asked for, but not for a restart */
	APP_SURGE_ALWAYS,
};

/* What is true of all runs of an app, also when two processes take turns in being it. Zero is a
 * clean one. */
#define APP_REASON_MAX 384
struct app_history {
	unsigned starts;
	struct restart_record record;
	bool has_exit;
	int exit_status; /* wait status of the last end */
	char exit_reason[APP_REASON_MAX];
};

struct app_spec {
	const char *name;  /* copied */
	const char *group; /* copied; "app-server" for app-server-0 */
	int instance;
	enum app_readiness readiness;
	const char *channel_dir;     /* where a NOTIFY_SOCKET is made; outlives the app */
	uint64_t listen_timeout_ms;  /* until ready */
	uint64_t drain_timeout_ms;   /* 0: has nothing to drain */
	uint64_t term_again_ms;      /* from SIGTERM to the second one */
	uint64_t kill_timeout_ms;    /* from the wish to stop, drain included, to SIGKILL */
	uint64_t term_kill_ms;       /* from SIGTERM to SIGKILL at most; 0: no such limit */
	struct app_history *history; /* the caller's, outlives the app */
	int stop_signal;             /* to the main process */
	enum app_surge surge;
	bool one_shot;       /* an end by itself is the end: it is left stopped */
	bool stop_exit[256]; /* and so it is after one of these exit codes */
	struct restart_policy restart;
	uint64_t max_memory_bytes; /* resident, of the main process; 0: no limit */
	struct cron cron;          /* planned restarts; zero: none */
	output_lift_fn lift;
	/* Files of its own. Read by instance_new, which makes the sink of it, one for both
	 * processes; NULL: our own log. */
	const struct log_sink_spec *logs;
	struct log_sink *sink; /* the caller's, outlives the app; NULL: our own log */
};

struct app_hooks {
	/* May it start now? False: somebody calls app_gate_changed later. */
	bool (*may_start)(void *arg, struct app *a);
	/* What to execute: fills *out (zeroed, listen_fd -1), which the app frees. Negative errno:
	 * counts as a failed start. */
	int (*on_launch)(void *arg, struct app *a, struct app_launch *out, struct err *err);
	/* At each change of state; not the place to feed the same app. */
	void (*on_state)(void *arg, struct app *a, enum app_state from);
	/* Ask it to finish its work; app_drained says that it has. */
	void (*on_drain)(void *arg, struct app *a, uint64_t deadline_ms);
};

int app_new(struct app **out, uv_loop_t *loop, struct reaper *reaper, const struct app_spec *spec,
            const struct app_hooks *hooks, void *arg) MUST_CHECK;
/* Only when stopped. fn when everything has been let go; a is freed. */
void app_close(struct app *a, void (*fn)(void *arg), void *arg);

/* From its next start on, the name and the group stay. */
void app_set_spec(struct app *a, const struct app_spec *spec);
/* why: shown in status and log. Copied. */
void app_start(struct app *a, const char *why);
void app_stop(struct app *a, const char *why);
void app_restart(struct app *a, const char *why);
/* Planned, like a restart, but it is started again only after a pause. Only for one that runs. */
void app_pause(struct app *a, const char *why, uint64_t pause_ms);
void app_hurry(struct app *a);
void app_drained(struct app *a);
void app_tell_ready(struct app *a);
/* may_start may have changed its mind. */
void app_gate_changed(struct app *a);
/* Stops the clock of listen_timeout, and starts it anew: waiting for others is not its fault. */
void app_pause_deadline(struct app *a, bool paused);

/* Everything `status` shows. Strings are borrowed. */
struct app_info {
	const char *name;
	const char *group;
	int instance;
	enum app_state state;
	enum app_phase phase;
	const char *reason;
	pid_t pid;           /* 0: none */
	unsigned generation; /* the number of its start among all of its history; 0: none yet */
	unsigned restarts;
	uint64_t since_ms;     /* in this state */
	int64_t next_retry_ms; /* -1: no such plan */
	bool ran_ready;        /* this run, or the last one, was ready once */
	bool has_exit;
	int exit_status; /* wait status of the last end */
	const char *exit_reason;
};

/* What its last run was executed as: argv[0] is a name, file the program. NULL before the first. */
const struct app_launch *app_last_launch(const struct app *a);
const struct app_spec *app_spec(const struct app *a);
struct app_info app_info(const struct app *a);
enum app_state app_state(const struct app *a);
const char *app_name(const struct app *a);

#endif
