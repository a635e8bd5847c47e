/* fake_app_server: speaks codex app-server's protocol, and misbehaves on demand.
 *
 * For what the real one will not do when a test wants it, and for benchmarks of the proxy alone.
 * A turn is chosen by the last user message (fake_turn.c); calls that come before any message is
 * known are spoilt by --on or by lines on stdin (--control). */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "tests/fakes/connection.h"
#include "tests/fakes/fake.h"
#include "tests/fakes/fake_thread.h"

#define FAULTS_MAX 16
#define CODE_CUT   1 /* of a fault: the connection drops instead; no JSON-RPC code is positive */

static struct {
	struct fake fake;
	struct fault faults[FAULTS_MAX];
	size_t fault_count;
	bool no_login;
	unsigned keep_loaded; /* unsubscribes that will not unload, as codex has some in a burst */
	long long hangs_until_ms;
	FILE *record;
	uv_poll_t commands;
	bool commanded;
} server;

/* Calls. */

static void
on_initialize(struct connection *c, const char *id, const json_t *params)
{
	const json_t *capabilities = json_object_get(params, "capabilities");

	json_decref(c->opted_out);
	c->opted_out = json_incref(json_object_get(capabilities, "optOutNotificationMethods"));
	c->initialized = true;
	respond(c, id,
	        "{\"userAgent\":\"fake/0.169.0 (Debian 12.0.0; x86_64) unknown (fake; 1)\","
	        "\"codexHome\":\"/nonexistent\",\"platformFamily\":\"unix\",\"platformOs\":"
	        "\"linux\"}");
}

#define MODEL(name, title, is_default)                                                             \
	"{\"id\":\"" name "\",\"model\":\"" name                                                   \
	"\",\"upgrade\":null,\"upgradeInfo\":null,\"availabilityNux\":null,\"displayName\":"       \
	"\"" title "\",\"description\":\"A fake.\",\"modelSpecialty\":null,\"hidden\":false,"      \
	"\"supportedReasoningEfforts\":[{\"reasoningEffort\":\"low\",\"description\":\"\"},{"      \
	"\"reasoningEffort\":\"medium\",\"description\":\"\"}],\"defaultReasoningEffort\":"        \
	"\"low\",\"inputModalities\":[\"text\",\"image\"],\"supportsPersonality\":false,"          \
	"\"multiAgentVersion\":null,\"additionalSpeedTiers\":[],\"serviceTiers\":[],"              \
	"\"defaultServiceTier\":null,\"availableAccessPrograms\":null,\"isDefault\":" is_default   \
	"}"

static void
on_model_list(struct connection *c, const char *id, const json_t *params)
{
	respond(c, id,
	        "{\"data\":[" MODEL("gpt-6.1-sol", "GPT-6.1-Sol", "true") "," MODEL(
			"gpt-5.5", "GPT-5.5", "false") "],\"nextCursor\":null}");
}

static void
on_thread_start(struct connection *c, const char *id, const json_t *params)
{
	const char *model = json_string_value(json_object_get(params, "model"));
	AUTO_FREE char *quoted = text_quoted(model != NULL ? model : "gpt-6.1-sol");
	AUTO_FREE char *result = NULL;
	struct thread *t = thread_new(&server.fake.loop, c);
	long long now = now_ms() / 1000;

	result = text_printf(
		"{\"thread\":{\"id\":\"%s\",\"environments\":[],\"extra\":null,\"sessionId\":\"%"
		"s\","
		"\"forkedFromId\":null,\"attachedToThreadId\":null,\"parentThreadId\":null,"
		"\"preview\":\"\",\"ephemeral\":true,\"section\":null,\"sectionEnteredAt\":null,"
		"\"projectId\":null,\"historyMode\":\"paginated\",\"modelProvider\":\"fake\","
		"\"model\":%s,\"reasoningEffort\":null,\"createdAt\":%lld,\"updatedAt\":%lld,"
		"\"recencyAt\":%lld,\"status\":{\"type\":\"idle\"},\"path\":null,\"cwd\":\"/\","
		"\"cliVersion\":\"0.169.0\",\"originator\":\"fake\",\"source\":\"vscode\","
		"\"canAcceptDirectInput\":true,\"threadSource\":null,\"agentNickname\":null,"
		"\"agentRole\":null,\"gitInfo\":null,\"name\":null,\"daybreakEnabled\":null,"
		"\"turns\":[]},\"model\":%s,\"modelProvider\":\"fake\",\"serviceTier\":null,"
		"\"disabledPluginIds\":[],\"cwd\":\"/\",\"runtimeWorkspaceRoots\":[],"
		"\"instructionSources\":[],\"approvalPolicy\":\"never\",\"approvalsReviewer\":"
		"\"user\",\"sandbox\":{\"type\":\"readOnly\",\"networkAccess\":false},"
		"\"activePermissionProfile\":null,\"reasoningEffort\":null,\"multiAgentMode\":"
		"\"explicitRequestOnly\"}",
		t->id, t->id, quoted, now, now, now, quoted);
	respond(c, id, result);
}

/* The thread that params name; when there is none, the error is answered. */
static struct thread *
thread_of(struct connection *c, const char *id, const json_t *params)
{
	const char *name = json_string_value(json_object_get(params, "threadId"));
	struct thread *t = thread_find(name);
	AUTO_FREE char *message = text_printf("thread not found: %s", name != NULL ? name : "");

	if (t == NULL)
		respond_error(c, id, -32600, message);
	return t;
}

static void
on_inject_items(struct connection *c, const char *id, const json_t *params)
{
	struct thread *t = thread_of(c, id, params);

	if (t == NULL)
		return;
	(void)json_array_extend(t->items, json_object_get(params, "items"));
	respond(c, id, "{}");
}

static void
on_turn_start(struct connection *c, const char *id, const json_t *params)
{
	struct thread *t = thread_of(c, id, params);

	if (t == NULL)
		return;
	if (!t->planned)
		thread_plan(t, t->items);
	t->running = true;
	t->at = 0;
	free(t->start_id);
	t->start_id = text_printf("%s", id);
	thread_go_on(t);
}

static void
on_turn_interrupt(struct connection *c, const char *id, const json_t *params)
{
	struct thread *t = thread_of(c, id, params);
	AUTO_FREE char *frame = NULL;

	if (t == NULL)
		return;
	if (!t->running) {
		respond_error(c, id, -32600, "no active turn to interrupt");
		return;
	}
	t->running = false;
	(void)uv_timer_stop(&t->timer); /* cannot fail */
	respond(c, id, "{}");
	frame = turn_interrupted_frame(t->id, t->turn);
	notify(t->owner, frame, strlen(frame), 1);
}

static void
on_unsubscribe(struct connection *c, const char *id, const json_t *params)
{
	struct thread *t = thread_find(json_string_value(json_object_get(params, "threadId")));

	respond(c, id, t != NULL ? "{\"status\":\"unsubscribed\"}" : "{\"status\":\"notLoaded\"}");
	if (t != NULL && server.keep_loaded > 0)
		server.keep_loaded--;
	else if (t != NULL)
		thread_unload(t);
}

static void
on_loaded_list(struct connection *c, const char *id, const json_t *params)
{
	json_auto_t *names = json_array();
	AUTO_FREE char *list = NULL, *result = NULL;

	for (const struct thread *t = threads; t != NULL; t = t->next)
		(void)json_array_append_new(names, json_string(t->id));
	list = json_dumps(names, JSON_COMPACT);
	result = text_printf("{\"data\":%s,\"nextCursor\":null}", list);
	respond(c, id, result);
}

static void
on_thread_read(struct connection *c, const char *id, const json_t *params)
{
	struct thread *t = thread_of(c, id, params);
	AUTO_FREE char *result = NULL;

	if (t == NULL)
		return;
	result = text_printf("{\"thread\":{\"id\":\"%s\",\"status\":{\"type\":\"%s\"%s}}}", t->id,
	                     t->running ? "active" : "idle",
	                     t->running ? ",\"activeFlags\":[]" : "");
	respond(c, id, result);
}

static void
on_auth_status(struct connection *c, const char *id, const json_t *params)
{
	respond(c, id,
	        server.no_login ? "{\"authMethod\":null,\"authToken\":null,"
	                          "\"requiresOpenaiAuth\":true}"
	                        : "{\"authMethod\":\"apikey\",\"authToken\":null,"
	                          "\"requiresOpenaiAuth\":true}");
}

static void
on_account_read(struct connection *c, const char *id, const json_t *params)
{
	respond(c, id,
	        server.no_login ? "{\"account\":null,\"userId\":null,\"requiresOpenaiAuth\":true,"
	                          "\"workspaceRouting\":null}"
	                        : "{\"account\":{\"type\":\"apiKey\"},\"userId\":null,"
	                          "\"requiresOpenaiAuth\":true,\"workspaceRouting\":null}");
}

static const struct call {
	const char *method;
	void (*run)(struct connection *c, const char *id, const json_t *params);
} calls[] = {
	{"initialize",          on_initialize    },
        {"getAuthStatus",       on_auth_status   },
	{"account/read",        on_account_read  },
        {"model/list",          on_model_list    },
	{"thread/start",        on_thread_start  },
        {"thread/inject_items", on_inject_items  },
	{"turn/start",          on_turn_start    },
        {"turn/interrupt",      on_turn_interrupt},
	{"thread/unsubscribe",  on_unsubscribe   },
        {"thread/loaded/list",  on_loaded_list   },
	{"thread/read",         on_thread_read   },
};

static void order(const char *line);

/* Orders for one that was started by somebody else: an own call, which the real one does not have.
 */
static void
on_order(struct connection *c, const char *id, const json_t *params)
{
	respond(c, id, "{}");
	order(json_string_value(json_object_get(params, "order")));
}

static bool
take_fault(struct fault *faults, size_t count, const char *method, int *code)
{
	for (size_t i = 0; i < count; i++) {
		if (faults[i].times == 0 || strcmp(faults[i].method, method) != 0)
			continue;
		faults[i].times--;
		*code = faults[i].code;
		return true;
	}
	return false;
}

/* True when the call is spoilt: answered with an error, or not at all. */
static bool
spoilt(struct connection *c, const char *method, const char *id, const json_t *params)
{
	struct thread *t = thread_find(json_string_value(json_object_get(params, "threadId")));
	const json_t *items = json_object_get(params, "items");
	int code;

	/* The message that says what to spoil may be in this very call. */
	if (t != NULL && json_array_size(items) > 0)
		thread_plan(t, items);
	if (!take_fault(server.faults, server.fault_count, method, &code) &&
	    (t == NULL || !take_fault(t->plan.faults, t->plan.fault_count, method, &code)))
		return false;
	if (code == CODE_CUT)
		connection_cut(c);
	else if (code != 0)
		respond_error(c, id, code, "as the test wanted");
	return true;
}

static void
on_message(struct connection *c)
{
	json_auto_t *message = json_loadb(c->rx, c->rx_len, JSON_ALLOW_NUL, NULL);
	const char *method = json_string_value(json_object_get(message, "method"));
	const json_t *params = json_object_get(message, "params");
	json_t *id_value = json_object_get(message, "id");
	AUTO_FREE char *id = id_value != NULL ? json_dumps(id_value, JSON_ENCODE_ANY) : NULL;

	if (server.record != NULL) {
		(void)fwrite(c->rx, 1, c->rx_len, server.record);
		(void)fputc('\n', server.record);
		(void)fflush(server.record);
	}
	if (method == NULL || id == NULL)
		return; /* a notification, or the answer to a request of ours: recorded, that is all
		         */
	if (strcmp(method, "fake/order") == 0) {
		on_order(c, id, params);
		return;
	}
	if (now_ms() < server.hangs_until_ms)
		return;
	if (!c->initialized && strcmp(method, "initialize") != 0) {
		respond_error(c, id, -32600, "Not initialized");
		return;
	}
	if (spoilt(c, method, id, params))
		return;
	for (size_t i = 0; i < NELEM(calls); i++) {
		if (strcmp(calls[i].method, method) == 0) {
			calls[i].run(c, id, params);
			return;
		}
	}
	respond_error(c, id, -32600, "Invalid request: unknown variant");
}

static int
on_websocket(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	/* Only the reasons that matter here, of a hundred. */
	if (reason == LWS_CALLBACK_HTTP)
		return -1; /* no plain HTTP, as on codex's unix socket */
	if (reason == LWS_CALLBACK_ESTABLISHED)
		connection_begin(user, wsi);
	if (reason == LWS_CALLBACK_RECEIVE && connection_receive(user, in, len)) {
		on_message(user);
		((struct connection *)user)->rx_len = 0;
	}
	if (reason == LWS_CALLBACK_SERVER_WRITEABLE)
		return connection_write(user);
	if (reason == LWS_CALLBACK_CLOSED) {
		threads_drop(user);
		connection_end(user);
	}
	return 0;
}

/* Orders. */

static void
add_fault(const char *what, const char *method, int code, unsigned times)
{
	struct fault *f = &server.faults[server.fault_count];

	if (server.fault_count == FAULTS_MAX)
		errx(64, "too many faults");
	if (strcmp(what, "rpc-error") != 0)
		code = strcmp(what, "cut") == 0 ? CODE_CUT : 0;
	*f = (struct fault){.code = code, .times = times};
	(void)snprintf(f->method, sizeof(f->method), "%s", method);
	server.fault_count++;
}

static void
enqueue_garbage(struct connection *c)
{
	enqueue(c, "\0\1\2{}", 5, 1, true);
	for (const char *const *f = garbage_frames; *f != NULL; f++)
		enqueue(c, *f, strlen(*f), 1, false);
}

static void
order(const char *line)
{
	char what[16], method[48];
	int code = -32603;
	unsigned times = 1;

	if (sscanf(line, "keep-loaded %u", &server.keep_loaded) == 1)
		return;
	if (strcmp(line, "login") == 0 || strcmp(line, "logout") == 0) {
		server.no_login = strcmp(line, "logout") == 0;
		notify_all(
			text_printf("{\"method\":\"account/updated\",\"params\":{\"authMode\":%s,"
		                    "\"planType\":null},\"emittedAtMs\":%lld}",
		                    server.no_login ? "null" : "\"apikey\"", now_ms()));
	} else if (strcmp(line, "clear") == 0) {
		server.fault_count = 0;
	} else if (strcmp(line, "drop") == 0) {
		for (struct connection *c = connections; c != NULL; c = c->next)
			connection_cut(c);
	} else if (sscanf(line, "hang %u", &times) == 1) {
		server.hangs_until_ms = now_ms() + times;
	} else if (strcmp(line, "garbage") == 0) {
		for (struct connection *c = connections; c != NULL; c = c->next)
			enqueue_garbage(c);
	} else if (strcmp(line, "half-frame") == 0) {
		for (struct connection *c = connections; c != NULL; c = c->next)
			connection_cut_in_frame(c);
	} else if (strcmp(line, "close-threads") == 0) {
		while (threads != NULL)
			thread_unload(threads);
	} else if (sscanf(line, "%15s %47s %u %d", what, method, &times, &code) >= 2 &&
	           (strcmp(what, "mute") == 0 || strcmp(what, "rpc-error") == 0 ||
	            strcmp(what, "cut") == 0)) {
		add_fault(what, method, code, times);
	} else {
		errx(64, "what is \"%s\"?", line);
	}
}

static void
on_command(uv_poll_t *poll, int status, int events)
{
	char text[1024], *rest = text, *line;
	ssize_t n =
		read(STDIN_FILENO, text, sizeof(text) - 1); /* whole lines: a test writes them so */

	if (n <= 0) {
		(void)uv_poll_stop(poll); /* cannot fail */
		return;
	}
	text[n] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] == '\0')
			continue;
		order(line);
		(void)printf("done %s\n", line);
	}
	(void)fflush(stdout);
}

static void
on_stop(struct fake *f)
{
	if (server.commanded)
		uv_close((uv_handle_t *)&server.commands, NULL);
}

static const struct lws_protocols protocols[] = {
	{.name = "codex",
         .callback = on_websocket,
         .per_session_data_size = sizeof(struct connection),
         .rx_buffer_size = 65536,
         .tx_packet_size = 262144},
	{0},
};

static const struct option options[] = {
	{"listen",           required_argument, NULL, 'l'},
	{"record",              required_argument, NULL, 'r'},
	{"on",		  required_argument, NULL, 'o'},
	{"control",no_argument, NULL, 'c'},
	{"die-with-parent",               no_argument, NULL, 'd'},
	{"help",               no_argument, NULL, 'h'},
	{0	     },
};

static void
usage(FILE *out)
{
	(void)fputs(
		"usage: fake-app-server [--listen unix://PATH|ws://127.0.0.1:PORT] [--record "
		"FILE]\n"
		"                       [--on ORDER]... [--control] [--die-with-parent]\n"
		"  --record FILE  append each message of the clients as one line; -: print it\n"
		"  --control      read orders from stdin, one a line, each confirmed on stdout\n"
		"  ORDER          mute|cut METHOD [TIMES] | rpc-error METHOD [TIMES [CODE]] | "
		"clear |\n"
		"                 drop | close-threads | keep-loaded TIMES | login | logout |\n"
		"                 hang MS | garbage | half-frame\n"
		"                 (or the call fake/order {\"order\": ORDER})\n",
		out);
}

int
main(int argc, char **argv)
{
	const char *where = "ws://127.0.0.1:0";
	int c, code;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'l') {
			where = optarg;
		} else if (c == 'r') {
			server.record = fake_record(optarg);
		} else if (c == 'o') {
			order(optarg);
		} else if (c == 'c') {
			server.commanded = true;
		} else if (c == 'd') {
			fake_die_with_parent();
		} else {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 64;
		}
	}
	fake_open(&server.fake, where, protocols);
	server.fake.on_stop = on_stop;
	if (server.commanded &&
	    (uv_poll_init(&server.fake.loop, &server.commands, STDIN_FILENO) != 0 ||
	     uv_poll_start(&server.commands, UV_READABLE, on_command) != 0))
		errx(70, "stdin is no pipe");
	code = fake_run(&server.fake);
	if (server.record != NULL && fclose(server.record) != 0)
		warn("record");
	return code;
}
