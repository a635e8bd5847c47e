/* demo_provider: a model provider that needs no login: the Responses API as codex uses it.
 *
 * POST .../responses is answered as model_answer.c says, GET .../models with an empty list, GET
 * /stats with what happened so far. For newcomers, and for the tests. */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "tests/fakes/fake.h"
#include "tests/fakes/model_answer.h"

#define BODY_MAX ((size_t)32 << 20) /* more than any history that the proxy takes */
#define HEAD_MAX 4096               /* of a response */

static struct {
	struct fake fake;
	FILE *record;
	bool events;
	unsigned requests;
	unsigned open;
	unsigned completed;
	unsigned aborted;
} demo;

/* One POST .../responses. */
struct exchange {
	struct lws *wsi;
	unsigned number;
	char *path;
	char *head; /* the request's headers as a JSON object, for the record */
	char *body;
	size_t len;
	size_t expected;
	bool answering; /* the body is complete, answer is made */
	bool begun;     /* headers sent */
	bool ended;
	struct model_answer answer;
	size_t at;        /* in answer.script */
	uv_timer_t timer; /* closes last: frees the exchange */
};

/* What libwebsockets keeps per connection. */
struct session {
	struct exchange *x;
};

static void
tell(const struct exchange *x, const char *what)
{
	if (demo.events) {
		(void)printf("{\"event\":\"%s\",\"number\":%u,\"open\":%u}\n", what, x->number,
		             demo.open);
		(void)fflush(stdout);
	}
}

/* The few headers that a test may ask for. Codex sends nothing in them that needs escaping. */
static char *
headers_text(struct lws *wsi)
{
	static const char *const custom[] = {"originator:", "session_id:", "user-agent:",
	                                     "x-openai-internal-codex-responses-lite:"};
	json_auto_t *all = json_object();
	char value[512];

	if (lws_hdr_copy(wsi, value, sizeof(value), WSI_TOKEN_HTTP_AUTHORIZATION) > 0)
		(void)json_object_set_new(all, "authorization", json_string(value));
	if (lws_hdr_copy(wsi, value, sizeof(value), WSI_TOKEN_HTTP_CONTENT_TYPE) > 0)
		(void)json_object_set_new(all, "content-type", json_string(value));
	for (size_t i = 0; i < NELEM(custom); i++) {
		int len = (int)strlen(custom[i]);

		if (lws_hdr_custom_copy(wsi, value, sizeof(value), custom[i], len) > 0)
			(void)json_object_setn_new(all, custom[i], (size_t)len - 1,
			                           json_string(value));
	}
	return json_dumps(all, JSON_COMPACT);
}

/* The body goes out byte for byte, so that a test sees each number as it was sent. Raw newlines
 * can stand only between tokens. */
static void
record(const struct exchange *x)
{
	if (demo.record == NULL)
		return;
	for (size_t i = 0; i < x->len; i++) {
		if (x->body[i] == '\n' || x->body[i] == '\r')
			x->body[i] = ' ';
	}
	(void)fprintf(demo.record,
	              "{\"number\":%u,\"path\":\"%s\",\"headers\":%s,\"body\":", x->number, x->path,
	              x->head);
	(void)fwrite(x->body, 1, x->len, demo.record);
	(void)fputs("}\n", demo.record);
	(void)fflush(demo.record);
}

static void
on_timer_closed(uv_handle_t *handle)
{
	struct exchange *x = handle->data;

	model_answer_free(&x->answer);
	free(x->path);
	free(x->head);
	free(x->body);
	free(x);
}

/* The only way out of an exchange. */
static void
exchange_end(struct session *s)
{
	struct exchange *x = s->x;

	if (x == NULL)
		return;
	s->x = NULL;
	demo.open--;
	if (x->ended)
		demo.completed++;
	else
		demo.aborted++;
	tell(x, x->ended ? "completed" : "aborted");
	uv_close((uv_handle_t *)&x->timer, on_timer_closed);
}

static void
on_timer(uv_timer_t *timer)
{
	struct exchange *x = timer->data;

	x->at++;
	(void)lws_callback_on_writable(x->wsi);
}

/* a NULL: none. */
static int
add_headers(struct lws *wsi, const struct model_answer *a, unsigned char **p, unsigned char *end)
{
	for (size_t i = 0; a != NULL && i < a->header_count; i++) {
		const struct model_header *h = &a->headers[i];

		if (lws_add_http_header_by_name(wsi, (const unsigned char *)h->name,
		                                (const unsigned char *)h->value,
		                                (int)strlen(h->value), p, end) != 0)
			return -1;
	}
	return 0;
}

/* A whole answer, at once. 1 and -1 as lws wants them. a: whose headers go with it; NULL: none. */
static int
reply(struct lws *wsi, int status, const char *body, const struct model_answer *a)
{
	size_t len = strlen(body), head = HEAD_MAX;
	AUTO_FREE unsigned char *buf = malloc(LWS_PRE + head + len);
	unsigned char *start, *p, *end;

	if (buf == NULL)
		return -1;
	p = start = buf + LWS_PRE;
	end = start + head;
	if (lws_add_http_header_status(wsi, (unsigned)status, &p, end) != 0 ||
	    lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE,
	                                 (const unsigned char *)"application/json", 16, &p,
	                                 end) != 0 ||
	    lws_add_http_header_content_length(wsi, len, &p, end) != 0 ||
	    add_headers(wsi, a, &p, end) != 0 || lws_finalize_http_header(wsi, &p, end) != 0)
		return -1;
	memcpy(p, body, len);
	p += len;
	if (lws_write(wsi, start, (size_t)(p - start), LWS_WRITE_HTTP_FINAL) < 0)
		return -1;
	return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int
begin_stream(struct exchange *x)
{
	unsigned char buf[LWS_PRE + HEAD_MAX], *start = buf + LWS_PRE, *p = start;
	unsigned char *end = buf + sizeof(buf);

	if (lws_add_http_header_status(x->wsi, 200, &p, end) != 0 ||
	    lws_add_http_header_by_token(x->wsi, WSI_TOKEN_HTTP_CONTENT_TYPE,
	                                 (const unsigned char *)"text/event-stream", 17, &p,
	                                 end) != 0 ||
	    lws_add_http_header_by_token(x->wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING,
	                                 (const unsigned char *)"chunked", 7, &p, end) != 0 ||
	    add_headers(x->wsi, &x->answer, &p, end) != 0 ||
	    lws_finalize_http_header(x->wsi, &p, end) != 0)
		return -1;
	x->begun = true;
	return lws_write(x->wsi, start, (size_t)(p - start), LWS_WRITE_HTTP_HEADERS) < 0 ? -1 : 0;
}

static int
write_chunk(struct exchange *x, const struct step *step)
{
	AUTO_FREE char *buf = malloc(LWS_PRE + 32 + step->len);
	int n;

	if (buf == NULL)
		return -1;
	n = sprintf(buf + LWS_PRE, "%zx\r\n", step->len);
	memcpy(buf + LWS_PRE + n, step->data + SCRIPT_HEADROOM, step->len);
	memcpy(buf + LWS_PRE + n + step->len, "\r\n", 2);
	n = lws_write(x->wsi, (unsigned char *)buf + LWS_PRE, (size_t)n + step->len + 2,
	              LWS_WRITE_HTTP);
	return n < 0 ? -1 : 0;
}

static int
end_stream(struct exchange *x)
{
	unsigned char buf[LWS_PRE + 8];

	memcpy(buf + LWS_PRE, "0\r\n\r\n", 5);
	if (lws_write(x->wsi, buf + LWS_PRE, 5, LWS_WRITE_HTTP_FINAL) < 0)
		return -1;
	x->ended = true;
	return lws_http_transaction_completed(x->wsi) ? -1 : 0;
}

/* Writes what the script says until it waits, ends, or the socket is full. */
static int
on_writable(struct exchange *x)
{
	if (x->answer.silent || !x->answering || x->ended)
		return 0;
	if (x->answer.status != 200) {
		x->ended = true;
		return reply(x->wsi, x->answer.status, x->answer.body, &x->answer);
	}
	if (!x->begun && begin_stream(x) != 0)
		return -1;
	while (x->at < x->answer.script.count) {
		const struct step *step = &x->answer.script.steps[x->at];

		if (lws_send_pipe_choked(x->wsi))
			return lws_callback_on_writable(x->wsi) < 0 ? -1 : 0;
		switch (step->kind) {
		case STEP_SEND:
			if (write_chunk(x, step) != 0)
				return -1;
			x->at++;
			break;
		case STEP_WAIT:
			return uv_timer_start(&x->timer, on_timer, step->value, 0);
		case STEP_STALL:
			return 0;
		case STEP_CUT:
			return -1;
		case STEP_MARK:
			x->at++;
			break;
		}
	}
	return end_stream(x);
}

static int
on_body_complete(struct exchange *x)
{
	json_error_t error;
	json_auto_t *request =
		json_loadb(x->body != NULL ? x->body : "", x->len, JSON_ALLOW_NUL, &error);

	if (x->answering)
		return -1; /* pipelined into a running answer */
	x->answering = true;
	if (request == NULL) {
		x->answer.status = 400;
		x->answer.body =
			text_printf("{\"error\":{\"message\":\"not JSON, line %d\"}}", error.line);
	} else {
		record(x);
		model_answer_make(&x->answer, request, x->number);
	}
	free(x->body);
	x->body = NULL;
	lws_set_timeout(x->wsi, NO_PENDING_TIMEOUT, 0);
	return lws_callback_on_writable(x->wsi) < 0 ? -1 : 0;
}

static int
on_body(struct exchange *x, const void *data, size_t len)
{
	if (x->answering || len > x->expected - x->len)
		return -1;
	memcpy(x->body + x->len, data, len);
	x->len += len;
	return 0;
}

static int
begin_exchange(struct session *s, struct lws *wsi, const char *path)
{
	char length[32];
	struct exchange *x;
	size_t expected;

	if (lws_hdr_copy(wsi, length, sizeof(length), WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0)
		return reply(wsi, 411, "{\"error\":{\"message\":\"no content-length\"}}", NULL);
	expected = strtoul(length, NULL, 10);
	if (expected > BODY_MAX)
		return reply(wsi, 413, "{\"error\":{\"message\":\"body too large\"}}", NULL);
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return -1;
	x->body = malloc(expected + 1);
	x->path = strdup(path);
	x->head = headers_text(wsi);
	if (x->body == NULL || x->path == NULL || x->head == NULL ||
	    uv_timer_init(&demo.fake.loop, &x->timer) != 0)
		errx(70, "no memory");
	x->timer.data = x;
	x->wsi = wsi;
	x->expected = expected;
	x->number = demo.requests++;
	demo.open++;
	s->x = x;
	tell(x, "open");
	return 0;
}

static bool
ends_with(const char *text, const char *end)
{
	size_t a = strlen(text), b = strlen(end);

	return a >= b && strcmp(text + a - b, end) == 0;
}

static int
on_head(struct session *s, struct lws *wsi, const char *path)
{
	char stats[160];

	s->x = NULL;
	lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
	if (ends_with(path, "/responses") && lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0)
		return begin_exchange(s, wsi, path);
	if (ends_with(path, "/models"))
		return reply(wsi, 200, "{\"object\":\"list\",\"data\":[],\"models\":[]}", NULL);
	if (strcmp(path, "/stats") == 0) {
		(void)snprintf(stats, sizeof(stats),
		               "{\"requests\":%u,\"open\":%u,\"completed\":%u,\"aborted\":%u}",
		               demo.requests, demo.open, demo.completed, demo.aborted);
		return reply(wsi, 200, stats, NULL);
	}
	return reply(wsi, 404, "{\"error\":{\"message\":\"no such path\"}}", NULL);
}

static int
on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct session *s = user;

	/* Only the reasons that matter here, of a hundred. */
	if (reason == LWS_CALLBACK_HTTP)
		return on_head(s, wsi, in);
	if (reason == LWS_CALLBACK_HTTP_CONFIRM_UPGRADE)
		return -1;
	if (s == NULL || s->x == NULL)
		return 0;
	if (reason == LWS_CALLBACK_HTTP_BODY)
		return on_body(s->x, in, len);
	if (reason == LWS_CALLBACK_HTTP_BODY_COMPLETION)
		return on_body_complete(s->x);
	if (reason == LWS_CALLBACK_HTTP_WRITEABLE)
		return on_writable(s->x);
	if (reason == LWS_CALLBACK_HTTP_DROP_PROTOCOL || reason == LWS_CALLBACK_CLOSED_HTTP)
		exchange_end(s);
	return 0;
}

static const struct lws_protocols protocols[] = {
	{.name = "http",
         .callback = on_http,
         .per_session_data_size = sizeof(struct session),
         .rx_buffer_size = 65536,
         .tx_packet_size = 262144},
	{0},
};

static const struct option options[] = {
	{"port",             required_argument, NULL, 'p'},
        {"record",              required_argument, NULL, 'r'},
	{"events",                  no_argument, NULL, 'e'},
        {"die-with-parent",no_argument, NULL, 'd'},
	{"help",               no_argument, NULL, 'h'},
        {0          },
};

static void
usage(FILE *out)
{
	(void)fputs(
		"usage: demo-provider [--port N] [--record FILE] [--events] [--die-with-parent]\n"
		"A model provider for trying things out: POST .../responses, GET /stats.\n"
		"  --port N           listen on 127.0.0.1:N; 0 (default): a free one is chosen\n"
		"  --record FILE      append each request as one line of JSON; -: print it\n"
		"  --events           print a line when a request begins and ends\n"
		"  --die-with-parent  do not outlive the process that started it\n",
		out);
}

int
main(int argc, char **argv)
{
	const char *port = "0";
	char where[64];
	int c, code;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'p') {
			port = optarg;
		} else if (c == 'r') {
			demo.record = fake_record(optarg);
		} else if (c == 'e') {
			demo.events = true;
		} else if (c == 'd') {
			fake_die_with_parent();
		} else {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 64;
		}
	}
	(void)snprintf(where, sizeof(where), "127.0.0.1:%s", port);
	fake_open(&demo.fake, where, protocols);
	code = fake_run(&demo.fake);
	if (demo.record != NULL && fclose(demo.record) != 0)
		warn("record");
	return code;
}
