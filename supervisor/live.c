/* live: what the apps write and how they change, for whoever asks or listens on the control socket.
 */
#include "supervisor/live.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "supervisor/log_ring.h"
#include "supervisor/params.h"

#define APPS_MAX      128          /* names that are kept apart: ECOSYSTEM_PROCESSES_MAX */
#define LINES_DEFAULT 20           /* of `logs` that says no number */
#define ANSWER_MAX    (900u << 10) /* bytes of one answer: below CONTROL_LINE_MAX */
#define LINE_OVERHEAD 160          /* of what stands around a line's text in it */
#define NAME_MAX_LEN  64

struct source {
	char *app;
	struct log_ring *ring;
};

/* A connection that is told what happens. */
struct follower {
	struct control_conn *conn;
	bool changes;
	char lines_of[NAME_MAX_LEN + 1]; /* "": no lines */
	struct follower *next;
};

static struct {
	struct source sources[APPS_MAX];
	size_t count;
	uint64_t lines; /* there ever were */
	struct follower *followers;
} live;

/* --- who is meant --------------------------------------------------------------------------- */

/* name: an app, the group whose instance it is ("app-server" of app-server-0), or all. */
static bool
is_meant(const char *name, const char *app)
{
	size_t n = strlen(name);

	if (strcmp(name, "all") == 0 || strcmp(name, app) == 0)
		return true;
	return strncmp(app, name, n) == 0 && app[n] == '-' && app[n + 1] != '\0' &&
	       strspn(app + n + 1, "0123456789") == strlen(app + n + 1);
}

static bool
is_known(const char *name)
{
	for (size_t i = 0; i < live.count; i++)
		if (is_meant(name, live.sources[i].app))
			return true;
	return strcmp(name, "all") == 0;
}

/* NULL: no memory, or more names than there can be. */
static struct source *
source_of(const char *app)
{
	struct source *s = &live.sources[live.count];

	for (size_t i = 0; i < live.count; i++)
		if (strcmp(live.sources[i].app, app) == 0)
			return &live.sources[i];
	if (live.count == APPS_MAX)
		return NULL;
	s->app = strdup(app);
	s->ring = log_ring_new();
	if (s->app == NULL || s->ring == NULL) {
		free(s->app);
		log_ring_free(s->ring);
		return NULL;
	}
	live.count++;
	return s;
}

void
live_forget(const char *app)
{
	for (size_t i = 0; i < live.count; i++) {
		if (strcmp(live.sources[i].app, app) != 0)
			continue;
		free(live.sources[i].app);
		log_ring_free(live.sources[i].ring);
		live.sources[i] = live.sources[--live.count];
		return;
	}
}

/* --- as JSON -------------------------------------------------------------------------------- */

static uint64_t
wall_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static json_t *
time_to_json(uint64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char text[32];
	struct tm tm;
	size_t n;

	(void)gmtime_r(&seconds, &tm);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text + n, sizeof(text) - n, ".%03uZ", (unsigned)(ms % 1000));
	return json_string(text);
}

static const char *
level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "?";
}

static json_t *
line_to_json(const char *app, const struct log_ring_line *line)
{
	return json_pack("{s:s, s:o, s:s, s:s, s:o}", "app", app, "ts", time_to_json(line->time_ms),
	                 "stream", line->stream == OUTPUT_STDOUT ? "stdout" : "stderr", "level",
	                 level_name(line->level), "text", json_string_lossy(line->text));
}

/* At most so long is the text as a JSON string. */
static size_t
printed_length(const struct log_ring_line *line)
{
	size_t n = 2;

	for (size_t i = 0; i < line->len; i++) {
		unsigned char c = (unsigned char)line->text[i];

		n += c < 0x20 || c == 0x7f ? 6 : c == '"' || c == '\\' ? 2 : c >= 0x80 ? 3 : 1;
	}
	return n;
}

/* --- telling followers ---------------------------------------------------------------------- */

void
live_line(const char *app, enum output_stream stream, const struct output_line *line)
{
	struct log_ring_line l = {.number = ++live.lines,
	                          .time_ms = wall_ms(),
	                          .stream = stream,
	                          .level = line->level,
	                          .text = line->text,
	                          .len = strlen(line->text)};
	struct source *s = source_of(app);
	json_t *params = NULL;

	if (s != NULL)
		log_ring_push(s->ring, &l);
	for (const struct follower *who = live.followers; who != NULL; who = who->next) {
		if (who->lines_of[0] == '\0' || !is_meant(who->lines_of, app))
			continue;
		if (params == NULL)
			params = line_to_json(app, &l);
		/* one that does not read is closed by this, and leaves the list later */
		control_notify(who->conn, "log/line", json_incref(params));
	}
	json_decref(params);
}

void
live_change(const struct live_change *c)
{
	json_t *params;

	(void)source_of(c->app); /* from now on there is such an app */
	params = json_pack("{s:s, s:o, s:s, s:s, s:o, s:o, s:I}", "app", c->app, "ts",
	                   time_to_json(wall_ms()), "from", app_state_name(c->from), "to",
	                   app_state_name(c->to), "reason", json_string_lossy(c->reason), "pid",
	                   c->pid > 0 ? json_integer(c->pid) : json_null(), "generation",
	                   (json_int_t)c->generation);
	for (const struct follower *who = live.followers; who != NULL; who = who->next)
		if (who->changes)
			control_notify(who->conn, "event/state", json_incref(params));
	json_decref(params);
}

/* NULL: no memory. */
static struct follower *
follower_for(struct control_conn *conn)
{
	struct follower *who = live.followers;

	while (who != NULL && who->conn != conn)
		who = who->next;
	if (who != NULL)
		return who;
	who = calloc(1, sizeof(*who));
	if (who == NULL)
		return NULL;
	who->conn = conn;
	control_conn_keep(conn);
	who->next = live.followers;
	live.followers = who;
	return who;
}

void
live_closed(struct control_conn *conn)
{
	for (struct follower **at = &live.followers; *at != NULL; at = &(*at)->next) {
		struct follower *who = *at;

		if (who->conn != conn)
			continue;
		*at = who->next;
		free(who);
		return;
	}
}

/* --- answering ------------------------------------------------------------------------------ */

/* The newest line of all that are meant, after those already taken; NULL: no more. */
static const struct log_ring_line *
next_back(const char *name, size_t taken[static APPS_MAX], const char **app)
{
	const struct log_ring_line *newest = NULL;
	size_t from = 0;

	for (size_t i = 0; i < live.count; i++) {
		const struct log_ring_line *l = log_ring_at(live.sources[i].ring, taken[i]);

		if (l == NULL || !is_meant(name, live.sources[i].app) ||
		    (newest != NULL && newest->number > l->number))
			continue;
		newest = l;
		from = i;
	}
	if (newest == NULL)
		return NULL;
	taken[from]++;
	*app = live.sources[from].app;
	return newest;
}

/* The last lines, the oldest one first. */
static json_t *
last_lines(const char *name, size_t wanted)
{
	size_t taken[APPS_MAX] = {0}, bytes = 0;
	json_t *lines = json_array();
	const struct log_ring_line *l;
	const char *app;

	while (wanted-- > 0 && (l = next_back(name, taken, &app)) != NULL) {
		bytes += LINE_OVERHEAD + printed_length(l);
		if (bytes > ANSWER_MAX)
			break;
		if (json_array_insert_new(lines, 0, line_to_json(app, l)) < 0)
			break; /* out of memory: fewer lines */
	}
	return lines;
}

static void
do_logs(struct control_conn *conn, struct control_request *req, json_t *params)
{
	static const char *const allowed[] = {"app", "lines", "follow", NULL};
	const char *name = json_get_string(params, "app");
	const json_t *number = json_object_get(params, "lines");
	const json_t *follow = json_object_get(params, "follow");
	json_int_t wanted = number != NULL ? json_integer_value(number) : LINES_DEFAULT;
	struct follower *who;

	if (!params_only(req, params, allowed))
		return;
	if (name == NULL || name[0] == '\0' || strlen(name) > NAME_MAX_LEN) {
		control_reply_error(req, CONTROL_INVALID_PARAMS, "app: a name is needed");
		return;
	}
	if ((number != NULL && !json_is_integer(number)) || wanted < 0) {
		control_reply_error(req, CONTROL_INVALID_PARAMS, "lines: not a number from 0 on");
		return;
	}
	if (follow != NULL && !json_is_boolean(follow)) {
		control_reply_error(req, CONTROL_INVALID_PARAMS, "follow: not true or false");
		return;
	}
	if (!is_known(name)) {
		control_reply_error(req, CONTROL_NO_SUCH_APP, "no such app");
		return;
	}
	if (json_is_true(follow)) {
		who = follower_for(conn);
		if (who == NULL) {
			control_reply_error(req, CONTROL_FAILED, "out of memory");
			return;
		}
		(void)snprintf(who->lines_of, sizeof(who->lines_of), "%s", name);
	}
	control_reply(req, json_pack("{s:o}", "lines", last_lines(name, (size_t)wanted)));
}

static void
do_subscribe(struct control_conn *conn, struct control_request *req, json_t *params)
{
	struct follower *who;

	if (!params_only(req, params, NULL))
		return;
	who = follower_for(conn);
	if (who == NULL) {
		control_reply_error(req, CONTROL_FAILED, "out of memory");
		return;
	}
	who->changes = true;
	control_reply(req, json_object());
}

bool
live_request(struct control_conn *conn, struct control_request *req, const char *method,
             json_t *params)
{
	if (strcmp(method, "logs") == 0)
		do_logs(conn, req, params);
	else if (strcmp(method, "subscribe") == 0)
		do_subscribe(conn, req, params);
	else
		return false;
	return true;
}

void
live_fini(void)
{
	for (size_t i = 0; i < live.count; i++) {
		free(live.sources[i].app);
		log_ring_free(live.sources[i].ring);
	}
	live.count = 0;
}
