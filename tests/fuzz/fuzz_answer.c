/* Answers: what the model says is what arrives, in a stream that any reader of server-sent events
 * reads alike, and every request comes to its end.
 *
 * Input: the body of a request on a line (one with "messages" is a chat completion), then what
 * happens, one event a line: see play(). */
#include "tests/unit/api_fixture.h"

#include <ctype.h>

#include "tests/fuzz/fuzz.h"

#define EVENTS_MAX 24

enum said { SAID_CONTENT, SAID_REASONING, SAID_COUNT };

/* What must arrive of one turn. */
struct expectation {
	struct json_buf text[SAID_COUNT]; /* escaped */
	bool begun[SAID_COUNT];
	unsigned item[SAID_COUNT];
	enum event_kind kind[SAID_COUNT];
	size_t size;
	unsigned calls;
	bool vague; /* it was tried again, or is more than one: only the form is looked at */
	const struct thread *started; /* NULL: none */
};

/* What has arrived. */
struct arrival {
	struct json_buf text[SAID_COUNT]; /* decoded */
	unsigned events, calls;
	bool done, failed;
};

static struct http_exchange x;

/* --- playing the model ---------------------------------------------------------------------- */

static bool
is_chat(void)
{
	return strcmp(x.path, CHAT) == 0;
}

static void
expect_text(struct expectation *e, const struct event *event)
{
	bool answer = event->kind == EVENT_TEXT && event->text.phase != PHASE_COMMENTARY;
	enum said to =
		answer || (!is_chat() && event->kind == EVENT_TEXT) ? SAID_CONTENT : SAID_REASONING;
	bool same = e->item[to] == event->text.item && e->kind[to] == event->kind;

	if (event->text.len == 0)
		return;
	/* chat completions have one text of each kind: a blank line stands between the model's */
	if (is_chat() && e->begun[to] && !same) {
		json_buf_append(&e->text[to], "\\n\\n", 4);
		e->size += 4;
	}
	json_buf_append(&e->text[to], event->text.escaped, event->text.len);
	e->size += event->text.len;
	e->begun[to] = true;
	e->item[to] = event->text.item;
	e->kind[to] = event->kind;
}

static void
say_text(struct expectation *e, enum event_kind kind, enum message_phase phase, const char *line,
         size_t len)
{
	struct json_buf text = {.data = NULL};
	struct event event = {.kind = kind};

	if (len > 0 && fuzz_escaped(&text, line + 1, len - 1)) {
		event.text.escaped = text.data;
		event.text.len = text.len;
		event.text.item = (unsigned char)line[0] % 8;
		event.text.phase = phase;
		expect_text(e, &event);
		codex_says(event);
	}
	json_buf_free(&text);
}

/* line: name, a space, arguments. */
static void
say_call(struct expectation *e, char *line)
{
	char *arguments = line + strcspn(line, " ");
	size_t len;

	if (!fuzz_is_utf8(line, strlen(line)))
		return;
	if (*arguments != '\0')
		*arguments++ = '\0';
	len = strlen(arguments);
	e->size += len;
	codex_says((struct event){
		.kind = EVENT_TOOL_CALL,
		.tool_call = {.index = e->calls++,
	                      .call_id = "c",
	                      .name = line,
	                      .arguments = arguments,
	                      .arguments_len = len}
        });
}

static void
play_started(struct expectation *e, char *line, size_t len)
{
	switch (line[0]) {
	case 't': /* item, text */
		say_text(e, EVENT_TEXT, PHASE_UNSAID, line + 1, len - 1);
		break;
	case 'T':
		say_text(e, EVENT_TEXT, PHASE_COMMENTARY, line + 1, len - 1);
		break;
	case 'F':
		say_text(e, EVENT_TEXT, PHASE_FINAL, line + 1, len - 1);
		break;
	case 'r':
		say_text(e, EVENT_REASONING, PHASE_UNSAID, line + 1, len - 1);
		break;
	case 'R':
		if (fuzz_is_utf8(line + 1, strlen(line + 1)))
			codex_says((struct event){.kind = EVENT_REASONED,
			                          .reasoned = {.encrypted = line + 1}});
		break;
	case 'c':
		say_call(e, line + 1);
		break;
	case 'u':
		codex_uses((int64_t)len);
		break;
	}
}

/* The app-servers change: they go, come back, lose their login. */
static void
play_backends(const char *how)
{
	codex.usable = how[0] != 'g';
	codex.needs_login = how[0] == 'l';
	codex.no_memory = how[0] == 'm';
	turns_pump(api.turns);
	run_loop(&loop);
}

/* False: the client has gone. */
static bool
play(struct expectation *e, char *line, size_t len)
{
	switch (line[0]) {
	case 'p': /* time passes */
		pass_time(&loop, 1000);
		return true;
	case 'x':
		return false;
	case 'b':
		play_backends(line + 1);
		return true;
	}
	if (codex.threads == NULL)
		return true;
	if (line[0] == 'n') { /* another choice speaks */
		struct thread *first = codex.threads;

		DL_DELETE(codex.threads, first);
		DL_APPEND(codex.threads, first);
		return true;
	}
	if (line[0] == 'm') {
		if (fuzz_is_utf8(line + 1, strlen(line + 1)))
			codex_says((struct event){.kind = EVENT_MODEL, .model = line + 1});
		return true;
	}
	if (line[0] != 'e' && line[0] != 'f') {
		if (e->started != codex.threads)
			codex_starts();
		e->started = codex.threads;
		if (e->started != NULL)
			play_started(e, line, len);
		return true;
	}
	e->started = NULL;
	e->vague |= line[0] == 'f';
	if (line[0] == 'e')
		codex_finishes((enum finish_reason)((unsigned char)line[1] % (FINISH_REFUSED + 1)));
	else
		codex_fails((enum failure_kind)((unsigned char)line[1] % (FAILURE_DRAINING + 1)));
	run_loop(&loop);
	return true;
}

/* Whatever still waits ends; so does the request. */
static void
play_end(void)
{
	for (int i = 0; i < 100 && !x.ended; i++) {
		if (codex.threads != NULL)
			codex_finishes(FINISH_STOP);
		pass_time(&loop, 2000);
	}
	HOLDS(x.ended);
}

/* --- reading the answer --------------------------------------------------------------------- */

static void
append_value(struct json_buf *out, const json_t *value)
{
	if (json_is_string(value))
		json_buf_append(out, json_string_value(value), json_string_length(value));
}

static void
hear_chunk(struct arrival *a, const json_t *chunk)
{
	const json_t *choice = json_array_get(json_object_get(chunk, "choices"), 0);
	const json_t *delta = json_object_get(choice, "delta");

	HOLDS(json_get_string(chunk, "id") != NULL || json_object_get(chunk, "error") != NULL);
	a->failed |= json_object_get(chunk, "error") != NULL;
	append_value(&a->text[SAID_CONTENT], json_object_get(delta, "content"));
	append_value(&a->text[SAID_REASONING], json_object_get(delta, "reasoning_content"));
	a->calls += json_array_size(json_object_get(delta, "tool_calls"));
	a->calls += json_object_get(delta, "function_call") != NULL;
}

static void
hear_event(struct arrival *a, const char *name, const json_t *event)
{
	const char *type = json_get_string(event, "type");

	HOLDS(type != NULL && strcmp(type, name) == 0);
	HOLDS(json_get_int(event, "sequence_number", -1) == (json_int_t)a->events);
	if (strcmp(type, "response.output_text.delta") == 0)
		append_value(&a->text[SAID_CONTENT], json_object_get(event, "delta"));
	if (strcmp(type, "response.reasoning_summary_text.delta") == 0)
		append_value(&a->text[SAID_REASONING], json_object_get(event, "delta"));
	a->failed |= strcmp(type, "response.failed") == 0 || strcmp(type, "error") == 0;
	a->done |= strcmp(type, "response.completed") == 0 ||
	           strcmp(type, "response.incomplete") == 0 || strcmp(type, "response.failed") == 0;
}

static void
dispatch(struct arrival *a, const char *name, const struct json_buf *data)
{
	json_t *value;

	HOLDS(!a->done); /* nothing comes behind the end */
	if (is_chat() && data->len == 6 && memcmp(data->data, "[DONE]", 6) == 0) {
		a->done = true;
		return;
	}
	value = fuzz_json(data->data, data->len);
	if (is_chat())
		hear_chunk(a, value);
	else
		hear_event(a, name, value);
	a->events++;
	json_decref(value);
}

/* As the HTML standard has it: a line ends with CR, LF or both. */
static void
read_stream(struct arrival *a, const char *text, size_t len)
{
	struct json_buf data = {.data = NULL};
	char name[96] = "message";

	for (size_t at = 0, end; at < len; at = end + 1) {
		const char *line = text + at;

		for (end = at; end < len && text[end] != '\n' && text[end] != '\r';)
			end++;
		HOLDS(end < len); /* every line is complete */
		if (end == at && data.len > 0) {
			dispatch(a, name, &data);
			data.len = 0;
			strcpy(name, "message");
		} else if (end - at > 6 && memcmp(line, "data: ", 6) == 0) {
			HOLDS(data.len == 0); /* one line each, for simple readers */
			json_buf_append(&data, line + 6, end - at - 6);
		} else if (end - at > 7 && end - at < 90 && memcmp(line, "event: ", 7) == 0) {
			(void)snprintf(name, sizeof(name), "%.*s", (int)(end - at - 7), line + 7);
		} else {
			HOLDS(end == at || line[0] == ':');
		}
		if (text[end] == '\r' && end + 1 < len && text[end + 1] == '\n')
			end++;
	}
	HOLDS(data.len == 0);
	json_buf_free(&data);
}

static void
read_whole(struct arrival *a)
{
	json_t *root = fuzz_json(x.out.data, x.out.len);
	const json_t *message =
		json_object_get(json_array_get(json_object_get(root, "choices"), 0), "message");
	const json_t *item;
	size_t i;

	a->done = true;
	a->failed = x.status != 200;
	if (a->failed)
		HOLDS(json_is_object(json_object_get(root, "error")));
	append_value(&a->text[SAID_CONTENT], json_object_get(message, "content"));
	append_value(&a->text[SAID_REASONING], json_object_get(message, "reasoning_content"));
	json_array_foreach(json_object_get(root, "output"), i, item) {
		if (strcmp(json_get_string(item, "type"), "message") == 0)
			append_value(
				&a->text[SAID_CONTENT],
				json_object_get(json_array_get(json_object_get(item, "content"), 0),
			                        "text"));
	}
	json_decref(root);
}

/* --- comparing ------------------------------------------------------------------------------ */

static void
check_text(const struct json_buf *escaped, const struct json_buf *arrived)
{
	struct json_buf quoted = {.data = NULL};
	json_t *text;

	json_buf_append(&quoted, "\"", 1);
	json_buf_append(&quoted, escaped->data, escaped->len);
	json_buf_append(&quoted, "\"", 1);
	text = fuzz_json(quoted.data, quoted.len);
	HOLDS(fuzz_same(arrived->data != NULL ? arrived->data : "", arrived->len, text));
	json_decref(text);
	json_buf_free(&quoted);
}

static void
check_answer(const struct expectation *e, const json_t *request)
{
	struct arrival a = {.events = 0};

	if (x.streaming)
		read_stream(&a, x.out.data != NULL ? x.out.data : "", x.out.len);
	else
		read_whole(&a);
	HOLDS(a.done || (is_chat() && a.failed));
	/* a summary is told by itself only where it was asked for; what the limits and the promises
	 * of a request change is looked at by other tests */
	if (!a.failed && !e->vague && e->size < RESPONSE_MAX &&
	    json_object_get(request, "stop") == NULL) {
		check_text(&e->text[SAID_CONTENT], &a.text[SAID_CONTENT]);
		if (is_chat())
			check_text(&e->text[SAID_REASONING], &a.text[SAID_REASONING]);
	}
	for (size_t i = 0; i < SAID_COUNT; i++)
		json_buf_free(&a.text[i]);
}

/* Once: it takes longer than an answer. */
static void
set_up(void)
{
	static bool once;

	if (!once)
		HOLDS(setup(NULL) == 0);
	once = true;
	codex_reset();
	response_store_free(api.responses);
	api.responses = response_store_new(STORE_BYTES);
	HOLDS(api.responses != NULL);
}

/* Nothing of the request is left. */
static void
check_rest(void)
{
	struct turns_stats stats = turns_stats(api.turns);

	HOLDS(codex.threads == NULL && !uv_loop_alive(&loop));
	HOLDS(stats.running == 0 && stats.waiting == 0);
}

static void
ask(char *body, const json_t *request)
{
	bool chat = json_object_get(request, "messages") != NULL;

	request_make(&x, HTTP_POST, chat ? CHAT : "/v1/responses", body);
	request_run(&x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data, *line;
	size_t left = size, len, events = 0;
	struct expectation e = {.size = 0};
	json_t *request;
	char *body;
	bool there = true;

	if (!fuzz_line(&rest, &left, &line, &len))
		return 0;
	body = strndup(line, len);
	HOLDS(body != NULL);
	set_up();
	request = json_loadb(body, strlen(body), 0, NULL);
	e.vague = json_get_int(request, "n", 1) != 1;
	ask(body, request);
	while (there && !x.ended && events++ < EVENTS_MAX && fuzz_line(&rest, &left, &line, &len)) {
		char *copy = strndup(line, len);

		HOLDS(copy != NULL);
		if (len > 0)
			there = play(&e, copy, strlen(copy));
		free(copy);
	}
	if (there) {
		play_end();
		check_answer(&e, request);
	}
	request_done(&x);
	check_rest();
	for (size_t i = 0; i < SAID_COUNT; i++)
		json_buf_free(&e.text[i]);
	json_decref(request);
	free(body);
	return 0;
}
