/* load_client: many chat completions at once, and what they took.
 *
 * Prints {"event":"begun"} when every connection has had its first delta, and a last line with all
 * figures; see finish(). The CPU time of processes named by --cpu is that between start and end. */
#include <curl/curl.h>
#include <err.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/common.h"
#include "tests/bench/figures.h"

#define PIDS_MAX  8
#define CARRY_MAX 32 /* longer than any mark that is looked for */

static const char delta_mark[] = "\"delta\":{\"content\":\"";
static const char end_mark[] = "data: [DONE]";

/* Finds a mark in what comes in pieces. */
struct finder {
	const char *mark;
	size_t len;
	char carry[CARRY_MAX * 2];
	size_t carried;
};

/* One of those who ask at the same time; asks again until enough is asked. */
struct asker {
	CURL *easy;
	uv_timer_t later;
	uint64_t begin;
	uint64_t first; /* of its first delta; 0: none yet */
	struct finder deltas;
	struct finder ends;
	unsigned end_count;
	bool has_begun; /* ever */
	char error[CURL_ERROR_SIZE];
};

struct watch {
	uv_poll_t poll;
	curl_socket_t fd;
};

static struct {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t timer;
	struct curl_slist *headers;
	char *url;
	char *body;
	struct asker *askers;
	unsigned concurrency;
	unsigned requests;
	unsigned asked;
	unsigned begun;
	unsigned spread_ms;
	bool stall;
	uint64_t deadline_s;
	pid_t pids[PIDS_MAX];
	uint64_t cpu_begin[PIDS_MAX];
	size_t pid_count;
	/* figures */
	uint64_t begin;
	struct times whole;
	struct times first;
	uint64_t deltas;
	uint64_t bytes;
	unsigned done;
	unsigned failed;
} load = {.concurrency = 1, .requests = 1, .deadline_s = 120};

static size_t
count_in(const char *data, size_t len, const char *mark, size_t mark_len)
{
	const char *end = data + len;
	size_t n = 0;

	while ((data = memmem(data, (size_t)(end - data), mark, mark_len)) != NULL) {
		data += mark_len;
		n++;
	}
	return n;
}

/* How many marks end in this piece. */
static size_t
finder_feed(struct finder *f, const char *data, size_t len)
{
	size_t head = len < f->len - 1 ? len : f->len - 1;
	size_t n;

	/* those that began in the piece before */
	memcpy(f->carry + f->carried, data, head);
	n = count_in(f->carry, f->carried + head, f->mark, f->len);
	n += count_in(data, len, f->mark, f->len);
	if (len >= f->len - 1) {
		f->carried = f->len - 1;
		memcpy(f->carry, data + len - f->carried, f->carried);
	} else {
		size_t all = f->carried + head;
		size_t keep = all < f->len - 1 ? all : f->len - 1;

		memmove(f->carry, f->carry + all - keep, keep);
		f->carried = keep;
	}
	return n;
}

static void
tell_begun(struct asker *a)
{
	if (a->has_begun)
		return;
	a->has_begun = true;
	if (++load.begun == load.concurrency)
		print_line(json_pack("{s:s}", "event", "begun"));
}

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct asker *a = arg;
	size_t len = size * count, n;

	if (load.stall && a->first != 0)
		return CURL_WRITEFUNC_PAUSE; /* for ever */
	n = finder_feed(&a->deltas, data, len);
	if (n > 0 && a->first == 0) {
		a->first = clock_ns();
		tell_begun(a);
	}
	a->end_count += (unsigned)finder_feed(&a->ends, data, len);
	load.deltas += n;
	load.bytes += len;
	return len;
}

static void
ask(struct asker *a)
{
	a->begin = clock_ns();
	a->first = 0;
	a->end_count = 0;
	a->deltas = (struct finder){.mark = delta_mark, .len = sizeof(delta_mark) - 1};
	a->ends = (struct finder){.mark = end_mark, .len = sizeof(end_mark) - 1};
	if (curl_multi_add_handle(load.multi, a->easy) != CURLM_OK)
		errx(70, "curl_multi_add_handle");
}

static void
on_later(uv_timer_t *timer)
{
	ask(timer->data);
}

static void
finish(void)
{
	double seconds = (double)(clock_ns() - load.begin) / 1e9;
	json_t *cpu = json_object();
	char name[16];

	for (size_t i = 0; i < load.pid_count; i++) {
		uint64_t used = cpu_ns_of(load.pids[i]) - load.cpu_begin[i];

		(void)snprintf(name, sizeof(name), "%d", (int)load.pids[i]);
		(void)json_object_set_new(cpu, name, json_real((double)used / 1e9));
	}
	(void)json_object_set_new(cpu, "self", json_real((double)cpu_ns_of(getpid()) / 1e9));
	print_line(json_pack("{s:s,s:f,s:i,s:i,s:f,s:I,s:I,s:o,s:o,s:o}", "event", "end", "seconds",
	                     seconds, "requests", (int)load.done, "failed", (int)load.failed,
	                     "requests_per_s", (double)load.done / seconds, "deltas",
	                     (json_int_t)load.deltas, "bytes", (json_int_t)load.bytes, "whole_ms",
	                     times_json(&load.whole), "first_ms", times_json(&load.first), "cpu_s",
	                     cpu));
	exit(load.failed == 0 ? 0 : 1); /* nothing of it outlives the process */
}

static void
count_answer(struct asker *a, CURLcode result)
{
	long status = 0;
	(void)curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &status);
	load.done++;
	if (result != CURLE_OK || status != 200 || a->end_count != 1) {
		if (load.failed++ == 0)
			warnx("status %ld, %s", status,
			      a->error[0] != '\0' ? a->error : "not whole");
		return;
	}
	times_add(&load.whole, clock_ns() - a->begin);
	if (a->first != 0)
		times_add(&load.first, a->first - a->begin);
}

static void
take_answers(void)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(load.multi, &left)) != NULL) {
		struct asker *a;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&a);
		(void)curl_multi_remove_handle(load.multi, a->easy);
		count_answer(a, message->data.result);
		if (load.done == load.requests)
			finish();
		if (load.asked < load.requests) {
			load.asked++;
			ask(a);
		}
	}
}

static void
on_timeout(uv_timer_t *timer)
{
	int running;

	(void)curl_multi_socket_action(load.multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_answers();
}

static int
on_timer_wanted(CURLM *multi, long ms, void *arg)
{
	if (ms < 0)
		(void)uv_timer_stop(&load.timer);
	else
		(void)uv_timer_start(&load.timer, on_timeout, (uint64_t)ms, 0);
	return 0;
}

static void
on_ready(uv_poll_t *poll, int status, int events)
{
	const struct watch *w = poll->data;
	int flags = 0, running;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if ((events & UV_READABLE) != 0)
		flags |= CURL_CSELECT_IN;
	if ((events & UV_WRITABLE) != 0)
		flags |= CURL_CSELECT_OUT;
	(void)curl_multi_socket_action(load.multi, w->fd, flags, &running);
	take_answers();
}

static void
on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static int
on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct watch *w = socket_arg;
	int events = 0;

	if (what == CURL_POLL_REMOVE) {
		if (w != NULL) {
			(void)uv_poll_stop(&w->poll);
			uv_close((uv_handle_t *)&w->poll, on_watch_closed);
		}
		(void)curl_multi_assign(load.multi, fd, NULL);
		return 0;
	}
	if (w == NULL) {
		w = calloc(1, sizeof(*w));
		if (w == NULL || uv_poll_init_socket(load.loop, &w->poll, fd) != 0)
			errx(70, "no memory");
		w->fd = fd;
		w->poll.data = w;
		(void)curl_multi_assign(load.multi, fd, w);
	}
	if (what != CURL_POLL_OUT)
		events |= UV_READABLE;
	if (what != CURL_POLL_IN)
		events |= UV_WRITABLE;
	return uv_poll_start(&w->poll, events, on_ready);
}

static void
on_deadline(uv_timer_t *timer)
{
	errx(1, "%u of %u answers after %llu s, %u begun", load.done, load.requests,
	     (unsigned long long)load.deadline_s, load.begun);
}

static CURL *
new_easy(struct asker *a)
{
	CURL *easy = curl_easy_init();

	if (easy == NULL)
		errx(70, "no memory");
	(void)curl_easy_setopt(easy, CURLOPT_URL, load.url);
	(void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, load.body);
	(void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, load.headers);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, a);
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, a);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, a->error);
	(void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 65536L);
	return easy;
}

static void
prepare(const char *content, const char *key)
{
	json_auto_t *body = json_pack("{s:s,s:b,s:[{s:s,s:s}]}", "model", "gpt-5.5", "stream", 1,
	                              "messages", "role", "user", "content", content);
	char line[256];

	load.body = json_dumps(body, JSON_COMPACT);
	(void)snprintf(line, sizeof(line), "Authorization: Bearer %s", key);
	load.headers = curl_slist_append(load.headers, line);
	load.headers = curl_slist_append(load.headers, "Content-Type: application/json");
	load.askers = calloc(load.concurrency, sizeof(*load.askers));
	if (load.body == NULL || load.headers == NULL || load.askers == NULL)
		errx(70, "no memory");
	load.loop = uv_default_loop();
	load.multi = curl_multi_init();
	if (load.loop == NULL || load.multi == NULL || uv_timer_init(load.loop, &load.timer) != 0)
		errx(70, "no loop");
	(void)curl_multi_setopt(load.multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
	(void)curl_multi_setopt(load.multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
	(void)curl_multi_setopt(load.multi, CURLMOPT_MAXCONNECTS, (long)load.concurrency + 1);
}

static void
run(void)
{
	uv_timer_t deadline;

	(void)uv_timer_init(load.loop, &deadline);
	(void)uv_timer_start(&deadline, on_deadline, load.deadline_s * 1000, 0);
	for (size_t i = 0; i < load.pid_count; i++)
		load.cpu_begin[i] = cpu_ns_of(load.pids[i]);
	load.begin = clock_ns();
	for (unsigned i = 0; i < load.concurrency; i++) {
		struct asker *a = &load.askers[i];

		a->easy = new_easy(a);
		(void)uv_timer_init(load.loop, &a->later);
		a->later.data = a;
		load.asked++;
		(void)uv_timer_start(&a->later, on_later,
		                     (uint64_t)i * load.spread_ms / load.concurrency, 0);
	}
	(void)uv_run(load.loop, UV_RUN_DEFAULT);
}

static const struct option options[] = {
	{"url",              required_argument, NULL, 'u'},
        {"key",              required_argument, NULL, 'k'},
	{"content",                  required_argument, NULL, 't'},
        {"concurrency",required_argument, NULL, 'c'},
	{"requests",               required_argument, NULL, 'n'},
        {"spread",          required_argument, NULL, 's'},
	{"cpu",              required_argument, NULL, 'p'},
        {"deadline",                  required_argument, NULL, 'd'},
	{"stall",              no_argument, NULL, 'z'},
        {0              },
};

static unsigned
number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end != '\0' || end == text || n == 0 || n > 100000000)
		errx(64, "not a number: %s", text);
	return (unsigned)n;
}

int
main(int argc, char **argv)
{
	const char *content = "hello", *key = "";
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'u')
			load.url = optarg;
		else if (c == 'k')
			key = optarg;
		else if (c == 't')
			content = optarg;
		else if (c == 'c')
			load.concurrency = number(optarg);
		else if (c == 'n')
			load.requests = number(optarg);
		else if (c == 's')
			load.spread_ms = number(optarg);
		else if (c == 'd')
			load.deadline_s = number(optarg);
		else if (c == 'z')
			load.stall = true;
		else if (c == 'p' && load.pid_count < PIDS_MAX)
			load.pids[load.pid_count++] = (pid_t)number(optarg);
		else
			errx(64, "usage: load-client --url URL [--key KEY] [--content TEXT] "
			         "[--concurrency N] [--requests N] [--spread MS] [--cpu PID]... "
			         "[--deadline S] [--stall]");
	}
	if (load.url == NULL || load.requests < load.concurrency)
		errx(64, "want --url, and no fewer requests than concurrency");
	prepare(content, key);
	run();
	return 70; /* finish() ends it */
}
