/* sse_source: the chat completion streams that codex-proxy would send, made without an app-server:
 * for a relay to relay.
 *
 * The last user message says which, in the language of the fake app-server: "!say N MS TEXT",
 * "!burst N K". Any path will do. */
#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "tests/fakes/fake.h"
#include "tests/fakes/script.h"

#define BODY_MAX 65536

static struct fake source;

/* One request. */
struct exchange {
	struct lws *wsi;
	char *body;
	size_t len;
	struct script script;
	size_t at;
	bool answering; /* the body is complete, the script is made */
	bool begun;
	uv_timer_t timer; /* closes last: frees the exchange */
};

/* What libwebsockets keeps per connection. */
struct session {
	struct exchange *x;
};

#define CHUNK                                                                                      \
	"data: {\"id\":\"chatcmpl-7bf23dcfc8041f01c7cece30\",\"object\":\"chat.completion.chunk\"" \
	",\"created\":1795638336,\"model\":\"gpt-5.5\",\"system_fingerprint\":"                    \
	"\"fp_codex_sidecar_0.1.0\",\"choices\":[{\"index\":0,\"delta\":{%s},\"logprobs\":null,"   \
	"\"finish_reason\":%s}]}\n\n"

/* count times the same, to go out as one. */
static void
add_deltas(struct script *s, const char *text, unsigned count)
{
	AUTO_FREE char *quoted = text_quoted(text);
	AUTO_FREE char *delta = text_printf("\"content\":%s", quoted);
	AUTO_FREE char *one = text_printf(CHUNK, delta, "null");
	AUTO_FREE char *all = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&all, &len);

	for (unsigned i = 0; i < count && out != NULL; i++)
		(void)fputs(one, out);
	if (out == NULL || fclose(out) != 0)
		errx(70, "no memory");
	script_send(s, all, len, 1);
}

static void
do_say(void *arg, const char *rest)
{
	unsigned count = 1, pause_ms = 0;
	int used = 0;

	if (sscanf(rest, "%u %u %n", &count, &pause_ms, &used) < 2)
		used = 0;
	for (unsigned i = 0; i < count; i++) {
		AUTO_FREE char *piece = text_printf("%s%u ", rest + used, i);

		add_deltas(arg, piece, 1);
		if (pause_ms > 0)
			script_add(arg, STEP_WAIT, pause_ms);
	}
}

static void
do_burst(void *arg, const char *rest)
{
	unsigned count = 1, at_once = 1;

	if (sscanf(rest, "%u %u", &count, &at_once) < 1 || at_once == 0)
		return;
	for (unsigned sent = 0; sent < count; sent += at_once) {
		add_deltas(arg, "word ", count - sent < at_once ? count - sent : at_once);
		script_add(arg, STEP_WAIT, 1);
	}
}

static const struct directive directives[] = {
	{"!say",   do_say  },
	{"!burst", do_burst},
};

static void
make_script(struct exchange *x)
{
	json_auto_t *request = json_loadb(x->body, x->len, 0, NULL);
	AUTO_FREE char *said = items_last_user_text(json_object_get(request, "messages"));

	script_printf(&x->script, CHUNK, "\"role\":\"assistant\",\"content\":\"\"", "null");
	(void)directives_run(directives, NELEM(directives), said != NULL ? said : "", &x->script);
	script_printf(&x->script, CHUNK "data: [DONE]\n\n", "", "\"stop\"");
}

static void
on_timer_closed(uv_handle_t *handle)
{
	struct exchange *x = handle->data;

	script_free(&x->script);
	free(x->body);
	free(x);
}

/* The only way out of an exchange. */
static void
exchange_end(struct session *s)
{
	if (s->x != NULL)
		uv_close((uv_handle_t *)&s->x->timer, on_timer_closed);
	s->x = NULL;
}

static void
on_timer(uv_timer_t *timer)
{
	struct exchange *x = timer->data;

	x->at++;
	(void)lws_callback_on_writable(x->wsi);
}

static int
begin_stream(struct exchange *x)
{
	unsigned char buf[LWS_PRE + 1024], *start = buf + LWS_PRE, *p = start;
	unsigned char *end = buf + sizeof(buf);

	if (lws_add_http_header_status(x->wsi, 200, &p, end) != 0 ||
	    lws_add_http_header_by_token(x->wsi, WSI_TOKEN_HTTP_CONTENT_TYPE,
	                                 (const unsigned char *)"text/event-stream", 17, &p,
	                                 end) != 0 ||
	    lws_add_http_header_by_token(x->wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING,
	                                 (const unsigned char *)"chunked", 7, &p, end) != 0 ||
	    lws_finalize_http_header(x->wsi, &p, end) != 0)
		return -1;
	x->begun = true;
	return lws_write(x->wsi, start, (size_t)(p - start), LWS_WRITE_HTTP_HEADERS) < 0 ? -1 : 0;
}

static int
write_chunk(const struct exchange *x, const char *data, size_t len)
{
	AUTO_FREE char *buf = malloc(LWS_PRE + 32 + len);
	int n;

	if (buf == NULL)
		return -1;
	n = sprintf(buf + LWS_PRE, "%zx\r\n", len);
	memcpy(buf + LWS_PRE + n, data, len);
	memcpy(buf + LWS_PRE + n + len, "\r\n", 2);
	n = lws_write(x->wsi, (unsigned char *)buf + LWS_PRE, (size_t)n + len + 2, LWS_WRITE_HTTP);
	return n < 0 ? -1 : 0;
}

static int
end_stream(struct session *s)
{
	struct lws *wsi = s->x->wsi;
	unsigned char buf[LWS_PRE + 8];

	memcpy(buf + LWS_PRE, "0\r\n\r\n", 5);
	if (lws_write(wsi, buf + LWS_PRE, 5, LWS_WRITE_HTTP_FINAL) < 0)
		return -1;
	exchange_end(s);
	return lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* Writes what the script says until it waits, ends, or the socket is full. */
static int
on_writable(struct session *s)
{
	struct exchange *x = s->x;

	if (!x->answering)
		return 0;
	if (!x->begun && begin_stream(x) != 0)
		return -1;
	for (; x->at < x->script.count; x->at++) {
		const struct step *step = &x->script.steps[x->at];

		if (step->kind == STEP_WAIT)
			return uv_timer_start(&x->timer, on_timer, step->value, 0);
		if (lws_send_pipe_choked(x->wsi))
			return lws_callback_on_writable(x->wsi) < 0 ? -1 : 0;
		if (write_chunk(x, step->data + SCRIPT_HEADROOM, step->len) != 0)
			return -1;
	}
	return end_stream(s);
}

static int
begin_exchange(struct session *s, struct lws *wsi)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (x == NULL || uv_timer_init(&source.loop, &x->timer) != 0)
		errx(70, "no memory");
	x->timer.data = x;
	x->wsi = wsi;
	x->body = malloc(BODY_MAX);
	if (x->body == NULL)
		errx(70, "no memory");
	s->x = x;
	lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
	return 0;
}

static int
on_body(struct exchange *x, const void *data, size_t len)
{
	if (x->answering || len > BODY_MAX - x->len)
		return -1;
	memcpy(x->body + x->len, data, len);
	x->len += len;
	return 0;
}

static int
on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct session *s = user;

	/* Only the reasons that matter here, of a hundred. */
	if (reason == LWS_CALLBACK_HTTP)
		return begin_exchange(s, wsi);
	if (s == NULL || s->x == NULL)
		return 0;
	if (reason == LWS_CALLBACK_HTTP_BODY)
		return on_body(s->x, in, len);
	if (reason == LWS_CALLBACK_HTTP_BODY_COMPLETION) {
		make_script(s->x);
		s->x->answering = true;
		lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
		return lws_callback_on_writable(wsi) < 0 ? -1 : 0;
	}
	if (reason == LWS_CALLBACK_HTTP_WRITEABLE)
		return on_writable(s);
	if (reason == LWS_CALLBACK_HTTP_DROP_PROTOCOL || reason == LWS_CALLBACK_CLOSED_HTTP)
		exchange_end(s);
	return 0;
}

static const struct lws_protocols protocols[] = {
	{.name = "http",
         .callback = on_http,
         .per_session_data_size = sizeof(struct session),
         .rx_buffer_size = 4096,
         .tx_packet_size = 262144},
	{0},
};

static const struct option options[] = {
	{"listen", required_argument, NULL, 'l'},
	{"die-with-parent",    no_argument, NULL, 'd'},
	{0       },
};

int
main(int argc, char **argv)
{
	const char *where = "127.0.0.1:0";
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'l')
			where = optarg;
		else if (c == 'd')
			fake_die_with_parent();
		else
			errx(64, "usage: sse-source [--listen 127.0.0.1:PORT] "
			         "[--die-with-parent]");
	}
	fake_open(&source, where, protocols);
	return fake_run(&source);
}
