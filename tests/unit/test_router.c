/* Which path answers what, and what is refused before a body is read. */
#include "tests/unit/api_fixture.h"

static void
assert_head(enum http_method method, const char *path, const char *key, const char *type,
            int status, const char *code)
{
	struct http_exchange x;
	int refused;

	request_make(&x, method, path, "");
	x.headers[HTTP_AUTHORIZATION] = key;
	x.headers[HTTP_CONTENT_TYPE] = type;
	refused = api_handlers.on_head(&api, &x);
	if (refused != status)
		fail_msg("%d %s: %d", (int)method, path, refused);
	assert_int_equal(x.status, status); /* refused with an answer, or not answered yet */
	if (status != 0)
		assert_string_equal(answer_error(&x, "code"), code);
	exchange_fini(&x);
}

static void
probes_need_no_key(void **state)
{
	assert_head(HTTP_GET, "/healthz", NULL, NULL, 0, "");
	assert_head(HTTP_HEAD, "/healthz", NULL, NULL, 0, "");
	assert_head(HTTP_GET, "/readyz", NULL, NULL, 0, "");
	assert_head(HTTP_GET, "/health", "Bearer wrong", NULL, 0, "");
	assert_head(HTTP_POST, "/healthz", NULL, NULL, 405, "method_not_allowed");
}

static void
everything_else_needs_a_key_and_says_nothing_without(void **state)
{
	static const char *const paths[] = {"/v1/models", "/v1/models/x", CHAT,
	                                    "/",          "/nope",        "/metricsx"};

	for (size_t i = 0; i < NELEM(paths); i++) {
		assert_head(HTTP_GET, paths[i], NULL, NULL, 401, "invalid_api_key");
		assert_head(HTTP_POST, paths[i], "Bearer nope", NULL, 401, "invalid_api_key");
	}
}

static void
unknown_paths_and_methods_are_refused(void **state)
{
	static const char key[] = "Bearer key";

	assert_head(HTTP_GET, "/v1/models", key, NULL, 0, "");
	assert_head(HTTP_HEAD, "/v1/models", key, NULL, 0, "");
	assert_head(HTTP_GET, "/v1/models/org/name", key, NULL, 0, "");
	assert_head(HTTP_GET, "/", key, NULL, 404, "unknown_url");
	assert_head(HTTP_GET, "/v1/models/", key, NULL, 404, "unknown_url");
	assert_head(HTTP_GET, "/v1/modelsx", key, NULL, 404, "unknown_url");
	assert_head(HTTP_POST, CHAT "/x", key, NULL, 404, "unknown_url");
	assert_head(HTTP_GET, "/\xff", key, NULL, 404, "unknown_url");
	assert_head(HTTP_GET, CHAT, key, NULL, 405, "method_not_allowed");
	assert_head(HTTP_HEAD, CHAT, key, NULL, 405, "method_not_allowed");
	assert_head(HTTP_OPTIONS, CHAT, key, NULL, 405, "method_not_allowed");
	assert_head(HTTP_DELETE, "/v1/models/x", key, NULL, 405, "method_not_allowed");
}

static void
a_wrong_method_is_told_the_right_one(void **state)
{
	struct http_exchange x;

	request_make(&x, HTTP_GET, CHAT, "");
	assert_int_equal(api_handlers.on_head(&api, &x), 405);
	assert_string_equal(x.added, "allow: POST\n");
	exchange_fini(&x);
	request_make(&x, HTTP_PUT, "/v1/models", "");
	assert_int_equal(api_handlers.on_head(&api, &x), 405);
	assert_string_equal(x.added, "allow: GET, HEAD\n");
	exchange_fini(&x);
	request_make(&x, HTTP_PUT, "/v1/responses/resp_1", "");
	assert_int_equal(api_handlers.on_head(&api, &x), 405);
	assert_string_equal(x.added, "allow: GET, HEAD, DELETE, POST\n");
	assert_string_equal(answer_error(&x, "message"),
	                    "This path answers GET, DELETE, POST only.");
	exchange_fini(&x);
	assert_head(HTTP_GET, "/v1/responses", "Bearer key", NULL, 405, "method_not_allowed");
	assert_head(HTTP_DELETE, "/v1/responses/resp_1", "Bearer key", NULL, 0, "");
	assert_head(HTTP_HEAD, "/v1/responses/resp_1", "Bearer key", NULL, 0, "");
	assert_head(HTTP_POST, "/v1/responses/resp_1/cancel", "Bearer key", NULL, 0, "");
}

static void
only_json_is_read(void **state)
{
	static const char key[] = "Bearer key";

	assert_head(HTTP_POST, CHAT, key, NULL, 0, "");
	assert_head(HTTP_POST, CHAT, key, "application/json", 0, "");
	assert_head(HTTP_POST, CHAT, key, "Application/JSON; charset=utf-8", 0, "");
	assert_head(HTTP_POST, CHAT, key, "application/json ;charset=utf-8", 0, "");
	assert_head(HTTP_POST, CHAT, key, "application/jsonp", 415, "unsupported_media_type");
	assert_head(HTTP_POST, CHAT, key, "application/x-www-form-urlencoded", 415,
	            "unsupported_media_type");
	assert_head(HTTP_POST, CHAT, key, "", 415, "unsupported_media_type");
}

static void
the_rate_limit_counts_requests_that_have_a_key_and_probes_never(void **state)
{
	static const char key[] = "Bearer key";
	struct http_exchange x;

	api.rate_limit.per_minute = 2;
	assert_head(HTTP_POST, CHAT, "Bearer wrong", NULL, 401, "invalid_api_key");
	assert_head(HTTP_GET, "/v1/models", key, NULL, 0, "");
	assert_head(HTTP_POST, CHAT, key, NULL, 0, "");
	request_make(&x, HTTP_POST, CHAT, "");
	assert_int_equal(api_handlers.on_head(&api, &x), 0);
	assert_string_equal(x.added, "x-ratelimit-limit-requests: 2\n"
	                             "x-ratelimit-remaining-requests: 0\n"
	                             "x-ratelimit-reset-requests: 60000ms\n");
	exchange_fini(&x);
	request_make(&x, HTTP_POST, CHAT, "");
	assert_int_equal(api_handlers.on_head(&api, &x), 429);
	assert_string_equal(answer_error(&x, "code"), "rate_limit_exceeded");
	assert_non_null(strstr(x.added, "retry-after: 30\n"));
	exchange_fini(&x);
	assert_head(HTTP_GET, "/readyz", NULL, NULL, 0, "");
	assert_head(HTTP_GET, "/v1/models", key, NULL, 0, "");
}

static void
probes_tell_alive_from_ready(void **state)
{
	struct http_exchange x;

	request_make(&x, HTTP_GET, "/healthz", "");
	request_run(&x);
	assert_int_equal(x.status, 200);
	assert_string_equal(answer_text(&x), "{\"status\":\"ok\"}");
	request_done(&x);
	request_make(&x, HTTP_GET, "/readyz", "");
	request_run(&x);
	assert_int_equal(x.status, 200);
	assert_string_equal(answer_text(&x), "{\"status\":\"ready\",\"in_flight\":0,\"queued\":0}");
	request_done(&x);
	not_ready = "app-server 0: gone";
	request_make(&x, HTTP_GET, "/health", "");
	request_run(&x);
	assert_int_equal(x.status, 503);
	assert_string_equal(answer_text(&x), "{\"status\":\"not_ready\",\"in_flight\":0,\"queued\":"
	                                     "0,\"reasons\":[\"app-server 0: gone\"]}");
	request_done(&x);
}

static void
figures(void *arg, struct metrics_now *out)
{
	*out = (struct metrics_now){.queued = 17};
}

static void
metrics_need_a_key_from_afar_only(void **state)
{
	static const struct {
		bool remote, no_auth;
		const char *forwarded, *key;
		int status;
	} rows[] = {
		{false, false, NULL,       NULL,         200},
		{true,  false, NULL,       NULL,         401},
		{true,  false, NULL,       "Bearer key", 200},
		{true,  true,  NULL,       NULL,         200},
		{false, false, "10.0.0.1", NULL,         401}, /* a proxy speaks for another */
		{false, false, "10.0.0.1", "Bearer key", 200},
	};
	struct http_exchange x;

	api.figures = figures;
	api.metrics = metrics_new();
	for (size_t i = 0; i < NELEM(rows); i++) {
		request_make(&x, HTTP_GET, "/metrics", "");
		x.remote = rows[i].remote;
		settings.metrics_no_auth = rows[i].no_auth;
		x.headers[HTTP_X_FORWARDED_FOR] = rows[i].forwarded;
		x.headers[HTTP_AUTHORIZATION] = rows[i].key;
		if (api_handlers.on_head(&api, &x) == 0)
			api_handlers.on_request(&api, &x);
		assert_int_equal(x.status, rows[i].status);
		if (x.status == 200)
			assert_non_null(strstr(answer_text(&x), "codex_sidecar_turns_queued 17\n"));
		request_done(&x);
	}
	request_make(&x, HTTP_GET, "/metrics", "");
	request_run(&x);
	assert_string_equal(x.content_type, "text/plain; version=0.0.4; charset=utf-8");
	assert_non_null(strstr(answer_text(&x), "requests_total{path=\"/metrics\","
	                                        "status=\"4xx\",outcome=\"unauthorized\"} 2\n"));
	request_done(&x);
	metrics_free(api.metrics);
}

static void
models_are_listed_and_shown(void **state)
{
	struct http_exchange x;

	request_make(&x, HTTP_GET, "/v1/models", "");
	request_run(&x);
	assert_int_equal(x.status, 200);
	assert_non_null(strstr(answer_text(&x), "\"gpt-4o\""));
	request_done(&x);
	request_make(&x, HTTP_GET, "/v1/models/gpt-b", "");
	request_run(&x);
	assert_int_equal(x.status, 200);
	assert_non_null(strstr(answer_text(&x), "\"gpt-b\""));
	request_done(&x);
}

static void
errors_of_the_server_itself_have_the_same_shape(void **state)
{
	char body[512];
	size_t len =
		api_handlers.format_error(&api, 413, "The body is too large.", body, sizeof(body));
	json_auto_t *error = json_parse(body, len, NULL);

	assert_string_equal(json_get_string(json_get_object(error, "error"), "code"),
	                    "request_too_large");
	assert_string_equal(json_get_string(json_get_object(error, "error"), "type"),
	                    "invalid_request_error");
	json_decref(error);
	len = api_handlers.format_error(&api, 503, "Full.", body, sizeof(body));
	error = json_parse(body, len, NULL);
	assert_string_equal(json_get_string(json_get_object(error, "error"), "type"),
	                    "server_error");
	/* no room: nothing, rather than half an object */
	assert_int_equal(api_handlers.format_error(&api, 400, "x", body, 10), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		with_api(probes_need_no_key),
		with_api(everything_else_needs_a_key_and_says_nothing_without),
		with_api(unknown_paths_and_methods_are_refused),
		with_api(a_wrong_method_is_told_the_right_one),
		with_api(only_json_is_read),
		with_api(the_rate_limit_counts_requests_that_have_a_key_and_probes_never),
		with_api(probes_tell_alive_from_ready),
		with_api(metrics_need_a_key_from_afar_only),
		with_api(models_are_listed_and_shown),
		with_api(errors_of_the_server_itself_have_the_same_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
