/* ecosystem: the ecosystem file, PM2's JSON form, as a list of apps to run. Pure.
 *
 * docs/ecosystem.md says what each key means here. */
#ifndef SIDECAR_ECOSYSTEM_H
#define SIDECAR_ECOSYSTEM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/common.h"

#define ECOSYSTEM_FILE_MAX      ((size_t)1 << 20) /* a hundred apps are 100 KB */
#define ECOSYSTEM_APPS_MAX      64
#define ECOSYSTEM_INSTANCES_MAX 64
#define ECOSYSTEM_PROCESSES_MAX 128 /* instances of all apps: their lines are kept in memory */
#define ECOSYSTEM_NAME_MAX      32

enum ecosystem_role {
	ECOSYSTEM_PLAIN, /* a program of which nothing is known */
	ECOSYSTEM_APP_SERVER,
	ECOSYSTEM_PROXY,
};

enum ecosystem_readiness {
	ECOSYSTEM_READY_NONE, /* once executed */
	ECOSYSTEM_READY_TOLD, /* wait_ready: any of control, notify and ipc */
	ECOSYSTEM_READY_CONTROL,
	ECOSYSTEM_READY_NOTIFY,
	ECOSYSTEM_READY_IPC,
	ECOSYSTEM_READY_CODEX,
	ECOSYSTEM_READY_HTTP, /* these three: readiness_target */
	ECOSYSTEM_READY_TCP,
	ECOSYSTEM_READY_UNIX,
};

/* One entry of "apps", with all defaults filled in. Lists end with NULL, and are never NULL. */
struct ecosystem_app {
	char *name;
	enum ecosystem_role role;
	bool recipe;  /* role app-server: our own way to launch it */
	char *listen; /* role app-server: what its args listen on; NULL: nothing said */
	/* What to execute: interpreter (NULL: none), interpreter_args, script, args. */
	char *script;
	char **args;
	char *interpreter;
	char **interpreter_args;
	char *cwd;       /* NULL: the folder of the file; a relative one starts there too */
	char **env;      /* "NAME=value" */
	char **env_pass; /* names that it gets from our own environment, beside the usual ones */
	char *instance_var;
	unsigned instances;
	bool numbered; /* one alone is NAME-0 too; else it is NAME */
	bool autostart;

	enum ecosystem_readiness readiness;
	char *readiness_target; /* "http://HOST:PORT/PATH", "HOST:PORT", "/PATH" */
	int64_t listen_timeout_ms;

	bool autorestart;
	bool stop_exit[256]; /* exit codes after which it is left stopped */
	int64_t min_uptime_ms;
	int64_t backoff_ms; /* the first delay */
	int64_t backoff_max_ms;
	int64_t max_restarts; /* unplanned ends within restart_window that make a crash loop */
	int64_t restart_window_ms;
	int64_t crash_loop_rest_ms;
	int64_t max_memory_bytes; /* 0: no limit */
	char *cron_restart;       /* five fields; NULL: none */

	int stop_signal;
	int64_t drain_timeout_ms;
	int64_t kill_timeout_ms;
	char **after; /* names of apps that are ready before it starts, and stop after it */
	/* The highest one stops first: one more than the highest of `after`; codex-proxy, which
	 * works with the app-servers, is above them too. */
	unsigned tier;

	char *out_file; /* NULL: our own log only */
	char *error_file;
	bool merge_logs; /* instances share their files */
	bool disable_logs;
	bool log_json;
	char *log_date_format;        /* NULL: no timestamps */
	int64_t log_rotate_max_bytes; /* 0: not by size */
	int64_t log_rotate_interval_ms;
	int64_t log_rotate_retain;

	char *source; /* what the file says of it: the same text, the same settings */
};

enum ecosystem_level {
	ECOSYSTEM_NOTE,    /* means something else than under PM2 */
	ECOSYSTEM_WARNING, /* has no use here */
	ECOSYSTEM_ERROR,
};

struct ecosystem_finding {
	enum ecosystem_level level;
	char *path; /* "apps[0].max_restarts"; "" for the file as a whole */
	char *text;
};

struct ecosystem {
	struct ecosystem_app *apps; /* complete only when there are no errors */
	size_t count;
	struct ecosystem_finding *findings;
	size_t findings_count;
	size_t errors, warnings, notes;
};

/* Never fails but for want of memory (NULL): what is wrong is among the findings. cpus: what
 * "instances": "max" is. */
struct ecosystem *ecosystem_parse(const char *text, size_t len, unsigned cpus) MUST_CHECK;
void ecosystem_free(struct ecosystem *e); /* NULL is fine */
/* One line a finding, "PATH_OF_FILE: error: apps[0].x: ...", and one that sums up. */
void ecosystem_print(const struct ecosystem *e, const char *file, FILE *out);

#endif
