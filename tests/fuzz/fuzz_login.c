/* auth.json: the date that is read is the one that the token claims, and no error tells a secret.
 *
 * Input: an auth.json; or "claims" on a line, and behind it the claims of the token in one. */
#include "common/login.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define LAST_DATE 253402300799.0 /* the end of the year 9999 */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Base64 for URLs, without padding. */
static void
append_base64(struct json_buf *out, const unsigned char *bytes, size_t len)
{
	for (size_t bit = 0; bit < len * 8; bit += 6) {
		unsigned value = 0;

		for (size_t i = bit; i < bit + 6; i++)
			value = value * 2 + (i < len * 8 ? bytes[i / 8] >> (7 - i % 8) & 1U : 0);
		json_buf_append(out, &alphabet[value], 1);
	}
}

/* The claims of a token, by another reader of Base64; NULL: it has none. */
static json_t *
claims_of(const char *token)
{
	struct json_buf bytes = {.data = NULL};
	const char *at = strchr(token, '.');
	unsigned value = 0, bits = 0;
	json_t *claims = NULL;

	if (at == NULL)
		return NULL;
	for (at++; *at != '.' && *at != '\0'; at++) {
		const char *known = strchr(alphabet, *at);
		char byte;

		if (known == NULL)
			break;
		value = (value << 6 | (unsigned)(known - alphabet)) & 0xffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			byte = (char)(value >> bits & 0xff);
			json_buf_append(&bytes, &byte, 1);
		}
	}
	if (*at == '.')
		claims = json_loadb(bytes.data != NULL ? bytes.data : "", bytes.len,
		                    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	json_buf_free(&bytes);
	return claims;
}

/* Is it a time that a token may end at? */
static bool
is_date(const json_t *exp)
{
	double seconds = json_number_value(exp);

	return json_is_number(exp) && isfinite(seconds) && seconds >= 1 && seconds <= LAST_DATE;
}

static void
check_meaning(const struct login *l)
{
	static const int64_t times[] = {0, 1, 1795418970, INT64_C(253402300799)};
	char text[LOGIN_TEXT_MAX];

	for (size_t i = 0; i < NELEM(times); i++) {
		enum login_state state = login_state(l, times[i], INT64_C(3600) * LOGIN_WARN_HOURS);

		HOLDS(strcmp(login_state_name(state), "?") != 0);
		if (l->kind != LOGIN_CHATGPT)
			continue;
		HOLDS((state == LOGIN_IS_EXPIRED) == (l->expires_at <= times[i]));
		login_format(text, l, times[i]);
		HOLDS(strncmp(text, "expire", 6) == 0 && text[strlen(text) - 1] == ')');
	}
}

/* No word of the file is in the error, nor anything that looks like a piece of one. */
static void
check_secrecy(const char *said, const json_t *value)
{
	const char *key;
	json_t *member;

	if (json_string_length(value) >= 12)
		HOLDS(strstr(said, json_string_value(value)) == NULL ||
		      strlen(json_string_value(value)) < 12);
	/* jansson's iterator takes no const object; nothing is changed. */
	json_object_foreach((json_t *)(uintptr_t)value, key, member) {
		check_secrecy(said, member);
	}
}

static void
check_file(const char *text, size_t len)
{
	struct err err = {.code = 0};
	struct login l = {.kind = LOGIN_NONE};
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	int r = login_parse(&l, text, len, &err);

	if (r < 0) {
		HOLDS(r == -EBADMSG && err.text[0] != '\0' && l.kind == LOGIN_NONE);
		check_secrecy(err.text, root);
	} else {
		HOLDS(root != NULL && (l.kind == LOGIN_API_KEY || l.kind == LOGIN_CHATGPT));
		check_meaning(&l);
	}
	if (r == 0 && l.kind == LOGIN_CHATGPT) {
		json_t *claims =
			claims_of(json_get_string(json_get_object(root, "tokens"), "access_token"));
		const json_t *exp = json_object_get(claims, "exp");

		HOLDS(is_date(exp) && l.expires_at == (int64_t)json_number_value(exp));
		json_decref(claims);
	}
	json_decref(root);
}

static void
check_claims(const char *text, size_t len)
{
	static const char before[] = "{\"tokens\":{\"access_token\":\"h.", after[] = ".s\"}}";
	json_t *claims = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	struct json_buf file = {.data = NULL};
	struct login l;
	int r;

	json_buf_append(&file, before, sizeof(before) - 1);
	append_base64(&file, (const unsigned char *)text, len);
	json_buf_append(&file, after, sizeof(after) - 1);
	r = login_parse(&l, file.data, file.len, NULL);
	HOLDS((r == 0) == is_date(json_object_get(claims, "exp")));
	check_file(file.data, file.len);
	json_buf_free(&file);
	json_decref(claims);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data, *line;
	size_t left = size, len;

	if (fuzz_line(&rest, &left, &line, &len) && len == 6 && memcmp(line, "claims", 6) == 0) {
		if (left <= (16 << 10))
			check_claims(rest, left);
	} else {
		check_file((const char *)data, size);
	}
	return 0;
}
