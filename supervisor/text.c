/* text: keep what a program printed fit to be shown: one line, valid UTF-8. */
#include "supervisor/text.h"

#include <jansson.h>

void
text_clean(char *text)
{
	json_t *probe = json_string(text); /* NULL for what is not UTF-8 */

	for (char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
		else if (probe == NULL && (unsigned char)*p >= 0x80)
			*p = '?';
	}
	json_decref(probe);
}
