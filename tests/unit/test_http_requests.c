/* How requests are read: methods, versions, headers; what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/http_kit.h"

static void
a_get_and_a_post_are_answered(void **state)
{
	struct client *c = client_open();

	client_get(c, "/a%20b/../c?x=1&y=2");
	assert_answer(c, 200, "hello");
	assert_string_equal(kit.path, "/c");
	assert_int_equal(kit.method, HTTP_GET);
	assert_int_equal(kit.body_len, 0);
	assert_string_equal(client_header(c, "content-type"), "text/plain");
	assert_null(client_header(c, "connection"));
	client_post(c, "/echo", "some text");
	assert_answer(c, 200, "some text");
	assert_int_equal(kit.method, HTTP_POST);
	assert_int_equal(kit.completed, 2);
	assert_int_equal(kit.cut, 0);
}

static void
a_request_may_arrive_a_byte_at_a_time(void **state)
{
	static const char text[] =
		"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
	struct client *c = client_open();

	for (size_t i = 0; i + 1 < sizeof(text); i++) {
		client_send_bytes(c, text + i, 1);
		kit_turn();
	}
	assert_answer(c, 200, "hello");
}

static void
every_method_with_and_without_a_body(void **state)
{
	static const struct {
		const char *name;
		enum http_method method;
		const char *body; /* NULL: no Content-Length */
	} rows[] = {
		{"GET",     HTTP_GET,     NULL  },
                {"GET",     HTTP_GET,     ""    },
		{"GET",     HTTP_GET,     "odd" },
                {"DELETE",  HTTP_DELETE,  NULL  },
		{"DELETE",  HTTP_DELETE,  ""    },
                {"DELETE",  HTTP_DELETE,  "body"},
		{"OPTIONS", HTTP_OPTIONS, NULL  },
                {"OPTIONS", HTTP_OPTIONS, ""    },
		{"PUT",     HTTP_PUT,     ""    },
                {"PUT",     HTTP_PUT,     "body"},
		{"PATCH",   HTTP_PATCH,   ""    },
                {"PATCH",   HTTP_PATCH,   "body"},
		{"POST",    HTTP_POST,    ""    },
                {"POST",    HTTP_POST,    "body"},
	};
	struct client *c = client_open();

	for (size_t i = 0; i < NELEM(rows); i++) {
		char text[256], length[64] = "";

		if (rows[i].body != NULL)
			(void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n",
			               strlen(rows[i].body));
		(void)snprintf(text, sizeof(text), "%s /echo HTTP/1.1\r\nHost: t\r\n%s\r\n%s",
		               rows[i].name, length, rows[i].body != NULL ? rows[i].body : "");
		client_send(c, text);
		assert_answer(c, 200, rows[i].body != NULL ? rows[i].body : "");
		assert_int_equal(kit.method, rows[i].method);
		assert_null(client_header(c, "connection"));
	}
	assert_int_equal(kit.completed, NELEM(rows));
}

static void
head_is_answered_without_a_body(void **state)
{
	struct client *c = client_open();

	client_send(c, "HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
	c->head = true;
	assert_answer(c, 200, "");
	assert_string_equal(client_header(c, "content-length"), "5");
	c->head = false;
	client_get(c, "/");
	assert_answer(c, 200, "hello");
}

static void
an_upgrade_is_not_honoured(void **state)
{
	static const char *const heads[] = {
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
		"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
		"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
	};

	for (size_t i = 0; i < NELEM(heads); i++) {
		struct client *c = client_open();
		char text[512];

		(void)snprintf(text, sizeof(text), "GET /here HTTP/1.1\r\nHost: t\r\n%s\r\n",
		               heads[i]);
		client_send(c, text);
		assert_answer(c, 200, "hello"); /* as if it had not asked */
		client_get(c, "/again");
		assert_answer(c, 200, "hello");
		assert_string_equal(kit.path, "/again");
		client_close(c);
	}
}

static void
an_unknown_upgrade_does_no_harm(void **state)
{
	struct client *c = client_open();

	client_send(c, "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n");
	UNTIL(c->eof || c->in_len > 0);
	client_close(c);
	UNTIL(http_server_connections(kit.server) == 0);
}

static void
what_is_no_request_for_us_is_closed(void **state)
{
	static const char *const texts[] = {
		"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"TRACE / HTTP/1.1\r\n\r\n",
		"BREW /pot HTTP/1.1\r\n\r\n",
		"\x16\x03\x01\x02",
		"GET http://example.com/ HTTP/1.1\r\n\r\n",
		"GET /%zz HTTP/1.1\r\n\r\n",
		"GET /a%00b HTTP/1.1\r\n\r\n",
		"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
	};

	for (size_t i = 0; i < NELEM(texts); i++) {
		struct client *c = client_open();

		client_send(c, texts[i]);
		if (texts[i][0] == '\x16')
			client_send(c, "\r\n\r\n");
		UNTIL(c->eof);
		if (c->in_len > 0)
			assert_memory_equal(c->in, "HTTP/1.0 403", 12);
		client_close(c);
	}
	assert_int_equal(kit.heads, 0);
	UNTIL(http_server_connections(kit.server) == 0);
}

static void
a_head_that_is_too_long_is_closed(void **state)
{
	struct client *c = client_open();
	char header[4096];

	client_send(c, "GET / HTTP/1.1\r\n");
	(void)snprintf(header, sizeof(header), "X-Filler: %0*d\r\n", 4000, 0);
	for (unsigned i = 0; i < 30; i++)
		client_send(c, header);
	client_send(c, "\r\n");
	UNTIL(c->eof);
	assert_int_equal(kit.heads, 0);
	client_close(c);
	c = client_open();
	client_send(c, "GET / HTTP/1.1\r\n");
	client_send(c, header);
	client_send(c, header);
	client_send(c, header);
	client_send(c, "\r\n");
	assert_answer(c, 200, "hello"); /* 12 kB are fine */
}

static void
http_1_0_is_answered_and_closed(void **state)
{
	struct client *c = client_open();

	client_send(c, "GET / HTTP/1.0\r\n\r\n");
	assert_answer(c, 200, "hello");
	assert_string_equal(client_header(c, "connection"), "close");
	assert_closed(c);
	client_close(c);
	c = client_open();
	client_send(c,
	            "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi");
	assert_answer(c, 200, "hi");
	assert_closed(c);
}

static void
a_client_that_asks_for_it_is_closed_after_the_answer(void **state)
{
	static const char *const values[] = {"close", "Close", "keep-alive, close", "x,close ,y"};

	for (size_t i = 0; i < NELEM(values); i++) {
		struct client *c = client_open();
		char text[256];

		(void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nConnection: %s\r\n\r\n",
		               values[i]);
		client_send(c, text);
		assert_answer(c, 200, "hello");
		assert_string_equal(client_header(c, "connection"), "close");
		assert_closed(c);
		client_close(c);
	}
}

static struct {
	char text[HTTP_HEADER_COUNT][64];
} kept;

static void
keep_headers(struct http_exchange *x)
{
	for (int i = 0; i < HTTP_HEADER_COUNT; i++) {
		const char *value = http_header(x, (enum http_header)i);

		(void)snprintf(kept.text[i], sizeof(kept.text[i]), "%s",
		               value != NULL ? value : "(none)");
	}
	reply_text(x, 200, "ok");
}

static void
the_headers_that_matter_are_kept(void **state)
{
	struct client *c = client_open();

	kit.on_request = keep_headers;
	client_send(c, "POST / HTTP/1.1\r\nContent-Length: 1\r\nAUTHORIZATION: Bearer k \r\n"
	               "X-Api-Key:key\r\nOrigin: http://o\r\ncontent-type: a/b; c=d\r\n"
	               "Content-Encoding: gzip\r\n"
	               "X-Request-ID: r1\r\nAccess-Control-Request-Method: PUT\r\n"
	               "Access-Control-Request-Headers: x-y, z\r\nX-Other: o\r\n\r\n.");
	assert_answer(c, 200, "ok");
	assert_string_equal(kept.text[HTTP_AUTHORIZATION], "Bearer k");
	assert_string_equal(kept.text[HTTP_X_API_KEY], "key");
	assert_string_equal(kept.text[HTTP_ORIGIN], "http://o");
	assert_string_equal(kept.text[HTTP_CONTENT_TYPE], "a/b; c=d");
	assert_string_equal(kept.text[HTTP_CONTENT_ENCODING], "gzip");
	assert_string_equal(kept.text[HTTP_X_REQUEST_ID], "r1");
	assert_string_equal(kept.text[HTTP_ACCESS_CONTROL_REQUEST_METHOD], "PUT");
	assert_string_equal(kept.text[HTTP_ACCESS_CONTROL_REQUEST_HEADERS], "x-y, z");
	client_get(c, "/");
	assert_answer(c, 200, "ok");
	for (int i = 0; i < HTTP_HEADER_COUNT; i++)
		assert_string_equal(kept.text[i], "(none)"); /* nothing of the last request */
}

static void
a_request_id_is_echoed_or_made(void **state)
{
	static const char *const bad[] = {"", "a b", "a\tb", "caf\xc3\xa9", "a\x7f", NULL};
	struct client *c = client_open();
	char text[512], first[256];

	client_send(c, "GET / HTTP/1.1\r\nX-Request-Id: req-42/~!\r\n\r\n");
	assert_answer(c, 200, "hello");
	assert_string_equal(client_header(c, "x-request-id"), "req-42/~!");
	assert_string_equal(kit.request_id, "req-42/~!");
	for (size_t i = 0; i < NELEM(bad); i++) {
		if (bad[i] != NULL)
			(void)snprintf(text, sizeof(text),
			               "GET / HTTP/1.1\r\nX-Request-Id: %s\r\n\r\n", bad[i]);
		else
			(void)snprintf(text, sizeof(text),
			               "GET / HTTP/1.1\r\nX-Request-Id: %0129d\r\n\r\n", 0);
		client_send(c, text);
		assert_answer(c, 200, "hello");
		assert_string_equal(client_header(c, "x-request-id"), kit.request_id);
		assert_int_equal(strlen(kit.request_id), strlen("req_0123456789abcdef"));
		assert_memory_equal(kit.request_id, "req_", 4);
	}
	(void)snprintf(first, sizeof(first), "%s", kit.request_id);
	client_get(c, "/");
	assert_answer(c, 200, "hello");
	assert_string_not_equal(kit.request_id, first);
	(void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nX-Request-Id: %0128d\r\n\r\n", 0);
	client_send(c, text);
	assert_answer(c, 200, "hello");
	assert_int_equal(strlen(kit.request_id), 128);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_get_and_a_post_are_answered),
		TEST(a_request_may_arrive_a_byte_at_a_time),
		TEST(every_method_with_and_without_a_body),
		TEST(head_is_answered_without_a_body),
		TEST(an_upgrade_is_not_honoured),
		TEST(an_unknown_upgrade_does_no_harm),
		TEST(what_is_no_request_for_us_is_closed),
		TEST(a_head_that_is_too_long_is_closed),
		TEST(http_1_0_is_answered_and_closed),
		TEST(a_client_that_asks_for_it_is_closed_after_the_answer),
		TEST(the_headers_that_matter_are_kept),
		TEST(a_request_id_is_echoed_or_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
