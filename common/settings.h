/* settings: every environment variable of the three programs, in one table. */
#ifndef SIDECAR_SETTINGS_H
#define SIDECAR_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/common.h"

/* Who reads a setting. */
#define SETTING_PROXY       1u
#define SETTING_SUPERVISOR  2u
#define SETTING_HEALTHCHECK 4u
#define SETTING_ALL         7u

enum setting_kind {
	SETTING_STRING,
	SETTING_SECRET,  /* a string that is never shown */
	SETTING_PATH,    /* absolute */
	SETTING_INTEGER, /* min..max */
	SETTING_BOOLEAN, /* 1 0 true false yes no on off */
	SETTING_CHOICE,  /* one of choices, separated by '|' in the table */
};

enum profile { PROFILE_CHAT, PROFILE_AGENT };
enum history_mode { HISTORY_ITEMS, HISTORY_TRANSCRIPT };
enum tool_approval { TOOL_APPROVAL_POLICY, TOOL_APPROVAL_DENY };
enum provider_mode { PROVIDER_AS_IS, PROVIDER_TUNED };

/* Strings are NULL when unset and without default. All times in ms, all sizes in bytes. */
struct settings {
	/* proxy */
	char *api_key;
	char *api_key_file;
	char *api_keys_file;
	bool no_auth;
	char *host;
	int64_t port;
	char *listen_unix;
	char *tls_cert;
	char *tls_key;
	char *cors_origins;
	char *app_server_url;
	char *default_model;
	char *model_aliases;
	char *default_effort;
	int64_t max_concurrent;
	int64_t max_queue_depth;
	int64_t queue_timeout_ms;
	int64_t proxy_timeout_ms;
	int64_t rate_limit_per_min;
	int64_t orphan_sweep_interval_ms;
	int64_t degradation_threshold;
	int64_t max_response_bytes;
	int64_t responses_store_bytes;
	int64_t max_request_bytes;
	int64_t keepalive_ms;
	int64_t first_event_timeout_ms;
	int64_t idle_timeout_ms;
	int64_t drain_timeout_ms;
	int64_t drain_delay_ms;
	int64_t sse_header_delay_ms;
	bool metrics_no_auth;
	char *image_fetch_hosts;
	char *image_fetch_ca_file;
	char *tool_policy_path;
	int64_t tool_approval; /* enum tool_approval */
	/* supervisor */
	char *codex_bin;
	char *codex_home;
	bool require_api_key_login;
	int64_t instances;
	char *state_dir;
	char *workspace;
	char *ca_file;
	int64_t provider_mode; /* enum provider_mode */
	char *control_group;
	int64_t check_interval_ms;
	int64_t catalog_interval_ms;
	int64_t app_server_max_memory_bytes;
	int64_t proxy_max_memory_bytes;
	/* shared */
	char *runtime_dir;
	char *control_socket;
	int64_t log_level;    /* enum log_level */
	int64_t log_format;   /* enum log_format */
	int64_t profile;      /* enum profile */
	int64_t history_mode; /* enum history_mode */
	char *base_instructions;
	/* healthcheck */
	char *alert_webhook_url;
	char *alert_webhook_url_file;
	int64_t alert_format; /* 0: by the URL; else enum alert_format + 1 */
};

/* One row of the table; public so that help, man page checks and the environment allow-list of
 * children can walk it. */
struct setting {
	const char *name;
	unsigned owners; /* SETTING_PROXY | ... */
	enum setting_kind kind;
	size_t offset;        /* in struct settings */
	const char *fallback; /* text of the default, NULL: unset */
	int64_t min, max;     /* SETTING_INTEGER */
	const char *choices;  /* SETTING_CHOICE: "a|b|c", stored as the index */
	const char *help;
};

extern const struct setting settings_table[];
extern const size_t settings_count;

typedef const char *(*settings_get_fn)(void *arg, const char *name);

/* Fills *out from get (NULL: getenv). An empty value counts as unset. Every wrong value gets one
 * line on `complaints` ("NAME: what is wrong with it"; secrets are not shown), so that all are
 * seen at once. Returns the number of wrong values (then *out is empty), or -ENOMEM. Rules across
 * settings (a key is needed, TLS needs both files) are checked for the owners asked for. */
int settings_load(struct settings *out, unsigned owners, settings_get_fn get, void *arg,
                  FILE *complaints) MUST_CHECK;
void settings_free(struct settings *s);
/* The table as text for `--help`: name, default, help, one setting a line. */
void settings_help(FILE *out, unsigned owners);

#endif
