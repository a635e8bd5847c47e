/* login: what the auth.json of codex holds: which kind of login, and until when it is good. */
#include "common/login.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/file.h"
#include "common/json.h"

#define AUTH_MAX  ((size_t)1 << 20)     /* a few KB of tokens */
#define TOKEN_MAX ((size_t)64 << 10)    /* one has 2 KB */
#define TIME_MAX  INT64_C(253402300799) /* the end of the year 9999: a later one is no date */

/* --- tokens --------------------------------------------------------------------------------- */

static int
no_token(struct err *err, const char *why)
{
	return err_set(err, -EBADMSG, "tokens.access_token: %s", why);
}

/* Base64 as URLs have it, without padding (RFC 4648, 5), to the form that libc reads. NULL: it is
 * none, or no memory. */
static char *
to_plain_base64(const char *text, size_t len)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char *plain;

	if (strspn(text, alphabet) < len || len % 4 == 1)
		return NULL;
	plain = malloc(len + 4);
	if (plain == NULL)
		return NULL;
	for (size_t i = 0; i < len; i++)
		plain[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	while (len % 4 != 0)
		plain[len++] = '=';
	plain[len] = '\0';
	return plain;
}

static json_t *
decode(const char *text, size_t len)
{
	AUTO_FREE char *plain = to_plain_base64(text, len);
	AUTO_FREE unsigned char *bytes = malloc(len + 1); /* three for each four, and a NUL */
	int n = plain != NULL && bytes != NULL ? b64_pton(plain, bytes, len + 1) : -1;

	return n > 0 ? json_parse((const char *)bytes, (size_t)n, NULL) : NULL;
}

/* The middle part of a JWT: header.payload.signature. */
static json_t *
claims_of(const char *token)
{
	const char *payload = strchr(token, '.'), *end;

	if (payload == NULL || payload == token || strlen(token) > TOKEN_MAX)
		return NULL;
	end = strchr(++payload, '.');
	if (end == NULL || strchr(end + 1, '.') != NULL)
		return NULL;
	return decode(payload, (size_t)(end - payload));
}

static int
parse_token(struct login *out, const char *token, struct err *err)
{
	json_auto_t *claims = NULL;
	const json_t *exp;
	double seconds;

	if (token == NULL)
		return no_token(err, "missing, or no string");
	claims = claims_of(token);
	if (!json_is_object(claims))
		return no_token(err, "not a JSON web token");
	exp = json_object_get(claims, "exp");
	if (!json_is_number(exp))
		return no_token(err, "has no exp: until when it is good is not known");
	seconds = json_number_value(exp); /* may have a fraction: RFC 7519, NumericDate */
	if (!isfinite(seconds) || seconds < 1 || seconds > (double)TIME_MAX)
		return no_token(err, "its exp is no date");
	*out = (struct login){.kind = LOGIN_CHATGPT, .expires_at = (int64_t)seconds};
	return 0;
}

/* --- the file ------------------------------------------------------------------------------- */

int
login_parse(struct login *out, const char *text, size_t len, struct err *err)
{
	struct err why = {.code = 0};
	json_auto_t *auth = json_parse(text, len, &why);
	const json_t *tokens = json_get_object(auth, "tokens");
	const char *mode = json_get_string(auth, "auth_mode");
	const char *key = json_get_string(auth, "OPENAI_API_KEY");

	if (auth == NULL)
		return err_set(err, -EBADMSG, "not JSON"); /* why could quote a secret */
	if (!json_is_object(auth))
		return err_set(err, -EBADMSG, "not an object");
	if (mode == NULL)
		mode = tokens != NULL ? "chatgpt" : "apikey"; /* as older ones of codex wrote it */
	if (strcmp(mode, "chatgpt") == 0) {
		if (tokens == NULL)
			return err_set(err, -EBADMSG, "no tokens in it");
		return parse_token(out, json_get_string(tokens, "access_token"), err);
	}
	if (strcmp(mode, "apikey") != 0)
		return err_set(err, -EBADMSG, "an auth_mode that is not known here");
	if (key == NULL || key[0] == '\0')
		return err_set(err, -EBADMSG, "neither tokens nor an API key in it");
	*out = (struct login){.kind = LOGIN_API_KEY};
	return 0;
}

int
login_read(struct login *out, const char *path, struct err *err)
{
	char *text = NULL;
	size_t len;
	struct err why = {.code = 0};
	int r = file_read(&text, &len, path, AUTH_MAX, err);

	*out = (struct login){.kind = r == -ENOENT ? LOGIN_NONE : LOGIN_UNKNOWN};
	if (r < 0)
		return r;
	r = login_parse(out, text, len, &why);
	explicit_bzero(text, len);
	free(text);
	return r < 0 ? err_set(err, r, "%s: %s", path, why.text) : 0;
}

/* --- what it means -------------------------------------------------------------------------- */

enum login_state
login_state(const struct login *l, int64_t now, int64_t warn_seconds)
{
	switch (l->kind) {
	case LOGIN_NONE:
		return LOGIN_IS_MISSING;
	case LOGIN_UNKNOWN:
		return LOGIN_IS_UNKNOWN;
	case LOGIN_API_KEY:
		return LOGIN_IS_API_KEY;
	case LOGIN_CHATGPT:
		break;
	}
	if (l->expires_at <= now)
		return LOGIN_IS_EXPIRED;
	return l->expires_at - now <= warn_seconds ? LOGIN_IS_EXPIRING : LOGIN_IS_VALID;
}

const char *
login_state_name(enum login_state state)
{
	switch (state) {
	case LOGIN_IS_MISSING:
		return "none";
	case LOGIN_IS_UNKNOWN:
		return "unknown";
	case LOGIN_IS_API_KEY:
		return "api_key";
	case LOGIN_IS_VALID:
		return "valid";
	case LOGIN_IS_EXPIRING:
		return "expiring";
	case LOGIN_IS_EXPIRED:
		return "expired";
	}
	return "?";
}

/* "9 d 3 h", "46 h 59 min", "3 min" */
static void
format_span(char text[32], int64_t seconds)
{
	int64_t minutes = seconds / 60, hours = minutes / 60;

	if (hours >= 72)
		(void)snprintf(text, 32, "%" PRId64 " d %" PRId64 " h", hours / 24, hours % 24);
	else if (hours > 0)
		(void)snprintf(text, 32, "%" PRId64 " h %" PRId64 " min", hours, minutes % 60);
	else
		(void)snprintf(text, 32, "%" PRId64 " min", minutes);
}

void
login_format(char text[LOGIN_TEXT_MAX], const struct login *l, int64_t now)
{
	time_t at = (time_t)l->expires_at;
	char span[32], date[32] = "";
	struct tm tm;

	if (gmtime_r(&at, &tm) != NULL)
		(void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M UTC", &tm);
	if (l->expires_at > now) {
		format_span(span, l->expires_at - now);
		(void)snprintf(text, LOGIN_TEXT_MAX, "expires in %s (%s)", span, date);
	} else {
		format_span(span, now - l->expires_at);
		(void)snprintf(text, LOGIN_TEXT_MAX, "expired %s ago (%s)", span, date);
	}
}
