/* probe: one GET, within a deadline: the only part that knows libcurl's way of asking. */
#include "healthcheck/probe.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>

struct body {
	char *data; /* PROBE_BODY_MAX + 1 bytes */
	size_t len;
	bool full; /* there was more: the transfer was ended by us */
};

static size_t
on_data(char *data, size_t one, size_t len, void *arg)
{
	struct body *b = arg;
	size_t room = PROBE_BODY_MAX - b->len;
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
set_up(CURL *curl, const struct target *t, long timeout_ms, struct body *body, char *why)
{
	CURLcode r = CURLE_OK;

#define SET(option, value) r = r != CURLE_OK ? r : curl_easy_setopt(curl, CURLOPT_##option, value)
	SET(ERRORBUFFER, why);
	SET(URL, t->url);
	if (t->unix_path != NULL)
		SET(UNIX_SOCKET_PATH, t->unix_path);
	SET(PROTOCOLS_STR, "http,https");
	SET(PROXY, ""); /* none, whatever the environment says */
	SET(FOLLOWLOCATION, 0L);
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(HTTP09_ALLOWED, 0L);
	SET(USERAGENT, "codex-healthcheck/" SIDECAR_VERSION);
	SET(TIMEOUT_MS, timeout_ms);
	SET(CONNECTTIMEOUT_MS, timeout_ms);
	SET(NOSIGNAL, 1L);
	SET(WRITEFUNCTION, on_data);
	SET(WRITEDATA, body);
#undef SET
	return r;
}

static int
perform(CURL *curl, const struct target *t, long timeout_ms, struct body *body, int *status,
        struct err *err)
{
	char why[CURL_ERROR_SIZE] = "";
	long code = 0;
	CURLcode r = set_up(curl, t, timeout_ms, body, why);

	if (r == CURLE_OK)
		r = curl_easy_perform(curl);
	if (r == CURLE_OPERATION_TIMEDOUT)
		return err_set(err, -ETIMEDOUT, "no answer within %g s", (double)timeout_ms / 1e3);
	if (r == CURLE_UNSUPPORTED_PROTOCOL)
		return err_set(err, -ECONNREFUSED, "what answers there does not speak HTTP");
	if (r == CURLE_COULDNT_CONNECT &&
	    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &code) == CURLE_OK && code != 0)
		return err_set(err, -ECONNREFUSED, "cannot connect: %s", strerror((int)code));
	if (r != CURLE_OK && !(r == CURLE_WRITE_ERROR && body->full))
		return err_set(err, -ECONNREFUSED, "%s",
		               why[0] != '\0' ? why : curl_easy_strerror(r));
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code); /* 0 is caught below */
	if (code == 0)
		return err_set(err, -ECONNREFUSED, "what answers there does not speak HTTP");
	*status = (int)code;
	return 0;
}

int
probe_ask(struct probe_answer *out, const struct target *target, long timeout_ms, struct err *err)
{
	struct body body = {.data = malloc(PROBE_BODY_MAX + 1)};
	CURL *curl = NULL;
	int status = 0, r;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		curl = curl_easy_init();
	if (curl == NULL || body.data == NULL)
		r = err_set(err, -ENOMEM, "out of memory");
	else
		r = perform(curl, target, timeout_ms, &body, &status, err);
	curl_easy_cleanup(curl);
	curl_global_cleanup();
	if (r < 0) {
		free(body.data);
		return r;
	}
	body.data[body.len] = '\0';
	*out = (struct probe_answer){.status = status, .body = body.data, .len = body.len};
	return 0;
}

void
probe_answer_free(struct probe_answer *a)
{
	free(a->body);
	*a = (struct probe_answer){.status = 0};
}
