/* control_client: ask one question of a control socket and wait. */
#include "common/control_client.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "common/control_conn.h"

struct question {
	const char *path;
	const char *method;
	json_t *params; /* until it is sent */
	unsigned timeout_ms;
	json_t *result;
	int code; /* of the answer */
	int r;
	struct err *err;
};

static void
on_answer(void *arg, json_t *result, int code, const char *message)
{
	struct question *q = arg;

	if (result != NULL) {
		q->result = json_incref(result);
		q->r = 0;
		return;
	}
	q->code = code;
	q->r = code == CONTROL_TIMEOUT        ? -ETIMEDOUT
	       : code == CONTROL_DISCONNECTED ? -ECONNRESET
	                                      : -EPROTO;
	if (q->r == -EPROTO)
		(void)err_set(q->err, q->r, "%s", message);
	else
		(void)err_set(q->err, q->r, "%s: %s", q->path, message);
}

static void
on_answer_then_close(void *arg, json_t *result, int code, const char *message)
{
	struct control_conn *conn = arg;

	on_answer(control_conn_data(conn), result, code, message);
	control_conn_close(conn);
}

static void
on_connected(void *arg, struct control_conn *conn, int status)
{
	struct question *q = arg;

	if (status < 0) {
		q->r = err_set(q->err, status, "%s: %s", q->path, strerror(-status));
		return;
	}
	control_conn_set_data(conn, q);
	control_call(conn, q->method, q->params, q->timeout_ms, on_answer_then_close, conn);
	q->params = NULL;
}

int
control_ask(json_t **result, const char *path, const char *method, json_t *params,
            unsigned timeout_ms, int *rpc_code, struct err *err)
{
	static const struct control_handlers handlers = {.on_request = NULL};
	struct question q = {.path = path,
	                     .method = method,
	                     .params = params,
	                     .timeout_ms = timeout_ms,
	                     .r = -ECONNRESET,
	                     .err = err};
	struct control_conn *conn;
	void (*on_sigpipe)(int);
	uv_loop_t loop;
	int r = uv_loop_init(&loop);

	if (r < 0) {
		json_decref(params);
		return err_set(err, r, "%s", strerror(-r));
	}
	r = control_conn_connect(&conn, &loop, path, on_connected, &handlers, &q);
	if (r < 0)
		q.r = err_set(err, r, "%s: %s", path, strerror(-r));
	/* who refuses us has closed before we ask: that is an error, and not our end */
	on_sigpipe = signal(SIGPIPE, SIG_IGN);
	(void)uv_run(&loop, UV_RUN_DEFAULT); /* until all is closed */
	(void)signal(SIGPIPE, on_sigpipe);
	r = uv_loop_close(&loop);
	assert(r == 0); /* a handle that nobody closed */
	json_decref(q.params);
	if (q.r == 0)
		*result = q.result;
	else if (q.r == -EPROTO && rpc_code != NULL)
		*rpc_code = q.code;
	return q.r;
}
