/* codex_kit: a pool of backends on a real loop, against fake app-servers on unix sockets. */
#ifndef SIDECAR_TESTS_CODEX_KIT_H
#define SIDECAR_TESTS_CODEX_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/json.h"
#include "common/log.h"
#include "proxy/codex/backend.h"
#include "proxy/codex/thread.h"
#include "tests/unit/patience.h"

#define PATIENCE_MS 20000 /* a test that waits longer has failed */
#define GRACE_MS    200
#define CALL_MS     5000
#define SAID_MAX    1024

static uv_loop_t loop;
static uv_timer_t watchdog;
static struct backend_pool *pool;
static unsigned changes; /* how often on_change was called */
static char dir[64];
static char build_dir[256]; /* where fake-app-server is */

static struct thread_config thread_config = {.workspace = "/tmp",
                                             .base_instructions = "",
                                             .call_timeout_ms = CALL_MS,
                                             .completion_grace_ms = GRACE_MS};

/* The loop's turns until cond; each may wait for an event. */
#define RUN_UNTIL(cond)                                                                            \
	while (!(cond))                                                                            \
	(void)uv_run(&loop, UV_RUN_ONCE)

static inline void
on_time(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

/* For what must not happen: nothing can be waited for then. */
static inline void
run_for(uint64_t ms)
{
	bool over = false;
	uv_timer_t timer = {.data = &over};

	assert_int_equal(uv_timer_init(&loop, &timer), 0);
	assert_int_equal(uv_timer_start(&timer, on_time, ms, 0), 0);
	RUN_UNTIL(over);
	uv_close((uv_handle_t *)&timer, NULL);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
}

/* --- a fake app-server ---------------------------------------------------------------------- */

struct fake_server {
	pid_t pid;
	int orders;    /* its stdin */
	int told;      /* its stdout: what its clients say, one message a line */
	char url[128]; /* unix:// */
	char *heard;
	size_t heard_len;
	unsigned done; /* orders that it has confirmed */
	uv_poll_t poll;
};

static inline void
on_told(uv_poll_t *poll, int status, int events)
{
	struct fake_server *f = poll->data;
	char piece[4096];
	ssize_t n = read(f->told, piece, sizeof(piece));

	if (n <= 0) {
		(void)uv_poll_stop(poll);
		return;
	}
	f->heard = realloc(f->heard, f->heard_len + (size_t)n + 1);
	memcpy(f->heard + f->heard_len, piece, (size_t)n);
	f->heard_len += (size_t)n;
	f->heard[f->heard_len] = '\0';
}

/* How often its clients have said something that contains text (or the other text). */
static inline unsigned
heard(const struct fake_server *f, const char *text)
{
	unsigned n = 0;

	for (const char *at = f->heard; at != NULL && (at = strstr(at, text)) != NULL; at++)
		n++;
	return n;
}

/* name: of the socket. orders: NULL, or --on arguments, NULL at the end. */
static inline void
fake_start(struct fake_server *f, const char *name, const char *const *orders)
{
	static char listen_on[] = "--listen", record[] = "--record", stdout_[] = "-",
		    control[] = "--control", die[] = "--die-with-parent", on[] = "--on";
	char program[300];
	char *argv[24] = {program, listen_on, f->url, record, stdout_, control, die};
	int in[2], out[2], argc = 7;
	posix_spawn_file_actions_t files;

	memset(f, 0, sizeof(*f));
	(void)snprintf(program, sizeof(program), "%s/fake-app-server", build_dir);
	(void)snprintf(f->url, sizeof(f->url), "unix://%s/%s", dir, name);
	while (orders != NULL && *orders != NULL) {
		argv[argc++] = on;
		argv[argc++] = strdup(*orders++);
	}
	argv[argc] = NULL;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(posix_spawn_file_actions_init(&files), 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&files, in[0], STDIN_FILENO), 0);
	assert_int_equal(posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO), 0);
	if (posix_spawn(&f->pid, program, &files, NULL, argv, environ) != 0)
		fail_msg("%s: cannot be started", program);
	(void)posix_spawn_file_actions_destroy(&files);
	while (argc > 7) {
		free(argv[--argc]);
		argc--;
	}
	(void)close(in[0]);
	(void)close(out[1]);
	f->orders = in[1];
	f->told = out[0];
	assert_int_equal(uv_poll_init(&loop, &f->poll, f->told), 0);
	f->poll.data = f;
	assert_int_equal(uv_poll_start(&f->poll, UV_READABLE, on_told), 0);
	RUN_UNTIL(heard(f, "listening on") == 1);
}

/* "drop", "mute METHOD", ...: done when it returns. */
static inline void
fake_order(struct fake_server *f, const char *order)
{
	char line[128], confirmation[140];
	unsigned before;

	(void)snprintf(line, sizeof(line), "%s\n", order);
	(void)snprintf(confirmation, sizeof(confirmation), "done %s", line);
	before = heard(f, confirmation);
	assert_int_equal(write(f->orders, line, strlen(line)), strlen(line));
	RUN_UNTIL(heard(f, confirmation) == before + 1);
}

static inline void
fake_kill(struct fake_server *f)
{
	int status;

	if (f->pid == 0)
		return;
	(void)kill(f->pid, SIGKILL);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	f->pid = 0;
	uv_close((uv_handle_t *)&f->poll, NULL);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	(void)close(f->orders);
	(void)close(f->told);
	(void)unlink(f->url + strlen("unix://"));
	free(f->heard);
	f->heard = NULL;
}

/* --- what a turn says ----------------------------------------------------------------------- */

struct caller {
	struct thread *thread;
	struct conversation *conversation;
	char text[SAID_MAX]; /* escaped */
	char reasoning[SAID_MAX];
	char reasoned[SAID_MAX]; /* "ENCRYPTED|" each */
	char spaces[SAID_MAX];   /* "NAMESPACE|" of each call; "-": none */
	unsigned last_item, last_part;
	enum message_phase phase;
	char calls[SAID_MAX]; /* "name(arguments)#call_id " in the order of their index */
	unsigned tool_calls;
	unsigned started, events, ends;
	bool finished;
	enum finish_reason finish;
	struct failure failure;
	struct usage usage;
	unsigned usages;
	char model[64]; /* that really answers */
	/* called first with each event */
	void (*on_event)(struct caller *c, const struct event *event);
};

static inline void
append_text(char *to, const char *text, size_t len)
{
	size_t at = strlen(to);

	assert_true(at + len < SAID_MAX);
	memcpy(to + at, text, len);
	to[at + len] = '\0';
}

static inline void
note_end(struct caller *c)
{
	c->ends++;
	c->thread = NULL;
	conversation_free(c->conversation); /* it was borrowed until now, and no longer */
	c->conversation = NULL;
}

static inline void
note_call(struct caller *c, const struct event *e)
{
	char text[SAID_MAX];

	assert_int_equal(e->tool_call.index, c->tool_calls++);
	(void)snprintf(text, sizeof(text), "%s(%.*s)#%s ", e->tool_call.name,
	               (int)e->tool_call.arguments_len, e->tool_call.arguments,
	               e->tool_call.call_id);
	append_text(c->calls, text, strlen(text));
	(void)snprintf(text, sizeof(text), "%s|",
	               e->tool_call.space != NULL ? e->tool_call.space : "-");
	append_text(c->spaces, text, strlen(text));
}

static inline void
hear_event(void *arg, const struct event *e)
{
	struct caller *c = arg;

	assert_int_equal(c->ends, 0); /* nothing comes after the end */
	c->events++;
	if (c->on_event != NULL)
		c->on_event(c, e);
	switch (e->kind) {
	case EVENT_STARTED:
		c->started++;
		break;
	case EVENT_TEXT:
		assert_int_equal(c->started, 1);
		append_text(c->text, e->text.escaped, e->text.len);
		c->last_item = e->text.item;
		c->phase = e->text.phase;
		break;
	case EVENT_REASONING:
		append_text(c->reasoning, e->text.escaped, e->text.len);
		c->last_part = e->text.item;
		break;
	case EVENT_REASONED:
		append_text(c->reasoned, e->reasoned.encrypted, strlen(e->reasoned.encrypted));
		append_text(c->reasoned, "|", 1);
		break;
	case EVENT_TOOL_CALL:
		note_call(c, e);
		break;
	case EVENT_USAGE:
		c->usage = e->usage;
		c->usages++;
		break;
	case EVENT_FINISHED:
		c->finished = true;
		c->finish = e->finish;
		note_end(c);
		break;
	case EVENT_FAILED:
		c->failure = *e->failure;
		note_end(c);
		break;
	case EVENT_ADMITTED:
	case EVENT_RESTARTED:
		break;
	case EVENT_MODEL:
		(void)snprintf(c->model, sizeof(c->model), "%s", e->model);
		break;
	}
}

/* said: the user's message, which tells the fake what to do. */
static inline void
begin(struct caller *c, struct backend *b, const char *said)
{
	assert_non_null(b);
	c->conversation = conversation_new();
	c->conversation->model = strdup("gpt-5.5");
	c->conversation->items = json_pack("[{s:s,s:s,s:[{s:s,s:s}]}]", "type", "message", "role",
	                                   "user", "content", "type", "input_text", "text", said);
	assert_non_null(c->conversation->items);
	c->thread = thread_begin(b, &thread_config, c->conversation, hear_event, c);
	assert_non_null(c->thread);
	assert_int_equal(c->events, 0); /* never from inside */
}

static inline void
cancel(struct caller *c)
{
	thread_cancel(c->thread);
	c->thread = NULL;
	conversation_free(c->conversation);
	c->conversation = NULL;
}

/* --- the pool ------------------------------------------------------------------------------- */

static inline void
count_change(void *arg)
{
	(*(unsigned *)arg)++;
}

static inline struct backend_pool *
new_pool(uint64_t sweep_interval_ms, uint64_t stranger_turn_ms)
{
	const struct backend_pool_config config = {.loop = &loop,
	                                           .client_version = "0",
	                                           .sweep_interval_ms = sweep_interval_ms,
	                                           .stranger_turn_ms = stranger_turn_ms,
	                                           .on_change = count_change,
	                                           .arg = &changes};
	struct backend_pool *p = NULL;

	assert_int_equal(backend_pool_new(&p, &config, NULL), 0);
	return p;
}

static inline void
on_pool_closed(void *arg)
{
	*(bool *)arg = true;
}

static inline void
close_pool(struct backend_pool **p)
{
	bool closed = false;

	if (*p == NULL)
		return;
	backend_pool_close(*p, on_pool_closed, &closed);
	RUN_UNTIL(closed);
	*p = NULL;
}

static inline void
connect_backend(int id, const struct fake_server *f, int64_t generation)
{
	backend_up(pool, id, f->url, generation);
	RUN_UNTIL(backend_usable(backend_find(pool, id)));
}

/* --- every test ----------------------------------------------------------------------------- */

static inline void
on_watchdog(uv_timer_t *timer)
{
	fail_msg("waited too long");
}

static inline int
setup(void **state)
{
	/* what the code under test warns about is expected here */
	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(dir, sizeof(dir), "/tmp/test-codex-XXXXXX");
	if (mkdtemp(dir) == NULL || uv_loop_init(&loop) != 0)
		return -1;
	(void)uv_timer_init(&loop, &watchdog);
	(void)uv_timer_start(&watchdog, on_watchdog, patience(PATIENCE_MS), 0);
	changes = 0;
	thread_config.transcript = false;
	thread_config.call_timeout_ms = CALL_MS;
	thread_config.completion_grace_ms = GRACE_MS;
	pool = new_pool(3600000, 3600000);
	return 0;
}

static inline int
teardown(void **state)
{
	close_pool(&pool);
	uv_close((uv_handle_t *)&watchdog, NULL);
	while (uv_loop_alive(&loop))
		(void)uv_run(&loop, UV_RUN_DEFAULT);
	if (rmdir(dir) != 0)
		return -1;
	return uv_loop_close(&loop); /* 0: no handle was left open */
}

/* Tests live in BUILD/tests, the fake in BUILD. */
static inline void
find_build(const char *program)
{
	const char *from = getenv("SIDECAR_BUILD");
	const char *slash = strrchr(program, '/');

	if (from != NULL)
		(void)snprintf(build_dir, sizeof(build_dir), "%s", from);
	else
		(void)snprintf(build_dir, sizeof(build_dir), "%.*s/..",
		               slash != NULL ? (int)(slash - program) : 1,
		               slash != NULL ? program : ".");
}

#endif
