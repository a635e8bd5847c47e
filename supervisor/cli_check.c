/* cli_check: the command that reads an ecosystem file and says what it thinks of it. */
#include "supervisor/cli_check.h"

#include "common/exit_code.h"
#include "common/file.h"
#include "supervisor/ecosystem.h"

int
cli_check(const char *path)
{
	AUTO_FREE char *text = NULL;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct err err = {.code = 0};
	struct ecosystem *e;
	size_t len;
	int code;

	if (file_read(&text, &len, path, ECOSYSTEM_FILE_MAX, &err) < 0) {
		(void)fprintf(stderr, "codex-supervisor: %s\n", err.text);
		return EXIT_CONFIGURATION;
	}
	e = ecosystem_parse(text, len, cpus > 0 ? (unsigned)cpus : 1);
	if (e == NULL) {
		(void)fputs("codex-supervisor: out of memory\n", stderr);
		return EXIT_GAVE_UP;
	}
	ecosystem_print(e, path, stdout);
	code = e->errors > 0 ? EXIT_CONFIGURATION : EXIT_WELL;
	ecosystem_free(e);
	return code;
}
