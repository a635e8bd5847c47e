/* What an app-server says: whatever comes in whatever order, each turn ends once, what is heard of
 * it is what was said, every call is JSON, and nothing is left behind.
 *
 * Input: a line of options, then what happens, one thing a line: see play(). The WebSocket is
 * played here (websocket.h); all above it is the real thing. */
#include <ctype.h>
#include <string.h>
#include <uv.h>
#include <wslay/wslay.h>

#include "common/log.h"
#include "proxy/codex/agent.h"
#include "proxy/codex/backend.h"
#include "proxy/codex/thread.h"
#include "proxy/codex/websocket.h"
#include "proxy/codex/ws_out.h"
#include "tests/fuzz/approvals_check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_clock.h"

#define THREAD      "t1"
#define LINES_MAX   64
#define CALLS_MAX   16
#define GRACE_MS    200
#define TIMEOUT_MS  5000
#define SWEEP_MS    20000
#define STRANGER_MS 60000

/* --- the WebSocket --------------------------------------------------------------------------- */

enum ws_state { WS_OPENING, WS_OPEN, WS_CLOSING };

struct websocket {
	struct websocket *next; /* of those that are closing */
	enum ws_state state;
	const struct websocket_handlers *handlers;
	void *arg;
};

static struct approvals approvals;

static struct {
	struct websocket *ws;      /* NULL: none */
	struct websocket *closing; /* to be told so */
	/* Of each method the last call. */
	struct {
		char letter;
		json_int_t id;
		bool answered;
	} calls[CALLS_MAX];
	bool full;              /* it takes nothing any more: every call fails at once */
	json_t *asked;          /* the id of a request of the server that is being handed over */
	const json_t *question; /* the whole of it */
	unsigned answers;
} server;

static const struct {
	char letter;
	const char *method;
} methods[] = {
	{'i', "initialize"         },
        {'l', "getAuthStatus"      },
        {'a', "account/read"       },
	{'m', "model/list"         },
        {'s', "thread/start"       },
        {'j', "thread/inject_items"},
	{'t', "turn/start"         },
        {'r', "thread/read"        },
        {'n', "turn/interrupt"     },
	{'u', "thread/unsubscribe" },
        {'o', "thread/loaded/list" },
};

int
websocket_open(struct websocket **out, uv_loop_t *loop, const char *url, size_t max_message_bytes,
               const struct websocket_handlers *handlers, void *arg, struct err *err)
{
	HOLDS(server.ws == NULL);
	server.ws = calloc(1, sizeof(*server.ws));
	HOLDS(server.ws != NULL);
	server.ws->handlers = handlers;
	server.ws->arg = arg;
	memset(server.calls, 0, sizeof(server.calls));
	*out = server.ws;
	return 0;
}

void
websocket_close(struct websocket *ws)
{
	if (ws->state == WS_CLOSING)
		return;
	ws->state = WS_CLOSING;
	ws->next = server.closing;
	server.closing = ws;
	if (server.ws == ws)
		server.ws = NULL;
}

bool
websocket_is_open(const struct websocket *ws)
{
	return ws->state == WS_OPEN;
}

struct ws_message *
websocket_text(struct websocket *ws, const char *const *pieces, const size_t *lens, size_t count)
{
	struct json_buf text = {.data = NULL};
	struct ws_message *m;

	for (size_t i = 0; i < count; i++)
		json_buf_append(&text, pieces[i], lens[i]);
	m = calloc(1, sizeof(*m) + text.len);
	HOLDS(m != NULL && text.len > 0);
	m->len = text.len;
	memcpy(m->wire, text.data, text.len);
	json_buf_free(&text);
	return m;
}

static void
hear_call(const char *method, json_int_t id)
{
	for (size_t i = 0; i < NELEM(methods); i++) {
		if (strcmp(methods[i].method, method) != 0)
			continue;
		server.calls[i].letter = methods[i].letter;
		server.calls[i].id = id;
		server.calls[i].answered = false;
		return;
	}
	fuzz_fail(__FILE__, __LINE__, method);
}

void
websocket_send(struct websocket *ws, struct ws_message *m)
{
	json_t *root = fuzz_json((const char *)m->wire, m->len);
	const char *method = json_get_string(root, "method");
	json_t *id = json_object_get(root, "id");

	HOLDS(json_is_object(root));
	HOLDS(!json_deeper_than(root, 127)); /* more codex does not read */
	if (method == NULL) {
		HOLDS(server.asked != NULL && json_equal(id, server.asked));
		HOLDS((json_object_get(root, "result") != NULL) !=
		      (json_object_get(root, "error") != NULL));
		HOLDS(++server.answers == 1);
		approvals_check_reply(&approvals, server.question, json_object_get(root, "result"));
	} else if (id != NULL) {
		HOLDS(json_is_object(json_object_get(root, "params")));
		hear_call(method, json_integer_value(id));
	}
	json_decref(root);
	free(m);
}

size_t
websocket_unsent_bytes(const struct websocket *ws)
{
	return server.full ? SIZE_MAX / 2 : 0;
}

/* --- the caller ------------------------------------------------------------------------------ */

static struct {
	struct thread *thread; /* NULL: over */
	struct conversation *conversation;
	unsigned ends, calls;
	bool started;
	bool leaves;          /* with the first text, as one who has found a stop sequence */
	struct json_buf text; /* escaped */
} caller;

static void
check_escaped(const struct event *e)
{
	struct json_buf text = {.data = NULL};

	HOLDS(memchr(e->text.escaped, '\0', e->text.len) == NULL);
	HOLDS(fuzz_escaped(&text, e->text.escaped, e->text.len));
	HOLDS(text.len == e->text.len); /* it was one already */
	json_buf_free(&text);
}

static void
cancel(void)
{
	if (caller.thread == NULL)
		return;
	thread_cancel(caller.thread);
	caller.thread = NULL;
	caller.ends++;
}

static void
on_event(void *arg, const struct event *e)
{
	HOLDS(caller.ends == 0 && caller.thread != NULL);
	switch (e->kind) {
	case EVENT_STARTED:
		HOLDS(!caller.started);
		caller.started = true;
		break;
	case EVENT_TEXT:
		HOLDS(caller.started);
		check_escaped(e);
		json_buf_append(&caller.text, e->text.escaped, e->text.len);
		if (caller.leaves)
			cancel();
		break;
	case EVENT_REASONING:
		HOLDS(caller.started);
		check_escaped(e);
		break;
	case EVENT_REASONED:
		HOLDS(e->reasoned.encrypted != NULL);
		break;
	case EVENT_TOOL_CALL:
		HOLDS(e->tool_call.index == caller.calls++);
		HOLDS(e->tool_call.name != NULL && e->tool_call.call_id != NULL);
		break;
	case EVENT_USAGE:
		HOLDS(e->usage.input_tokens >= 0 && e->usage.output_tokens >= 0 &&
		      e->usage.total_tokens >= 0);
		break;
	case EVENT_MODEL:
		HOLDS(e->model != NULL);
		break;
	case EVENT_FAILED:
		HOLDS(e->failure->message[0] != '\0' &&
		      fuzz_is_utf8(e->failure->message, strlen(e->failure->message)));
		caller.ends++;
		break;
	case EVENT_FINISHED:
		caller.ends++;
		break;
	case EVENT_ADMITTED:
	case EVENT_RESTARTED:
		HOLDS(false); /* made above */
	}
	if (caller.ends > 0)
		caller.thread = NULL;
}

/* --- what must have been heard ---------------------------------------------------------------- */

static struct {
	struct json_buf text; /* decoded: the deltas of our turn */
	char turn[64];        /* "": not known yet */
	bool named;           /* the proxy knows our thread's id: before that nothing is for it */
	bool vague;           /* something else has said some of the text, or taken it back */
	size_t checked;       /* bytes of both sides, the last time */
} said;

/* Whatever names it first settles it. */
static void
learn_turn(const char *id)
{
	if (id != NULL && said.turn[0] == '\0' && strlen(id) < sizeof(said.turn))
		strcpy(said.turn, id);
}

/* Of a notification, by jansson. True: it speaks of our turn, which the first of all names. */
static bool
is_of_our_turn(const json_t *params)
{
	const char *id = json_get_string(params, "turnId");

	if (id == NULL)
		id = json_get_string(json_object_get(params, "turn"), "id");
	else if (json_object_get(params, "turn") != NULL)
		said.vague = true; /* two may be named */
	if (id == NULL || id[0] == '\0' || strncmp(id, "auto-compact-", 13) == 0)
		return false;
	learn_turn(id);
	return strcmp(said.turn, id) == 0;
}

static void
expect(const json_t *root)
{
	const char *method = json_get_string(root, "method");
	const json_t *params = json_object_get(root, "params");
	const char *thread = json_get_string(params, "threadId");
	const json_t *delta = json_object_get(params, "delta");
	bool ours;

	if (method == NULL || thread == NULL || strcmp(thread, THREAD) != 0 ||
	    caller.thread == NULL || !said.named)
		return;
	if (json_object_get(root, "id") != NULL) {
		said.vague =
			true; /* a request, unless it was taken for a notification before its end */
		return;
	}
	if (strncmp(method, "rawResponse", 11) == 0 || strcmp(method, "error") == 0 ||
	    strcmp(method, "item/completed") == 0)
		said.vague = true;
	ours = is_of_our_turn(params);
	if (ours && strcmp(method, "item/agentMessage/delta") == 0 && json_is_string(delta) &&
	    json_get_string(params, "itemId") != NULL)
		json_buf_append(&said.text, json_string_value(delta), json_string_length(delta));
}

/* An answer that is about to be given. */
static void
expect_answer(char letter, bool waited_for, const struct json_buf *message)
{
	json_t *root = json_loadb(message->data, message->len,
	                          JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	const json_t *result = json_object_get(root, "result");
	const json_t *thread = json_object_get(result, "thread");
	const json_t *turn = json_object_get(result, "turn");
	const char *id = json_get_string(thread, "id");

	if (json_object_size(root) != 2 || (thread != NULL && turn != NULL))
		said.vague = true; /* it is no JSON, or says more than one thing */
	if (caller.thread != NULL && waited_for && letter == 's')
		said.named = id != NULL && strcmp(id, THREAD) == 0;
	if (caller.thread != NULL && waited_for && letter == 't')
		learn_turn(json_get_string(turn, "id"));
	json_decref(root);
}

/* --- the pool -------------------------------------------------------------------------------- */

static uv_loop_t loop;
static struct backend_pool *pool;
static struct thread_config config = {.workspace = "/w",
                                      .base_instructions = "",
                                      .call_timeout_ms = TIMEOUT_MS,
                                      .completion_grace_ms = GRACE_MS};

static void
on_change(void *arg)
{
}

static void
on_pool_closed(void *arg)
{
	*(bool *)arg = true;
}

/* What the WebSocket has to tell, and what is due. */
static void
turn_loop(void)
{
	struct websocket *ws;

	(void)uv_run(&loop, UV_RUN_NOWAIT);
	while ((ws = server.closing) != NULL) {
		server.closing = ws->next;
		ws->handlers->on_closed(ws->arg, "lost");
		free(ws);
	}
	ws = server.ws;
	if (ws != NULL && ws->state == WS_OPENING) {
		ws->state = WS_OPEN;
		ws->handlers->on_open(ws->arg);
	}
	(void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void
say(const char *bytes, size_t len)
{
	struct websocket *ws = server.ws;

	if (ws != NULL && ws->state == WS_OPEN && len > 0)
		ws->handlers->on_message(ws->arg, bytes, len);
}

/* Answers the last call of that method: with what is in text, or with what goes well. */
static void
answer(char letter, const char *name, const char *text, size_t len)
{
	struct json_buf m = {.data = NULL};
	char head[64];
	json_int_t id = -1;
	bool waited_for = false;

	for (size_t i = 0; i < CALLS_MAX; i++) {
		if (server.calls[i].letter != letter)
			continue;
		id = server.calls[i].id;
		waited_for = !server.calls[i].answered;
		server.calls[i].answered = true;
	}
	(void)snprintf(head, sizeof(head), "{\"id\":%lld,\"%s\":", (long long)id, name);
	json_buf_append(&m, head, strlen(head));
	json_buf_append(&m, text, len);
	json_buf_append(&m, "}", 1);
	expect_answer(letter, waited_for, &m);
	say(m.data, m.len);
	json_buf_free(&m);
}

static void
answer_well(char letter, const char *result)
{
	answer(letter, "result", result, strlen(result));
	turn_loop();
}

static void
begin_turn(void)
{
	struct backend *b = backend_pick(pool);

	if (b == NULL || caller.thread != NULL || caller.ends > 0)
		return;
	caller.thread = thread_begin(b, &config, caller.conversation, on_event, NULL);
	HOLDS(caller.thread != NULL);
}

/* Connected, greeted, and with a turn under way, unless the input wants to do that. */
static void
open_pool(bool greeted)
{
	const struct backend_pool_config pool_config = {.loop = &loop,
	                                                .client_version = "0",
	                                                .transcript = config.transcript,
	                                                .sweep_interval_ms = SWEEP_MS,
	                                                .stranger_turn_ms = STRANGER_MS,
	                                                .on_change = on_change};

	HOLDS(backend_pool_new(&pool, &pool_config, NULL) == 0);
	backend_up(pool, 0, "unix:///s", 1);
	turn_loop();
	if (!greeted)
		return;
	answer_well('i', "{}");
	answer_well('l', "{\"authMethod\":\"chatgpt\",\"requiresOpenaiAuth\":true}");
	answer_well('m', "{\"data\":[{\"id\":\"m\"}],\"nextCursor\":null}");
	HOLDS(backend_pool_usable(pool) == 1);
	begin_turn();
	answer_well('s', "{\"thread\":{\"id\":\"" THREAD "\"}}");
}

static void
close_pool(void)
{
	bool closed = false;

	backend_pool_close(pool, on_pool_closed, &closed);
	for (int i = 0; i < 10 && !closed; i++)
		turn_loop();
	HOLDS(closed && server.ws == NULL && !uv_loop_alive(&loop));
	pool = NULL;
}

/* --- the input ------------------------------------------------------------------------------- */

static void
check_text(void)
{
	struct json_buf quoted = {.data = NULL};
	json_t *heard;

	if (said.vague || config.agent != NULL || caller.text.len + said.text.len == said.checked)
		return;
	said.checked = caller.text.len + said.text.len;
	json_buf_append(&quoted, "\"", 1);
	json_buf_append(&quoted, caller.text.data, caller.text.len);
	json_buf_append(&quoted, "\"", 1);
	heard = fuzz_json(quoted.data, quoted.len);
	HOLDS(fuzz_same(said.text.data != NULL ? said.text.data : "", said.text.len, heard));
	json_decref(heard);
	json_buf_free(&quoted);
}

static void
say_frame(const char *bytes, size_t len)
{
	json_t *root = json_loadb(bytes, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);

	if (root == NULL) {
		root = json_loadb(bytes, len, JSON_ALLOW_NUL, NULL);
		said.vague = true; /* nobody can say what it means, if anything */
	}
	expect(root);
	if (json_get_string(root, "method") != NULL)
		server.asked = json_object_get(root, "id");
	server.question = root;
	server.answers = 0;
	say(bytes, len);
	server.asked = NULL;
	server.question = NULL;
	approvals_hear(&approvals, root);
	json_decref(root);
}

static void
play(const char *line, size_t len)
{
	switch (line[0]) {
	case '{': /* a frame */
		say_frame(line, len);
		break;
	case '=': /* =LETTER RESULT: an answer */
		if (len > 2)
			answer(line[1], "result", line + 2, len - 2);
		break;
	case '!': /* !LETTER ERROR */
		if (len > 2)
			answer(line[1], "error", line + 2, len - 2);
		break;
	case '~': /* time passes */
		fake_now_ms += len > 1 ? (uint64_t)(unsigned char)line[1] * 50 : 50;
		break;
	case 'c': /* the caller goes */
		cancel();
		break;
	case 'x': /* the connection is lost */
		if (server.ws != NULL)
			websocket_close(server.ws);
		break;
	case 'q':
		server.full = !server.full;
		break;
	case 'd': /* the supervisor's word */
		backend_down(pool, 0, "down", -1);
		break;
	case 'g':
		backend_up(pool, 0, "unix:///s", (int64_t)len);
		break;
	case 'k': /* COMMAND: it asks whether that may run */
	case 'p': /* PATH or PATH<tab>PATH: and that be changed */
		approvals_ask(&approvals, line[0], line + 1, len - 1, say_frame);
		break;
	case 'b': /* a turn begins, if none has */
		begin_turn();
		break;
	}
	turn_loop();
}

static void
read_options(const char *options, size_t len)
{
	static const char *const secrets[] = {NULL};
	static const struct agent_config agent_config = {
		.workspace = "/w", .secrets = secrets, .deny_all = true};
	static struct agent *agent, *allowing;

	if (agent == NULL)
		agent = agent_new(&agent_config);
	if (allowing == NULL)
		allowing = approvals_agent();
	HOLDS(agent != NULL);
	config.transcript = memchr(options, 't', len) != NULL;
	caller.leaves = memchr(options, 'l', len) != NULL;
	config.agent = memchr(options, 'a', len) != NULL ? agent : NULL;
	if (memchr(options, 'p', len) != NULL)
		config.agent = allowing;
	caller.conversation = conversation_new();
	HOLDS(caller.conversation != NULL);
	caller.conversation->model = strdup("m");
	caller.conversation->items =
		json_pack("[{s:s,s:s,s:[{s:s,s:s}]}]", "type", "message", "role", "user", "content",
	                  "type", "input_text", "text", "hi");
	if (memchr(options, 'f', len) != NULL)
		caller.conversation->tools =
			json_pack("[{s:s,s:s,s:{}},{s:s,s:s,s:[{s:s,s:s,s:{}}]}]", "name", "f",
		                  "description", "", "parameters", "name", "n", "description", "",
		                  "tools", "name", "g", "description", "", "parameters");
}

static void
set_up(const char *options, size_t len)
{
	static bool once;

	if (!once) {
		log_init("fuzz", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
		HOLDS(uv_loop_init(&loop) == 0);
		once = true;
	}
	memset(&server, 0, sizeof(server));
	memset(&caller, 0, sizeof(caller));
	memset(&said, 0, sizeof(said));
	read_options(options, len);
	approvals.allowed = memchr(options, 'p', len) != NULL;
	open_pool(memchr(options, 'g', len) == NULL);
}

/* Whatever was under way ends with the connection. */
static void
tear_down(void)
{
	bool turn = caller.thread != NULL;

	close_pool();
	HOLDS(caller.ends <= 1 && (!turn || caller.ends == 1));
	HOLDS(caller.thread == NULL);
	approvals_forget(&approvals);
	conversation_free(caller.conversation);
	json_buf_free(&caller.text);
	json_buf_free(&said.text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data, *line;
	size_t left = size, len, lines = 0;

	if (!fuzz_line(&rest, &left, &line, &len))
		return 0;
	set_up(line, len);
	while (lines++ < LINES_MAX && fuzz_line(&rest, &left, &line, &len)) {
		if (len > 0)
			play(line, len);
		check_text();
	}
	tear_down();
	return 0;
}
