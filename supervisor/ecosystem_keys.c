/* ecosystem_keys: the keys of an app in the ecosystem file, and how each value is read. Pure. */
#include "supervisor/ecosystem_keys.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "common/json.h"
#include "supervisor/quantity.h"
#include "supervisor/text.h"

#define SECOND       INT64_C(1000)
#define HOUR         (3600 * SECOND)
#define DAY          (24 * HOUR)
#define SHOWN_MAX    48 /* of a name or value from the file: enough to recognise it */
#define NAME_MAX_LEN 48 /* no key is as long */

enum kind {
	STRING,
	BOOLEAN,
	TIME,
	SIZE,
	COUNT,
	WORDS,
	ENV,
	CODES,
	INSTANCES,
	CRON,
	NO_USE,
	REFUSED
};

#define OURS      1u /* PM2 ignores it */
#define ZERO_LOST 2u /* PM2 takes 0 or false for "not given" */

struct key {
	const char *name;
	enum kind kind;
	bool in_draft;
	size_t offset;
	int64_t fallback, min, max;
	unsigned flags;
	const char *says; /* the difference; of those without use: why */
};

#define APP(field)   false, offsetof(struct ecosystem_app, field)
#define DRAFT(field) true, offsetof(struct ecosystem_draft, field)
#define NOWHERE      false, 0, 0, 0, 0, 0

#define NODE  "Node only"
#define SEEN  "what runs is seen in `status`"
#define WATCH "restarts on changed files: use `restart`, or a systemd path unit"
#define USER  "the supervisor starts everything as its own user: User= of the unit, or runAsUser"

/* clang-format off */
static const struct key keys[] = {
	{"name", STRING, APP(name), 0, 0, 0, 0, NULL},
	{"script", STRING, APP(script), 0, 0, 0, 0, NULL},
	{"args", WORDS, APP(args), 0, 0, 0, 0, NULL},
	{"interpreter", STRING, APP(interpreter), 0, 0, 0, 0, NULL},
	{"interpreter_args", WORDS, APP(interpreter_args), 0, 0, 0, 0, NULL},
	{"cwd", STRING, APP(cwd), 0, 0, 0, 0, NULL},
	{"env", ENV, APP(env), 0, 0, 0, 0, NULL},
	{"instance_var", STRING, APP(instance_var), 0, 0, 0, 0, NULL},
	{"port", COUNT, DRAFT(port), -1, 1, 65535, 0, NULL},
	{"instances", INSTANCES, APP(instances), 0, 0, 0, 0, NULL},
	{"exec_mode", STRING, DRAFT(exec_mode), 0, 0, 0, 0, NULL},
	{"autostart", BOOLEAN, APP(autostart), 1, 0, 0, 0, NULL},
	{"wait_ready", BOOLEAN, DRAFT(wait_ready), 0, 0, 0, 0,
	 "an app that is not ready within listen_timeout has failed; PM2 calls it online"},
	{"listen_timeout", TIME, APP(listen_timeout_ms), -1, 1, DAY, 0, NULL},
	{"autorestart", BOOLEAN, APP(autorestart), 1, 0, 0, 0, NULL},
	{"stop_exit_codes", CODES, APP(stop_exit), 0, 0, 0, 0,
	 "an end by a signal is none of them; PM2 takes it for exit code 0"},
	{"min_uptime", TIME, APP(min_uptime_ms), 5 * SECOND, 0, DAY, ZERO_LOST,
	 "counts from ready; PM2 counts from the launch"},
	{"max_restarts", COUNT, APP(max_restarts), 10, 0, 1000000, ZERO_LOST,
	 "all unplanned ends within restart_window count; PM2 counts only some, and with a "
	 "restart_delay it may never give up"},
	{"restart_delay", TIME, DRAFT(restart_delay_ms), 500, 0, DAY, ZERO_LOST,
	 "doubles with each failure in a row, up to backoff_max, and the first failure after "
	 "min_uptime restarts at once; PM2 always waits as long"},
	{"exp_backoff_restart_delay", TIME, DRAFT(exp_backoff_ms), 0, 0, DAY, 0,
	 "doubles, with jitter, up to backoff_max; PM2's grows by half, up to 15 s"},
	{"max_memory_restart", SIZE, APP(max_memory_bytes), 0, 0, INT64_C(1) << 50, 0,
	 "the app is drained first, and planned restarts count as no failure"},
	{"cron_restart", CRON, APP(cron_restart), 0, 0, 0, 0,
	 "a stopped app stays stopped; PM2 starts it"},
	{"kill_timeout", TIME, APP(kill_timeout_ms), -1, 0, DAY, ZERO_LOST, NULL},
	{"out_file", STRING, APP(out_file), 0, 0, 0, 0, NULL},
	{"error_file", STRING, APP(error_file), 0, 0, 0, 0, NULL},
	{"merge_logs", BOOLEAN, APP(merge_logs), 1, 0, 0, ZERO_LOST, NULL},
	{"disable_logs", BOOLEAN, APP(disable_logs), 0, 0, 0, 0, NULL},
	{"log_type", STRING, DRAFT(log_type), 0, 0, 0, 0, NULL},
	{"log_date_format", STRING, APP(log_date_format), 0, 0, 0, 0,
	 "each line gets it; PM2 loses lines that come in pieces"},
	{"time", BOOLEAN, DRAFT(time), 0, 0, 0, 0, NULL},

	{"role", STRING, DRAFT(role), 0, 0, 0, OURS, NULL},
	{"recipe", BOOLEAN, APP(recipe), 1, 0, 0, OURS, NULL},
	{"env_pass", WORDS, APP(env_pass), 0, 0, 0, OURS, NULL},
	{"readiness", STRING, DRAFT(readiness), 0, 0, 0, OURS, NULL},
	{"restart_window", TIME, APP(restart_window_ms), 600 * SECOND, 1, 30 * DAY, OURS, NULL},
	{"crash_loop_rest", TIME, APP(crash_loop_rest_ms), 300 * SECOND, 1, 30 * DAY, OURS, NULL},
	{"backoff_max", TIME, APP(backoff_max_ms), 30 * SECOND, 0, DAY, OURS, NULL},
	{"stop_signal", STRING, DRAFT(stop_signal), 0, 0, 0, OURS, NULL},
	{"drain_timeout", TIME, APP(drain_timeout_ms), -1, 0, DAY, OURS, NULL},
	{"after", WORDS, APP(after), 0, 0, 0, OURS, NULL},
	{"log_rotate_max_size", SIZE, APP(log_rotate_max_bytes), 0, 0, INT64_C(1) << 50, OURS,
	 NULL},
	{"log_rotate_interval", TIME, APP(log_rotate_interval_ms), 0, 0, 366 * DAY, OURS, NULL},
	{"log_rotate_retain", COUNT, APP(log_rotate_retain), 30, 0, 10000, OURS, NULL},

	{"uid", REFUSED, NOWHERE, USER},
	{"gid", REFUSED, NOWHERE, USER},
	{"filter_env", NO_USE, NOWHERE, "an app gets few variables of ours anyway (env_pass)"},
	{"increment_var", NO_USE, NOWHERE, "instances are told apart by instance_var"},
	{"name_prefix", NO_USE, NOWHERE, "names are as they are"},
	{"namespace", NO_USE, NOWHERE, "an app, all instances of one, or `all` can be named"},
	{"append_env_to_name", NO_USE, NOWHERE, "names are as they are"},
	{"log_file", NO_USE, NOWHERE, "give out_file and error_file the same path"},
	{"pid_file", NO_USE, NOWHERE, SEEN},
	{"kill_retry_time", NO_USE, NOWHERE, "the end of a process is an event, nothing polls"},
	{"shutdown_with_message", NO_USE, NOWHERE,
	 "a signal stops an app; codex-proxy is drained before it"},
	{"treekill", NO_USE, NOWHERE, "whatever an app leaves behind is killed, always"},
	{"watch", NO_USE, NOWHERE, WATCH},
	{"watch_delay", NO_USE, NOWHERE, WATCH},
	{"ignore_watch", NO_USE, NOWHERE, WATCH},
	{"watch_options", NO_USE, NOWHERE, WATCH},
	{"execute_command", NO_USE, NOWHERE, "everything is executed directly"},
	{"force", NO_USE, NOWHERE, "nothing is started twice"},
	{"install_url", NO_USE, NOWHERE, "there are no modules"},
	{"post_update", NO_USE, NOWHERE, "nothing is deployed"},
	{"vizion", NO_USE, NOWHERE, "nothing is read from git"},
	{"source_map_support", NO_USE, NOWHERE, NODE},
	{"disable_source_map_support", NO_USE, NOWHERE, NODE},
	{"trace", NO_USE, NOWHERE, NODE},
	{"disable_trace", NO_USE, NOWHERE, NODE},
	{"v8", NO_USE, NOWHERE, NODE},
	{"event_loop_inspector", NO_USE, NOWHERE, NODE},
	{"deep_monitoring", NO_USE, NOWHERE, NODE},
	{"pmx", NO_USE, NOWHERE, NODE},
	{"automation", NO_USE, NOWHERE, NODE},
	{"io", NO_USE, NOWHERE, NODE},
	{"username", NO_USE, NOWHERE, SEEN},
	{"windowsHide", NO_USE, NOWHERE, "Windows only"},
	{"write", NO_USE, NOWHERE, "the file is only read"},
};

static const struct {
	const char *alias, *name;
} aliases[] = {
	{"exec", "script"}, {"cmd", "script"}, {"command", "script"},
	{"exec_interpreter", "interpreter"}, {"node_args", "interpreter_args"},
	{"out", "out_file"}, {"output", "out_file"}, {"out_log", "out_file"},
	{"error", "error_file"}, {"err", "error_file"}, {"err_file", "error_file"},
	{"err_log", "error_file"}, {"log", "log_file"}, {"combine_logs", "merge_logs"},
	{"cron", "cron_restart"}, {"pid", "pid_file"}, {"user", "uid"},
};
/* clang-format on */

/* --- findings ------------------------------------------------------------------------------- */

static int
add_finding(struct ecosystem *e, struct ecosystem_finding *f)
{
	struct ecosystem_finding *more;

	if ((e->findings_count & (e->findings_count - 1)) == 0) { /* 0 and each power of two */
		size_t cap = e->findings_count == 0 ? 1 : 2 * e->findings_count;

		more = realloc(e->findings, cap * sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		e->findings = more;
	}
	e->findings[e->findings_count++] = *f;
	return 0;
}

void
ecosystem_report(struct ecosystem_reader *r, enum ecosystem_level level, const char *path,
                 const char *key, const char *fmt, ...)
{
	struct ecosystem_finding f = {.level = level};
	bool dot = key != NULL && path[0] != '\0';
	va_list ap;

	if (asprintf(&f.path, "%s%s%.*s", path, dot ? "." : "", SHOWN_MAX, key != NULL ? key : "") <
	    0)
		f.path = NULL;
	va_start(ap, fmt);
	if (vasprintf(&f.text, fmt, ap) < 0)
		f.text = NULL;
	va_end(ap);
	if (f.path == NULL || f.text == NULL || add_finding(r->e, &f) < 0) {
		free(f.path);
		free(f.text);
		r->failed = true;
		return;
	}
	text_clean(f.path);
	text_clean(f.text);
	*(level == ECOSYSTEM_ERROR     ? &r->e->errors
	  : level == ECOSYSTEM_WARNING ? &r->e->warnings
	                               : &r->e->notes) += 1;
}

/* --- the nearest name ----------------------------------------------------------------------- */

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many letters to insert, drop, replace or swap with their neighbour. Both are at most
 * NAME_MAX_LEN long. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned d[NAME_MAX_LEN + 1][NAME_MAX_LEN + 1];
	size_t n = strlen(a), m = strlen(b);

	for (size_t i = 0; i <= n; i++) {
		for (size_t k = 0; k <= m; k++) {
			if (i == 0 || k == 0) {
				d[i][k] = (unsigned)(i + k);
				continue;
			}
			d[i][k] = least(d[i - 1][k - 1] + (a[i - 1] != b[k - 1]),
			                least(d[i - 1][k], d[i][k - 1]) + 1);
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				d[i][k] = least(d[i][k], d[i - 2][k - 2] + 1);
		}
	}
	return d[n][m];
}

const char *
ecosystem_nearest(const char *word, const char *const *names)
{
	size_t len = strlen(word);
	unsigned best = len < 6 ? 2 : (unsigned)len / 3 + 1; /* too far */
	const char *found = NULL;

	if (len > NAME_MAX_LEN)
		return NULL;
	for (; *names != NULL; names++) {
		unsigned d = strlen(*names) <= NAME_MAX_LEN ? distance(word, *names) : best;

		if (d < best) {
			best = d;
			found = *names;
		}
	}
	return found;
}

/* --- finding a key -------------------------------------------------------------------------- */

static const struct key *
find_exact(const char *name)
{
	for (size_t i = 0; i < NELEM(aliases); i++)
		if (strcmp(aliases[i].alias, name) == 0)
			name = aliases[i].name;
	for (size_t i = 0; i < NELEM(keys); i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

/* PM2 knows killTimeout too, for each of its keys. */
static const struct key *
find_key(const char *name)
{
	const struct key *key = find_exact(name);
	char snake[2 * NAME_MAX_LEN + 1];
	size_t n = 0;

	if (key != NULL || strlen(name) > NAME_MAX_LEN)
		return key;
	for (; *name != '\0'; name++) {
		if (isupper((unsigned char)*name))
			snake[n++] = '_';
		snake[n++] = (char)tolower((unsigned char)*name);
	}
	snake[n] = '\0';
	return find_exact(snake);
}

static void
report_unknown(struct ecosystem_draft *d, const char *name)
{
	const char *names[NELEM(keys) + NELEM(aliases) + 1], *near;
	size_t n = 0;

	for (size_t i = 0; i < NELEM(keys); i++)
		names[n++] = keys[i].name;
	for (size_t i = 0; i < NELEM(aliases); i++)
		names[n++] = aliases[i].alias;
	names[n] = NULL;
	near = ecosystem_nearest(name, names);
	if (near != NULL)
		ecosystem_report(d->reader, ECOSYSTEM_ERROR, d->path, name,
		                 "no such key; is %s meant?", near);
	else
		ecosystem_report(d->reader, ECOSYSTEM_ERROR, d->path, name, "no such key");
}

/* --- reading a value ------------------------------------------------------------------------ */

/* The value as the file has it, cut; never for env. */
static void
show(char text[static SHOWN_MAX], const json_t *value)
{
	AUTO_FREE char *whole = json_to_text(value, NULL);

	if (whole != NULL && strlen(whole) >= SHOWN_MAX)
		(void)snprintf(text, SHOWN_MAX, "%.*s...", SHOWN_MAX - 4, whole);
	else
		(void)snprintf(text, SHOWN_MAX, "%s", whole != NULL ? whole : "that");
}

static void
report_wrong(struct ecosystem_draft *d, const char *name, const json_t *value, const char *why)
{
	char shown[SHOWN_MAX];

	show(shown, value);
	ecosystem_report(d->reader, ECOSYSTEM_ERROR, d->path, name, "%s is %s", shown, why);
}

static void
take_number(struct ecosystem_draft *d, const struct key *key, const char *name, json_t *value,
            int64_t *out)
{
	const char *text = json_text(value);
	int64_t n = json_integer_value(value);
	int r = json_is_integer(value) ? 0 : -EINVAL;
	char shown[SHOWN_MAX];

	if (text != NULL && key->kind == TIME)
		r = quantity_parse_ms(text, &n);
	else if (text != NULL && key->kind == SIZE)
		r = quantity_parse_bytes(text, &n);
	if (r == 0 && n >= key->min && n <= key->max) {
		*out = n;
		if (n == 0 && (key->flags & ZERO_LOST))
			ecosystem_report(d->reader, ECOSYSTEM_NOTE, d->path, name,
			                 "0 is a value; PM2 takes its default instead");
		return;
	}
	show(shown, value);
	ecosystem_report(d->reader, ECOSYSTEM_ERROR, d->path, name,
	                 "%s is no %s from %" PRId64 " to %" PRId64 "%s", shown,
	                 key->kind == TIME   ? "time"
	                 : key->kind == SIZE ? "size"
	                                     : "whole number",
	                 key->min, key->max,
	                 key->kind == TIME   ? " ms (2000, \"2s\", \"1.5m\")"
	                 : key->kind == SIZE ? " bytes (\"300M\")"
	                                     : "");
}

static void
take_string(struct ecosystem_draft *d, const char *name, const json_t *value, char **out)
{
	const char *text = json_text(value);

	if (text == NULL || text[0] == '\0') {
		report_wrong(d, name, value, text == NULL ? "not a string" : "empty");
		return;
	}
	free(*out);
	*out = strdup(text);
	if (*out == NULL)
		d->reader->failed = true;
}

static void
take_boolean(struct ecosystem_draft *d, const struct key *key, const char *name,
             const json_t *value, bool *out)
{
	if (!json_is_boolean(value)) {
		report_wrong(d, name, value, "neither true nor false");
		return;
	}
	*out = json_is_true(value);
	if (!*out && (key->flags & ZERO_LOST))
		ecosystem_report(d->reader, ECOSYSTEM_NOTE, d->path, name,
		                 "false is a value; PM2 takes its default instead");
}

static void
take_list(struct ecosystem_draft *d, const struct key *key, const char *name, json_t *value,
          char ***out)
{
	const char *why;
	char **list;
	int r = key->kind == ENV ? ecosystem_value_env(&list, value, &why)
	                         : ecosystem_value_words(&list, value, &why);

	if (r == 0) {
		ecosystem_list_free(*out);
		*out = list;
	} else if (r == -ENOMEM) {
		d->reader->failed = true;
	} else {
		/* not the value: args and env hold secrets */
		ecosystem_report(d->reader, ECOSYSTEM_ERROR, d->path, name, "%s", why);
	}
}

static void
take_special(struct ecosystem_draft *d, const struct key *key, const char *name,
             const json_t *value, void *out)
{
	const char *why = "";
	char *text = NULL;
	int r;

	if (key->kind == CODES) {
		r = ecosystem_value_exit_codes(out, value, &why);
	} else if (key->kind == INSTANCES) {
		r = ecosystem_value_instances(out, value, d->reader->cpus, &why);
	} else {
		r = ecosystem_value_cron(&text, value, &why);
		if (r == 0)
			*(char **)out = text;
	}
	if (r == -ENOMEM)
		d->reader->failed = true;
	else if (r < 0)
		report_wrong(d, name, value, why);
}

static void *
place(struct ecosystem_draft *d, const struct key *key)
{
	return (key->in_draft ? (char *)d : (char *)d->app) + key->offset;
}

static void
take(struct ecosystem_draft *d, const struct key *key, const char *name, json_t *value)
{
	void *out = place(d, key);

	switch (key->kind) {
	case STRING:
		take_string(d, name, value, out);
		break;
	case BOOLEAN:
		take_boolean(d, key, name, value, out);
		break;
	case TIME:
	case SIZE:
	case COUNT:
		take_number(d, key, name, value, out);
		break;
	case WORDS:
	case ENV:
		take_list(d, key, name, value, out);
		break;
	case CODES:
	case INSTANCES:
	case CRON:
		take_special(d, key, name, value, out);
		break;
	case NO_USE:
		ecosystem_report(d->reader, ECOSYSTEM_WARNING, d->path, name, "no use here: %s",
		                 key->says);
		return;
	case REFUSED:
		ecosystem_report(d->reader, ECOSYSTEM_ERROR, d->path, name, "cannot be done: %s",
		                 key->says);
		return;
	}
	if (key->says != NULL)
		ecosystem_report(d->reader, ECOSYSTEM_NOTE, d->path, name, "%s", key->says);
}

/* PM2 would obey a variable that is named like a setting. */
static void
note_settings_in_env(struct ecosystem_draft *d, json_t *env)
{
	const char *name;
	json_t *value;

	json_object_foreach(env, name, value) {
		const struct key *key = find_exact(name);
		char path[sizeof(d->path) + 4];

		if (key == NULL || (key->flags & OURS))
			continue;
		(void)snprintf(path, sizeof(path), "%s.env", d->path);
		ecosystem_report(d->reader, ECOSYSTEM_NOTE, path, name,
		                 "a variable of the app, and no setting; PM2 obeys it as one");
	}
}

void
ecosystem_keys_take(struct ecosystem_draft *d, json_t *object)
{
	bool seen[NELEM(keys)] = {false};
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		const struct key *key = find_key(name);

		if (key == NULL && strncmp(name, "env_", 4) == 0) {
			ecosystem_report(d->reader, ECOSYSTEM_WARNING, d->path, name,
			                 "no use here: write a file for each environment");
		} else if (key == NULL) {
			report_unknown(d, name);
		} else if (seen[key - keys]) {
			ecosystem_report(d->reader, ECOSYSTEM_ERROR, d->path, name,
			                 "another name of %s, which is there too", key->name);
		} else {
			seen[key - keys] = true;
			take(d, key, name, value);
		}
	}
	note_settings_in_env(d, json_get_object(object, "env"));
}

void
ecosystem_keys_defaults(struct ecosystem_draft *d)
{
	for (size_t i = 0; i < NELEM(keys); i++) {
		const struct key *key = &keys[i];
		void *out = place(d, key);

		if (key->kind == TIME || key->kind == SIZE || key->kind == COUNT)
			*(int64_t *)out = key->fallback;
		else if (key->kind == BOOLEAN)
			*(bool *)out = key->fallback != 0;
		else if (key->kind == INSTANCES)
			*(unsigned *)out = 1;
		else if (key->kind == WORDS || key->kind == ENV)
			*(char ***)out = ecosystem_list_new(0);
	}
}

void
ecosystem_draft_fini(struct ecosystem_draft *d)
{
	free(d->role);
	free(d->readiness);
	free(d->exec_mode);
	free(d->log_type);
	free(d->stop_signal);
}
