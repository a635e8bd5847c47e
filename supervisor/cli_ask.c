/* cli_ask: how a command finds a running supervisor, asks it, and listens to it. */
#include "supervisor/cli_ask.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/control_conn.h"
#include "common/control_places.h"
#include "common/exit_code.h"
#include "supervisor/text.h"

/* --- where it is ---------------------------------------------------------------------------- */

static void
tell_tried(const struct control_places *p, size_t last)
{
	(void)fprintf(stderr, "codex-supervisor: no supervisor answers. Tried:\n");
	for (size_t i = 0; i < p->count && i <= last; i++)
		(void)fprintf(stderr, "  %s: %s\n", p->path[i], strerror(-p->failed[i]));
}

void
cli_put_text(const char *text)
{
	AUTO_FREE char *clean = text != NULL ? strdup(text) : NULL;

	if (clean == NULL)
		return;
	text_clean(clean);
	(void)fputs(clean, stdout);
}

/* --- one question --------------------------------------------------------------------------- */

int
cli_ask(const struct cli_options *o, const char *method, json_t *params, unsigned timeout_ms,
        json_t **result)
{
	struct control_places p = control_places(o->socket);
	struct err err = {.code = 0};
	int code = EXIT_UNREACHABLE, r;
	size_t last = 0;

	r = control_places_ask(&p, &last, result, method, params, timeout_ms, &err);
	if (r == 0) {
		code = EXIT_WELL;
	} else if (r == -EPROTO) {
		(void)fprintf(stderr, "codex-supervisor: %s\n", err.text);
		code = EXIT_NOT_WELL;
	} else {
		tell_tried(&p, last);
	}
	control_places_free(&p);
	return code;
}

/* --- a stream ------------------------------------------------------------------------------- */

struct listening {
	const struct cli_options *options;
	const struct cli_stream *stream;
	int r;    /* of connecting */
	int code; /* to exit with */
	bool answered;
	bool told; /* why it ended */
};

static void
end_if_unheard(struct control_conn *conn)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		control_conn_close(conn); /* nobody reads us any more */
}

static void
on_answer(void *arg, json_t *result, int code, const char *message)
{
	struct control_conn *conn = arg;
	struct listening *l = control_conn_data(conn);

	if (result != NULL) {
		l->answered = true;
		l->code = EXIT_WELL;
		if (l->stream->on_result != NULL)
			l->stream->on_result(l->options, result);
		end_if_unheard(conn);
	} else {
		(void)fprintf(stderr, "codex-supervisor: %s\n", message);
		l->told = true;
		l->code = code == CONTROL_DISCONNECTED || code == CONTROL_TIMEOUT ? EXIT_UNREACHABLE
		                                                                  : EXIT_NOT_WELL;
	}
	if (result == NULL || !l->stream->follow)
		control_conn_close(conn);
}

static void
on_notification(void *arg, struct control_conn *conn, const char *method, json_t *params)
{
	struct listening *l = arg;

	if (!l->answered || !l->stream->follow)
		return;
	l->stream->on_notification(l->options, method, params);
	end_if_unheard(conn);
}

static void
on_closed(void *arg, struct control_conn *conn)
{
	struct listening *l = arg;

	if (!l->answered || !l->stream->follow || l->told || ferror(stdout))
		return;
	(void)fprintf(stderr, "codex-supervisor: the supervisor has ended the connection\n");
	l->code = EXIT_UNREACHABLE;
}

static void
on_connected(void *arg, struct control_conn *conn, int status)
{
	struct listening *l = arg;

	l->r = status;
	if (status < 0)
		return;
	control_conn_set_data(conn, l);
	control_call(conn, l->stream->method, json_incref(l->stream->params), CLI_ANSWER_MS,
	             on_answer, conn);
}

/* Returns how connecting went; after 0, l->code is known. */
static int
listen_to(struct listening *l, const char *path)
{
	static const struct control_handlers handlers = {
		.on_notification = on_notification,
		.on_closed = on_closed,
	};
	struct control_conn *conn;
	uv_loop_t loop;
	int r = uv_loop_init(&loop);

	if (r < 0)
		return r;
	l->r = control_conn_connect(&conn, &loop, path, on_connected, &handlers, l);
	(void)uv_run(&loop, UV_RUN_DEFAULT); /* until all is closed */
	r = uv_loop_close(&loop);
	assert(r == 0); /* a handle that nobody closed */
	return l->r;
}

int
cli_stream(const struct cli_options *o, const struct cli_stream *stream)
{
	struct control_places p = control_places(o->socket);
	struct listening l = {.options = o, .stream = stream, .code = EXIT_UNREACHABLE};
	int r = -ENOENT;
	size_t i;

	for (i = 0; i < p.count; i++) {
		r = listen_to(&l, p.path[i]);
		p.failed[i] = r;
		if (!control_places_is_empty(r))
			break;
	}
	if (r < 0)
		tell_tried(&p, i);
	control_places_free(&p);
	return l.code;
}
