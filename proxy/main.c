/* main: what the command line asks for. */
#include <stdio.h>
#include <string.h>

#include "common/exit_code.h"
#include "common/log.h"
#include "proxy/proxy.h"

static const char usage[] = "usage: codex-proxy\n"
			    "\n"
			    "Serves the OpenAI API from a codex app-server. It is started by "
			    "codex-supervisor; alone, or\n"
			    "under another process manager, it needs CODEX_APP_SERVER_URL.\n"
			    "\n"
			    "  --settings    the environment variables that it reads\n"
			    "  --version\n"
			    "  --help\n"
			    "\n"
			    "Exit codes: 0 well, 64 usage, 70 gave up, 78 configuration.\n";

static int
run(void)
{
	struct settings settings;
	int r;

	log_init("codex-proxy", LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
	r = settings_load(&settings, SETTING_PROXY, NULL, NULL, stderr);
	if (r != 0) {
		log_error("not started: %d wrong setting%s", r, r == 1 ? "" : "s");
		return r < 0 ? EXIT_GAVE_UP : EXIT_CONFIGURATION;
	}
	log_init("codex-proxy", (enum log_level)settings.log_level,
	         (enum log_format)settings.log_format);
	r = proxy_run(&settings);
	settings_free(&settings);
	return r;
}

int
main(int argc, char **argv)
{
	if (argc == 1)
		return run();
	if (argc == 2 && strcmp(argv[1], "--settings") == 0) {
		settings_help(stdout, SETTING_PROXY);
		return EXIT_WELL;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		(void)puts(SIDECAR_VERSION);
		return EXIT_WELL;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		(void)fputs(usage, stdout);
		return EXIT_WELL;
	}
	(void)fprintf(stderr, "codex-proxy: it takes no arguments\n\n%s", usage);
	return EXIT_USAGE;
}
