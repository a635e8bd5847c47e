/* main: argv -> ask -> exit code. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/exit_code.h"
#include "healthcheck/probe.h"
#include "healthcheck/verdict.h"

#define TIMEOUT_S     2.0
#define TIMEOUT_MAX_S 3600.0 /* a probe that waits longer is no probe */

static const char usage[] =
	"usage: codex-healthcheck live|ready [--url URL | --unix PATH] [--timeout SECONDS]\n"
	"                         [--quiet]\n"
	"\n"
	"  live                does codex-proxy run? (GET /healthz)\n"
	"  ready               would it answer a request? (GET /readyz)\n"
	"\n"
	"  --url URL           http://HOST:PORT of the proxy\n"
	"  --unix PATH         the unix socket that it listens on\n"
	"                      (default: CODEX_PROXY_LISTEN_UNIX, or CODEX_PROXY_HOST and\n"
	"                      CODEX_PROXY_PORT, as for the proxy itself)\n"
	"  --timeout SECONDS   for the whole question (default: 2)\n"
	"  --quiet             says nothing when all is well\n"
	"  --help, --version\n"
	"\n"
	"Exit codes: 0 well, 1 not well, 2 unreachable or no HTTP, 64 usage, 78 configuration.\n";

struct question {
	const char *name; /* on the command line */
	const char *path;
	const char *is; /* for people */
};

static const struct question questions[] = {
	{"live",  "/healthz", "alive"},
	{"ready", "/readyz",  "ready"},
};

struct command {
	const struct question *question;
	const char *url, *unix_path;
	long timeout_ms;
	bool quiet;
};

static int
wrong_usage(const char *what)
{
	(void)fprintf(stderr, "codex-healthcheck: %s\n\n%s", what, usage);
	return EXIT_USAGE;
}

static const struct question *
find_question(const char *name)
{
	for (size_t i = 0; i < NELEM(questions); i++)
		if (strcmp(questions[i].name, name) == 0)
			return &questions[i];
	return NULL;
}

/* Returns an exit code; *t is new on EXIT_WELL. */
static int
find_target(struct target *t, const struct command *c)
{
	struct settings settings;
	struct err err = {.code = 0};
	int code = EXIT_CONFIGURATION, r;

	if (c->url != NULL || c->unix_path != NULL) {
		r = c->url != NULL ? target_from_url(t, c->url, c->question->path, &err)
		                   : target_from_unix(t, c->unix_path, c->question->path, &err);
		code = EXIT_USAGE;
	} else {
		if (settings_load(&settings, SETTING_HEALTHCHECK, NULL, NULL, stderr) != 0)
			return EXIT_CONFIGURATION;
		r = target_from_settings(t, &settings, c->question->path, &err);
		settings_free(&settings);
	}
	if (r == 0)
		return EXIT_WELL;
	(void)fprintf(stderr, "codex-healthcheck: %s%s\n",
	              c->url != NULL         ? "--url: "
	              : c->unix_path != NULL ? "--unix: "
	                                     : "",
	              err.text);
	return code;
}

static int
ask(const struct command *c)
{
	struct probe_answer answer = {.status = 0};
	struct target target = {.url = NULL};
	char line[VERDICT_LINE_MAX];
	struct err err = {.code = 0};
	int code = find_target(&target, c);

	if (code != EXIT_WELL)
		return code;
	if (probe_ask(&answer, &target, c->timeout_ms, &err) < 0) {
		(void)fprintf(stderr, "codex-healthcheck: %s: %s\n",
		              target.unix_path != NULL ? target.unix_path : target.url, err.text);
		code = EXIT_UNREACHABLE;
	} else if (answer.status != 200) {
		verdict_not_well(line, &answer, c->question->is);
		(void)fprintf(stderr, "codex-healthcheck: %s\n", line);
		code = EXIT_NOT_WELL;
	} else if (!c->quiet) {
		(void)puts(c->question->is);
	}
	probe_answer_free(&answer);
	target_free(&target);
	return code;
}

/* False: not a number of seconds that makes sense. */
static bool
parse_timeout(long *ms, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !isfinite(seconds) || seconds < 0.001 ||
	    seconds > TIMEOUT_MAX_S)
		return false;
	*ms = lround(seconds * 1e3);
	return true;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"url",     required_argument, NULL, 'u'},
		{"unix",    required_argument, NULL, 'x'},
		{"timeout", required_argument, NULL, 't'},
		{"quiet",   no_argument,       NULL, 'q'},
		{"help",    no_argument,       NULL, 'h'},
		{"version", no_argument,       NULL, 'V'},
		{NULL,      0,                 NULL, 0  },
	};
	struct command command = {.timeout_ms = lround(TIMEOUT_S * 1e3)};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'u':
			command.url = optarg;
			break;
		case 'x':
			command.unix_path = optarg;
			break;
		case 't':
			if (!parse_timeout(&command.timeout_ms, optarg))
				return wrong_usage("--timeout: not a number from 0.001 to 3600");
			break;
		case 'q':
			command.quiet = true;
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
	if (optind + 1 != argc)
		return wrong_usage(optind == argc ? "live or ready?" : "too many arguments");
	command.question = find_question(argv[optind]);
	if (command.question == NULL)
		return wrong_usage("no such question");
	if (command.url != NULL && command.unix_path != NULL)
		return wrong_usage("--url or --unix, not both");
	return ask(&command);
}
