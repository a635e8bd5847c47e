/* command: what the command line asks for. */
#ifndef SIDECAR_HEALTHCHECK_COMMAND_H
#define SIDECAR_HEALTHCHECK_COMMAND_H

#include "healthcheck/finding.h"

struct command;

/* Fills the finding with what the check has found. */
typedef void (*check_fn)(struct finding *f, const struct command *c);

struct check {
	const char *name;
	check_fn fn;      /* without --url and --unix */
	const char *path; /* with them: where the proxy is asked; NULL: not by HTTP */
	const char *is;   /* "alive", for people */
};

struct command {
	const struct check *check;
	const char *url, *unix_path, *socket, *ca_file;
	long timeout_ms;
	bool insecure, json, quiet;
	/* auth */
	bool alert;
	const char *format; /* NULL: by the URL */
	double warn_hours, repeat_hours;
};

/* The checks themselves: ask_proxy.c, ask_supervisor.c, auth.c. */
void ask_proxy(struct finding *f, const struct command *c);
void ask_live(struct finding *f, const struct command *c);
void ask_startup(struct finding *f, const struct command *c);
void ask_status(struct finding *f, const struct command *c);
void check_auth(struct finding *f, const struct command *c);

#endif
