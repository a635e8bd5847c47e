/* main: what the command line asks for. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/exit_code.h"
#include "common/log.h"
#include "common/settings.h"
#include "supervisor/cli.h"
#include "supervisor/cli_check.h"
#include "supervisor/supervisor.h"

static const char usage[] =
	"usage: codex-supervisor COMMAND\n"
	"\n"
	"  run                 start the app-servers and the proxy, and keep them up\n"
	"  status [--json] [--exit-code]\n"
	"                      what runs, and how it is; with --exit-code 1 when not ready\n"
	"  restart APP|all [--no-wait]\n"
	"                      one after the other, each ready again before the next one goes\n"
	"  shutdown            stop everything\n"
	"  check FILE          what is wrong in an ecosystem file, and what means something else\n"
	"                      here than under PM2 (0: nothing is wrong, 78: something is)\n"
	"  settings            the environment variables that `run` reads\n"
	"  version, help\n"
	"\n"
	"  --socket PATH       the control socket (default: CODEX_CONTROL_SOCKET, or control.sock "
	"in\n"
	"                      the runtime folder)\n"
	"\n"
	"Exit codes: 0 well, 1 not well, 2 no supervisor answers, 64 usage, 70 gave up,\n"
	"78 configuration.\n";

static int
run(void)
{
	struct settings settings;
	int r;

	log_init("codex-supervisor", LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
	r = settings_load(&settings, SETTING_PROXY | SETTING_SUPERVISOR, NULL, NULL, stderr);
	if (r != 0) {
		log_error("not started: %d wrong setting%s", r, r == 1 ? "" : "s");
		return r < 0 ? EXIT_GAVE_UP : EXIT_CONFIGURATION;
	}
	log_init("codex-supervisor", (enum log_level)settings.log_level,
	         (enum log_format)settings.log_format);
	r = supervisor_run(&settings);
	settings_free(&settings);
	return r;
}

static int
wrong_usage(const char *what)
{
	(void)fprintf(stderr, "codex-supervisor: %s\n\n%s", what, usage);
	return EXIT_USAGE;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket",    required_argument, NULL, 's'},
		{"json",      no_argument,       NULL, 'j'},
		{"exit-code", no_argument,       NULL, 'e'},
		{"no-wait",   no_argument,       NULL, 'n'},
		{"help",      no_argument,       NULL, 'h'},
		{"version",   no_argument,       NULL, 'V'},
		{NULL,        0,                 NULL, 0  },
	};
	struct cli_options cli = {.socket = NULL};
	const char *command, *operand;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			cli.socket = optarg;
			break;
		case 'j':
			cli.json = true;
			break;
		case 'e':
			cli.exit_code = true;
			break;
		case 'n':
			cli.no_wait = true;
			break;
		case 'h':
			(void)fputs(usage, stdout);
			return EXIT_WELL;
		case 'V':
			(void)puts(SIDECAR_VERSION);
			return EXIT_WELL;
		default:
			(void)fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	command = optind < argc ? argv[optind] : NULL;
	operand = optind + 1 < argc ? argv[optind + 1] : NULL;
	if (command == NULL)
		return wrong_usage("a command is needed");
	if (strcmp(command, "restart") == 0 && operand != NULL && optind + 2 == argc)
		return cli_restart(&cli, operand);
	if (strcmp(command, "check") == 0 && operand != NULL && optind + 2 == argc)
		return cli_check(operand);
	if (strcmp(command, "run") == 0 && operand != NULL)
		return wrong_usage("run FILE is not available yet: run starts the built-in pair; "
		                   "check FILE reads one");
	if (operand != NULL || strcmp(command, "restart") == 0 || strcmp(command, "check") == 0)
		return wrong_usage(operand != NULL                 ? "too many arguments"
		                   : strcmp(command, "check") == 0 ? "which file?"
		                                                   : "which app?");
	if (strcmp(command, "run") == 0)
		return run();
	if (strcmp(command, "status") == 0)
		return cli_status(&cli);
	if (strcmp(command, "shutdown") == 0)
		return cli_shutdown(&cli);
	if (strcmp(command, "settings") == 0) {
		settings_help(stdout, SETTING_PROXY | SETTING_SUPERVISOR);
		return EXIT_WELL;
	}
	if (strcmp(command, "version") == 0) {
		(void)puts(SIDECAR_VERSION);
		return EXIT_WELL;
	}
	if (strcmp(command, "help") == 0) {
		(void)fputs(usage, stdout);
		return EXIT_WELL;
	}
	return wrong_usage("no such command");
}
