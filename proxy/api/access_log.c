/* access_log: one line about each request when it is over. */
#include "proxy/api/access_log.h"

#include <uv.h>

#include "common/log.h"
#include "proxy/api/api.h"

#define FIELDS_MAX 16
#define NS_PER_MS  1000000

struct line {
	struct log_field fields[FIELDS_MAX];
	size_t count;
};

static void
add(struct line *l, struct log_field field)
{
	if (l->count < FIELDS_MAX)
		l->fields[l->count++] = field;
}

void
access_note(struct access *a, const struct event *event)
{
	switch (event->kind) {
	case EVENT_ADMITTED:
		if (a->admitted_ns == 0)
			a->admitted_ns = uv_hrtime();
		break;
	case EVENT_RESTARTED:
		a->first_ns = 0;
		break;
	case EVENT_TEXT:
	case EVENT_REASONING:
	case EVENT_TOOL_CALL:
		if (a->first_ns == 0)
			a->first_ns = uv_hrtime();
		break;
	case EVENT_STARTED:
	case EVENT_REASONED:
	case EVENT_USAGE:
	case EVENT_MODEL:
	case EVENT_FINISHED:
	case EVENT_FAILED:
		break;
	}
}

static const char *
method_name(enum http_method method)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
		[HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
		[HTTP_OPTIONS] = "OPTIONS",
	};

	return names[method];
}

static void
add_request(struct line *l, const struct http_exchange *x, const char *outcome)
{
	add(l, LOG_STR("request_id", http_request_id(x)));
	add(l, LOG_STR("method", method_name(http_method(x))));
	add(l, LOG_STR("path", http_path(x)));
	add(l, LOG_INT("status", http_status(x)));
	add(l, LOG_STR("outcome", outcome));
	add(l, LOG_INT("key", http_caller(x)));
	add(l, LOG_INT("ms", (uv_hrtime() - http_started_ns(x)) / NS_PER_MS));
}

static void
count(const struct api *api, const struct http_exchange *x, const char *route, const char *outcome,
      const struct access *a)
{
	uint64_t began = http_started_ns(x);
	const struct metrics_request r = {
		.path = route,
		.status = http_status(x),
		.outcome = outcome,
		.ns = uv_hrtime() - began,
		.queue_ns = a->admitted_ns != 0 ? a->admitted_ns - began : 0,
		.first_ns = a->first_ns != 0 ? a->first_ns - began : 0,
	};

	metrics_request(api->metrics, &r);
}

void
access_log(const struct api *api, const struct http_exchange *x, const char *route,
           const char *model, const char *outcome, const struct usage *usage)
{
	const struct api_request *r = http_data(x);
	uint64_t began = http_started_ns(x);
	struct line l = {.count = 0};

	add_request(&l, x, outcome);
	if (r->access.admitted_ns != 0)
		add(&l, LOG_INT("queue_ms", (r->access.admitted_ns - began) / NS_PER_MS));
	if (r->access.first_ns != 0)
		add(&l, LOG_INT("first_ms", (r->access.first_ns - began) / NS_PER_MS));
	add(&l, LOG_STR("model", model));
	add(&l, LOG_INT("input_tokens", usage->input_tokens));
	add(&l, LOG_INT("cached_tokens", usage->cached_input_tokens));
	add(&l, LOG_INT("output_tokens", usage->output_tokens));
	add(&l, LOG_INT("reasoning_tokens", usage->reasoning_output_tokens));
	log_fields(LOG_LEVEL_INFO, l.fields, l.count, "request");
	count(api, x, route, outcome, &r->access);
	metrics_usage(api->metrics, usage);
}

static const char *
plain_outcome(int status, bool complete)
{
	if (!complete)
		return "cancelled";
	switch (status) {
	case 401:
		return "unauthorized";
	case 429:
		return "rate_limited";
	default:
		return status < 400 ? "ok" : status < 500 ? "refused" : "failed";
	}
}

void
access_log_plain(const struct api *api, const struct http_exchange *x, const char *route,
                 bool probe, bool complete)
{
	const char *outcome = plain_outcome(http_status(x), complete);
	const struct access none = {0};
	struct line l = {.count = 0};

	add_request(&l, x, outcome);
	log_fields(complete && probe ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, l.fields, l.count,
	           "request");
	count(api, x, route, outcome, &none);
}
