/* lws_context: the one libwebsockets context of the process, on our own libuv loop. */
#include "proxy/lws_context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/exit_code.h"
#include "common/log.h"

/* Every answer has left before, or had its time. */
#define SHUTDOWN_MS 1500

/* libwebsockets sizes its tables by the limit of open files. Containers set that to a million and
 * more; nobody needs more than this here. */
#define OPEN_FILES_MAX 65536

/* The longest request head. Node takes 16 KiB as well. */
#define REQUEST_HEAD_MAX 16384

/* One read of a socket: a request body arrives in pieces of this. */
#define READ_MAX 32768

/* What libwebsockets complains of is mostly what clients send: a flood of it must not fill the
 * log. */
#define LINES_PER_SECOND 10

/* Set to NULL by libwebsockets when the context is freed: only it knows in which of the two
 * destroy calls that is. */
static struct lws_context *live;

static void
on_line(int level, const char *line)
{
	static time_t second;
	static unsigned lines;
	time_t now = time(NULL);

	if (now != second) {
		second = now;
		lines = 0;
	}
	if (lines++ < LINES_PER_SECOND)
		log_warning("libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

static void
set_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max < OPEN_FILES_MAX ? limit.rlim_max : OPEN_FILES_MAX;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("open files: %s, going on with the limit as it is", strerror(errno));
}

/* Where some of these allocations fail libwebsockets crashes, or goes on with half a context and
 * crashes later. Nothing was begun that this end could harm. */
static bool making;

static struct {
	void (*fn)(void *arg);
	void *arg;
} on_shortage;

static void *
allocate(void *old, size_t size, const char *what)
{
	void *p;

	if (size == 0) {
		free(old);
		return NULL;
	}
	p = realloc(old, size);
	if (p == NULL && making) {
		log_error("not started: out of memory (libwebsockets: %s)", what);
		_exit(EXIT_GAVE_UP);
	}
	if (p == NULL && on_shortage.fn != NULL)
		on_shortage.fn(on_shortage.arg);
	return p;
}

void
lws_context_on_shortage(void (*fn)(void *arg), void *arg)
{
	on_shortage.fn = fn;
	on_shortage.arg = arg;
}

static int
open_context(struct lws_context **out, uv_loop_t *loop, uint64_t options, struct err *err)
{
	struct lws_context_creation_info info;
	void *loops[1] = {loop};

	set_open_files();
	lws_set_log_level(LLL_ERR | LLL_WARN, on_line);
	memset(&info, 0, sizeof(info));
	info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS | options;
	info.foreign_loops = loops;
	info.pcontext = &live;
	info.uid = (uid_t)-1;
	info.gid = (gid_t)-1;
	info.max_http_header_data = REQUEST_HEAD_MAX;
	info.pt_serv_buf_size = READ_MAX;
	info.timeout_secs = LWS_STALL_SECS;
	lws_context_on_shortage(NULL, NULL);
	lws_set_allocator(allocate);
	making = true;
	live = lws_create_context(&info);
	making = false;
	if (live == NULL)
		return err_set(err, -ENOMEM, "libwebsockets: the context could not be made");
	*out = live;
	return 0;
}

int
lws_context_open(struct lws_context **out, uv_loop_t *loop, struct err *err)
{
	return open_context(out, loop, 0, err);
}

int
lws_context_open_tls(struct lws_context **out, uv_loop_t *loop, struct err *err)
{
	return open_context(out, loop, LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT, err);
}

/* A uv_stop() that was asked for earlier ends one uv_run() before its time. */
static void
drain(uv_loop_t *loop, const bool *late)
{
	while (uv_loop_alive(loop) && !*late)
		(void)uv_run(loop, UV_RUN_DEFAULT); /* loop_alive is the condition */
}

static void
on_late(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
	uv_stop(timer->loop);
}

bool
lws_context_shutdown(struct lws_context *ctx, uv_loop_t *loop)
{
	bool late = false;
	uv_timer_t timer;

	if (ctx == NULL)
		return true;
	(void)uv_timer_init(loop, &timer); /* cannot fail, as all that is done with it */
	timer.data = &late;
	(void)uv_timer_start(&timer, on_late, SHUTDOWN_MS, 0);
	uv_unref((uv_handle_t *)&timer);
	lws_set_log_level(0, NULL); /* it logs its own stopping as an error */
	lws_context_destroy(ctx);   /* begins: closes every connection */
	drain(loop, &late);
	if (live != NULL && !late)
		lws_context_destroy(live); /* ends: frees */
	uv_close((uv_handle_t *)&timer, NULL);
	live = NULL;
	if (late)
		return false;
	drain(loop, &late);
	return true;
}
