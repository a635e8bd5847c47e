/* alert: a message to a webhook, in the form that its receiver understands. */
#include "healthcheck/alert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/backoff.h"
#include "common/json.h"
#include "healthcheck/curl.h"
#include "healthcheck/http.h"

#define TRIES        4
#define RETRY_MS     500   /* doubling */
#define RETRY_MAX_MS 20000 /* four tries of 10 s, and what is between them: within two minutes */

static const struct {
	const char *name;
	enum alert_format format;
} names[] = {
	{"json",    ALERT_JSON   },
	{"discord", ALERT_DISCORD},
	{"slack",   ALERT_SLACK  },
};

/* Whose host, or whose path at any other host (a relay, a test). Slack's come first: Discord takes
 * its form at .../slack. */
static const struct {
	enum alert_format format;
	const char *host;        /* and all below it; NULL: any */
	const char *head, *tail; /* of the path; NULL: any */
} receivers[] = {
	{ALERT_SLACK,   NULL,             "/api/webhooks/", "/slack"},
	{ALERT_DISCORD, "discord.com",    NULL,             NULL    },
	{ALERT_DISCORD, "discordapp.com", NULL,             NULL    },
	{ALERT_DISCORD, NULL,             "/api/webhooks/", NULL    },
	{ALERT_SLACK,   "slack.com",      NULL,             NULL    },
	{ALERT_SLACK,   NULL,             "/services/",     NULL    },
};

bool
alert_format_parse(enum alert_format *out, const char *name)
{
	for (size_t i = 0; i < NELEM(names); i++) {
		if (strcmp(names[i].name, name) == 0) {
			*out = names[i].format;
			return true;
		}
	}
	return false;
}

/* --- whose it is ---------------------------------------------------------------------------- */

static bool
ends_with(const char *text, const char *tail)
{
	size_t len = strlen(text), tail_len = strlen(tail);

	return len >= tail_len && strcasecmp(text + len - tail_len, tail) == 0;
}

static bool
is_host(const char *host, const char *domain)
{
	size_t len = strlen(host), domain_len = strlen(domain);

	return ends_with(host, domain) && (len == domain_len || host[len - domain_len - 1] == '.');
}

static enum alert_format
format_of(const char *host, const char *path)
{
	for (size_t i = 0; i < NELEM(receivers); i++) {
		const char *head = receivers[i].head, *tail = receivers[i].tail;

		if ((receivers[i].host == NULL || is_host(host, receivers[i].host)) &&
		    (head == NULL || strncmp(path, head, strlen(head)) == 0) &&
		    (tail == NULL || ends_with(path, tail)))
			return receivers[i].format;
	}
	return ALERT_JSON;
}

int
alert_format_of(enum alert_format *out, const char *url, struct err *err)
{
	const struct curl *curl = curl_load(err);
	char *scheme = NULL, *host = NULL, *path = NULL;
	CURLU *parts;
	int r = -EINVAL;

	if (curl == NULL)
		return -ENOENT;
	parts = curl->url();
	if (parts == NULL)
		return err_set(err, -ENOMEM, "out of memory");
	if (curl->url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl->url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl->url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl->url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK &&
	    (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0)) {
		*out = format_of(host, path);
		r = 0;
	}
	curl->free(scheme);
	curl->free(host);
	curl->free(path);
	curl->url_cleanup(parts);
	return r < 0 ? err_set(err, r, "not an http or https URL") : 0;
}

/* --- the message ---------------------------------------------------------------------------- */

char *
alert_body(enum alert_format format, const char *message, const json_t *facts)
{
	json_auto_t *body = NULL;

	switch (format) {
	case ALERT_DISCORD:
		/* no @everyone, whatever a host's name is */
		body = json_pack("{s:o, s:{s:[]}}", "content", json_string_lossy(message),
		                 "allowed_mentions", "parse");
		break;
	case ALERT_SLACK:
		body = json_pack("{s:o}", "text", json_string_lossy(message));
		break;
	case ALERT_JSON:
		body = json_pack("{s:o, s:o}", "content", json_string_lossy(message), "text",
		                 json_string_lossy(message));
		if (facts != NULL)
			(void)json_object_update_missing(body, (json_t *)(uintptr_t)facts);
		break;
	}
	return body != NULL ? json_to_text(body, NULL) : NULL;
}

/* --- on its way ----------------------------------------------------------------------------- */

static bool
may_get_better(const struct http_answer *a)
{
	return a->status >= 500 || a->status == 429 || a->status == 408;
}

/* 0, or why not; *again: another try makes sense, after wait_ms at least. */
static int
post_once(const struct http_question *q, bool *again, uint64_t *wait_ms, struct err *err)
{
	struct http_answer answer = {.status = 0};
	int r = http_ask(&answer, q, err);

	*again = r < 0 ? r != -ENOENT && r != -ENOMEM : may_get_better(&answer);
	*wait_ms = (uint64_t)answer.retry_after_s * 1000;
	if (r == 0 && answer.status / 100 != 2)
		r = err_set(err, -EPROTO, "answered with HTTP status %d", answer.status);
	http_answer_free(&answer);
	return r;
}

static void
pause_ms(uint64_t ms)
{
	struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)nanosleep(&t, NULL); /* a signal only makes it shorter */
}

int
alert_post(const char *url, const char *body, long timeout_ms, struct err *err)
{
	struct http_question q = {
		.url = url, .post = body, .via_proxy = true, .timeout_ms = timeout_ms};
	struct backoff backoff = {.base_ms = RETRY_MS, .max_ms = RETRY_MAX_MS};

	for (int left = TRIES - 1;; left--) {
		uint64_t asked, delay;
		bool again;
		int r = post_once(&q, &again, &asked, err);

		if (r == 0 || !again || left == 0)
			return r;
		delay = backoff_next_ms(&backoff, backoff_random());
		if (asked > delay)
			delay = asked < RETRY_MAX_MS ? asked : RETRY_MAX_MS;
		(void)fprintf(stderr, "codex-healthcheck: alert: %s; again in %.1f s\n", err->text,
		              (double)delay / 1e3);
		pause_ms(delay);
	}
}
