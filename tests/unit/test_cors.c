/* Which pages a browser may let call us, and what it is told. */
#include "tests/unit/api_fixture.h"

#include "proxy/api/cors.h"

static const char list[] = "https://a.example,http://localhost:5173 , app://x";

static void
origins_are_matched_whole(void **state)
{
	assert_true(cors_allows(list, "https://a.example"));
	assert_true(cors_allows(list, "HTTPS://A.example"));
	assert_true(cors_allows(list, "http://localhost:5173"));
	assert_true(cors_allows(list, "app://x"));
	assert_true(cors_allows("*", "https://whatever"));
	assert_true(cors_allows("https://a.example,*", "null"));
	assert_false(cors_allows(list, "https://a.example.evil"));
	assert_false(cors_allows(list, "https://a.exampl"));
	assert_false(cors_allows(list, "https://a.example,http://localhost:5173"));
	assert_false(cors_allows(list, "http://a.example"));
	assert_false(cors_allows(list, "*"));
	assert_false(cors_allows(list, ""));
	assert_false(cors_allows("*", ""));
	assert_false(cors_allows(list, NULL));
	assert_false(cors_allows(NULL, "https://a.example"));
}

static char origins[128];

/* The answer's headers to a request of that page. */
static const char *
headers_of(struct http_exchange *x, enum http_method method, const char *origin)
{
	request_make(x, method, "/v1/models", "");
	x->headers[HTTP_ORIGIN] = origin;
	request_run(x);
	return x->added;
}

static void
allow(const char *text)
{
	(void)snprintf(origins, sizeof(origins), "%s", text);
	settings.cors_origins = origins;
}

static void
answers_tell_an_allowed_page_only(void **state)
{
	struct http_exchange x;

	allow(list);
	assert_string_equal(headers_of(&x, HTTP_GET, "https://a.example"),
	                    "vary: Origin\n"
	                    "access-control-allow-origin: https://a.example\n"
	                    "access-control-expose-headers: x-request-id, retry-after, "
	                    "x-should-retry, x-ratelimit-limit-requests, "
	                    "x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
	                    "x-codex-ignored-params\n");
	request_done(&x);
	assert_string_equal(headers_of(&x, HTTP_GET, "https://b.example"), "vary: Origin\n");
	assert_int_equal(x.status, 200); /* with the key; the browser hides it from the page */
	request_done(&x);
	assert_string_equal(headers_of(&x, HTTP_GET, NULL), "vary: Origin\n");
	request_done(&x);
	allow("*");
	assert_non_null(strstr(headers_of(&x, HTTP_GET, "https://b.example"),
	                       "access-control-allow-origin: *\n"));
	assert_null(strstr(x.added, "vary"));
	request_done(&x);
	settings.cors_origins = NULL;
	assert_string_equal(headers_of(&x, HTTP_GET, "https://a.example"), "");
	request_done(&x);
}

static void
errors_can_be_read_too(void **state)
{
	struct http_exchange x;

	allow(list);
	request_make(&x, HTTP_POST, CHAT, "");
	x.headers[HTTP_ORIGIN] = "app://x";
	x.headers[HTTP_AUTHORIZATION] = "Bearer wrong";
	assert_int_equal(api_handlers.on_head(&api, &x), 401);
	assert_non_null(strstr(x.added, "access-control-allow-origin: app://x\n"));
	request_done(&x);
}

static void
ask_first(struct http_exchange *x, const char *origin, const char *asked)
{
	request_make(x, HTTP_OPTIONS, CHAT, "");
	x->headers[HTTP_AUTHORIZATION] = NULL;
	x->headers[HTTP_ORIGIN] = origin;
	x->headers[HTTP_ACCESS_CONTROL_REQUEST_METHOD] = "POST";
	x->headers[HTTP_ACCESS_CONTROL_REQUEST_HEADERS] = asked;
	(void)api_handlers.on_head(&api, x);
}

static void
a_preflight_needs_no_key_and_grants_the_headers_asked_for(void **state)
{
	struct http_exchange x;

	allow(list);
	ask_first(&x, "https://a.example",
	          "authorization,content-type,x-stainless-lang, x-stainless-timeout,b d,,e:f");
	assert_int_equal(x.status, 204);
	assert_string_equal(x.content_type, "");
	assert_int_equal(x.out.len, 0);
	assert_non_null(strstr(x.added, "access-control-allow-origin: https://a.example\n"));
	assert_non_null(strstr(x.added, "access-control-allow-methods: GET, HEAD, POST\n"));
	assert_non_null(strstr(x.added, "access-control-allow-headers: authorization, "
	                                "content-type, x-stainless-lang, "
	                                "x-stainless-timeout\n"));
	assert_non_null(strstr(x.added, "access-control-max-age: 7200\n"));
	request_done(&x);
	ask_first(&x, "https://a.example", NULL);
	assert_non_null(
		strstr(x.added, "access-control-allow-headers: authorization, content-type\n"));
	request_done(&x);
}

static void
a_preflight_of_another_page_is_any_request_without_a_key(void **state)
{
	struct http_exchange x;

	allow(list);
	ask_first(&x, "https://b.example", "authorization");
	assert_int_equal(x.status, 401);
	assert_null(strstr(x.added, "access-control"));
	request_done(&x);
	/* and so is what only looks like one */
	request_make(&x, HTTP_OPTIONS, CHAT, "");
	x.headers[HTTP_ORIGIN] = "https://a.example";
	assert_int_equal(api_handlers.on_head(&api, &x), 405);
	request_done(&x);
	settings.cors_origins = NULL;
	ask_first(&x, "https://a.example", "authorization");
	assert_int_equal(x.status, 401);
	assert_null(strstr(x.added, "access-control"));
	request_done(&x);
}

static void
a_long_list_of_headers_is_cut(void **state)
{
	static char asked[6000];
	struct http_exchange x;

	allow(list);
	memset(asked, 'a', sizeof(asked) - 1);
	for (size_t i = 100; i < sizeof(asked) - 1; i += 100)
		asked[i] = ',';
	ask_first(&x, "https://a.example", asked);
	assert_int_equal(x.status, 204);
	request_done(&x);
}

static void
without_a_key_other_pages_are_refused(void **state)
{
	struct http_exchange x;

	auth_free(api.auth);
	settings.api_key = NULL;
	assert_int_equal(auth_new(&api.auth, &settings, NULL), 0);
	(void)headers_of(&x, HTTP_GET, NULL);
	assert_int_equal(x.status, 200); /* no page */
	request_done(&x);
	request_make(&x, HTTP_POST, CHAT, "");
	x.headers[HTTP_ORIGIN] = "https://evil.example";
	assert_int_equal(api_handlers.on_head(&api, &x), 403);
	assert_string_equal(answer_error(&x, "code"), "origin_not_allowed");
	request_done(&x);
	allow("https://a.example");
	(void)headers_of(&x, HTTP_GET, "https://a.example");
	assert_int_equal(x.status, 200);
	request_done(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(origins_are_matched_whole),
		with_api(answers_tell_an_allowed_page_only),
		with_api(errors_can_be_read_too),
		with_api(a_preflight_needs_no_key_and_grants_the_headers_asked_for),
		with_api(a_preflight_of_another_page_is_any_request_without_a_key),
		with_api(a_long_list_of_headers_is_cut),
		with_api(without_a_key_other_pages_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
