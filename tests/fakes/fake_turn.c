/* fake_turn: the frames of a turn, in the shapes (and key order) that codex 0.169.0 was seen to
 * send.
 *
 * Directives, each on a line of its own in the last user message; without one the answer is
 * "You said: ...".
 *
 *   !say N MS TEXT           N deltas, MS apart: TEXT0 TEXT1 ... (N = 1: TEXT itself)
 *   !part TEXT               a message that is begun and never completed
 *   !tool NAME {ARGS}        a function call (the last thing in a message: then it is waited for)
 *   !reason TEXT             a reasoning summary
 *   !flood N                 N deltas "x " at once
 *   !burst N K               N deltas, K each millisecond
 *   !wait MS   !silence      a pause; nothing more at all
 *   !retry [CAUSE]           codex tells that it tries again; say what comes then
 *   !fail INFO MESSAGE       the turn fails; INFO is codexErrorInfo as JSON without spaces
 *   !early                   turn/started and the deltas before the answer of turn/start
 *   !deltas-first            deltas before anything tells the turn's id
 *   !lost-completed          no turn/completed, although it is over
 *   !endless                 no turn/completed, and it is not over
 *   !lost-all                no end of any kind, and it is not over
 *   !event lose|double|swap|cut METHOD  that notification (turn/start: the answer of it) is
 *                            left out, comes twice, comes after the next one, or is where the
 *                            connection drops (when that message is first heard); all of its kind
 *   !closed                  thread/closed, and nothing after it
 *   !close-socket            the connection drops
 *   !garbage                 binary frames, bad JSON, unknown and strange notifications
 *   !stranger                what ends or adds to other turns: of another thread, of another turn
 *   !dup                     everything but the deltas comes twice
 *   !rpc-error METHOD CODE   that call of this thread fails    !mute METHOD  it is never answered
 *   !server-request METHOD   the server asks the client something */
#include "tests/fakes/fake_turn.h"

#include <stdio.h>
#include <string.h>
#include <sys/time.h>

struct maker {
	struct turn_plan *plan;
	const char *thread;
	const char *turn;
	unsigned items;
	char *last_item; /* for turn/completed */
	char *error;     /* a failed turn's; NULL: it completes */
	bool early;
	bool deltas_first;
	bool no_completed;
	bool endless;
	bool no_end;
	struct edit {
		enum edit_kind kind;
		char method[48];
	} edits[4];
	size_t edit_count;
	bool waits; /* for the client: a tool call, or silence */
};

long long
now_ms(void)
{
	struct timeval tv;

	(void)gettimeofday(&tv, NULL);
	return (long long)tv.tv_sec * 1000 + tv.tv_usec / 1000;
}

static void
add_frame(struct maker *m, char *frame, bool delta)
{
	script_send(&m->plan->script, frame, strlen(frame), !delta && m->plan->twice ? 2 : 1);
	free(frame);
}

/* params: the members that follow "threadId" and "turnId". */
#define NOTE(m, method, fmt, ...)                                                                  \
	add_frame(m,                                                                               \
	          text_printf("{\"method\":\"" method "\",\"params\":{" fmt                        \
	                      "},\"emittedAtMs\":%lld}",                                           \
	                      __VA_ARGS__, now_ms()),                                              \
	          false)
#define IDS       "\"threadId\":\"%s\",\"turnId\":\"%s\""
#define IDS_OF(m) (m)->thread, (m)->turn
#define RAW_META  ",\"internal_chat_message_metadata_passthrough\":{\"turn_id\":\"%s\"}"
#define USAGE                                                                                      \
	"{\"totalTokens\":15,\"inputTokens\":10,\"cachedInputTokens\":3,"                          \
	"\"cacheWriteInputTokens\":"                                                               \
	"0,\"outputTokens\":5,\"reasoningOutputTokens\":1}"
#define MESSAGE_FMT                                                                                \
	"{\"type\":\"agentMessage\",\"moderation\":null,\"id\":\"msg_%u\",\"text\":%s,\"phase\":"  \
	"null,\"memoryCitation\":null,\"delivery\":null,\"questions\":null,\"startedAtMs\":%lld,"  \
	"\"completedAtMs\":%s}"

static void
begin_message(struct maker *m)
{
	AUTO_FREE char *item = text_printf(MESSAGE_FMT, m->items, "\"\"", now_ms(), "null");

	NOTE(m, "item/started", "\"item\":%s," IDS ",\"startedAtMs\":%lld", item, IDS_OF(m),
	     now_ms());
}

static char *
delta_frame(const struct maker *m, const char *text)
{
	AUTO_FREE char *quoted = text_quoted(text);

	return text_printf("{\"method\":\"item/agentMessage/delta\",\"params\":{" IDS
	                   ",\"itemId\":\"msg_%u\",\"delta\":%s},\"emittedAtMs\":%lld}",
	                   IDS_OF(m), m->items, quoted, now_ms());
}

static void
end_message(struct maker *m, const char *text)
{
	AUTO_FREE char *quoted = text_quoted(text);
	AUTO_FREE char *at = text_printf("%lld", now_ms());

	free(m->last_item);
	m->last_item = text_printf(MESSAGE_FMT, m->items, quoted, now_ms(), at);
	NOTE(m, "item/completed",
	     "\"item\":%s," IDS ",\"contentTokenCount\":null,\"completedAtMs\":%s", m->last_item,
	     IDS_OF(m), at);
	NOTE(m, "rawResponseItem/completed",
	     IDS
	     ",\"item\":{\"type\":\"message\",\"status\":\"completed\",\"id\":\"msg_%u\","
	     "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":%s}]" RAW_META
	     "}",
	     IDS_OF(m), m->items, quoted, m->turn);
	m->items++;
}

static void
do_say(void *arg, const char *rest)
{
	struct maker *m = arg;
	unsigned count = 1, pause_ms = 0;
	int used = 0;
	char *whole = NULL;
	size_t len;
	FILE *out = open_memstream(&whole, &len);

	if (sscanf(rest, "%u %u %n", &count, &pause_ms, &used) < 2)
		used = 0;
	rest += used;
	begin_message(m);
	for (unsigned i = 0; i < count && out != NULL; i++) {
		AUTO_FREE char *piece =
			count == 1 ? text_printf("%s", rest) : text_printf("%s%u ", rest, i);

		add_frame(m, delta_frame(m, piece), true);
		(void)fputs(piece, out);
		if (pause_ms > 0)
			script_add(&m->plan->script, STEP_WAIT, pause_ms);
	}
	if (out != NULL)
		(void)fclose(out);
	end_message(m, whole != NULL ? whole : "");
	free(whole);
}

static void
do_part(void *arg, const char *rest)
{
	struct maker *m = arg;

	begin_message(m);
	add_frame(m, delta_frame(m, rest), true);
	m->items++; /* what comes next is another message */
}

static void
do_flood(void *arg, const char *rest)
{
	struct maker *m = arg;
	unsigned count = (unsigned)strtoul(rest, NULL, 10);
	AUTO_FREE char *frame = delta_frame(m, "x ");
	AUTO_FREE char *text = malloc(2 * (size_t)count + 1);

	if (text == NULL)
		return;
	for (unsigned i = 0; i < count; i++)
		memcpy(text + 2 * i, "x ", 2);
	text[2 * count] = '\0';
	begin_message(m);
	script_send(&m->plan->script, frame, strlen(frame), count);
	end_message(m, text);
}

static void
do_burst(void *arg, const char *rest)
{
	static const char word[] = "word ";
	struct maker *m = arg;
	unsigned count = 1, at_once = 1;
	AUTO_FREE char *frame = delta_frame(m, word);
	AUTO_FREE char *text = NULL;

	if (sscanf(rest, "%u %u", &count, &at_once) < 1 || at_once == 0)
		return;
	text = calloc(count + 1, sizeof(word) - 1);
	if (text == NULL)
		return;
	begin_message(m);
	for (unsigned i = 0; i < count; i++)
		memcpy(text + i * (sizeof(word) - 1), word, sizeof(word) - 1);
	for (unsigned sent = 0; sent < count; sent += at_once) {
		script_send(&m->plan->script, frame, strlen(frame),
		            count - sent < at_once ? count - sent : at_once);
		script_add(&m->plan->script, STEP_WAIT, 1);
	}
	end_message(m, text);
}

static void
do_tool(void *arg, const char *rest)
{
	struct maker *m = arg;
	size_t name = strcspn(rest, " ");
	AUTO_FREE char *arguments = text_quoted(rest + name + strspn(rest + name, " "));

	NOTE(m, "rawResponseItem/completed",
	     IDS ",\"item\":{\"type\":\"function_call\",\"status\":\"completed\",\"id\":\"fc_%u\","
	         "\"name\":\"%.*s\",\"arguments\":%s,\"call_id\":\"call_%u\"" RAW_META "}",
	     IDS_OF(m), m->items, (int)name, rest, arguments, m->items, m->turn);
	m->items++;
	m->waits = true;
}

static void
do_reason(void *arg, const char *rest)
{
	struct maker *m = arg;
	AUTO_FREE char *quoted = text_quoted(rest);

	NOTE(m, "item/started",
	     "\"item\":{\"type\":\"reasoning\",\"id\":\"rs_%u\",\"summary\":[],\"content\":[],"
	     "\"startedAtMs\":%lld,\"completedAtMs\":null}," IDS ",\"startedAtMs\":%lld",
	     m->items, now_ms(), IDS_OF(m), now_ms());
	NOTE(m, "item/reasoning/summaryPartAdded", IDS ",\"itemId\":\"rs_%u\",\"summaryIndex\":0",
	     IDS_OF(m), m->items);
	add_frame(m,
	          text_printf("{\"method\":\"item/reasoning/summaryTextDelta\",\"params\":{" IDS
	                      ",\"itemId\":\"rs_%u\",\"delta\":%s,\"summaryIndex\":0},"
	                      "\"emittedAtMs\":%lld}",
	                      IDS_OF(m), m->items, quoted, now_ms()),
	          true);
	NOTE(m, "item/completed",
	     "\"item\":{\"type\":\"reasoning\",\"id\":\"rs_%u\",\"summary\":[%s],\"content\":[],"
	     "\"startedAtMs\":%lld,\"completedAtMs\":%lld}," IDS
	     ",\"contentTokenCount\":null,\"completedAtMs\":%lld",
	     m->items, quoted, now_ms(), now_ms(), IDS_OF(m), now_ms());
	m->items++;
}

static void
do_wait(void *arg, const char *rest)
{
	script_add(&((struct maker *)arg)->plan->script, STEP_WAIT,
	           (unsigned)strtoul(rest, NULL, 10));
}

static void
do_silence(void *arg, const char *rest)
{
	script_add(&((struct maker *)arg)->plan->script, STEP_STALL, 0);
}

static void
do_retry(void *arg, const char *rest)
{
	struct maker *m = arg;
	AUTO_FREE char *cause =
		text_quoted(rest[0] != '\0' ? rest : "stream disconnected before completion");

	NOTE(m, "error",
	     "\"error\":{\"message\":\"Reconnecting... 1/1\",\"codexErrorInfo\":{"
	     "\"responseStreamDisconnected\":{\"httpStatusCode\":null}},\"additionalDetails\":%s,"
	     "\"misalignment\":null},\"willRetry\":true," IDS,
	     cause, IDS_OF(m));
}

static void
do_fail(void *arg, const char *rest)
{
	struct maker *m = arg;
	size_t info = strcspn(rest, " ");
	AUTO_FREE char *message = text_quoted(rest + info + strspn(rest + info, " "));

	free(m->error);
	m->error = text_printf("{\"message\":%s,\"codexErrorInfo\":%.*s,\"additionalDetails\":null,"
	                       "\"misalignment\":null}",
	                       message, (int)info, rest);
	NOTE(m, "error", "\"error\":%s,\"willRetry\":false," IDS, m->error, IDS_OF(m));
}

static void
do_early(void *arg, const char *rest)
{
	((struct maker *)arg)->early = true;
}

static void
do_deltas_first(void *arg, const char *rest)
{
	((struct maker *)arg)->deltas_first = true;
}

static void
do_lost_completed(void *arg, const char *rest)
{
	((struct maker *)arg)->no_completed = true;
}

static void
do_endless(void *arg, const char *rest)
{
	((struct maker *)arg)->endless = true;
}

static void
do_event(void *arg, const char *rest)
{
	static const char *const kinds[] = {[EDIT_LOSE] = "lose",
	                                    [EDIT_DOUBLE] = "double",
	                                    [EDIT_SWAP] = "swap",
	                                    [EDIT_CUT] = "cut"};
	struct maker *m = arg;
	struct edit *e = &m->edits[m->edit_count];
	size_t word = strcspn(rest, " ");

	for (size_t i = 0; i < NELEM(kinds) && m->edit_count < NELEM(m->edits); i++) {
		if (strlen(kinds[i]) != word || strncmp(rest, kinds[i], word) != 0)
			continue;
		e->kind = (enum edit_kind)i;
		(void)snprintf(e->method, sizeof(e->method), "%s", rest + word + 1);
		m->edit_count++;
		return;
	}
}

static void
do_lost_all(void *arg, const char *rest)
{
	((struct maker *)arg)->no_end = true;
}

static void
do_closed(void *arg, const char *rest)
{
	script_add(&((struct maker *)arg)->plan->script, STEP_MARK, MARK_CLOSED);
}

static void
do_close_socket(void *arg, const char *rest)
{
	script_add(&((struct maker *)arg)->plan->script, STEP_MARK, MARK_CLOSE);
}

const char *const garbage_frames[] = {
	"not json",
	"",
	"[]",
	"[{\"id\":1,\"result\":{}}]",
	"null",
	"{\"method\":\"no/such/notification\",\"params\":{\"a\":[1,2,3]}}",
	"{\"method\":42}",
	"{\"method\":\"item/agentMessage/delta\",\"params\":null}",
	"{\"method\":\"item/agentMessage/delta\"}",
	"{\"method\":\"turn/completed\",\"params\":{\"threadId\":7}}",
	"{\"method\":\"item/agentMessage/delta\",\"params\":{\"threadId\":\"stranger\","
	"\"turnId\":\"t\",\"itemId\":\"i\",\"delta\":\"never\"},\"emittedAtMs\":1}",
	"{\"id\":987654321,\"result\":{}}",
	"{\"id\":\"text\",\"result\":{}}",
	"{\"id\":null,\"error\":{\"code\":-32600,\"message\":\"x\"}}",
	"{\"method\":\"item/agentMessage/delta\",\"params\":{\"threadId\":\"\\ud800\"}}",
	NULL,
};

static void
do_garbage(void *arg, const char *rest)
{
	struct maker *m = arg;

	script_add(&m->plan->script, STEP_MARK, MARK_BINARY);
	for (const char *const *f = garbage_frames; *f != NULL; f++)
		script_send(&m->plan->script, *f, strlen(*f), 1);
}

/* One that belongs to somebody else. */
static void
strange_notes(struct maker *m, const char *thread, const char *turn)
{
	NOTE(m, "item/agentMessage/delta", IDS ",\"itemId\":\"msg_x\",\"delta\":\"not yours\"",
	     thread, turn);
	NOTE(m, "rawResponseItem/completed",
	     IDS ",\"item\":{\"type\":\"function_call\",\"id\":\"fc_x\",\"name\":\"f\","
	         "\"arguments\":\"{}\",\"call_id\":\"call_x\"}",
	     thread, turn);
	NOTE(m, "rawResponse/completed", IDS ",\"responseId\":\"resp_x\",\"usage\":" USAGE, thread,
	     turn);
	NOTE(m, "error",
	     "\"error\":{\"message\":\"not yours\",\"codexErrorInfo\":\"other\"},"
	     "\"willRetry\":false," IDS,
	     thread, turn);
	NOTE(m, "turn/completed",
	     "\"threadId\":\"%s\",\"turn\":{\"id\":\"%s\",\"items\":[],\"status\":\"failed\","
	     "\"error\":{\"message\":\"not yours\",\"codexErrorInfo\":\"other\"}}",
	     thread, turn);
}

static void
do_stranger(void *arg, const char *rest)
{
	static const char thread[] = "01a2074f-ffff-7000-8000-ffffffffffff";
	struct maker *m = arg;

	strange_notes(m, thread, "01a2074f-eeee-7000-8000-ffffffffffff");
	strange_notes(m, thread, m->turn);
	strange_notes(m, m->thread, "01a2074f-eeee-7000-8000-ffffffffffff");
	NOTE(m, "thread/closed", "\"threadId\":\"%s\"", thread);
}

static void
do_dup(void *arg, const char *rest)
{
	((struct maker *)arg)->plan->twice = true;
}

static void
add_fault(struct maker *m, const char *rest, bool mute)
{
	struct fault f = {.times = 1};

	if (m->plan->fault_count == TURN_FAULTS_MAX ||
	    sscanf(rest, "%47s %d", f.method, &f.code) < 1)
		return;
	if (mute)
		f.code = 0;
	m->plan->faults[m->plan->fault_count++] = f;
}

static void
do_rpc_error(void *arg, const char *rest)
{
	add_fault(arg, rest, false);
}

static void
do_mute(void *arg, const char *rest)
{
	add_fault(arg, rest, true);
}

static void
do_server_request(void *arg, const char *rest)
{
	static unsigned ids; /* the server's own sequence, as codex has one for all connections */
	struct maker *m = arg;

	add_frame(m,
	          text_printf("{\"method\":\"%s\",\"id\":%u,\"params\":{" IDS
	                      ",\"callId\":\"call_x\",\"namespace\":null,\"tool\":\"t\","
	                      "\"arguments\":{}}}",
	                      rest, ids++, IDS_OF(m)),
	          true);
}

static const struct directive directives[] = {
	{"!say",            do_say           },
	{"!part",           do_part          },
	{"!flood",          do_flood         },
	{"!burst",          do_burst         },
	{"!tool",           do_tool          },
	{"!reason",         do_reason        },
	{"!wait",           do_wait          },
	{"!silence",        do_silence       },
	{"!retry",          do_retry         },
	{"!fail",           do_fail          },
	{"!early",          do_early         },
	{"!deltas-first",   do_deltas_first  },
	{"!lost-completed", do_lost_completed},
	{"!endless",        do_endless       },
	{"!lost-all",       do_lost_all      },
	{"!event",          do_event         },
	{"!closed",         do_closed        },
	{"!close-socket",   do_close_socket  },
	{"!garbage",        do_garbage       },
	{"!stranger",       do_stranger      },
	{"!dup",            do_dup           },
	{"!rpc-error",      do_rpc_error     },
	{"!mute",           do_mute          },
	{"!server-request", do_server_request},
};

#define TURN_FMT                                                                                   \
	"{\"id\":\"%s\",\"rootTurnId\":\"%s\",\"items\":[%s],\"itemsView\":\"%s\",\"status\":"     \
	"\"%s\",\"error\":%s,\"startedAt\":%lld,\"completedAt\":%s,\"durationMs\":%s}"

static void
add_started(struct maker *m)
{
	NOTE(m, "turn/started", "\"threadId\":\"%s\",\"turn\":" TURN_FMT, m->thread, m->turn,
	     m->turn, "", "notLoaded", "inProgress", "null", now_ms() / 1000, "null", "null");
}

static void
add_end(struct maker *m)
{
	AUTO_FREE char *at = text_printf("%lld", now_ms() / 1000);

	if (m->no_end)
		return;
	if (m->error == NULL) {
		NOTE(m, "rawResponse/completed",
		     IDS ",\"responseId\":\"resp_1\",\"usage\":" USAGE
		         ",\"usageMetadata\":{\"amount\":null,\"metadata\":{}}",
		     IDS_OF(m));
		if (m->waits)
			return; /* the model's calls are out: the turn goes on when they are
			           answered */
		NOTE(m, "thread/tokenUsage/updated",
		     IDS ",\"tokenUsage\":{\"total\":" USAGE ",\"last\":" USAGE
		         ",\"modelContextWindow\":258400}",
		     IDS_OF(m));
	}
	if (m->endless)
		return;
	if (m->no_completed) {
		script_add(&m->plan->script, STEP_MARK, MARK_ENDED);
		return;
	}
	NOTE(m, "turn/completed", "\"threadId\":\"%s\",\"turn\":" TURN_FMT, m->thread, m->turn,
	     m->turn, m->error == NULL && m->last_item != NULL ? m->last_item : "",
	     m->error == NULL ? "summary" : "notLoaded", m->error == NULL ? "completed" : "failed",
	     m->error == NULL ? "null" : m->error, now_ms() / 1000, at, "20");
	script_add(&m->plan->script, STEP_MARK, MARK_ENDED);
}

static void
answer(struct maker *m, const char *said)
{
	if (directives_run(directives, NELEM(directives), said, m) == 0) {
		AUTO_FREE char *text = text_printf("You said: %s", said);

		begin_message(m);
		add_frame(m, delta_frame(m, text), true);
		end_message(m, text);
	}
}

/* Moves the content's steps behind what is there already. */
static void
append(struct script *to, struct script *from)
{
	for (size_t i = 0; i < from->count; i++) {
		script_add(to, STEP_STALL, 0);
		to->steps[to->count - 1] = from->steps[i];
	}
	from->count = 0;
	script_free(from);
}

/* Said before, of the messages that this was asked of. */
static bool
was_seen(const char *said)
{
	static json_t *seen;
	bool before;

	if (seen == NULL)
		seen = json_object();
	before = json_object_get(seen, said) != NULL;
	(void)json_object_set_new(seen, said, json_true());
	return before;
}

void
turn_plan_make(struct turn_plan *p, const json_t *items, const char *thread_id, const char *turn_id)
{
	AUTO_FREE char *said = items_last_user_text(items);
	struct maker m = {.plan = p, .thread = thread_id, .turn = turn_id};
	struct script content;

	*p = (struct turn_plan){0};
	/* Where the answer of turn/start goes is known only when every directive has been read. */
	answer(&m, said != NULL ? said : "");
	content = p->script;
	p->script = (struct script){0};
	if (!m.early && !m.deltas_first)
		script_add(&p->script, STEP_MARK, MARK_RESPOND);
	if (!m.deltas_first)
		add_started(&m);
	append(&p->script, &content);
	if (m.early || m.deltas_first)
		script_add(&p->script, STEP_MARK, MARK_RESPOND);
	if (m.deltas_first)
		add_started(&m);
	add_end(&m);
	for (size_t i = 0; i < m.edit_count; i++) {
		if (m.edits[i].kind == EDIT_CUT && was_seen(said))
			continue;
		script_edit(&p->script, m.edits[i].kind, m.edits[i].method, MARK_RESPOND,
		            MARK_CLOSE);
	}
	free(m.last_item);
	free(m.error);
}

void
turn_plan_free(struct turn_plan *p)
{
	script_free(&p->script);
	*p = (struct turn_plan){0};
}

char *
turn_interrupted_frame(const char *thread_id, const char *turn_id)
{
	AUTO_FREE char *at = text_printf("%lld", now_ms() / 1000);

	return text_printf(
		"{\"method\":\"turn/completed\",\"params\":{\"threadId\":\"%s\",\"turn\":" TURN_FMT
		"},\"emittedAtMs\":%lld}",
		thread_id, turn_id, turn_id, "", "notLoaded", "interrupted", "null",
		now_ms() / 1000, at, "20", now_ms());
}
