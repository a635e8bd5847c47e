/* main: argv -> a check -> exit code. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/login.h"
#include "healthcheck/alert.h"
#include "healthcheck/command.h"

#define TIMEOUT_S       2.0
#define ALERT_TIMEOUT_S 10.0
#define TIMEOUT_MAX_S   3600.0 /* a probe that waits longer is no probe */
#define REPEAT_HOURS    24.0
#define HOURS_MAX       87600.0 /* ten years */

static const char usage[] =
	"usage: codex-healthcheck live|ready|startup|status|auth [OPTION]...\n"
	"\n"
	"  live                does codex-supervisor answer? Whatever its programs are doing:\n"
	"                      it restarts them\n"
	"  ready               would a request be answered? (the proxy's /readyz)\n"
	"  startup             has it been ready once since its start?\n"
	"  status              what runs, in a line; 3 when the login expires soon\n"
	"  auth                until when is the login in CODEX_HOME/auth.json good?\n"
	"\n"
	"  --socket PATH       the supervisor's control socket (default: CODEX_CONTROL_SOCKET,\n"
	"                      else control.sock in the usual folders)\n"
	"  --url URL           http(s)://HOST:PORT of the proxy. live and startup ask it too, for\n"
	"                      one that runs without a supervisor (/healthz, /readyz)\n"
	"  --unix PATH         the same, on the unix socket that the proxy listens on\n"
	"                      (default of ready: CODEX_PROXY_LISTEN_UNIX, or CODEX_PROXY_HOST\n"
	"                      and CODEX_PROXY_PORT, as for the proxy itself)\n"
	"  --ca FILE           CA certificates (PEM) for https, instead of the system's\n"
	"  --insecure          https: accept any certificate\n"
	"  --timeout SECONDS   for a whole question (default: 2; for an alert 10)\n"
	"  --json              the answer as one line of JSON on stdout\n"
	"  --quiet             says nothing when all is well\n"
	"  --help, --version\n"
	"\n"
	"auth:\n"
	"  --warn-hours HOURS  before the end (default: 48)\n"
	"  --alert             posts a message to CODEX_ALERT_WEBHOOK_URL, or to the URL in the\n"
	"                      file CODEX_ALERT_WEBHOOK_URL_FILE, when all is not well: once, and\n"
	"                      again when the state changes\n"
	"  --repeat-hours HOURS  and again after that time (default: 24; 0: never)\n"
	"  --format FORMAT     discord, slack or json (default: CODEX_ALERT_FORMAT, else by the "
	"URL)\n"
	"\n"
	"Exit codes: 0 well, 1 not well (auth: expired), 2 unreachable or unknown, 3 the login "
	"expires\n"
	"soon, 64 usage, 78 configuration.\n";

static const struct check checks[] = {
	{"live",    ask_live,    "/healthz", "alive"  },
	{"ready",   ask_proxy,   "/readyz",  "ready"  },
	{"startup", ask_startup, "/readyz",  "started"},
	{"status",  ask_status,  NULL,       NULL     },
	{"auth",    check_auth,  NULL,       NULL     },
};

static int
wrong_usage(const char *what)
{
	(void)fprintf(stderr, "codex-healthcheck: %s\n\n%s", what, usage);
	return EXIT_USAGE;
}

static const struct check *
find_check(const char *name)
{
	for (size_t i = 0; i < NELEM(checks); i++)
		if (strcmp(checks[i].name, name) == 0)
			return &checks[i];
	return NULL;
}

/* False: not a number from min to max. */
static bool
parse_number(double *out, const char *text, double min, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !isfinite(value) || value < min || value > max)
		return false;
	*out = value;
	return true;
}

/* NULL, or what is wrong with it. */
static const char *
take_option(struct command *c, int option, const char *value)
{
	enum alert_format format;
	double seconds;

	switch (option) {
	case 'u':
		c->url = value;
		break;
	case 'x':
		c->unix_path = value;
		break;
	case 's':
		c->socket = value;
		break;
	case 'c':
		c->ca_file = value;
		break;
	case 'k':
		c->insecure = true;
		break;
	case 't':
		if (!parse_number(&seconds, value, 0.001, TIMEOUT_MAX_S))
			return "--timeout: not a number from 0.001 to 3600";
		c->timeout_ms = lround(seconds * 1e3);
		break;
	case 'j':
		c->json = true;
		break;
	case 'q':
		c->quiet = true;
		break;
	case 'a':
		c->alert = true;
		break;
	case 'w':
		if (!parse_number(&c->warn_hours, value, 0, HOURS_MAX))
			return "--warn-hours: not a number from 0 to 87600";
		break;
	case 'r':
		if (!parse_number(&c->repeat_hours, value, 0, HOURS_MAX))
			return "--repeat-hours: not a number from 0 to 87600";
		break;
	case 'f':
		if (!alert_format_parse(&format, value))
			return "--format: not discord, slack or json";
		c->format = value;
		break;
	default:
		return "no such option";
	}
	return NULL;
}

/* NULL, or what does not go together. */
static const char *
finish(struct command *c, char *const *words, int count)
{
	bool http = c->url != NULL || c->unix_path != NULL;

	if (count == 0)
		return "live, ready, startup, status or auth?";
	if (count > 1)
		return "too many arguments";
	c->check = find_check(words[0]);
	if (c->check == NULL)
		return "no such check";
	if (c->url != NULL && c->unix_path != NULL)
		return "--url or --unix, not both";
	if (http && c->socket != NULL)
		return "--socket, or --url or --unix, not both";
	if (http && c->check->path == NULL)
		return "--url and --unix are for live, ready and startup";
	if (c->alert && c->check->fn != check_auth)
		return "--alert is for auth";
	if (c->timeout_ms == 0)
		c->timeout_ms = lround((c->alert ? ALERT_TIMEOUT_S : TIMEOUT_S) * 1e3);
	return NULL;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket",       required_argument, NULL, 's'},
		{"url",          required_argument, NULL, 'u'},
		{"unix",         required_argument, NULL, 'x'},
		{"ca",           required_argument, NULL, 'c'},
		{"insecure",     no_argument,       NULL, 'k'},
		{"timeout",      required_argument, NULL, 't'},
		{"json",         no_argument,       NULL, 'j'},
		{"quiet",        no_argument,       NULL, 'q'},
		{"warn-hours",   required_argument, NULL, 'w'},
		{"alert",        no_argument,       NULL, 'a'},
		{"repeat-hours", required_argument, NULL, 'r'},
		{"format",       required_argument, NULL, 'f'},
		{"help",         no_argument,       NULL, 'h'},
		{"version",      no_argument,       NULL, 'V'},
		{NULL,           0,                 NULL, 0  },
	};
	struct command command = {.warn_hours = LOGIN_WARN_HOURS, .repeat_hours = REPEAT_HOURS};
	struct finding finding = {.code = EXIT_UNREACHABLE};
	const char *wrong;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h' || c == 'V') {
			(void)fputs(c == 'h' ? usage : SIDECAR_VERSION "\n", stdout);
			return EXIT_WELL;
		}
		if (c == '?') {
			(void)fputs(usage, stderr); /* getopt has said what is wrong */
			return EXIT_USAGE;
		}
		wrong = take_option(&command, c, optarg);
		if (wrong != NULL)
			return wrong_usage(wrong);
	}
	wrong = finish(&command, argv + optind, argc - optind);
	if (wrong != NULL)
		return wrong_usage(wrong);
	if (command.url != NULL || command.unix_path != NULL)
		ask_proxy(&finding, &command);
	else
		command.check->fn(&finding, &command);
	c = finding_tell(&finding, command.check->name, command.json, command.quiet);
	finding_fini(&finding);
	return c;
}
