/* err: an error with a sentence for a person. */
#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* A sentence that was cut must not end inside a character: it may be sent as JSON. */
static void
drop_half_character(char *text, size_t len)
{
	size_t at = len;

	while (at > 0 && len - at < 3 && ((unsigned char)text[at - 1] & 0xC0) == 0x80)
		at--;
	if (at > 0 && ((unsigned char)text[at - 1] & 0xC0) == 0xC0)
		text[at - 1] = '\0';
}

int
err_set(struct err *err, int code, const char *fmt, ...)
{
	int saved = errno, n;
	va_list ap;

	if (err == NULL)
		return code;
	err->code = code;
	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	if (n < 0)
		err->text[0] = '\0';
	else if ((size_t)n >= sizeof(err->text))
		drop_half_character(err->text, sizeof(err->text) - 1);
	errno = saved;
	return code;
}
