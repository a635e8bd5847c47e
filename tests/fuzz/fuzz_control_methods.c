/* What operators and a proxy may ask of a supervisor: whatever the params, each request gets one
 * answer, a result or the error that docs/control.md has for it.
 *
 * Input: a line of options, then what happens, one thing a line: see play(). The apps are played
 * here (instance.h); the fleet and all above it are the real thing. */
#include "supervisor/control.h"

#include <string.h>

#include "common/control_server.h"
#include "supervisor/live.h"
#include "tests/unit/fake_clock.h"
/* behind it: names of its own would hide that one's */
#include "tests/fuzz/control_peer.h"
#include "tests/fuzz/played_apps.h"

#define LINES_MAX    48
#define REQUESTS_MAX LINES_MAX
#define ASKED_MAX    8        /* more are left unanswered */
#define LONGEST_MS   90000000 /* no deadline is later */

/* --- the supervisor -------------------------------------------------------------------------- */

static const char list[] =
	"{\"apps\":[{\"name\":\"one\",\"script\":\"codex\",\"args\":[\"app-server\",\"--listen\","
	"\"unix:///r/one\"]},{\"name\":\"two\",\"script\":\"codex\",\"args\":[\"app-server\","
	"\"--listen\",\"unix:///r/two\"]},{\"name\":\"proxy\",\"script\":\"codex-proxy\"},"
	"{\"name\":\"job\",\"script\":\"x\",\"after\":\"proxy\",\"instances\":2},"
	"{\"name\":\"hook\",\"script\":\"y\",\"readiness\":\"control\",\"autostart\":false}]}";

static struct {
	struct fleet *fleet;
	struct control *control;
	struct roll roll;
	struct wishes wishes;
	const struct control_handlers *handlers; /* of the control socket */
	void *arg;
	struct listener listener;
	bool stopping, mistaken; /* the configuration has a mistake */
} supervisor;

int
control_server_new(struct control_server **out, uv_loop_t *on, const char *path, gid_t gid,
                   const struct control_handlers *handlers, void *arg, struct err *err)
{
	supervisor.handlers = handlers;
	supervisor.arg = arg;
	*out = NULL;
	return 0;
}

void
control_server_close(struct control_server *s, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

static void
on_change(void *arg, struct instance *in)
{
	if (supervisor.fleet == NULL)
		return;
	roll_on_change(&supervisor.roll, in);
	wishes_on_change(&supervisor.wishes);
}

static void
on_gone(void *arg, const struct instance *in)
{
	HOLDS(false); /* the list stays */
}

static void
on_backend_failed(void *arg, size_t i, const char *kind, const char *message)
{
	HOLDS(i < 2 && kind != NULL && message != NULL);
}

static json_t *
on_status(void *arg)
{
	const struct status_view view = {.state = supervisor.stopping ? SUPERVISOR_STOPPING
	                                                              : SUPERVISOR_RUNNING,
	                                 .fleet = supervisor.fleet,
	                                 .warning = "",
	                                 .reload_warning = "",
	                                 .codex_home = "/h"};

	return status_to_json(&view);
}

static void
on_stopped(void *arg)
{
}

static void
on_shutdown(void *arg)
{
	supervisor.stopping = true;
	roll_cancel(&supervisor.roll);
	wishes_cancel(&supervisor.wishes);
	fleet_stop(supervisor.fleet, on_stopped, NULL);
}

static void
on_reload(void *arg, void (*fn)(void *fn_arg, int code, const char *why), void *fn_arg)
{
	proxy_link_reload(fleet_link(supervisor.fleet));
	if (supervisor.mistaken)
		fn(fn_arg, -EINVAL, "a mistake");
	else
		fn(fn_arg, 0, NULL);
}

static void
open_supervisor(void)
{
	static const struct settings settings = {.drain_delay_ms = 0};
	const struct fleet_spec spec = {.loop = &loop,
	                                .settings = &settings,
	                                .listener = &supervisor.listener,
	                                .control_path = "/r/control.sock",
	                                .runtime_dir = "/r",
	                                .on_change = on_change,
	                                .on_gone = on_gone,
	                                .on_backend_failed = on_backend_failed};
	struct ecosystem *e = ecosystem_parse(list, sizeof(list) - 1, 2);
	struct control_spec control = {.loop = &loop,
	                               .roll = &supervisor.roll,
	                               .wishes = &supervisor.wishes,
	                               .status = on_status,
	                               .shutdown = on_shutdown,
	                               .reload = on_reload};

	memset(&supervisor, 0, sizeof(supervisor));
	supervisor.listener.fd = -1;
	app_count = 0;
	HOLDS(e != NULL && e->errors == 0);
	HOLDS(fleet_new(&supervisor.fleet, &spec, e, NULL) == 0);
	roll_init(&supervisor.roll, supervisor.fleet);
	wishes_init(&supervisor.wishes, supervisor.fleet);
	control.fleet = supervisor.fleet;
	HOLDS(control_new(&supervisor.control, &control, NULL) == 0);
	fleet_start(supervisor.fleet, false);
	fleet_setup_done(supervisor.fleet);
}

static void
close_supervisor(void)
{
	control_close(supervisor.control, NULL, NULL);
	for (size_t i = 0; i < app_count; i++)
		apps[i]->state = APP_STOPPED;
	fleet_close(supervisor.fleet, NULL, NULL);
	run_loop(&loop);
}

/* --- the peer -------------------------------------------------------------------------------- */

#define ANY_OUTCOME 1 /* of a verdict: a result, or CONTROL_FAILED */

static struct {
	int fd;
	struct control_conn *conn; /* the supervisor's end of it; NULL: closed */
	struct json_buf heard;     /* the beginning of a line */
	struct {
		char method[24]; /* "": one that there is not */
		int verdict;     /* 0: a result, else the code of its error, or ANY_OUTCOME */
		bool answered;
	} requests[REQUESTS_MAX];
	size_t count;
	/* The requests of the supervisor that wait for our answer, the oldest one first. */
	json_int_t asked[ASKED_MAX];
	size_t asked_count;
} peer;

static void
on_connection_closed(void *arg, struct control_conn *conn)
{
	supervisor.handlers->on_closed(supervisor.arg, conn);
	HOLDS(conn == peer.conn);
	peer.conn = NULL;
}

static void
on_connection(uv_stream_t *stream, int status)
{
	static struct control_handlers handlers;

	handlers = *supervisor.handlers;
	handlers.on_closed = on_connection_closed;
	HOLDS(status == 0 && peer.conn == NULL);
	HOLDS(control_conn_accept(&peer.conn, stream, &handlers, supervisor.arg) == 0);
}

static void
connect_peer(void)
{
	peer.fd = connect_to_control();
	peer.asked_count = 0;
	while (peer.conn == NULL)
		(void)uv_run(&loop, UV_RUN_ONCE);
}

/* What waits for an answer gets none. */
static void
hang_up(void)
{
	(void)close(peer.fd);
	while (peer.conn != NULL)
		(void)uv_run(&loop, UV_RUN_ONCE);
	for (size_t i = 0; i < peer.count; i++)
		peer.requests[i].answered = true;
	peer.heard.len = 0;
}

/* --- what is due ----------------------------------------------------------------------------- */

static const struct {
	const char *name;
	const char *members; /* that its params may have, each with a space behind it */
} methods[] = {
	{"version",     ""			},
	{"status",      ""			},
	{"shutdown",    ""			},
	{"subscribe",   ""			},
	{"describe",    "app "                    },
	{"start",       "app wait "               },
	{"stop",        "app wait "               },
	{"restart",     "app wait "               },
	{"reload",      "app wait "               },
	{"drain",       "app wait deadline_ms "   },
	{"logs",        "app lines follow "       },
	{"proxy/hello", "protocol pid generation "},
};

/* NULL: there is no such method. */
static const char *
members_of(const char *method)
{
	for (size_t i = 0; i < NELEM(methods); i++)
		if (strcmp(methods[i].name, method) == 0)
			return methods[i].members;
	return NULL;
}

static bool
is_number(const json_t *value, json_int_t min, json_int_t max)
{
	return value == NULL || (json_is_integer(value) && json_integer_value(value) >= min &&
	                         json_integer_value(value) <= max);
}

static bool
is_member(const char *members, const char *key)
{
	char word[32];

	return snprintf(word, sizeof(word), "%s ", key) < (int)sizeof(word) &&
	       strchr(key, ' ') == NULL && key[0] != '\0' && strstr(members, word) != NULL &&
	       (strstr(members, word) == members || strstr(members, word)[-1] == ' ');
}

/* Are the members of params such as the method takes, each of its type? */
static bool
are_params(const char *method, const char *members, const json_t *params)
{
	bool app = strncmp(members, "app ", 4) == 0;
	const char *name = json_get_string(params, "app");
	const json_t *wait = json_object_get(params, "wait");
	const json_t *follow = json_object_get(params, "follow");
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)params, key, value)
		if (!is_member(members, key))
			return false;
	if (app && (name == NULL ||
	            (strcmp(method, "logs") == 0 && (name[0] == '\0' || strlen(name) > 64))))
		return false;
	if (strcmp(method, "proxy/hello") == 0)
		return json_get_int(params, "protocol", 0) == 1;
	return (wait == NULL || json_is_boolean(wait)) &&
	       (follow == NULL || json_is_boolean(follow)) &&
	       is_number(json_object_get(params, "deadline_ms"), 1, 86400000) &&
	       is_number(json_object_get(params, "lines"), 0, INT64_MAX);
}

static bool
is_app(const char *name, bool with_lines)
{
	if (strcmp(name, "all") == 0)
		return true;
	for (size_t i = 0; i < app_count; i++)
		if ((strcmp(name, apps[i]->name) == 0 || strcmp(name, apps[i]->group) == 0) &&
		    (apps[i]->seen || !with_lines))
			return true;
	return false;
}

static int
verdict(const char *method, const json_t *params)
{
	const char *members = members_of(method);
	const char *app = json_get_string(params, "app");
	bool logs = strcmp(method, "logs") == 0;
	bool acts = strcmp(method, "start") == 0 || strcmp(method, "stop") == 0 ||
	            strcmp(method, "restart") == 0 || strcmp(method, "reload") == 0;
	bool waits = acts && !json_is_false(json_object_get(params, "wait"));

	if (members == NULL)
		return CONTROL_METHOD_NOT_FOUND;
	if (strcmp(method, "reload") == 0 && json_object_size(params) == 0)
		return supervisor.mistaken ? CONTROL_FAILED : 0;
	if (strcmp(method, "proxy/hello") == 0 && (!peer_is_proxy || pid_of(apps[2]) == 0))
		return CONTROL_NOT_ALLOWED;
	if (!are_params(method, members, params))
		return CONTROL_INVALID_PARAMS;
	if (waits && supervisor.stopping)
		return CONTROL_FAILED;
	if (app != NULL && !is_app(app, logs))
		return CONTROL_NO_SUCH_APP;
	return waits ? ANY_OUTCOME : 0;
}

static void
check_result(const char *method, const json_t *result)
{
	const json_t *described = json_object_get(result, "apps");

	HOLDS(json_is_object(result));
	if (strcmp(method, "version") == 0)
		HOLDS(json_get_int(result, "protocol", 0) == 1);
	else if (strcmp(method, "status") == 0)
		HOLDS(json_array_size(described) == app_count &&
		      json_is_array(json_object_get(result, "warnings")) &&
		      json_object_get(result, "proxy") != NULL);
	else if (strcmp(method, "describe") == 0)
		HOLDS(json_array_size(described) > 0);
	else if (strcmp(method, "logs") == 0)
		HOLDS(json_is_array(json_object_get(result, "lines")));
	else if (strcmp(method, "proxy/hello") == 0)
		HOLDS(json_array_size(json_object_get(result, "backends")) == 2 &&
		      json_is_object(json_object_get(result, "login")));
	else if (strcmp(method, "drain") == 0 && json_object_size(result) > 0)
		HOLDS(json_get_int(result, "in_flight", -1) >= 0);
	else
		HOLDS(json_object_size(result) == 0);
}

static void
check_status_figures(const json_t *result)
{
	const json_t *proxy = json_object_get(result, "proxy");
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)proxy, key, value)
		HOLDS(json_is_integer(value) && json_integer_value(value) >= 0);
}

static void
hear_answer(const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");
	const json_t *result = json_object_get(answer, "result");
	json_int_t id = json_integer_value(json_object_get(answer, "id"));
	int due, code = (int)json_get_int(error, "code", 0);

	HOLDS(json_object_size(answer) == 3 && (error != NULL) != (result != NULL));
	if (error != NULL) {
		const char *message = json_get_string(error, "message");

		HOLDS(message != NULL && message[0] != '\0' && code < 0);
		if (json_is_null(json_object_get(answer, "id"))) {
			HOLDS(code == CONTROL_INVALID_REQUEST); /* an answer of ours */
			return;
		}
	}
	HOLDS(json_is_integer(json_object_get(answer, "id")));
	HOLDS(id >= 0 && (size_t)id < peer.count && !peer.requests[id].answered);
	peer.requests[id].answered = true;
	due = peer.requests[id].verdict;
	HOLDS(due == ANY_OUTCOME ? code == 0 || code == CONTROL_FAILED : code == due);
	if (result == NULL)
		return;
	check_result(peer.requests[id].method, result);
	check_status_figures(result);
}

/* An answer, or what the supervisor asks or tells. */
static void
hear_line(const char *text, size_t len)
{
	json_t *root = fuzz_json(text, len);
	const json_t *id = json_object_get(root, "id");

	HOLDS(strcmp(json_get_string(root, "jsonrpc"), "2.0") == 0);
	if (json_object_get(root, "method") == NULL)
		hear_answer(root);
	else if (id != NULL && peer.asked_count < ASKED_MAX)
		peer.asked[peer.asked_count++] = json_integer_value(id);
	json_decref(root);
}

static void
listen_to_all(void)
{
	char piece[8192];
	ssize_t n;
	char *end;

	run_loop(&loop);
	while ((n = recv(peer.fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0) {
		json_buf_append(&peer.heard, piece, (size_t)n);
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	while (peer.heard.len > 0 &&
	       (end = memchr(peer.heard.data, '\n', peer.heard.len)) != NULL) {
		size_t len = (size_t)(end - peer.heard.data);

		hear_line(peer.heard.data, len);
		peer.heard.len -= len + 1;
		memmove(peer.heard.data, end + 1, peer.heard.len);
	}
}

/* --- the input ------------------------------------------------------------------------------- */

/* message: taken over. */
static void
say(json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT);

	HOLDS(text != NULL);
	HOLDS(send(peer.fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
	HOLDS(send(peer.fd, "\n", 1, MSG_NOSIGNAL) == 1);
	free(text);
	json_decref(message);
}

/* line: method, a space, params. False: there is nothing to say. */
static bool
read_call(char *line, size_t len, json_t **message)
{
	char *space = memchr(line, ' ', len);
	json_t *params = NULL;

	if (space != NULL) {
		params = json_loadb(space + 1, len - (size_t)(space + 1 - line),
		                    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
		*space = '\0';
		if (!json_is_object(params)) {
			json_decref(params);
			return false;
		}
	}
	*message = line[0] != '\0' ? json_pack("{s:s,s:s,s:o*}", "jsonrpc", "2.0", "method", line,
	                                       "params", params)
	                           : NULL;
	if (*message == NULL && line[0] == '\0')
		json_decref(params);
	return *message != NULL;
}

static void
ask(char *line, size_t len)
{
	json_t *message, *params;

	if (peer.count == REQUESTS_MAX || !read_call(line, len, &message))
		return;
	params = json_object_get(message, "params");
	peer.requests[peer.count].verdict = verdict(line, params);
	peer.requests[peer.count].answered = false;
	(void)snprintf(peer.requests[peer.count].method, sizeof(peer.requests[0].method), "%s",
	               members_of(line) != NULL ? line : "");
	(void)json_object_set_new(message, "id", json_integer((json_int_t)peer.count));
	peer.count++;
	say(message);
}

static void
tell(char *line, size_t len)
{
	json_t *message;

	if (read_call(line, len, &message))
		say(message);
}

static void
give_answer(const char *member, const char *text, size_t len)
{
	json_t *value = json_loadb(text, len,
	                           JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);

	if (value == NULL || peer.asked_count == 0) {
		json_decref(value);
		return;
	}
	say(json_pack("{s:s,s:I,s:o}", "jsonrpc", "2.0", "id", peer.asked[0], member, value));
	peer.asked_count--;
	memmove(peer.asked, peer.asked + 1, peer.asked_count * sizeof(peer.asked[0]));
}

static void
write_line(const char *app, const char *text)
{
	struct output_line line = {.level = LOG_LEVEL_INFO, .text = text};

	live_line(app, OUTPUT_STDERR, &line);
}

static void
play(char *line, size_t len)
{
	struct app *a = apps[(unsigned char)(line[len > 1] - '0') % app_count];

	switch (line[0]) {
	case '?': /* METHOD PARAMS */
		ask(line + 1, len - 1);
		break;
	case '.':
		tell(line + 1, len - 1);
		break;
	case '=': /* RESULT: of the supervisor's oldest request */
		give_answer("result", line + 1, len - 1);
		break;
	case '!':
		give_answer("error", line + 1, len - 1);
		break;
	case 's': /* APP STATE, a digit each */
		if (len > 2)
			become(a,
			       (enum app_state)((unsigned char)(line[2] - '0') % (APP_FAILED + 1)));
		break;
	case 'f': /* APP: its replacement has not become ready */
		a->failed = a->steady = true;
		a->hooks.on_state(a->arg, (struct instance *)a, 0, a->state);
		break;
	case 'l': /* APP TEXT */
		if (len > 2)
			write_line(a->name, line + 2);
		a->seen |= len > 2;
		break;
	case 'm':
		supervisor.mistaken = !supervisor.mistaken;
		break;
	case '~':
		pass_time(&loop, 1000);
		break;
	case 'x':
		hang_up();
		connect_peer();
		break;
	}
	listen_to_all();
}

/* Whatever waits hears that it is over, or of its deadline. */
static void
end_all(void)
{
	roll_cancel(&supervisor.roll);
	wishes_cancel(&supervisor.wishes);
	listen_to_all();
	pass_time(&loop, LONGEST_MS);
	listen_to_all();
	HOLDS(peer.heard.len == 0);
	for (size_t i = 0; i < peer.count; i++)
		HOLDS(peer.requests[i].answered);
	hang_up();
	close_supervisor();
	json_buf_free(&peer.heard);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data, *line;
	size_t left = size, len, lines = 0;

	if (!fuzz_line(&rest, &left, &line, &len))
		return 0;
	if (control_address_len == 0)
		open_control_socket(on_connection);
	memset(&peer, 0, sizeof(peer));
	peer_is_proxy = memchr(line, 'p', len) != NULL;
	open_supervisor();
	connect_peer();
	while (lines++ < LINES_MAX && fuzz_line(&rest, &left, &line, &len)) {
		char *copy = strndup(line, len);

		HOLDS(copy != NULL);
		if (copy[0] != '\0' && strlen(copy) == len)
			play(copy, len);
		free(copy);
	}
	end_all();
	return 0;
}
