/* fetch: gets what an https URL names, from hosts that are allowed, by libcurl on libuv's loop. */
#include "proxy/fetch.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "proxy/fetch_hosts.h"
#include "proxy/libcurl.h"

#define REDIRECTS_MAX 3

struct fetcher {
	struct fetcher_config config;
	const struct libcurl *curl;
	CURLM *multi;
	uv_timer_t timer;
	unsigned open; /* handles that are not closed yet */
	unsigned running;
};

/* A socket of libcurl's on the loop. */
struct socket_watch {
	uv_poll_t poll;
	struct fetcher *owner;
	curl_socket_t fd;
};

struct fetch {
	struct fetcher *owner;
	CURL *easy;
	CURLU *url;
	fetch_fn fn;
	void *arg;
	size_t *budget;
	struct json_buf bytes;
	uint64_t deadline;
	unsigned redirects;
	bool running;         /* libcurl has it */
	bool literal;         /* the host is listed as an address */
	bool private_address; /* the connection was refused for it */
	bool too_large;
	char why[96];
};

/* --- libcurl on libuv's loop ------------------------------------------------------------------ */

static void look_for_ends(struct fetcher *fr);

static void
let_go(struct fetcher *fr)
{
	if (--fr->open == 0)
		free(fr);
}

static void
on_timer_closed(uv_handle_t *handle)
{
	let_go(handle->data);
}

static void
on_poll_closed(uv_handle_t *handle)
{
	struct socket_watch *w = handle->data;

	let_go(w->owner);
	free(w);
}

static void
act(struct fetcher *fr, curl_socket_t fd, int flags)
{
	int running = 0;

	(void)fr->curl->multi_socket_action(fr->multi, fd, flags, &running); /* ends tell */
	look_for_ends(fr);
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct socket_watch *w = poll->data;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;

	if ((events & UV_READABLE) != 0)
		flags |= CURL_CSELECT_IN;
	if ((events & UV_WRITABLE) != 0)
		flags |= CURL_CSELECT_OUT;
	act(w->owner, w->fd, flags);
}

/* NULL: no memory, or no such file: the transfer then runs into its timeout. */
static struct socket_watch *
watch(struct fetcher *fr, curl_socket_t fd)
{
	struct socket_watch *w = calloc(1, sizeof(*w));

	if (w == NULL || uv_poll_init_socket(fr->config.loop, &w->poll, fd) < 0) {
		free(w);
		return NULL;
	}
	w->owner = fr;
	w->fd = fd;
	w->poll.data = w;
	fr->open++;
	(void)fr->curl->multi_assign(fr->multi, fd, w); /* fd is known: this is its callback */
	return w;
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct fetcher *fr = arg;
	struct socket_watch *w = known;
	int events =
		(what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);

	if (what == CURL_POLL_REMOVE) {
		if (w != NULL)
			uv_close((uv_handle_t *)&w->poll, on_poll_closed);
		return 0;
	}
	if (w == NULL)
		w = watch(fr, fd);
	if (w != NULL)
		(void)uv_poll_start(&w->poll, events, on_poll); /* a live handle */
	return 0;
}

static void
on_timer(uv_timer_t *timer)
{
	act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int
on_timeout_changed(CURLM *multi, long timeout_ms, void *arg)
{
	struct fetcher *fr = arg;

	if (timeout_ms < 0)
		(void)uv_timer_stop(&fr->timer); /* cannot fail */
	else
		(void)uv_timer_start(&fr->timer, on_timer, (uint64_t)timeout_ms, 0);
	return 0;
}

int
fetcher_new(struct fetcher **out, const struct fetcher_config *config, struct err *err)
{
	struct fetcher *fr = NULL;
	const struct libcurl *curl;
	int r = libcurl_load(&curl, err);

	if (r < 0)
		return r;
	fr = calloc(1, sizeof(*fr));
	if (fr == NULL || (fr->multi = curl->multi_init()) == NULL) {
		free(fr);
		return err_set(err, -ENOMEM, "out of memory");
	}
	fr->config = *config;
	fr->curl = curl;
	(void)uv_timer_init(config->loop, &fr->timer); /* cannot fail */
	fr->timer.data = fr;
	fr->open = 1;
	/* None of these can fail with an option that it knows. */
	(void)curl->multi_setopt(fr->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl->multi_setopt(fr->multi, CURLMOPT_SOCKETDATA, fr);
	(void)curl->multi_setopt(fr->multi, CURLMOPT_TIMERFUNCTION, on_timeout_changed);
	(void)curl->multi_setopt(fr->multi, CURLMOPT_TIMERDATA, fr);
	*out = fr;
	return 0;
}

void
fetcher_close(struct fetcher *fr)
{
	if (fr == NULL)
		return;
	assert(fr->running == 0);
	(void)fr->curl->multi_cleanup(fr->multi); /* nothing is left in it */
	uv_close((uv_handle_t *)&fr->timer, on_timer_closed);
}

/* --- one fetch -------------------------------------------------------------------------------- */

static void
dispose(struct fetch *f)
{
	const struct libcurl *curl = f->owner->curl;

	if (f->easy != NULL)
		curl->easy_cleanup(f->easy);
	curl->url_cleanup(f->url);
	json_buf_free(&f->bytes);
	free(f);
}

/* From now on libcurl knows nothing of it. */
static void
take_out(struct fetch *f)
{
	if (!f->running)
		return;
	f->running = false;
	f->owner->running--;
	(void)f->owner->curl->multi_remove_handle(f->owner->multi, f->easy); /* it is in */
}

static void
end(struct fetch *f, const char *why)
{
	take_out(f);
	f->fn(f->arg, why, why == NULL ? f->bytes.data : NULL, why == NULL ? f->bytes.len : 0);
	dispose(f);
}

void
fetch_cancel(struct fetch *f)
{
	take_out(f);
	dispose(f);
}

static long
status_of(const struct fetch *f)
{
	long status = 0;

	(void)f->owner->curl->easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static size_t
on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
	struct fetch *f = arg;
	size_t len = size * count;

	if (status_of(f) != 200)
		return len; /* of an error, or a redirection: nobody reads it */
	f->too_large = len > *f->budget;
	if (f->too_large)
		return 0;
	*f->budget -= len;
	json_buf_append(&f->bytes, bytes, len);
	return f->bytes.failed ? 0 : len;
}

/* Asked for each address before anything is sent to it: the name was resolved just now, and is not
 * again. */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct fetch *f = arg;

	if (!f->literal && !fetch_address_is_public(&address->addr)) {
		f->private_address = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Is it where we may go? NULL: yes. */
static const char *
look_at_url(struct fetch *f)
{
	const struct libcurl *curl = f->owner->curl;
	char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL;
	enum fetch_host allowed = FETCH_HOST_REFUSED;
	bool https = false, plain = false;

	if (curl->url_get(f->url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl->url_get(f->url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl->url_get(f->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
		https = strcmp(scheme, "https") == 0;
		plain = curl->url_get(f->url, CURLUPART_USER, &user, 0) == CURLUE_NO_USER;
		allowed = fetch_host_check(f->owner->config.hosts, host,
		                           (unsigned)strtoul(port, NULL, 10));
	}
	curl->free(scheme);
	curl->free(host);
	curl->free(port);
	curl->free(user);
	f->literal = allowed == FETCH_HOST_LITERAL;
	if (!https || !plain)
		return "only https URLs without a user name are fetched";
	return allowed == FETCH_HOST_REFUSED ? "this server does not fetch from that host" : NULL;
}

static void
set_options(struct fetch *f)
{
	const struct libcurl *curl = f->owner->curl;
	const struct fetcher_config *config = &f->owner->config;
	uint64_t now = uv_now(config->loop);
	long left_ms = now < f->deadline ? (long)(f->deadline - now) : 1;

	/* These need no memory, and cannot fail; those that can are set, and checked, by go. */
	curl->easy_reset(f->easy);
	(void)curl->easy_setopt(f->easy, CURLOPT_PRIVATE, f);
	(void)curl->easy_setopt(f->easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl->easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl->easy_setopt(f->easy, CURLOPT_FORBID_REUSE, 1L);
	/* Else the end of a fetch would wait for the resolver, and the loop with it. */
	(void)curl->easy_setopt(f->easy, CURLOPT_QUICK_EXIT, 1L);
	(void)curl->easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, left_ms);
	(void)curl->easy_setopt(f->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)*f->budget);
	(void)curl->easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_bytes);
	(void)curl->easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
	(void)curl->easy_setopt(f->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	(void)curl->easy_setopt(f->easy, CURLOPT_OPENSOCKETDATA, f);
}

/* Without any of these it must not begin. False: no memory. */
static bool
set_texts(struct fetch *f)
{
	const struct libcurl *curl = f->owner->curl;
	const char *ca_file = f->owner->config.ca_file;

	return curl->easy_setopt(f->easy, CURLOPT_CURLU, f->url) == CURLE_OK &&
	       curl->easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
	       curl->easy_setopt(f->easy, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl->easy_setopt(f->easy, CURLOPT_USERAGENT, "codex-sidecar/" SIDECAR_VERSION) ==
	               CURLE_OK &&
	       (ca_file == NULL || curl->easy_setopt(f->easy, CURLOPT_CAINFO, ca_file) == CURLE_OK);
}

/* NULL: on its way. */
static const char *
go(struct fetch *f)
{
	const char *why = look_at_url(f);

	if (why != NULL)
		return why;
	set_options(f);
	if (!set_texts(f) || f->owner->curl->multi_add_handle(f->owner->multi, f->easy) != CURLM_OK)
		return "this server is out of memory";
	f->running = true;
	f->owner->running++;
	return NULL;
}

const char *
fetch_start(struct fetch **out, struct fetcher *fr, const char *url, size_t *budget, fetch_fn fn,
            void *arg)
{
	struct fetch *f = calloc(1, sizeof(*f));
	const char *why = "this server is out of memory";

	if (f == NULL)
		return why;
	f->owner = fr;
	f->fn = fn;
	f->arg = arg;
	f->budget = budget;
	f->deadline = uv_now(fr->config.loop) + fr->config.timeout_ms;
	f->url = fr->curl->url();
	f->easy = fr->curl->easy_init();
	if (f->url != NULL && f->easy != NULL)
		why = fr->curl->url_set(f->url, CURLUPART_URL, url, 0) == CURLUE_OK
		              ? go(f)
		              : "it is not a URL";
	if (why != NULL)
		dispose(f);
	else
		*out = f;
	return why;
}

/* --- its end ---------------------------------------------------------------------------------- */

/* True: it goes on somewhere else; false: *why says why not. */
static bool
follow(struct fetch *f, const char **why)
{
	const struct libcurl *curl = f->owner->curl;
	char *to = NULL;
	bool valid;

	(void)curl->easy_getinfo(f->easy, CURLINFO_REDIRECT_URL, &to);
	*why = "the host redirects to nowhere";
	if (to == NULL)
		return false;
	*why = "it is redirected too often";
	if (++f->redirects > REDIRECTS_MAX)
		return false;
	valid = curl->url_set(f->url, CURLUPART_URL, to, 0) == CURLUE_OK;
	take_out(f);
	*why = valid ? go(f) : "the host redirects to what is not a URL";
	return *why == NULL;
}

static const char *
explain(struct fetch *f, CURLcode code)
{
	long status = status_of(f);

	if (f->too_large || code == CURLE_FILESIZE_EXCEEDED)
		return "it is larger than a request may be";
	if (f->private_address)
		return "the host's address is not a public one";
	if (code == CURLE_OPERATION_TIMEDOUT)
		return "it did not come in time";
	if (code == CURLE_COULDNT_RESOLVE_HOST)
		return "the host's name is unknown";
	if (code == CURLE_COULDNT_CONNECT)
		return "the host cannot be reached";
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		return "the host's certificate is not valid";
	if (code != CURLE_OK)
		return "the host did not answer as it should";
	if (status == 200)
		return NULL;
	(void)snprintf(f->why, sizeof(f->why), "the host answered with status %ld", status);
	return f->why;
}

static void
look_for_ends(struct fetcher *fr)
{
	CURLMsg *message;
	int left;

	/* What a callback cancels is taken off the list of messages by libcurl. */
	while ((message = fr->curl->multi_info_read(fr->multi, &left)) != NULL) {
		CURLcode code = message->data.result;
		struct fetch *f = NULL;
		const char *why;

		(void)fr->curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &f);
		why = explain(f, code);
		if (code == CURLE_OK && status_of(f) / 100 == 3 && follow(f, &why))
			continue;
		end(f, why);
	}
}
