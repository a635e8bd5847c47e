/* played_curl: libcurl, but for its reading of URLs, played: whoever includes it is the network. */
#ifndef SIDECAR_TESTS_PLAYED_CURL_H
#define SIDECAR_TESTS_PLAYED_CURL_H

#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "proxy/libcurl.h"
#include "tests/fuzz/fuzz.h"

#define TRANSFERS_MAX 16

/* An easy handle. */
struct transfer {
	CURLU *url; /* borrowed */
	void *private;
	curl_write_callback write;
	void *write_arg;
	curl_opensocket_callback open_socket;
	void *open_socket_arg;
	bool added, done;
	CURLcode code;
	CURLMsg message;
	long status;    /* 0: no answer yet */
	char *location; /* what it redirects to, absolute; NULL: nowhere */
	size_t number;  /* of the handles begun since net.count was 0, from 1 on; 0: not begun */
};

/* There is one multi handle. */
static struct {
	struct transfer *transfers[TRANSFERS_MAX]; /* those that are under way; NULL: free */
	curl_multi_timer_callback timer;
	void *timer_arg;
	void (*on_start)(struct transfer *t); /* what must hold of where it goes */
	size_t count;                         /* handles that were begun */
} net;

static struct libcurl played;

static inline CURLcode
play_global_init(long flags)
{
	return CURLE_OK;
}

static inline CURL *
play_easy_init(void)
{
	return calloc(1, sizeof(struct transfer));
}

static inline void
play_easy_reset(CURL *easy)
{
	struct transfer *t = easy;
	size_t number = t->number;

	HOLDS(!t->added);
	free(t->location);
	memset(t, 0, sizeof(*t));
	t->number = number;
}

static inline void
play_easy_cleanup(CURL *easy)
{
	play_easy_reset(easy);
	free(easy);
}

static inline CURLcode
play_easy_setopt(CURL *easy, CURLoption option, ...)
{
	struct transfer *t = easy;
	va_list ap;

	va_start(ap, option);
	if (option == CURLOPT_CURLU)
		t->url = va_arg(ap, CURLU *);
	else if (option == CURLOPT_PRIVATE)
		t->private = va_arg(ap, void *);
	else if (option == CURLOPT_WRITEFUNCTION)
		t->write = va_arg(ap, curl_write_callback);
	else if (option == CURLOPT_WRITEDATA)
		t->write_arg = va_arg(ap, void *);
	else if (option == CURLOPT_OPENSOCKETFUNCTION)
		t->open_socket = va_arg(ap, curl_opensocket_callback);
	else if (option == CURLOPT_OPENSOCKETDATA)
		t->open_socket_arg = va_arg(ap, void *);
	va_end(ap);
	return CURLE_OK;
}

static inline CURLcode
play_easy_getinfo(CURL *easy, CURLINFO info, ...)
{
	struct transfer *t = easy;
	va_list ap;

	va_start(ap, info);
	if (info == CURLINFO_RESPONSE_CODE)
		*va_arg(ap, long *) = t->status;
	else if (info == CURLINFO_PRIVATE)
		*va_arg(ap, void **) = t->private;
	else if (info == CURLINFO_REDIRECT_URL)
		*va_arg(ap, char **) = t->location;
	else
		HOLDS(false);
	va_end(ap);
	return CURLE_OK;
}

static inline CURLM *
play_multi_init(void)
{
	return &net;
}

static inline CURLMcode
play_multi_setopt(CURLM *multi, CURLMoption option, ...)
{
	va_list ap;

	va_start(ap, option);
	if (option == CURLMOPT_TIMERFUNCTION)
		net.timer = va_arg(ap, curl_multi_timer_callback);
	else if (option == CURLMOPT_TIMERDATA)
		net.timer_arg = va_arg(ap, void *);
	va_end(ap);
	return CURLM_OK;
}

static inline CURLMcode
play_multi_add_handle(CURLM *multi, CURL *easy)
{
	struct transfer *t = easy;
	size_t i = 0;

	HOLDS(!t->added && t->url != NULL && t->write != NULL && t->open_socket != NULL);
	while (i < TRANSFERS_MAX && net.transfers[i] != NULL)
		i++;
	HOLDS(i < TRANSFERS_MAX);
	net.transfers[i] = t;
	t->added = true;
	if (t->number == 0)
		t->number = ++net.count;
	net.on_start(t);
	return CURLM_OK;
}

static inline CURLMcode
play_multi_remove_handle(CURLM *multi, CURL *easy)
{
	struct transfer *t = easy;

	HOLDS(t->added);
	for (size_t i = 0; i < TRANSFERS_MAX; i++)
		if (net.transfers[i] == t)
			net.transfers[i] = NULL;
	t->added = t->done = false;
	return CURLM_OK;
}

static inline CURLMcode
play_multi_socket_action(CURLM *multi, curl_socket_t fd, int flags, int *running)
{
	return CURLM_OK;
}

static inline CURLMsg *
play_multi_info_read(CURLM *multi, int *left)
{
	for (size_t i = 0; i < TRANSFERS_MAX; i++) {
		struct transfer *t = net.transfers[i];

		if (t == NULL || !t->done)
			continue;
		t->done = false; /* it is told once */
		t->message.msg = CURLMSG_DONE;
		t->message.easy_handle = t;
		t->message.data.result = t->code;
		return &t->message;
	}
	return NULL;
}

static inline CURLMcode
play_multi_assign(CURLM *multi, curl_socket_t fd, void *arg)
{
	return CURLM_OK;
}

static inline CURLMcode
play_multi_cleanup(CURLM *multi)
{
	return CURLM_OK;
}

/* Found in place of the real one. */
int
libcurl_load(const struct libcurl **out, struct err *err)
{
	void *library = played.url == NULL ? dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL) : NULL;

	*out = &played;
	if (played.url != NULL)
		return 0;
	HOLDS(library != NULL);
#define PLAYED(name) played.name = play_##name;
	PLAYED(global_init)
	PLAYED(easy_init)
	PLAYED(easy_setopt)
	PLAYED(easy_getinfo)
	PLAYED(easy_reset)
	PLAYED(easy_cleanup)
	PLAYED(multi_init)
	PLAYED(multi_setopt)
	PLAYED(multi_add_handle)
	PLAYED(multi_remove_handle)
	PLAYED(multi_socket_action)
	PLAYED(multi_info_read)
	PLAYED(multi_assign)
	PLAYED(multi_cleanup)
#undef PLAYED
#define REAL(name)                                                                                 \
	*(void **)(void *)&played.name = dlsym(library, "curl_" #name);                            \
	HOLDS(played.name != NULL);
	REAL(url)
	REAL(url_set)
	REAL(url_get)
	REAL(url_cleanup)
	REAL(free)
#undef REAL
	return 0;
}

/* --- the network ----------------------------------------------------------------------------- */

static inline void
transfer_ends(struct transfer *t, CURLcode code)
{
	t->done = true;
	t->code = code;
	HOLDS(net.timer(&net, 0, net.timer_arg) == 0); /* soon */
}

/* As libcurl makes an absolute URL of what a host says; NULL: it cannot. */
static inline void
transfer_redirects(struct transfer *t, const char *location)
{
	CURLU *url = played.url();
	char *here = NULL;

	free(t->location);
	t->location = NULL;
	HOLDS(url != NULL && played.url_get(t->url, CURLUPART_URL, &here, 0) == CURLUE_OK);
	HOLDS(played.url_set(url, CURLUPART_URL, here, 0) == CURLUE_OK);
	played.free(here);
	here = NULL;
	if (played.url_set(url, CURLUPART_URL, location, 0) == CURLUE_OK &&
	    played.url_get(url, CURLUPART_URL, &here, 0) == CURLUE_OK)
		t->location = strdup(here);
	played.free(here);
	played.url_cleanup(url);
}

#endif
