/* settings_table: the names, defaults and limits of all settings; nothing else. */
#include "common/settings.h"

#define FIELD(name) offsetof(struct settings, name)

#define P   SETTING_PROXY
#define S   SETTING_SUPERVISOR
#define H   SETTING_HEALTHCHECK
#define ALL SETTING_ALL

/* Limits. A day is longer than any request; a week keeps sums of them far from overflow. */
#define DAY_MS  86400000
#define WEEK_MS (7 * (int64_t)DAY_MS)
#define GIB     ((int64_t)1 << 30)

#define TEXT(env, who, member, fallback_, help_)                                                   \
	{                                                                                          \
		.name = (env), .owners = (who), .kind = SETTING_STRING, .offset = FIELD(member),   \
		.fallback = (fallback_), .help = (help_)                                           \
	}
#define SECRET(env, who, member, help_)                                                            \
	{                                                                                          \
		.name = (env), .owners = (who), .kind = SETTING_SECRET, .offset = FIELD(member),   \
		.help = (help_)                                                                    \
	}
#define PATH(env, who, member, help_)                                                              \
	{                                                                                          \
		.name = (env), .owners = (who), .kind = SETTING_PATH, .offset = FIELD(member),     \
		.help = (help_)                                                                    \
	}
#define NUMBER(env, who, member, fallback_, min_, max_, help_)                                     \
	{                                                                                          \
		.name = (env), .owners = (who), .kind = SETTING_INTEGER, .offset = FIELD(member),  \
		.fallback = (fallback_), .min = (min_), .max = (max_), .help = (help_)             \
	}
#define SWITCH(env, who, member, help_)                                                            \
	{                                                                                          \
		.name = (env), .owners = (who), .kind = SETTING_BOOLEAN, .offset = FIELD(member),  \
		.fallback = "0", .help = (help_)                                                   \
	}
#define CHOICE(env, who, member, fallback_, choices_, help_)                                       \
	{                                                                                          \
		.name = (env), .owners = (who), .kind = SETTING_CHOICE, .offset = FIELD(member),   \
		.fallback = (fallback_), .choices = (choices_), .help = (help_)                    \
	}

const struct setting settings_table[] = {
	/* who may call */
	SECRET("CODEX_PROXY_API_KEY", P, api_key, "the key that callers must send"),
	PATH("CODEX_PROXY_API_KEY_FILE", P, api_key_file, "file that holds the key"),
	PATH("CODEX_PROXY_API_KEYS_FILE", P, api_keys_file,
             "file with a key a line; # starts a comment line"),
	SWITCH("CODEX_PROXY_NO_AUTH", P, no_auth,
               "1: serve without a key, on a loopback host only"),

	/* where to listen */
	TEXT("CODEX_PROXY_HOST", P | H, host, "127.0.0.1", "address to listen on"),
	NUMBER("CODEX_PROXY_PORT", P | H, port, "3460", 1, 65535, "port to listen on"),
	PATH("CODEX_PROXY_LISTEN_UNIX", P | H, listen_unix,
             "unix socket to listen on instead of host and port"),
	PATH("CODEX_PROXY_TLS_CERT", P | H, tls_cert,
             "certificate chain (PEM); with it HTTPS is served"),
	PATH("CODEX_PROXY_TLS_KEY", P, tls_key, "private key of the certificate (PEM)"),
	TEXT("CODEX_CORS_ORIGINS", P, cors_origins, NULL,
             "web origins that may call, with commas between them; * for all"),

	/* the model */
	TEXT("CODEX_APP_SERVER_URL", P, app_server_url, NULL,
             "app-server of a proxy without supervisor: unix:///PATH or ws://HOST:PORT"),
	TEXT("CODEX_DEFAULT_MODEL", P, default_model, NULL,
             "model for requests that name none; unset: the default of the catalog"),
	TEXT("CODEX_MODEL_ALIASES", P, model_aliases, NULL,
             "other names for models: alias=model,alias=model"),
	TEXT("CODEX_DEFAULT_EFFORT", P, default_effort, "medium",
             "reasoning effort for requests that name none"),
	TEXT("CODEX_BASE_INSTRUCTIONS", P | S, base_instructions, NULL,
             "instructions before the caller's: codex for Codex's own, or a file; unset: none"),
	CHOICE("CODEX_PROFILE", P | S, profile, "chat", "chat|agent",
               "chat: no tool but the caller's; agent: Codex's own tools"),
	CHOICE("CODEX_HISTORY_MODE", P, history_mode, "items", "items|transcript",
               "how earlier messages reach the model: as items, or flattened into one text"),

	/* how much, how long */
	NUMBER("CODEX_MAX_CONCURRENT", P, max_concurrent, "5", 1, 10000,
               "requests that run at once"),
	NUMBER("CODEX_MAX_QUEUE_DEPTH", P, max_queue_depth, "20", 0, 100000,
               "requests that wait for one of them to end"),
	NUMBER("CODEX_QUEUE_TIMEOUT_MS", P, queue_timeout_ms, "120000", 1, DAY_MS,
               "the longest wait"),
	NUMBER("CODEX_PROXY_TIMEOUT_MS", P, proxy_timeout_ms, "900000", 1, DAY_MS,
               "the longest a request may run"),
	NUMBER("CODEX_FIRST_EVENT_TIMEOUT_MS", P, first_event_timeout_ms, "300000", 1, DAY_MS,
               "the longest silence before a request's first event"),
	NUMBER("CODEX_IDLE_TIMEOUT_MS", P, idle_timeout_ms, "300000", 1, DAY_MS,
               "the longest silence between two events"),
	NUMBER("CODEX_PROXY_RATE_LIMIT", P, rate_limit_per_min, "60", 0, 1000000,
               "requests a minute; 0: no limit"),
	NUMBER("CODEX_MAX_REQUEST_SIZE", P, max_request_bytes, "10485760", 1024, GIB,
               "bytes of a request's body"),
	NUMBER("CODEX_MAX_RESPONSE_SIZE", P, max_response_bytes, "5242880", 1024, GIB,
               "bytes of an answer's text"),
	NUMBER("CODEX_RESPONSES_STORE_BYTES", P, responses_store_bytes, "67108864", 0, GIB,
               "bytes of memory for responses that may be asked for later; 0: none is kept"),
	NUMBER("CODEX_KEEPALIVE_MS", P, keepalive_ms, "10000", 0, DAY_MS,
               "comment in a silent stream after that long; 0: none"),
	NUMBER("CODEX_SSE_HEADER_DELAY_MS", P, sse_header_delay_ms, "1000", 0, DAY_MS,
               "a stream's headers wait that long for a first event, so that failures get a "
               "status"),
	NUMBER("CODEX_DRAIN_TIMEOUT_MS", P | S, drain_timeout_ms, "30000", 0, DAY_MS,
               "the time running requests have to end when the proxy is stopped"),
	NUMBER("CODEX_DRAIN_DELAY_MS", P | S, drain_delay_ms, "0", 0, DAY_MS,
               "so long of it /readyz is 503 while requests are still taken"),
	NUMBER("CODEX_ORPHAN_SWEEP_INTERVAL_MS", P, orphan_sweep_interval_ms, "900000", 100,
               WEEK_MS, "how often threads that nobody needs any more are looked for"),
	NUMBER("CODEX_DEGRADATION_THRESHOLD", P, degradation_threshold, "5", 1, 1000,
               "failures of the upstream in a row that make a server degraded"),
	SWITCH("CODEX_METRICS_NO_AUTH", P, metrics_no_auth, "1: /metrics needs no key"),
	TEXT("CODEX_IMAGE_FETCH_HOSTS", P, image_fetch_hosts, NULL,
             "hosts that https images may be fetched from, with commas between them"),
	PATH("CODEX_IMAGE_FETCH_CA_FILE", P, image_fetch_ca_file,
             "CA certificates (PEM) that these hosts are known by; unset: the system's"),

	/* the agent profile */
	PATH("CODEX_TOOL_POLICY_PATH", P, tool_policy_path,
             "what Codex's own tools may do (profile agent)"),
	CHOICE("CODEX_TOOL_APPROVAL", P, tool_approval, "policy", "policy|deny",
               "policy: as the policy says; deny: all is declined (profile agent)"),

	/* the app-servers */
	TEXT("CODEX_BIN", S, codex_bin, "codex", "the codex program, a path or a name on PATH"),
	PATH("CODEX_HOME", S | P | H, codex_home,
             "folder of the Codex login and config.toml; unset: ~/.codex"),
	SWITCH("CODEX_REQUIRE_API_KEY_LOGIN", S, require_api_key_login,
               "1: a ChatGPT login, which replicas cannot share, is refused"),
	NUMBER("CODEX_APP_SERVER_INSTANCES", S, instances, "1", 1, 64, "how many app-servers run"),
	PATH("CODEX_STATE_DIR", S | P | H, state_dir,
             "what outlives a restart; unset: STATE_DIRECTORY, or codex-sidecar in XDG_STATE_HOME"),
	PATH("CODEX_WORKSPACE", P | S, workspace,
             "folder that Codex's own tools work in (profile agent)"),
	PATH("CODEX_CA_FILE", S, ca_file,
             "CA certificates (PEM) for codex; a short list saves half of its CPU time a request"),
	CHOICE("CODEX_PROVIDER_MODE", S, provider_mode, "as-is", "as-is|tuned",
               "tuned: HTTP only, and retries by the proxy alone"),
	TEXT("CODEX_CONTROL_GROUP", S, control_group, NULL,
             "group that may use the control socket too"),
	NUMBER("CODEX_CHECK_INTERVAL_MS", S, check_interval_ms, "30000", 100, 60000,
               "how often memory, cron times and the app-servers' sockets are looked at"),
	NUMBER("CODEX_CATALOG_INTERVAL_MS", S, catalog_interval_ms, "86400000", 0, 604800000,
               "how often another codex or config.toml is looked for; 0: at a reload only"),
	NUMBER("CODEX_APP_SERVER_MAX_MEMORY", S, app_server_max_memory_bytes, "2147483648", 0,
               1024 * GIB, "an app-server that uses more is replaced without a gap; 0: no limit"),
	NUMBER("CODEX_PROXY_MAX_MEMORY", S, proxy_max_memory_bytes, "1073741824", 0, 1024 * GIB,
               "a proxy that uses more is replaced without a gap; 0: no limit"),

	/* all programs */
	PATH("CODEX_RUNTIME_DIR", ALL, runtime_dir,
             "sockets; unset: RUNTIME_DIRECTORY, or codex-sidecar in XDG_RUNTIME_DIR or /run"),
	PATH("CODEX_CONTROL_SOCKET", ALL, control_socket,
             "the supervisor's control socket; unset: control.sock in the runtime folder"),
	CHOICE("CODEX_LOG_LEVEL", P | S, log_level, "info", "error|warning|info|debug",
               "how much is logged"),
	CHOICE("CODEX_LOG_FORMAT", P | S, log_format, "auto", "auto|json|human|journal",
               "auto: for the journal under systemd, for people on a terminal, else JSON"),

	/* alerts */
	SECRET("CODEX_ALERT_WEBHOOK_URL", H, alert_webhook_url, "where alerts are posted"),
	PATH("CODEX_ALERT_WEBHOOK_URL_FILE", H, alert_webhook_url_file, "file that holds that URL"),
	CHOICE("CODEX_ALERT_FORMAT", H, alert_format, "auto", "auto|json|discord|slack",
               "whose form an alert has; auto: by the URL"),
};

const size_t settings_count = NELEM(settings_table);
