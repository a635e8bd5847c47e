/* router: which handler answers which path, and the checks that come before it. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/json.h"
#include "proxy/api/api.h"
#include "proxy/api/chat.h"
#include "proxy/api/cors.h"
#include "proxy/api/errors.h"
#include "proxy/api/responses.h"

/* tail: what of the path follows a prefix route, "" for an exact one. */
typedef void (*route_fn)(struct api *api, struct http_exchange *x, const char *tail);

static void
get_alive(struct api *api, struct http_exchange *x, const char *tail)
{
	static const char body[] = "{\"status\":\"ok\"}";

	http_reply(x, 200, "application/json", body, sizeof(body) - 1);
}

static void
get_ready(struct api *api, struct http_exchange *x, const char *tail)
{
	static const char ready[] = "{\"status\":\"ready\"}";
	static const char not_ready[] = "{\"status\":\"not_ready\"}";
	struct api_readiness readiness = {0};
	struct turns_stats stats = turns_stats(api->turns);
	json_t *reasons = json_array();
	json_auto_t *body = NULL;
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	api->readiness(api->arg, &readiness);
	for (unsigned i = 0; i < readiness.reason_count; i++) /* one may have been cut */
		json_put_item(&reasons, json_string_lossy(readiness.reasons[i]));
	body = json_pack("{s:s,s:i,s:i}", "status",
	                 readiness.ready      ? "ready"
	                 : readiness.degraded ? "degraded"
	                                      : "not_ready",
	                 "in_flight", (int)stats.running, "queued", (int)stats.waiting);
	if (readiness.reason_count > 0)
		json_put(&body, "reasons", reasons);
	else
		json_decref(reasons);
	text = json_to_text(body, &len);
	if (text != NULL) {
		http_reply(x, readiness.ready ? 200 : 503, "application/json", text, len);
		return;
	}
	/* the status is what is asked for, and needs no memory */
	if (readiness.ready)
		http_reply(x, 200, "application/json", ready, sizeof(ready) - 1);
	else
		http_reply(x, 503, "application/json", not_ready, sizeof(not_ready) - 1);
}

static void
get_models(struct api *api, struct http_exchange *x, const char *tail)
{
	models_reply_list(api->models, x);
}

static void
get_model(struct api *api, struct http_exchange *x, const char *tail)
{
	models_reply_one(api->models, x, tail);
}

static void
get_metrics(struct api *api, struct http_exchange *x, const char *tail)
{
	struct json_buf page = {0};
	struct metrics_now now = {0};

	api->figures(api->arg, &now);
	metrics_print(api->metrics, &now, &page);
	if (page.failed) {
		struct api_error error;

		api_error_out_of_memory(&error);
		api_error_reply(x, &error);
	} else {
		http_reply(x, 200, METRICS_CONTENT_TYPE, page.data, page.len);
	}
	json_buf_free(&page);
}

static void
post_chat(struct api *api, struct http_exchange *x, const char *tail)
{
	chat_handle(api, x);
}

static void
post_responses(struct api *api, struct http_exchange *x, const char *tail)
{
	responses_handle(api, x);
}

/* When a route asks for the key. */
enum route_key {
	KEY_ALWAYS,
	KEY_FROM_AFAR, /* not on this machine, nor with CODEX_METRICS_NO_AUTH */
	KEY_NEVER,     /* probes have none */
};

static const struct route {
	const char *path;
	bool prefix; /* path ends in '/', and something must follow */
	enum http_method method;
	enum route_key key;
	bool probe; /* comes every few seconds */
	route_fn handle;
} routes[] = {
	{"/healthz",             false, HTTP_GET,    KEY_NEVER,     true,  get_alive       },
	{"/readyz",              false, HTTP_GET,    KEY_NEVER,     true,  get_ready       },
	{"/health",              false, HTTP_GET,    KEY_NEVER,     true,  get_ready       },
	{"/metrics",             false, HTTP_GET,    KEY_FROM_AFAR, true,  get_metrics     },
	{"/v1/models",           false, HTTP_GET,    KEY_ALWAYS,    false, get_models      },
	{"/v1/models/",          true,  HTTP_GET,    KEY_ALWAYS,    false, get_model       },
	{"/v1/chat/completions", false, HTTP_POST,   KEY_ALWAYS,    false, post_chat       },
	{"/v1/responses",        false, HTTP_POST,   KEY_ALWAYS,    false, post_responses  },
	{"/v1/responses/",       true,  HTTP_GET,    KEY_ALWAYS,    false, responses_get   },
	{"/v1/responses/",       true,  HTTP_DELETE, KEY_ALWAYS,    false, responses_delete},
	{"/v1/responses/",       true,  HTTP_POST,   KEY_ALWAYS,    false, responses_post  },
};

static bool
is_at(const struct route *route, const char *path)
{
	size_t len = strlen(route->path);

	return route->prefix ? strncmp(path, route->path, len) == 0 && path[len] != '\0'
	                     : strcmp(path, route->path) == 0;
}

static bool
answers(const struct route *route, enum http_method method)
{
	return route->method == method || (route->method == HTTP_GET && method == HTTP_HEAD);
}

/* The route of this path for this method; for another method the first one of the path. */
static const struct route *
find_route(const char *path, enum http_method method)
{
	const struct route *found = NULL;

	for (size_t i = 0; i < NELEM(routes); i++) {
		if (!is_at(&routes[i], path))
			continue;
		if (answers(&routes[i], method))
			return &routes[i];
		if (found == NULL)
			found = &routes[i];
	}
	return found;
}

static int
refuse(struct http_exchange *x, const struct api_error *error)
{
	api_error_reply(x, error);
	return error->status;
}

static int
refuse_method(struct http_exchange *x)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET", [HTTP_POST] = "POST", [HTTP_DELETE] = "DELETE"};
	struct api_error error;
	char allow[64] = "", words[64] = "";

	for (size_t i = 0; i < NELEM(routes); i++) {
		const char *name = names[routes[i].method];

		if (!is_at(&routes[i], http_path(x)))
			continue;
		(void)snprintf(allow + strlen(allow), sizeof(allow) - strlen(allow), "%s%s%s",
		               allow[0] != '\0' ? ", " : "", name,
		               routes[i].method == HTTP_GET ? ", HEAD" : "");
		(void)snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%s",
		               words[0] != '\0' ? ", " : "", name);
	}
	http_add_header(x, "allow", allow);
	api_error_set(&error, 405, "invalid_request_error", "method_not_allowed",
	              "This path answers %s only.", words);
	return refuse(x, &error);
}

/* The parameters (charset=...) do not matter: JSON is UTF-8. */
static bool
is_json(const char *content_type)
{
	static const char json[] = "application/json";
	size_t len = sizeof(json) - 1;

	return strncasecmp(content_type, json, len) == 0 &&
	       strchr("; \t", content_type[len]) != NULL; /* its end is found as well */
}

/* True: a body that is not what it will be read as has been refused. */
static bool
refuse_body(struct http_exchange *x, struct api_error *error)
{
	const char *type = http_header(x, HTTP_CONTENT_TYPE);
	const char *encoding = http_header(x, HTTP_CONTENT_ENCODING);

	if (encoding != NULL && strcasecmp(encoding, "identity") != 0) {
		http_add_header(x, "accept-encoding", "identity"); /* RFC 9110, 15.5.16 */
		api_error_set(error, 415, "invalid_request_error", "unsupported_media_type",
		              "The body must not be compressed (Content-Encoding).");
		return true;
	}
	if (type != NULL && !is_json(type)) {
		api_error_set(error, 415, "invalid_request_error", "unsupported_media_type",
		              "The body must be application/json.");
		return true;
	}
	return false;
}

/* The limit's state goes out in OpenAI's headers, also with an answer that was let in. */
static bool
within_rate(struct api *api, struct http_exchange *x, struct api_error *error)
{
	struct rate_limit_state state;
	bool allowed = rate_limit_take(&api->rate_limit, uv_now(api->loop), &state);
	char text[32];

	if (api->rate_limit.per_minute == 0)
		return true;
	(void)snprintf(text, sizeof(text), "%u", api->rate_limit.per_minute);
	http_add_header(x, "x-ratelimit-limit-requests", text);
	(void)snprintf(text, sizeof(text), "%u", state.remaining);
	http_add_header(x, "x-ratelimit-remaining-requests", text);
	(void)snprintf(text, sizeof(text), "%llums", (unsigned long long)state.reset_ms);
	http_add_header(x, "x-ratelimit-reset-requests", text);
	if (allowed)
		return true;
	metrics_rate_limited(api->metrics);
	api_error_set(error, 429, "rate_limit_error", "rate_limit_exceeded",
	              "More than %u requests a minute: CODEX_PROXY_RATE_LIMIT of this server.",
	              api->rate_limit.per_minute);
	error->retry_after_sec = (int64_t)(state.next_token_ms + 999) / 1000;
	return false;
}

/* A client on this machine is taken at its word, unless it speaks for another one. */
static bool
is_open(const struct api *api, const struct http_exchange *x, const struct route *route)
{
	switch (route->key) {
	case KEY_ALWAYS:
		return false;
	case KEY_FROM_AFAR:
		return api->settings->metrics_no_auth ||
		       (http_peer_is_local(x) && http_header(x, HTTP_X_FORWARDED_FOR) == NULL);
	case KEY_NEVER:
		break;
	}
	return true;
}

/* Where no key is asked for, any page that the user looks at could have his browser send requests
 * here, if not read the answers. */
static bool
may_call_without_key(const struct api *api, const struct http_exchange *x, struct api_error *error)
{
	const char *origin = http_header(x, HTTP_ORIGIN);

	if (origin == NULL || cors_allows(api->settings->cors_origins, origin))
		return true;
	api_error_set(error, 403, "invalid_request_error", "origin_not_allowed",
	              "Web pages of this origin may not call this server (CODEX_CORS_ORIGINS).");
	return false;
}

/* Everything that can be refused is refused before the body is read. */
static int
on_head(void *arg, struct http_exchange *x)
{
	struct api *api = arg;
	enum http_method method = http_method(x);
	const struct route *route = find_route(http_path(x), method);
	struct api_error error;
	int key;

	cors_add_headers(api->settings->cors_origins, x);
	if (cors_preflight(api->settings->cors_origins, x) != 0)
		return http_status(x);
	if (route != NULL && is_open(api, x, route))
		return answers(route, method) ? 0 : refuse_method(x);
	key = auth_key(api->auth, http_header(x, HTTP_AUTHORIZATION));
	if (key < 0) {
		api_error_set(&error, 401, "invalid_request_error", "invalid_api_key", "%s",
		              http_header(x, HTTP_AUTHORIZATION) == NULL
		                      ? "No API key was given: send it as 'Authorization: Bearer "
		                        "KEY'."
		                      : "The API key is not one of this server's.");
		return refuse(x, &error);
	}
	http_set_caller(x, key);
	if (key == 0 && !may_call_without_key(api, x, &error))
		return refuse(x, &error);
	if (route == NULL) {
		api_error_set(&error, 404, "invalid_request_error", "unknown_url",
		              "There is nothing at this path: %.128s", http_path(x));
		return refuse(x, &error);
	}
	if (!answers(route, method))
		return refuse_method(x);
	if (method == HTTP_POST && refuse_body(x, &error))
		return refuse(x, &error);
	if (method == HTTP_POST && !within_rate(api, x, &error))
		return refuse(x, &error);
	return 0;
}

static void
on_request(void *arg, struct http_exchange *x)
{
	const char *path = http_path(x);
	const struct route *route =
		find_route(path, http_method(x)); /* on_head has seen that there is one */

	route->handle(arg, x, path + strlen(route->path));
}

static void
on_done(void *arg, struct http_exchange *x, bool complete)
{
	struct api_request *r = http_data(x);
	const struct route *route = find_route(http_path(x), HTTP_GET);

	if (r != NULL)
		r->on_done(r, complete);
	else
		access_log_plain(arg, x, route != NULL ? route->path : "other",
		                 route != NULL && route->probe, complete);
}

static size_t
format_error(void *arg, int status, const char *message, char *body, size_t size)
{
	AUTO_FREE char *text = NULL;
	struct api_error error;
	size_t len = 0;

	api_error_set(&error, status, status >= 500 ? "server_error" : "invalid_request_error",
	              status == 413 ? "request_too_large" : NULL, "%s", message);
	text = api_error_text(&error, &len);
	if (text == NULL)
		len = strlen(api_no_memory_text);
	if (len > size)
		return 0;
	memcpy(body, text != NULL ? text : api_no_memory_text, len);
	return len;
}

const struct http_handlers api_handlers = {
	.on_request = on_request,
	.on_done = on_done,
	.format_error = format_error,
	.on_head = on_head,
};
