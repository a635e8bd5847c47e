/* main: what the command line asks for. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/exit_code.h"
#include "common/log.h"
#include "common/settings.h"
#include "supervisor/cli.h"
#include "supervisor/cli_check.h"
#include "supervisor/cli_live.h"
#include "supervisor/cli_status.h"
#include "supervisor/quantity.h"
#include "supervisor/supervisor.h"

static const char usage[] =
	"usage: codex-supervisor COMMAND\n"
	"\n"
	"  run [FILE]          start the app-servers and the proxy, or the apps of an ecosystem "
	"file,\n"
	"                      and keep them up\n"
	"\n"
	"  status [--json] [--exit-code] [--watch]\n"
	"                      what runs, and how it is; with --exit-code 1 when not ready; with\n"
	"                      --watch again every second\n"
	"  describe APP|all [--json]\n"
	"                      everything that is known of it\n"
	"  start, stop, restart, reload APP|all [--no-wait]\n"
	"                      done when it exits. restart and reload go one after the other, "
	"each\n"
	"                      ready again before the next one goes, and without a gap; only a\n"
	"                      restart of the proxy stops the old one first\n"
	"  reload              the configuration is read again, and takes effect where it has\n"
	"                      changed (SIGHUP does the same); 1, and nothing changes, when there "
	"is\n"
	"                      a mistake in it\n"
	"  drain APP|all [--no-wait] [--deadline TIME]\n"
	"                      no new work for it; 1 when some is left at the deadline (\"30s\")\n"
	"  logs APP|all [-n LINES] [-f] [--json]\n"
	"                      the last lines it wrote (20); with -f those to come too\n"
	"  events [--json]     every change of state, from now on\n"
	"  shutdown            stop everything\n"
	"\n"
	"  check FILE          what is wrong in an ecosystem file, and what means something else\n"
	"                      here than under PM2\n"
	"  settings            the environment variables of all programs\n"
	"  version, help\n"
	"\n"
	"  --socket PATH       the control socket (default: CODEX_CONTROL_SOCKET, or control.sock "
	"in\n"
	"                      the runtime folder)\n"
	"\n"
	"APP: an app (proxy, app-server-0), or all instances of one (app-server).\n"
	"\n"
	"Exit codes: 0 well, 1 not well (refused, or failed: it is said why), 2 no supervisor\n"
	"answers, or it ended what was followed, 64 usage, 70 gave up, 78 configuration.\n";

static int
run(const struct cli_options *o, const char *file)
{
	struct configuration c;
	int r;

	log_init("codex-supervisor", LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
	r = configuration_load(&c, file);
	if (r != EXIT_WELL)
		return r;
	log_init("codex-supervisor", (enum log_level)c.settings.log_level,
	         (enum log_format)c.settings.log_format);
	r = supervisor_run(&c);
	configuration_free(&c);
	return r;
}

static int
check(const struct cli_options *o, const char *file)
{
	return cli_check(file);
}

static int
show_settings(const struct cli_options *o, const char *none)
{
	settings_help(stdout, SETTING_ALL);
	return EXIT_WELL;
}

static int
show_version(const struct cli_options *o, const char *none)
{
	(void)puts(SIDECAR_VERSION);
	return EXIT_WELL;
}

static int
show_help(const struct cli_options *o, const char *none)
{
	(void)fputs(usage, stdout);
	return EXIT_WELL;
}

/* operand: what it is, "[...]" when it may be missing; NULL: there is none. options: the letters of
 * those it knows, beside s (--socket). */
static const struct command {
	const char *name, *operand, *options;
	int (*fn)(const struct cli_options *o, const char *operand);
} commands[] = {
	{"run",      "[file]", "",    run          },
	{"status",   NULL,     "jew", cli_status   },
	{"describe", "app",    "j",   cli_describe },
	{"start",    "app",    "N",   cli_start    },
	{"stop",     "app",    "N",   cli_stop     },
	{"restart",  "app",    "N",   cli_restart  },
	{"reload",   "[app]",  "N",   cli_reload   },
	{"drain",    "app",    "Nd",  cli_drain    },
	{"logs",     "app",    "jnf", cli_logs     },
	{"events",   NULL,     "j",   cli_events   },
	{"shutdown", NULL,     "",    cli_shutdown },
	{"check",    "file",   "",    check        },
	{"settings", NULL,     "",    show_settings},
	{"version",  NULL,     "",    show_version },
	{"help",     NULL,     "",    show_help    },
};

static int
wrong_usage(const char *what)
{
	(void)fprintf(stderr, "codex-supervisor: %s\n\n%s", what, usage);
	return EXIT_USAGE;
}

/* false: its value makes no sense. */
static bool
take_option(struct cli_options *o, int letter, const char *value)
{
	switch (letter) {
	case 's':
		o->socket = value;
		return true;
	case 'j':
		return o->json = true;
	case 'e':
		return o->exit_code = true;
	case 'w':
		return o->watch = true;
	case 'N':
		return o->no_wait = true;
	case 'f':
		return o->follow = true;
	case 'n':
		return strspn(value, "0123456789") == strlen(value) &&
		       quantity_parse_ms(value, &o->lines) == 0;
	case 'd':
		return quantity_parse_ms(value, &o->deadline_ms) == 0 && o->deadline_ms > 0;
	default:
		return false;
	}
}

static int
obey(const struct cli_options *o, const char *given, int count, char *const *words)
{
	const struct command *c = NULL;
	char what[128];

	if (count == 0)
		return wrong_usage("a command is needed");
	for (size_t i = 0; i < NELEM(commands); i++)
		if (strcmp(commands[i].name, words[0]) == 0)
			c = &commands[i];
	if (c == NULL)
		return wrong_usage("no such command");
	if (c->operand != NULL && c->operand[0] != '[' && count == 1) {
		(void)snprintf(what, sizeof(what), "which %s?", c->operand);
		return wrong_usage(what);
	}
	if (count > (c->operand != NULL ? 2 : 1))
		return wrong_usage("too many arguments");
	for (; *given != '\0'; given++) {
		if (*given == 's' || strchr(c->options, *given) != NULL)
			continue;
		(void)snprintf(what, sizeof(what), "%s knows no such option", c->name);
		return wrong_usage(what);
	}
	return c->fn(o, count > 1 ? words[1] : NULL);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket",    required_argument, NULL, 's'},
		{"json",      no_argument,       NULL, 'j'},
		{"exit-code", no_argument,       NULL, 'e'},
		{"watch",     no_argument,       NULL, 'w'},
		{"no-wait",   no_argument,       NULL, 'N'},
		{"deadline",  required_argument, NULL, 'd'},
		{"lines",     required_argument, NULL, 'n'},
		{"follow",    no_argument,       NULL, 'f'},
		{"help",      no_argument,       NULL, 'h'},
		{"version",   no_argument,       NULL, 'V'},
		{NULL,        0,                 NULL, 0  },
	};
	struct cli_options cli = {.lines = CLI_LINES_DEFAULT};
	char given[16] = "";
	int letter;

	while ((letter = getopt_long(argc, argv, "n:f", options, NULL)) != -1) {
		size_t n = strlen(given);

		if (letter == 'h')
			return show_help(&cli, NULL);
		if (letter == 'V')
			return show_version(&cli, NULL);
		if (letter == '?') {
			(void)fputs(usage, stderr);
			return EXIT_USAGE;
		}
		if (!take_option(&cli, letter, optarg))
			return wrong_usage("an option's value makes no sense");
		if (strchr(given, letter) == NULL && n + 1 < sizeof(given))
			given[n] = (char)letter;
	}
	return obey(&cli, given, argc - optind, argv + optind);
}
