/* cors: which web pages a browser may let call us. */
#include "proxy/api/cors.h"

#include <string.h>
#include <strings.h>

/* Chrome keeps the answer of a preflight for no longer. */
#define MAX_AGE_SEC "7200"

/* What a page asks to send is granted: it is the key that decides. Longer lists are cut. */
#define ALLOW_MAX 2048

static const char exposed[] = "x-request-id, retry-after, x-should-retry, "
			      "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
			      "x-ratelimit-reset-requests, x-codex-ignored-params";

/* The next element of a comma separated list, without the blanks around it. false: the end. */
static bool
next(const char **at, const char **element, size_t *len)
{
	*at += strspn(*at, ", \t");
	*element = *at;
	*len = strcspn(*at, ",");
	*at += *len;
	while (*len > 0 && strchr(" \t", (*element)[*len - 1]) != NULL)
		(*len)--;
	return *len > 0;
}

static bool
is_listed(const char *list, const char *word, size_t word_len)
{
	const char *element;
	size_t len;

	while (next(&list, &element, &len))
		if (len == word_len && strncasecmp(element, word, len) == 0)
			return true;
	return false;
}

static bool
is_for_all(const char *origins)
{
	return is_listed(origins, "*", 1);
}

bool
cors_allows(const char *origins, const char *origin)
{
	return origins != NULL && origin != NULL && origin[0] != '\0' &&
	       (is_for_all(origins) || is_listed(origins, origin, strlen(origin)));
}

void
cors_add_headers(const char *origins, struct http_exchange *x)
{
	const char *origin = http_header(x, HTTP_ORIGIN);

	if (origins == NULL)
		return;
	/* Caches keep the answers for different pages apart. */
	if (!is_for_all(origins))
		http_add_header(x, "vary", "Origin");
	if (!cors_allows(origins, origin))
		return;
	http_add_header(x, "access-control-allow-origin", is_for_all(origins) ? "*" : origin);
	http_add_header(x, "access-control-expose-headers", exposed);
}

/* A header's name, as RFC 9110 has it. */
static bool
is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", text[i]))
			return false;
	return true;
}

/* Those that every client sends, and those that this one asks for: x-stainless-* of the SDKs, and
 * whatever they think of next. */
static void
add_allowed_headers(struct http_exchange *x)
{
	const char *asked = http_header(x, HTTP_ACCESS_CONTROL_REQUEST_HEADERS);
	char allowed[ALLOW_MAX] = "authorization, content-type";
	size_t used = strlen(allowed), len;
	const char *name;

	while (asked != NULL && next(&asked, &name, &len)) {
		if (!is_token(name, len) || is_listed(allowed, name, len) ||
		    used + len + 3 > sizeof(allowed))
			continue;
		memcpy(allowed + used, ", ", 2);
		memcpy(allowed + used + 2, name, len);
		used += len + 2;
		allowed[used] = '\0';
	}
	http_add_header(x, "access-control-allow-headers", allowed);
}

int
cors_preflight(const char *origins, struct http_exchange *x)
{
	if (http_method(x) != HTTP_OPTIONS ||
	    http_header(x, HTTP_ACCESS_CONTROL_REQUEST_METHOD) == NULL ||
	    !cors_allows(origins, http_header(x, HTTP_ORIGIN)))
		return 0;
	/* The same for every path: without a key nothing is told about those. */
	http_add_header(x, "access-control-allow-methods", "GET, HEAD, POST");
	add_allowed_headers(x);
	http_add_header(x, "access-control-max-age", MAX_AGE_SEC);
	/* Chrome asks this of servers on the user's own machine. */
	http_add_header(x, "access-control-allow-private-network", "true");
	http_reply(x, 204, NULL, "", 0);
	return 204;
}
