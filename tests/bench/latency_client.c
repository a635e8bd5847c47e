/* latency_client: one turn after the other, the ways to make it in turn; what each took.
 *
 *   http:PORT    through the proxy, as a streamed chat completion
 *   unix:PATH    straight to an app-server, with the calls that the proxy makes
 *   tcp:PORT     the same, over TCP
 *
 * Blocking sockets, and requests made in advance: what a client's libraries cost is not measured.
 * Prints one line of JSON: for each way the times to the first delta and to the end, and the CPU
 * time of this client; and that of the process which --cpu names. Warming up is not counted. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <wslay/wslay.h>

#include "common/common.h"
#include "tests/bench/figures.h"

#define WAYS_MAX   4
#define PAUSE_US   1000 /* the servers tidy up after a turn, which must not fall on the next one */
#define DEADLINE_S 20
#define ANSWER_MAX ((size_t)1 << 20)
#define OUT_MAX    65536
#define MODEL      "gpt-5.5"

struct way {
	const char *name;
	bool http;
	int fd;
	wslay_event_context_ptr ws;
	bool has_read; /* in this call of wslay_event_recv */
	char out[OUT_MAX];
	size_t out_len;
	struct times first;
	struct times whole;
	uint64_t cpu_ns;
	/* the running turn */
	uint64_t begin;
	uint64_t first_at; /* 0: not yet */
	bool over;
	json_int_t ids;
	char thread[64];
};

static struct {
	json_t *thread_start; /* params */
	const char *content;
	const char *key;
	char *http_request;
	size_t http_len;
	char answer[ANSWER_MAX];
} client = {.content = "!say 3 0 tok", .key = ""};

/* What the proxy opts out of, so that there is no more to read than it has. */
static const char *const opted_out[] = {
	"thread/started",        "thread/settings/updated",
	"thread/status/changed", "warning",
	"configWarning",         "remoteControl/status/changed",
	"item/completed",        "account/rateLimits/updated",
};

static int
connect_to(const struct sockaddr *addr, socklen_t len)
{
	struct timeval deadline = {.tv_sec = DEADLINE_S};
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, addr, len) != 0)
		err(1, "connect");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)) != 0)
		err(70, "SO_RCVTIMEO");
	if (addr->sa_family == AF_INET)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int
connect_port(const char *port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};

	addr.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect_to((const struct sockaddr *)&addr, sizeof(addr));
}

static int
connect_path(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(addr.sun_path))
		errx(64, "too long: %s", path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	return connect_to((const struct sockaddr *)&addr, sizeof(addr));
}

static void
send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			err(1, "send");
		data += n;
		len -= (size_t)n;
	}
}

/* HTTP. */

static void
http_prepare(void)
{
	json_auto_t *body = json_pack("{s:s,s:b,s:[{s:s,s:s}]}", "model", MODEL, "stream", 1,
	                              "messages", "role", "user", "content", client.content);
	AUTO_FREE char *text = json_dumps(body, JSON_COMPACT);

	FILE *out = open_memstream(&client.http_request, &client.http_len);

	if (text == NULL || out == NULL)
		errx(70, "no memory");
	(void)fprintf(out,
	              "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
	              "Bearer %s\r\nContent-Type: application/json\r\nContent-Length: "
	              "%zu\r\n\r\n%s",
	              client.key, strlen(text), text);
	if (fclose(out) != 0)
		errx(70, "no memory");
}

static void
http_turn(struct way *w)
{
	static const char delta[] = "\"delta\":{\"content\":\"", end[] = "\r\n0\r\n\r\n";
	size_t len = 0;

	w->begin = clock_ns();
	send_all(w->fd, client.http_request, client.http_len);
	for (;;) {
		ssize_t n = recv(w->fd, client.answer + len, sizeof(client.answer) - len, 0);

		if (n <= 0)
			err(1, "the proxy: %.*s", (int)len, client.answer);
		len += (size_t)n;
		if (w->first_at == 0 &&
		    memmem(client.answer, len, delta, sizeof(delta) - 1) != NULL)
			w->first_at = clock_ns();
		if (len >= sizeof(end) - 1 &&
		    memcmp(client.answer + len - (sizeof(end) - 1), end, sizeof(end) - 1) == 0)
			break;
	}
	if (w->first_at == 0 || memmem(client.answer, len, "data: [DONE]", 12) == NULL)
		errx(1, "the proxy: %.*s", (int)len, client.answer);
}

/* WebSocket. */

/* Waits for the first piece only: what is to be sent then must not wait for a second one. */
static ssize_t
on_recv(wslay_event_context_ptr ws, uint8_t *buf, size_t len, int flags, void *arg)
{
	struct way *w = arg;
	ssize_t n = recv(w->fd, buf, len, w->has_read ? MSG_DONTWAIT : 0);

	if (n < 0 && w->has_read && errno == EAGAIN) {
		wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (n <= 0)
		err(1, "the app-server");
	w->has_read = true;
	return n;
}

/* wslay hands out a frame in parts: they leave together. */
static ssize_t
on_send(wslay_event_context_ptr ws, const uint8_t *data, size_t len, int flags, void *arg)
{
	struct way *w = arg;

	if (len > sizeof(w->out) - w->out_len)
		errx(70, "too much to send");
	memcpy(w->out + w->out_len, data, len);
	w->out_len += len;
	return (ssize_t)len;
}

static int
on_mask(wslay_event_context_ptr ws, uint8_t *buf, size_t len, void *arg)
{
	memset(buf, 0x5a, len); /* no browser is between us, nobody is to be protected */
	return 0;
}

/* params: taken over. Returns the call's id. */
static json_int_t
call(struct way *w, const char *method, json_t *params)
{
	json_auto_t *message =
		json_pack("{s:s,s:I,s:o}", "method", method, "id", ++w->ids, "params", params);
	AUTO_FREE char *text = json_dumps(message, JSON_COMPACT);
	struct wslay_event_msg msg = {.opcode = WSLAY_TEXT_FRAME, .msg = (const uint8_t *)text};

	if (text == NULL)
		errx(70, "no memory");
	msg.msg_length = strlen(text);
	if (wslay_event_queue_msg(w->ws, &msg) != 0)
		errx(70, "no memory");
	return w->ids;
}

static void
begin_turn(struct way *w, const json_t *result)
{
	const char *id =
		json_string_value(json_object_get(json_object_get(result, "thread"), "id"));

	if (id == NULL || strlen(id) >= sizeof(w->thread))
		errx(1, "thread/start gave no thread");
	memcpy(w->thread, id, strlen(id) + 1);
	(void)call(w, "thread/inject_items",
	           json_pack("{s:s,s:[{s:s,s:s,s:[{s:s,s:s}]}]}", "threadId", id, "items", "type",
	                     "message", "role", "user", "content", "type", "input_text", "text",
	                     client.content));
	(void)call(w, "turn/start",
	           json_pack("{s:s,s:[],s:s}", "threadId", id, "input", "effort", "medium"));
}

static bool
is_method(const struct wslay_event_on_msg_recv_arg *m, const char *method)
{
	static const char prefix[] = "{\"method\":\"";
	size_t at = sizeof(prefix) - 1, len = strlen(method);

	return m->msg_length > at + len && memcmp(m->msg, prefix, at) == 0 &&
	       memcmp(m->msg + at, method, len) == 0 && m->msg[at + len] == '"';
}

static void
on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m, void *arg)
{
	struct way *w = arg;
	const json_t *error;

	if (is_method(m, "item/agentMessage/delta")) {
		if (w->first_at == 0)
			w->first_at = clock_ns();
	} else if (is_method(m, "turn/completed")) {
		w->over = true;
	} else if (m->msg_length > 6 && memcmp(m->msg, "{\"id\":", 6) == 0) {
		json_auto_t *answer = json_loadb((const char *)m->msg, m->msg_length, 0, NULL);

		if (json_integer_value(json_object_get(answer, "id")) != w->ids)
			return; /* of a call that is not waited for */
		if (w->thread[0] == '\0' && w->begin != 0)
			begin_turn(w, json_object_get(answer, "result"));
		else if (w->begin == 0)
			w->over = true; /* the only call outside of a turn that is waited for */
	} else if (m->msg_length > 9 && memcmp(m->msg, "{\"error\":", 9) == 0) {
		json_auto_t *answer = json_loadb((const char *)m->msg, m->msg_length, 0, NULL);

		error = json_object_get(answer, "error");
		errx(1, "the app-server: %s", json_string_value(json_object_get(error, "message")));
	}
}

/* Until what is waited for has come. */
static void
ws_work(struct way *w)
{
	w->over = false;
	while (!w->over) {
		if (wslay_event_want_write(w->ws) && wslay_event_send(w->ws) != 0)
			errx(1, "the app-server: cannot send");
		send_all(w->fd, w->out, w->out_len);
		w->out_len = 0;
		w->has_read = false;
		if (wslay_event_recv(w->ws) != 0 || !wslay_event_want_read(w->ws))
			errx(1, "the app-server: no WebSocket any more");
	}
}

static void
ws_turn(struct way *w)
{
	w->thread[0] = '\0';
	w->begin = clock_ns();
	(void)call(w, "thread/start", json_incref(client.thread_start));
	ws_work(w);
}

/* Not part of the turn. */
static void
ws_forget(struct way *w)
{
	w->begin = 0;
	(void)call(w, "thread/unsubscribe", json_pack("{s:s}", "threadId", w->thread));
	ws_work(w);
}

static void
ws_open(struct way *w)
{
	static const char request[] =
		"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_recv,
		.send_callback = on_send,
		.genmask_callback = on_mask,
		.on_msg_recv_callback = on_message,
	};
	json_t *names = json_array();
	size_t len = 0;
	char answer[4096] = "";

	send_all(w->fd, request, sizeof(request) - 1);
	/* byte by byte: what follows it is a frame's */
	while (len < 4 || memcmp(answer + len - 4, "\r\n\r\n", 4) != 0) {
		if (len == sizeof(answer) || recv(w->fd, answer + len, 1, 0) != 1)
			err(1, "no upgrade");
		len++;
	}
	if (memcmp(answer, "HTTP/1.1 101", 12) != 0)
		errx(1, "no upgrade: %.*s", (int)len, answer);
	if (wslay_event_context_client_init(&w->ws, &callbacks, w) != 0)
		errx(70, "no memory");
	for (size_t i = 0; i < NELEM(opted_out); i++)
		(void)json_array_append_new(names, json_string(opted_out[i]));
	(void)call(w, "initialize",
	           json_pack("{s:{s:s,s:s},s:{s:b,s:o}}", "clientInfo", "name", "bench", "version",
	                     "1", "capabilities", "experimentalApi", 1, "optOutNotificationMethods",
	                     names));
	ws_work(w);
}

/* All of them. */

static void
way_open(struct way *w, const char *name)
{
	w->name = name;
	w->http = strncmp(name, "http:", 5) == 0;
	if (strncmp(name, "unix:", 5) == 0)
		w->fd = connect_path(name + 5);
	else if (w->http || strncmp(name, "tcp:", 4) == 0)
		w->fd = connect_port(strchr(name, ':') + 1);
	else
		errx(64, "want http:PORT, unix:PATH or tcp:PORT, not %s", name);
	if (!w->http)
		ws_open(w);
}

static void
way_turn(struct way *w, bool counts)
{
	uint64_t cpu = cpu_ns_of(getpid());

	w->first_at = 0;
	if (w->http)
		http_turn(w);
	else
		ws_turn(w);
	if (counts) {
		uint64_t now = clock_ns();

		times_add(&w->whole, now - w->begin);
		times_add(&w->first, (w->first_at != 0 ? w->first_at : now) - w->begin);
	}
	if (!w->http)
		ws_forget(w);
	if (counts)
		w->cpu_ns += cpu_ns_of(getpid()) - cpu;
}

static void
way_close(struct way *w)
{
	if (w->ws != NULL)
		wslay_event_context_free(w->ws);
	(void)close(w->fd);
	times_free(&w->first);
	times_free(&w->whole);
}

static const struct option options[] = {
	{"key",              required_argument, NULL, 'k'},
	{"content",              required_argument, NULL, 't'},
	{"thread-start",                  required_argument, NULL, 's'},
	{"rounds",required_argument, NULL, 'n'},
	{"cpu",               required_argument, NULL, 'p'},
	{"warm-up",     required_argument, NULL, 'w'},
	{0	     },
};

int
main(int argc, char **argv)
{
	static struct way ways[WAYS_MAX];
	json_t *result = json_array();
	long rounds = 1, warm_up = 0;
	uint64_t cpu = 0;
	pid_t pid = 0;
	size_t count = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'k')
			client.key = optarg;
		else if (c == 't')
			client.content = optarg;
		else if (c == 's')
			client.thread_start = json_loads(optarg, 0, NULL);
		else if (c == 'n')
			rounds = strtol(optarg, NULL, 10);
		else if (c == 'p')
			pid = (pid_t)strtol(optarg, NULL, 10);
		else if (c == 'w')
			warm_up = strtol(optarg, NULL, 10);
		else
			optind = argc;
	}
	if (optind == argc)
		errx(64, "usage: latency-client [--key KEY] [--content TEXT] [--thread-start "
		         "PARAMS] [--rounds N] [--warm-up N] [--cpu PID] "
		         "http:PORT|unix:PATH|tcp:PORT ...");
	if (client.thread_start == NULL)
		client.thread_start = json_pack("{s:s,s:b}", "model", MODEL, "ephemeral", 1);
	http_prepare();
	for (; optind < argc && count < WAYS_MAX; optind++)
		way_open(&ways[count++], argv[optind]);
	/* what else the machine does must fall on all of them: each has its turn, each begins */
	for (long round = -warm_up; round < rounds; round++) {
		if (round == 0 && pid != 0)
			cpu = cpu_ns_of(pid);
		for (size_t i = 0; i < count; i++) {
			way_turn(&ways[(i + (size_t)(round + warm_up)) % count], round >= 0);
			(void)usleep(PAUSE_US);
		}
	}
	if (pid != 0)
		cpu = cpu_ns_of(pid) - cpu;
	for (size_t i = 0; i < count; i++) {
		(void)json_array_append_new(result,
		                            json_pack("{s:s,s:f,s:o,s:o}", "way", ways[i].name,
		                                      "cpu_s", (double)ways[i].cpu_ns / 1e9,
		                                      "first_ms", times_json(&ways[i].first),
		                                      "whole_ms", times_json(&ways[i].whole)));
		way_close(&ways[i]);
	}
	print_line(json_pack("{s:o,s:f}", "ways", result, "cpu_s", (double)cpu / 1e9));
	json_decref(client.thread_start);
	free(client.http_request);
	return 0;
}
