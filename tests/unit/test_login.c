/* What an auth.json says of its login, in every form that it may have or be broken in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/login.h"

/* {"exp":1795687200}: 2026-11-26 10:00 UTC */
#define TOKEN "eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTU2ODcyMDB9.c2ln"
#define EXP   INT64_C(1795687200)
#define HOUR  INT64_C(3600)

static int
parse(struct login *out, const char *text, struct err *err)
{
	return login_parse(out, text, strlen(text), err);
}

static void
assert_expires(const char *text, int64_t at)
{
	struct err err = {.code = 0};
	struct login l;

	if (parse(&l, text, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	assert_int_equal(l.kind, LOGIN_CHATGPT);
	assert_int_equal(l.expires_at, at);
}

static void
assert_no_login(const char *text, const char *why)
{
	struct err err = {.code = 0};
	struct login l = {.kind = LOGIN_NONE, .expires_at = 7};

	assert_int_equal(parse(&l, text, &err), -EBADMSG);
	assert_string_equal(err.text, why);
	assert_int_equal(l.expires_at, 7); /* untouched */
}

static char *
with_token(const char *token)
{
	static char text[256];

	(void)snprintf(text, sizeof(text), "{\"tokens\":{\"access_token\":\"%s\"}}", token);
	return text;
}

static void
the_access_token_tells_the_end_of_a_login(void **state)
{
	assert_expires("{\"auth_mode\":\"chatgpt\",\"OPENAI_API_KEY\":null,\"tokens\":{"
	               "\"id_token\":\"x\",\"access_token\":\"" TOKEN "\","
	               "\"refresh_token\":\"rt\",\"account_id\":\"a\"},"
	               "\"last_refresh\":\"2026-11-23T07:06:54.277Z\"}",
	               EXP);
	assert_expires(with_token(TOKEN), EXP);                         /* as older ones wrote it */
	assert_expires(with_token("a.eyJleHAiOjE3OTU2ODcyMDB9."), EXP); /* unsigned */
	assert_expires(with_token("a.eyJleHAiOjEuNzk1Njg3MjAwNWU5fQ.b"), EXP); /* ...00.5 */
	/* {"a":"~~~???ÿ","exp":1795687200}: with both letters that URLs have another one for */
	assert_expires(with_token("a.eyJhIjoifn5-Pz8_w78iLCJleHAiOjE3OTU2ODcyMDB9.b"), EXP);
}

static void
an_api_key_does_not_expire(void **state)
{
	struct err err;
	struct login l;

	assert_int_equal(parse(&l, "{\"OPENAI_API_KEY\":\"sk-1\"}", &err), 0);
	assert_int_equal(l.kind, LOGIN_API_KEY);
	assert_int_equal(login_state(&l, EXP, 48 * HOUR), LOGIN_IS_API_KEY);
	/* the mode decides, not what else is there */
	assert_int_equal(parse(&l,
	                       "{\"auth_mode\":\"apikey\",\"OPENAI_API_KEY\":\"sk-1\","
	                       "\"tokens\":{\"access_token\":\"" TOKEN "\"}}",
	                       &err),
	                 0);
	assert_int_equal(l.kind, LOGIN_API_KEY);
}

static void
what_holds_no_login_is_told_and_never_quoted(void **state)
{
	assert_no_login("", "not JSON");
	assert_no_login("sk-secret", "not JSON");
	assert_no_login("{\"OPENAI_API_KEY\":\"sk-secret\"", "not JSON");
	assert_no_login("{\"OPENAI_API_KEY\":\"sk-secret\"} x", "not JSON");
	assert_no_login("[]", "not an object");
	assert_no_login("\"sk-secret\"", "not an object");
	assert_no_login("{}", "neither tokens nor an API key in it");
	assert_no_login("{\"OPENAI_API_KEY\":\"\"}", "neither tokens nor an API key in it");
	assert_no_login("{\"OPENAI_API_KEY\":7}", "neither tokens nor an API key in it");
	assert_no_login("{\"auth_mode\":\"chatgpt\",\"OPENAI_API_KEY\":\"sk\"}", "no tokens in it");
	assert_no_login("{\"auth_mode\":\"chatgpt\",\"tokens\":[]}", "no tokens in it");
	assert_no_login("{\"auth_mode\":\"bedrock\",\"OPENAI_API_KEY\":\"sk\"}",
	                "an auth_mode that is not known here");
}

static void
a_token_that_is_none_is_told(void **state)
{
	static const char none[] = "tokens.access_token: not a JSON web token";
	static const char *const tokens[] = {
		"",
		".",
		"..",
		"a",
		"a.b",
		"opaque-token",
		"a..b",
		".eyJleHAiOjE3OTU2ODcyMDB9.b",    /* no header */
		"a.eyJleHAiOjE3OTU2ODcyMDB9.b.c", /* encrypted: five parts, or four */
		"a.eyJleHAiOjE3OTU2ODcyMDB9",     /* no signature's place */
		"a.eyJleHAiOjE3OTU2ODcyMDB.b",    /* cut */
		"a.eyJleHAiOjE3OTU2ODcyMDB9A.b",  /* a letter too much */
		"a.eyJleHAiOjE3OTU2 ODcyMDB9.b",  /* no space within */
		"a.eyJleHAi+jE3OTU2ODcyMDB9.b",   /* not the alphabet of URLs */
		"a.W10.b",                        /* [] */
		"a.Nw.b",                         /* 7 */
		"a._w.b",                         /* not UTF-8 */
	};

	for (size_t i = 0; i < NELEM(tokens); i++)
		assert_no_login(with_token(tokens[i]), none);
	assert_no_login("{\"tokens\":{}}", "tokens.access_token: missing, or no string");
	assert_no_login("{\"tokens\":{\"access_token\":null}}",
	                "tokens.access_token: missing, or no string");
}

static void
a_date_that_is_none_is_told(void **state)
{
	static const char none[] = "tokens.access_token: its exp is no date";
	static const char missing[] =
		"tokens.access_token: has no exp: until when it is good is not known";

	assert_no_login(with_token("a.e30.b"), missing);                      /* {} */
	assert_no_login(with_token("a.eyJleHAiOiIxIn0.b"), missing);          /* {"exp":"1"} */
	assert_no_login(with_token("a.eyJleHAiOm51bGx9.b"), missing);         /* {"exp":null} */
	assert_no_login(with_token("a.eyJleHAiOjB9.b"), none);                /* {"exp":0} */
	assert_no_login(with_token("a.eyJleHAiOi01fQ.b"), none);              /* {"exp":-5} */
	assert_no_login(with_token("a.eyJleHAiOjFlMzAwfQ.b"), none);          /* {"exp":1e300} */
	assert_no_login(with_token("a.eyJleHAiOjI1MzQwMjMwMDgwMH0.b"), none); /* year 10000 */
}

static void
a_token_without_end_is_not_read(void **state)
{
	static char text[200000];
	struct err err;
	struct login l;
	int n = snprintf(text, sizeof(text), "{\"tokens\":{\"access_token\":\"a.");

	memset(text + n, 'A', 150000);
	(void)strcpy(text + n + 150000, ".b\"}}");
	assert_int_equal(parse(&l, text, &err), -EBADMSG);
	assert_string_equal(err.text, "tokens.access_token: not a JSON web token");
}

static void
a_file_is_missing_or_unknown_or_read(void **state)
{
	char path[] = "/tmp/test-login-XXXXXX";
	int fd = mkstemp(path);
	struct err err = {.code = 0};
	char expected[128];
	struct login l;

	assert_int_equal(write(fd, "{}", 2), 2);
	assert_int_equal(login_read(&l, path, &err), -EBADMSG);
	assert_int_equal(l.kind, LOGIN_UNKNOWN);
	(void)snprintf(expected, sizeof(expected), "%s: neither tokens nor an API key in it", path);
	assert_string_equal(err.text, expected);
	assert_int_equal(pwrite(fd, "{\"OPENAI_API_KEY\":\"k\"}", 22, 0), 22);
	assert_int_equal(login_read(&l, path, &err), 0);
	assert_int_equal(l.kind, LOGIN_API_KEY);
	(void)close(fd);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(login_read(&l, path, &err), -ENOENT);
	assert_int_equal(l.kind, LOGIN_NONE);
	assert_int_equal(login_read(&l, "/tmp", &err), -EISDIR);
	assert_int_equal(l.kind, LOGIN_UNKNOWN);
}

static void
the_warning_begins_at_its_hour_and_ends_with_the_login(void **state)
{
	const struct login l = {.kind = LOGIN_CHATGPT, .expires_at = EXP};
	const struct login none = {.kind = LOGIN_NONE}, unknown = {.kind = LOGIN_UNKNOWN};

	assert_int_equal(login_state(&l, EXP - 48 * HOUR - 1, 48 * HOUR), LOGIN_IS_VALID);
	assert_int_equal(login_state(&l, EXP - 48 * HOUR, 48 * HOUR), LOGIN_IS_EXPIRING);
	assert_int_equal(login_state(&l, EXP - 1, 48 * HOUR), LOGIN_IS_EXPIRING);
	assert_int_equal(login_state(&l, EXP - 1, 0), LOGIN_IS_VALID);
	assert_int_equal(login_state(&l, EXP, 48 * HOUR), LOGIN_IS_EXPIRED);
	assert_int_equal(login_state(&none, 0, HOUR), LOGIN_IS_MISSING);
	assert_int_equal(login_state(&unknown, 0, HOUR), LOGIN_IS_UNKNOWN);
}

static void
people_read_how_long_it_is_and_the_date(void **state)
{
	const struct login l = {.kind = LOGIN_CHATGPT, .expires_at = EXP};
	char text[LOGIN_TEXT_MAX];

	login_format(text, &l, EXP - 47 * HOUR + 30);
	assert_string_equal(text, "expires in 46 h 59 min (2026-11-26 10:00 UTC)");
	login_format(text, &l, EXP - 10 * 24 * HOUR);
	assert_string_equal(text, "expires in 10 d 0 h (2026-11-26 10:00 UTC)");
	login_format(text, &l, EXP - 90);
	assert_string_equal(text, "expires in 1 min (2026-11-26 10:00 UTC)");
	login_format(text, &l, EXP + 3 * HOUR + 125);
	assert_string_equal(text, "expired 3 h 2 min ago (2026-11-26 10:00 UTC)");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_access_token_tells_the_end_of_a_login),
		cmocka_unit_test(an_api_key_does_not_expire),
		cmocka_unit_test(what_holds_no_login_is_told_and_never_quoted),
		cmocka_unit_test(a_token_that_is_none_is_told),
		cmocka_unit_test(a_date_that_is_none_is_told),
		cmocka_unit_test(a_token_without_end_is_not_read),
		cmocka_unit_test(a_file_is_missing_or_unknown_or_read),
		cmocka_unit_test(the_warning_begins_at_its_hour_and_ends_with_the_login),
		cmocka_unit_test(people_read_how_long_it_is_and_the_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
