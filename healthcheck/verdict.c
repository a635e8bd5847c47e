/* verdict: what an answer means, as one line for people. */
#include "healthcheck/verdict.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"

void
verdict_make_printable(char *text)
{
	size_t len = strlen(text), back = 0;

	for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f)
			*p = ' ';
		else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			p[0] = p[1] = ' ';
	}
	while (back < len && back < 3 && ((unsigned char)text[len - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < len) {
		unsigned char lead = (unsigned char)text[len - 1 - back];
		size_t wanted = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;

		if (wanted > back)
			text[len - 1 - back] = '\0';
	}
}

/* The reasons with "; " between them; false: there are none. */
static bool
join_reasons(char *out, size_t size, const struct http_answer *a)
{
	json_auto_t *body = a->body != NULL ? json_parse(a->body, a->len, NULL) : NULL;
	const json_t *reason;
	size_t i, at = 0;

	json_array_foreach(json_get_array(body, "reasons"), i, reason) {
		const char *text = json_string_value(reason);
		int n;

		if (text == NULL || text[0] == '\0')
			continue;
		n = snprintf(out + at, size - at, "%s%s", at > 0 ? "; " : "", text);
		if (n < 0 || (size_t)n >= size - at)
			return true; /* cut, which is enough to read */
		at += (size_t)n;
	}
	return at > 0;
}

void
verdict_not_well(char line[VERDICT_LINE_MAX], const struct http_answer *a, const char *question)
{
	char reasons[VERDICT_LINE_MAX - 64];

	if (join_reasons(reasons, sizeof(reasons), a))
		(void)snprintf(line, VERDICT_LINE_MAX, "not %s: %s", question, reasons);
	else
		(void)snprintf(line, VERDICT_LINE_MAX, "not %s: answered with HTTP status %d",
		               question, a->status);
	verdict_make_printable(line);
}
