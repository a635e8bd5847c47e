/* The control socket: each line that asks gets one answer, whatever pieces it comes in.
 *
 * Input: a line whose bytes say how long the pieces are, then what a peer sends. */
#include "common/control_conn.h"

#include <string.h>

#include "tests/fuzz/control_peer.h"

#define INPUT_MAX ((size_t)48 << 10) /* fits into the socket's buffer, and so do the answers */
#define LINES_MAX 200

static struct {
	struct control_conn *conn;
	unsigned requests, notifications;
	bool closed;
} peer;

/* --- our side ------------------------------------------------------------------------------- */

static void
on_request(void *arg, struct control_conn *conn, struct control_request *req, const char *method,
           json_t *params)
{
	peer.requests++;
	HOLDS(conn == peer.conn && method[0] != '\0');
	HOLDS(params == NULL || json_is_object(params));
	if (strcmp(method, "wrong") == 0)
		control_reply_error(req, CONTROL_FAILED, "no %s", method);
	else
		control_reply(req, params != NULL ? json_incref(params) : json_null());
}

static void
on_notification(void *arg, struct control_conn *conn, const char *method, json_t *params)
{
	peer.notifications++;
	HOLDS(conn == peer.conn && method[0] != '\0');
}

static void
on_closed(void *arg, struct control_conn *conn)
{
	HOLDS(!peer.closed);
	peer.closed = true;
}

static const struct control_handlers handlers = {
	.on_request = on_request, .on_notification = on_notification, .on_closed = on_closed};

static void
on_connection(uv_stream_t *stream, int status)
{
	HOLDS(status == 0 && peer.conn == NULL);
	HOLDS(control_conn_accept(&peer.conn, stream, &handlers, NULL) == 0);
}

/* --- the peer's side ------------------------------------------------------------------------ */

static int
connect_peer(void)
{
	int fd = connect_to_control();

	while (peer.conn == NULL)
		(void)uv_run(&loop, UV_RUN_ONCE);
	return fd;
}

/* All that was answered, until our side has closed. */
static void
read_answers(int fd, struct json_buf *out)
{
	char piece[4096];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT)) != 0) {
		if (n > 0)
			json_buf_append(out, piece, (size_t)n);
		else
			(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
}

static void
send_all(int fd, const char *text, size_t len, const char *cuts, size_t cuts_len,
         struct json_buf *answers)
{
	size_t n = 0, sent = 0;
	char piece[4096];
	ssize_t got;

	while (sent < len) {
		size_t part =
			cuts_len > 0 && n < 16 ? (unsigned char)cuts[n++ % cuts_len] + 1U : len;

		if (part > len - sent)
			part = len - sent;
		HOLDS(send(fd, text + sent, part, MSG_NOSIGNAL) == (ssize_t)part);
		sent += part;
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	while ((got = recv(fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0)
		json_buf_append(answers, piece, (size_t)got);
	HOLDS(shutdown(fd, SHUT_WR) == 0);
}

/* --- what must come of it ------------------------------------------------------------------- */

/* The code of the error that the line deserves; 0: it is well, 1: it is a notification or an
 * answer, of which nothing is said. By the specification, and not by the code. */
static int
verdict(const json_t *root)
{
	static const char *const call_members[] = {"jsonrpc", "id", "method", "params"};
	const json_t *id = json_object_get(root, "id");
	const json_t *method = json_object_get(root, "method");
	const json_t *params = json_object_get(root, "params");
	const char *version = json_string_value(json_object_get(root, "jsonrpc"));
	size_t known = 0;

	if (root == NULL)
		return CONTROL_PARSE_ERROR;
	if (!json_is_object(root) || version == NULL || strcmp(version, "2.0") != 0 ||
	    json_string_length(json_object_get(root, "jsonrpc")) != 3)
		return CONTROL_INVALID_REQUEST;
	if (id != NULL && !json_is_string(id) && !json_is_integer(id) && !json_is_null(id))
		return CONTROL_INVALID_REQUEST;
	if (method == NULL)
		return 1; /* an answer of some kind: see below */
	for (size_t i = 0; i < NELEM(call_members); i++)
		known += json_object_get(root, call_members[i]) != NULL;
	if (known != json_object_size(root) || !json_is_string(method) ||
	    json_string_length(method) == 0 ||
	    strlen(json_string_value(method)) != json_string_length(method) || json_is_null(id) ||
	    (params != NULL && !json_is_object(params)))
		return CONTROL_INVALID_REQUEST;
	return id != NULL ? 0 : 1;
}

/* The answer to a call that is well, or wrong in this way. */
static void
check_answer(const json_t *root, int code, const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");
	const json_t *params = json_object_get(root, "params");
	const char *method = json_string_value(json_object_get(root, "method"));

	HOLDS(strcmp(json_get_string(answer, "jsonrpc"), "2.0") == 0);
	HOLDS(json_object_size(answer) == 3);
	if (code == 0 && strcmp(method, "wrong") == 0)
		code = CONTROL_FAILED;
	if (code == 0) {
		HOLDS(error == NULL);
		HOLDS(json_equal(json_object_get(answer, "id"), json_object_get(root, "id")));
		HOLDS(params != NULL ? json_equal(json_object_get(answer, "result"), params)
		                     : json_is_null(json_object_get(answer, "result")));
		return;
	}
	HOLDS(json_get_int(error, "code", 0) == code);
	HOLDS(json_get_string(error, "message") != NULL);
	if (code == CONTROL_FAILED)
		HOLDS(json_equal(json_object_get(answer, "id"), json_object_get(root, "id")));
}

static json_t *
next_answer(const char **rest, size_t *left)
{
	const char *line;
	size_t len;

	HOLDS(fuzz_line(rest, left, &line, &len));
	return fuzz_json(line, len);
}

/* Goes through what was said and what was answered side by side. */
static void
check_lines(const char *said, size_t said_len, const char *answers, size_t answers_len)
{
	const char *line, *end;
	unsigned requests = 0;

	HOLDS(answers_len == 0 || answers[answers_len - 1] == '\n');
	for (; (end = memchr(said, '\n', said_len)) != NULL;
	     said_len -= (size_t)(end + 1 - said), said = end + 1) {
		json_t *root, *answer;
		int code;

		line = said;
		root = json_loadb(line, (size_t)(end - line),
		                  JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
		code = verdict(root);
		requests += code == 0;
		if (code == 1 && json_object_get(root, "method") == NULL) {
			struct control_msg msg;

			/* a wrong answer is told so */
			if (control_parse(&msg, line, (size_t)(end - line), NULL) < 0)
				code = CONTROL_INVALID_REQUEST;
			control_msg_fini(&msg);
		}
		if (code != 1) {
			answer = next_answer(&answers, &answers_len);
			check_answer(root, code, answer);
			json_decref(answer);
		}
		json_decref(root);
	}
	HOLDS(answers_len == 0 && peer.requests == requests);
}

static size_t
count_lines(const uint8_t *data, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += data[i] == '\n';
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data, *cuts;
	size_t left = size, cuts_len;
	struct json_buf answers = {.data = NULL};
	int fd;

	/* many empty lines tell no more than a few, and take their time */
	if (size > INPUT_MAX || count_lines(data, size) > (size < 2048 ? 12 : LINES_MAX) ||
	    !fuzz_line(&rest, &left, &cuts, &cuts_len))
		return 0;
	if (control_address_len == 0)
		open_control_socket(on_connection);
	memset(&peer, 0, sizeof(peer));
	fd = connect_peer();
	send_all(fd, rest, left, cuts, cuts_len, &answers);
	read_answers(fd, &answers);
	(void)close(fd);
	while (!peer.closed)
		(void)uv_run(&loop, UV_RUN_ONCE);
	check_lines(rest, left, answers.data != NULL ? answers.data : "", answers.len);
	json_buf_free(&answers);
	return 0;
}
