/* model_answer: a Responses API stream, made from the directives of the last user message.
 *
 * Without one it is the demo: a friendly sentence that quotes the message.
 *
 *   !say N MS TEXT        N deltas, MS apart: TEXT0 TEXT1 ... (N = 1: TEXT itself)
 *   !part TEXT            a message that begins so and is never completed
 *   !comment TEXT         a message of the phase "commentary"
 *   !whole TEXT           a message that comes at once, without deltas
 *   !refuse TEXT          a message that is a refusal
 *   !big BYTES            one message of that length
 *   !echo                 the request's whole "input" as JSON text
 *   !tool NAME {ARGS}     a function call; several lines are parallel calls
 *   !custom NAME "TEXT"   a call of a tool that takes text, given as a JSON string
 *   !reason TEXT          a reasoning summary
 *   !silent MS            nothing for so long, after the headers
 *   !usage IN CACHED OUT REASONING
 *   !model NAME           the model that the answer says it is
 *   !incomplete REASON    ends with response.incomplete (max_output_tokens, content_filter)
 *   !failed CODE MESSAGE  ends with response.failed
 *   !drop                 the connection is cut here
 *   !stall                nothing more comes, the connection stays
 *   !hang                 not even headers
 *   !status N BODY        an HTTP error
 *   !header NAME VALUE    one more header of the response
 *
 * A request that ends in the output of a call is answered with the outputs, so that a tool loop
 * comes to its end; or, where the last user message has a line "!then TEXT", with that text. */
#include "tests/fakes/model_answer.h"

#include <stdio.h>
#include <string.h>

/* What codex is told when nobody says otherwise. */
#define DEFAULT_USAGE                                                                              \
	{                                                                                          \
		10, 3, 5, 1                                                                        \
	}

#define ECHO_DELTA_BYTES 32768
#define BIG_DELTA_BYTES  4096
#define QUOTE_BYTES      200
#define DEMO_WORD_MS     12 /* fast enough not to bore, slow enough to see it stream */

struct maker {
	struct model_answer *a;
	const json_t *request;
	unsigned number;
	unsigned items;
	unsigned usage[4]; /* input, cached, output, reasoning */
	const char *phase; /* of the messages, as JSON */
	const char *model;
	char *model_given;
	bool ended;
};

#define EVENT(m, type, fmt, ...)                                                                   \
	script_printf(&(m)->a->script,                                                             \
	              "event: " type "\ndata: {\"type\":\"" type "\"," fmt "}\n\n", __VA_ARGS__)

static void
item_event(struct maker *m, bool done, const char *item)
{
	if (done)
		EVENT(m, "response.output_item.done", "\"output_index\":%u,\"item\":%s", m->items++,
		      item);
	else
		EVENT(m, "response.output_item.added", "\"output_index\":%u,\"item\":%s", m->items,
		      item);
}

static char *
message_item(const struct maker *m, const char *quoted)
{
	return text_printf(
		"{\"type\":\"message\",\"id\":\"msg_%u_%u\",\"role\":\"assistant\",\"status\":"
		"\"%s\",\"phase\":%s,\"content\":[%s%s%s]}",
		m->number, m->items, quoted != NULL ? "completed" : "in_progress", m->phase,
		quoted != NULL ? "{\"type\":\"output_text\",\"annotations\":[],\"text\":" : "",
		quoted != NULL ? quoted : "", quoted != NULL ? "}" : "");
}

static void
begin_message(struct maker *m)
{
	AUTO_FREE char *item = message_item(m, NULL);

	item_event(m, false, item);
}

static void
end_message(struct maker *m, const char *text)
{
	AUTO_FREE char *quoted = text_quoted(text);
	AUTO_FREE char *item = message_item(m, quoted);

	item_event(m, true, item);
}

static void
delta(struct maker *m, const char *text)
{
	AUTO_FREE char *quoted = text_quoted(text);

	EVENT(m, "response.output_text.delta",
	      "\"item_id\":\"msg_%u_%u\",\"output_index\":%u,\"content_index\":0,\"delta\":%s",
	      m->number, m->items, m->items, quoted);
}

/* A message in pieces of at most step bytes, never cutting a character. */
static void
message(struct maker *m, const char *text, size_t step, unsigned pause_ms)
{
	AUTO_FREE char *copy = text_printf("%s", text);
	char *at = copy;

	begin_message(m);
	while (*at != '\0') {
		size_t len = strnlen(at, step);
		char kept;

		while (len < strlen(at) && len > 1 && ((unsigned char)at[len] & 0xc0) == 0x80)
			len--;
		kept = at[len];
		at[len] = '\0';
		delta(m, at);
		at[len] = kept;
		at += len;
		if (pause_ms > 0)
			script_add(&m->a->script, STEP_WAIT, pause_ms);
	}
	end_message(m, text);
}

static void
do_say(void *arg, const char *rest)
{
	struct maker *m = arg;
	unsigned count = 1, pause_ms = 0;
	int used = 0;
	char *whole = NULL;
	size_t len;
	FILE *out;

	if (sscanf(rest, "%u %u %n", &count, &pause_ms, &used) < 2 || used == 0)
		used = 0;
	rest += used;
	out = open_memstream(&whole, &len);
	begin_message(m);
	for (unsigned i = 0; i < count && out != NULL; i++) {
		AUTO_FREE char *piece =
			count == 1 ? text_printf("%s", rest) : text_printf("%s%u ", rest, i);

		delta(m, piece);
		(void)fputs(piece, out);
		if (pause_ms > 0)
			script_add(&m->a->script, STEP_WAIT, pause_ms);
	}
	if (out != NULL)
		(void)fclose(out);
	end_message(m, whole != NULL ? whole : "");
	free(whole);
}

static void
do_part(void *arg, const char *rest)
{
	begin_message(arg);
	delta(arg, rest);
}

static void
do_comment(void *arg, const char *rest)
{
	struct maker *m = arg;

	m->phase = "\"commentary\"";
	begin_message(m);
	delta(m, rest);
	end_message(m, rest);
	m->phase = "null";
}

static void
do_whole(void *arg, const char *rest)
{
	end_message(arg, rest);
}

static void
do_refuse(void *arg, const char *rest)
{
	struct maker *m = arg;
	AUTO_FREE char *quoted = text_quoted(rest);
	AUTO_FREE char *item = text_printf(
		"{\"type\":\"message\",\"id\":\"msg_%u_%u\",\"role\":\"assistant\",\"status\":"
		"\"completed\",\"content\":[{\"type\":\"refusal\",\"refusal\":%s}]}",
		m->number, m->items, quoted);

	begin_message(m);
	EVENT(m, "response.refusal.delta",
	      "\"item_id\":\"msg_%u_%u\",\"output_index\":%u,\"content_index\":0,\"delta\":%s",
	      m->number, m->items, m->items, quoted);
	item_event(m, true, item);
}

static void
do_big(void *arg, const char *rest)
{
	struct maker *m = arg;
	size_t len = strtoul(rest, NULL, 10);
	AUTO_FREE char *text = malloc(len + 1);

	if (text == NULL)
		return;
	memset(text, 'x', len);
	text[len] = '\0';
	message(m, text, BIG_DELTA_BYTES, 0);
}

static void
do_echo(void *arg, const char *rest)
{
	struct maker *m = arg;
	AUTO_FREE char *text =
		json_dumps(json_object_get(m->request, "input"), JSON_COMPACT | JSON_ENCODE_ANY);

	message(m, text != NULL ? text : "null", ECHO_DELTA_BYTES, 0);
}

static void
do_tool(void *arg, const char *rest)
{
	struct maker *m = arg;
	size_t name_len = strcspn(rest, " ");
	AUTO_FREE char *name = text_printf("%.*s", (int)name_len, rest);
	AUTO_FREE char *arguments = text_quoted(rest + name_len + strspn(rest + name_len, " "));
	AUTO_FREE char *started = text_printf(
		"{\"type\":\"function_call\",\"id\":\"fc_%u_%u\",\"status\":\"in_progress\","
		"\"name\":\"%s\",\"arguments\":\"\",\"call_id\":\"call_%u_%u\"}",
		m->number, m->items, name, m->number, m->items);
	AUTO_FREE char *done = text_printf(
		"{\"type\":\"function_call\",\"id\":\"fc_%u_%u\",\"status\":\"completed\","
		"\"name\":\"%s\",\"arguments\":%s,\"call_id\":\"call_%u_%u\"}",
		m->number, m->items, name, arguments, m->number, m->items);

	item_event(m, false, started);
	EVENT(m, "response.function_call_arguments.delta",
	      "\"item_id\":\"fc_%u_%u\",\"output_index\":%u,\"delta\":%s", m->number, m->items,
	      m->items, arguments);
	item_event(m, true, done);
}

static void
do_custom(void *arg, const char *rest)
{
	struct maker *m = arg;
	size_t name_len = strcspn(rest, " ");
	AUTO_FREE char *item = text_printf(
		"{\"type\":\"custom_tool_call\",\"id\":\"ctc_%u_%u\",\"status\":\"completed\","
		"\"name\":\"%.*s\",\"input\":%s,\"call_id\":\"call_%u_%u\"}",
		m->number, m->items, (int)name_len, rest, rest + name_len, m->number, m->items);

	item_event(m, false, item);
	item_event(m, true, item);
}

static void
do_reason(void *arg, const char *rest)
{
	struct maker *m = arg;
	AUTO_FREE char *quoted = text_quoted(rest);
	AUTO_FREE char *started = text_printf(
		"{\"type\":\"reasoning\",\"id\":\"rs_%u_%u\",\"summary\":[]}", m->number, m->items);
	AUTO_FREE char *done =
		text_printf("{\"type\":\"reasoning\",\"id\":\"rs_%u_%u\",\"summary\":[{\"type\":"
	                    "\"summary_text\",\"text\":%s}],\"encrypted_content\":\"c2VjcmV0\"}",
	                    m->number, m->items, quoted);

	item_event(m, false, started);
	EVENT(m, "response.reasoning_summary_part.added",
	      "\"item_id\":\"rs_%u_%u\",\"output_index\":%u,\"summary_index\":0", m->number,
	      m->items, m->items);
	EVENT(m, "response.reasoning_summary_text.delta",
	      "\"item_id\":\"rs_%u_%u\",\"output_index\":%u,\"summary_index\":0,\"delta\":%s",
	      m->number, m->items, m->items, quoted);
	item_event(m, true, done);
}

static void
do_silent(void *arg, const char *rest)
{
	script_add(&((struct maker *)arg)->a->script, STEP_WAIT, (unsigned)strtoul(rest, NULL, 10));
}

static void
do_usage(void *arg, const char *rest)
{
	unsigned *u = ((struct maker *)arg)->usage;

	(void)sscanf(rest, "%u %u %u %u", &u[0], &u[1], &u[2], &u[3]); /* missing ones stay */
}

static void
do_model(void *arg, const char *rest)
{
	struct maker *m = arg;

	free(m->model_given);
	m->model_given = text_printf("%s", rest);
}

static void
do_incomplete(void *arg, const char *rest)
{
	struct maker *m = arg;

	EVENT(m, "response.incomplete",
	      "\"response\":{\"id\":\"resp_%u\",\"object\":\"response\",\"status\":\"incomplete\","
	      "\"incomplete_details\":{\"reason\":\"%s\"}}",
	      m->number, rest);
	m->ended = true;
}

static void
do_failed(void *arg, const char *rest)
{
	struct maker *m = arg;
	size_t code = strcspn(rest, " ");
	AUTO_FREE char *quoted = text_quoted(rest + code + strspn(rest + code, " "));

	EVENT(m, "response.failed",
	      "\"response\":{\"id\":\"resp_%u\",\"object\":\"response\",\"status\":\"failed\","
	      "\"error\":{\"code\":\"%.*s\",\"message\":%s}}",
	      m->number, (int)code, rest, quoted);
	m->ended = true;
}

static void
do_drop(void *arg, const char *rest)
{
	struct maker *m = arg;

	script_add(&m->a->script, STEP_CUT, 0);
	m->ended = true;
}

static void
do_stall(void *arg, const char *rest)
{
	struct maker *m = arg;

	script_add(&m->a->script, STEP_STALL, 0);
	m->ended = true;
}

static void
do_hang(void *arg, const char *rest)
{
	((struct maker *)arg)->a->silent = true;
}

static void
do_status(void *arg, const char *rest)
{
	struct model_answer *a = ((struct maker *)arg)->a;
	char *end;

	a->status = (int)strtol(rest, &end, 10);
	free(a->body);
	a->body = text_printf("%s", end + strspn(end, " "));
}

static void
do_header(void *arg, const char *rest)
{
	struct model_answer *a = ((struct maker *)arg)->a;
	size_t name = strcspn(rest, " ");

	if (a->header_count == MODEL_HEADERS_MAX)
		return;
	a->headers[a->header_count++] = (struct model_header){
		.name = text_printf("%.*s:", (int)name, rest),
		.value = text_printf("%s", rest + name + strspn(rest + name, " "))};
}

static const struct directive directives[] = {
	{"!say",        do_say       },
        {"!part",       do_part      },
	{"!comment",    do_comment   },
        {"!whole",      do_whole     },
	{"!refuse",     do_refuse    },
        {"!big",        do_big       },
	{"!echo",       do_echo      },
        {"!tool",       do_tool      },
	{"!custom",     do_custom    },
        {"!reason",     do_reason    },
	{"!silent",     do_silent    },
        {"!usage",      do_usage     },
	{"!model",      do_model     },
        {"!incomplete", do_incomplete},
	{"!failed",     do_failed    },
        {"!drop",       do_drop      },
	{"!stall",      do_stall     },
        {"!hang",       do_hang      },
	{"!status",     do_status    },
        {"!header",     do_header    },
};

/* Streamed word by word, as a model would. */
static void
demo(struct maker *m, const char *said)
{
	size_t quote = strnlen(said, QUOTE_BYTES);
	AUTO_FREE char *text = NULL;
	const char *at;

	while (quote > 0 && ((unsigned char)said[quote] & 0xc0) == 0x80)
		quote--;
	text = text_printf(
		"Hello! You said: \"%.*s%s\". I am the demo model that comes with codex-sidecar, "
		"and "
		"all I can do is repeat you. Everything between us is real: your request went "
		"through the proxy and the Codex app-server. To talk to a real model, run "
		"\"codex login\" and start the sidecar again.",
		(int)quote, said, said[quote] != '\0' ? "..." : "");
	begin_message(m);
	for (at = text; *at != '\0';) {
		size_t len = strcspn(at + 1, " ") + 1;
		AUTO_FREE char *word = text_printf("%.*s", (int)len, at);

		delta(m, word);
		script_add(&m->a->script, STEP_WAIT, DEMO_WORD_MS);
		at += len;
	}
	end_message(m, text);
}

static void
complete(struct maker *m)
{
	AUTO_FREE char *model = text_quoted(m->model_given != NULL ? m->model_given : m->model);
	const unsigned *u = m->usage;

	EVENT(m, "response.completed",
	      "\"response\":{\"id\":\"resp_%u\",\"object\":\"response\",\"status\":\"completed\","
	      "\"model\":%s,\"usage\":{\"input_tokens\":%u,\"input_tokens_details\":{"
	      "\"cached_tokens\":%u},\"output_tokens\":%u,\"output_tokens_details\":{"
	      "\"reasoning_tokens\":%u},\"total_tokens\":%u}}",
	      m->number, model, u[0], u[1], u[2], u[3], u[0] + u[2]);
}

void
model_answer_make(struct model_answer *a, const json_t *request, unsigned number)
{
	const json_t *input = json_object_get(request, "input");
	AUTO_FREE char *said = items_last_user_text(input);
	AUTO_FREE char *outputs = items_tool_outputs(input);
	const char *model = json_string_value(json_object_get(request, "model"));
	struct maker m = {
		.a = a,
		.request = request,
		.number = number,
		.usage = DEFAULT_USAGE,
		.phase = "null",
		.model = model != NULL ? model : "",
	};

	*a = (struct model_answer){.status = 200};
	EVENT(&m, "response.created",
	      "\"response\":{\"id\":\"resp_%u\",\"object\":\"response\",\"status\":\"in_"
	      "progress\"}",
	      number);
	if (outputs != NULL) {
		const char *then = said != NULL ? strstr(said, "!then ") : NULL;
		AUTO_FREE char *text =
			then != NULL ? text_printf("%.*s", (int)strcspn(then + 6, "\n"), then + 6)
				     : text_printf("The tool said: %s", outputs);

		message(&m, text, ECHO_DELTA_BYTES, 0);
	} else if (directives_run(directives, NELEM(directives), said != NULL ? said : "", &m) ==
	           0) {
		demo(&m, said != NULL ? said : "");
	}
	if (!m.ended)
		complete(&m);
	free(m.model_given);
}

void
model_answer_free(struct model_answer *a)
{
	script_free(&a->script);
	free(a->body);
	for (size_t i = 0; i < a->header_count; i++) {
		free(a->headers[i].name);
		free(a->headers[i].value);
	}
}
