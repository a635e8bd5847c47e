/* target: where the proxy is asked: by the settings, or by the command line. */
#include "healthcheck/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "healthcheck/curl.h"

/* Host as getaddrinfo takes it -> host as a URL has it; the wildcards become the loopback of their
 * family. */
static char *
url_host(const char *host)
{
	struct in6_addr six;
	struct in_addr four;
	char *text;

	if (inet_aton(host, &four) != 0 && four.s_addr == htonl(INADDR_ANY))
		return strdup("127.0.0.1");
	if (inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_UNSPECIFIED(&six))
		return strdup("[::1]");
	if (strchr(host, ':') == NULL)
		return strdup(host);
	return asprintf(&text, "[%s]", host) < 0 ? NULL : text;
}

static int
use_tls(struct target *t, struct err *err)
{
	char *url;

	if (asprintf(&url, "https%s", t->url + strlen("http")) < 0) {
		target_free(t);
		return err_set(err, -ENOMEM, "out of memory");
	}
	free(t->url);
	t->url = url;
	t->unverified = true;
	return 0;
}

int
target_from_settings(struct target *out, const struct settings *s, const char *path,
                     struct err *err)
{
	AUTO_FREE char *host = NULL;
	AUTO_FREE char *base = NULL;
	bool tls = s->tls_cert != NULL;
	int r;

	if (s->listen_unix != NULL) {
		r = target_from_unix(out, s->listen_unix, path, err);
		return r < 0 || !tls ? r : use_tls(out, err);
	}
	host = url_host(s->host);
	if (host == NULL ||
	    asprintf(&base, "http%s://%s:%d", tls ? "s" : "", host, (int)s->port) < 0) {
		base = NULL; /* asprintf leaves it undefined */
		return err_set(err, -ENOMEM, "out of memory");
	}
	r = target_from_url(out, base, path, err);
	if (r == -EINVAL)
		return err_set(err, r, "CODEX_PROXY_HOST: %s: not a host or an address", s->host);
	if (r < 0)
		return r;
	out->unverified = tls;
	return 0;
}

/* The parts of base that make no sense in front of a path. */
static bool
has_part(const struct curl *curl, CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool there = curl->url_get(url, part, &text, 0) == CURLUE_OK;

	curl->free(text);
	return there;
}

static bool
is_http(const struct curl *curl, CURLU *url)
{
	char *scheme = NULL;
	bool http = curl->url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	            (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

	curl->free(scheme);
	return http;
}

static int
add_path(const struct curl *curl, CURLU *url, const char *path)
{
	char *before = NULL, *text = NULL;
	size_t len;
	int r = 0;

	if (curl->url_get(url, CURLUPART_PATH, &before, 0) != CURLUE_OK)
		return -ENOMEM;
	len = strlen(before);
	while (len > 0 && before[len - 1] == '/')
		len--;
	if (asprintf(&text, "%.*s%s", (int)len, before, path) < 0)
		text = NULL;
	if (text == NULL || curl->url_set(url, CURLUPART_PATH, text, 0) != CURLUE_OK)
		r = -ENOMEM;
	free(text);
	curl->free(before);
	return r;
}

int
target_from_url(struct target *out, const char *base, const char *path, struct err *err)
{
	const struct curl *curl = curl_load(err);
	CURLU *url = curl != NULL ? curl->url() : NULL;
	char *whole = NULL;
	int r;

	if (curl == NULL)
		return -ENOENT;
	if (url == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	if (curl->url_set(url, CURLUPART_URL, base, 0) != CURLUE_OK || !is_http(curl, url) ||
	    has_part(curl, url, CURLUPART_QUERY) || has_part(curl, url, CURLUPART_FRAGMENT) ||
	    has_part(curl, url, CURLUPART_USER) || has_part(curl, url, CURLUPART_PASSWORD)) {
		curl->url_cleanup(url);
		return err_set(err, -EINVAL, "not a plain http://HOST:PORT or https://HOST:PORT");
	}
	r = add_path(curl, url, path);
	if (r == 0 && curl->url_get(url, CURLUPART_URL, &whole, 0) != CURLUE_OK)
		r = -ENOMEM;
	curl->url_cleanup(url);
	if (r == 0) {
		char *copy = strdup(whole); /* so that it is freed like everything else */

		if (copy != NULL)
			*out = (struct target){.url = copy};
		else
			r = -ENOMEM;
	}
	curl->free(whole);
	return r < 0 ? err_set(err, r, "out of memory") : 0;
}

int
target_from_unix(struct target *out, const char *unix_path, const char *path, struct err *err)
{
	struct target t = {.url = NULL};

	if (unix_path[0] == '\0' ||
	    strlen(unix_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return err_set(err, -EINVAL, "%s: not the path of a unix socket", unix_path);
	t.unix_path = strdup(unix_path);
	if (t.unix_path == NULL || asprintf(&t.url, "http://localhost%s", path) < 0) {
		free(t.unix_path);
		return err_set(err, -ENOMEM, "out of memory");
	}
	*out = t;
	return 0;
}

void
target_free(struct target *t)
{
	free(t->url);
	free(t->unix_path);
	*t = (struct target){.url = NULL};
}
