/* http: one request, within a deadline: the only part that knows libcurl's way of asking. */
#include "healthcheck/http.h"

#include <errno.h>
#include <string.h>

#include "healthcheck/curl.h"

struct body {
	char *data; /* HTTP_BODY_MAX + 1 bytes */
	size_t len;
	bool full; /* there was more: the transfer was ended by us */
};

struct transfer {
	const struct curl *curl;
	CURL *handle;
	struct curl_slist *headers;
	struct body body;
	char why[CURL_ERROR_SIZE];
};

static size_t
on_data(char *data, size_t one, size_t len, void *arg)
{
	struct body *b = arg;
	size_t room = HTTP_BODY_MAX - b->len;
	size_t taken = len < room ? len : room;

	memcpy(b->data + b->len, data, taken);
	b->len += taken;
	if (taken < len) {
		b->full = true;
		return 0; /* ends the transfer */
	}
	return len;
}

static CURLcode
set_up(struct transfer *t, const struct http_question *q)
{
	CURLcode r = CURLE_OK;

#define SET(option, value)                                                                         \
	r = r != CURLE_OK ? r : t->curl->easy_setopt(t->handle, CURLOPT_##option, value)
	SET(ERRORBUFFER, t->why);
	SET(URL, q->url);
	if (q->unix_path != NULL)
		SET(UNIX_SOCKET_PATH, q->unix_path);
	SET(PROTOCOLS_STR, "http,https");
	if (!q->via_proxy)
		SET(PROXY, ""); /* none, whatever the environment says */
	if (q->unverified) {
		SET(SSL_VERIFYPEER, 0L);
		SET(SSL_VERIFYHOST, 0L);
	} else if (q->ca_file != NULL) {
		SET(CAINFO, q->ca_file);
	}
	if (q->post != NULL) {
		t->headers = t->curl->slist_append(NULL, "Content-Type: application/json");
		SET(HTTPHEADER, t->headers);
		SET(POSTFIELDS, q->post);
	}
	SET(FOLLOWLOCATION, 0L);
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(HTTP09_ALLOWED, 0L);
	SET(USERAGENT, "codex-healthcheck/" SIDECAR_VERSION);
	SET(TIMEOUT_MS, q->timeout_ms);
	SET(CONNECTTIMEOUT_MS, q->timeout_ms);
	SET(NOSIGNAL, 1L);
	SET(WRITEFUNCTION, on_data);
	SET(WRITEDATA, &t->body);
#undef SET
	return r;
}

static int
failed(struct transfer *t, CURLcode r, const struct http_question *q, struct err *err)
{
	long code = 0;

	if (r == CURLE_OPERATION_TIMEDOUT)
		return err_set(err, -ETIMEDOUT, "no answer within %g s",
		               (double)q->timeout_ms / 1e3);
	if (r == CURLE_UNSUPPORTED_PROTOCOL)
		return err_set(err, -ECONNREFUSED, "what answers there does not speak HTTP");
	if (r == CURLE_COULDNT_CONNECT &&
	    t->curl->easy_getinfo(t->handle, CURLINFO_OS_ERRNO, &code) == CURLE_OK && code != 0)
		return err_set(err, -ECONNREFUSED, "cannot connect: %s", strerror((int)code));
	return err_set(err, -ECONNREFUSED, "%s",
	               t->why[0] != '\0' ? t->why : t->curl->easy_strerror(r));
}

static int
perform(struct transfer *t, struct http_answer *out, const struct http_question *q, struct err *err)
{
	long status = 0;
	curl_off_t wait = 0;
	CURLcode r = set_up(t, q);

	if (r == CURLE_OK)
		r = t->curl->easy_perform(t->handle);
	if (r != CURLE_OK && !(r == CURLE_WRITE_ERROR && t->body.full))
		return failed(t, r, q, err);
	/* 0 is caught below; a wait that is not told stays 0 */
	(void)t->curl->easy_getinfo(t->handle, CURLINFO_RESPONSE_CODE, &status);
	(void)t->curl->easy_getinfo(t->handle, CURLINFO_RETRY_AFTER, &wait);
	if (status == 0)
		return err_set(err, -ECONNREFUSED, "what answers there does not speak HTTP");
	*out = (struct http_answer){.status = (int)status,
	                            .retry_after_s = wait < 86400 ? (long)wait : 86400};
	return 0;
}

int
http_ask(struct http_answer *out, const struct http_question *q, struct err *err)
{
	struct transfer t = {.curl = curl_load(err)};
	bool tls = strncasecmp(q->url, "https", 5) == 0;
	int r;

	if (t.curl == NULL)
		return -ENOENT;
	t.body.data = malloc(HTTP_BODY_MAX + 1);
	/* TLS is made ready only where it is spoken: it takes a millisecond */
	if (t.curl->global_init(tls ? CURL_GLOBAL_DEFAULT : CURL_GLOBAL_NOTHING) == CURLE_OK)
		t.handle = t.curl->easy_init();
	if (t.handle == NULL || t.body.data == NULL)
		r = err_set(err, -ENOMEM, "out of memory");
	else
		r = perform(&t, out, q, err);
	t.curl->easy_cleanup(t.handle);
	t.curl->slist_free_all(t.headers);
	t.curl->global_cleanup();
	if (r < 0) {
		free(t.body.data);
		return r;
	}
	t.body.data[t.body.len] = '\0';
	out->body = t.body.data;
	out->len = t.body.len;
	return 0;
}

void
http_answer_free(struct http_answer *a)
{
	free(a->body);
	*a = (struct http_answer){.status = 0};
}
