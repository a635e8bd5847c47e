/* ask_proxy: what the proxy answers over HTTP. */
#include <errno.h>

#include "common/settings.h"
#include "healthcheck/command.h"
#include "healthcheck/http.h"
#include "healthcheck/verdict.h"

/* False: told. *t is new on true. */
static bool
find_target(struct target *t, struct finding *f, const struct command *c)
{
	struct settings settings;
	struct err err = {.code = 0};
	const char *option = c->url != NULL ? "--url: " : c->unix_path != NULL ? "--unix: " : "";
	int r;

	if (c->url != NULL) {
		r = target_from_url(t, c->url, c->check->path, &err);
	} else if (c->unix_path != NULL) {
		r = target_from_unix(t, c->unix_path, c->check->path, &err);
	} else if (settings_load(&settings, SETTING_HEALTHCHECK, NULL, NULL, stderr) != 0) {
		finding_set(f, EXIT_CONFIGURATION, "wrong settings");
		return false;
	} else {
		r = target_from_settings(t, &settings, c->check->path, &err);
		settings_free(&settings);
	}
	if (r == -ENOENT) /* no libcurl */
		finding_set(f, EXIT_UNREACHABLE, "%s", err.text);
	else if (r < 0)
		finding_set(f, option[0] != '\0' ? EXIT_USAGE : EXIT_CONFIGURATION, "%s%s", option,
		            err.text);
	return r == 0;
}

void
ask_proxy(struct finding *f, const struct command *c)
{
	struct http_answer answer = {.status = 0};
	struct target target = {.url = NULL};
	struct http_question question = {.timeout_ms = c->timeout_ms, .ca_file = c->ca_file};
	char line[VERDICT_LINE_MAX];
	struct err err = {.code = 0};

	if (!find_target(&target, f, c))
		return;
	question.url = target.url;
	question.unix_path = target.unix_path;
	question.unverified = c->insecure || (target.unverified && c->ca_file == NULL);
	if (http_ask(&answer, &question, &err) < 0) {
		finding_set(f, EXIT_UNREACHABLE, "%s: %s",
		            target.unix_path != NULL ? target.unix_path : target.url, err.text);
	} else if (answer.status != 200) {
		verdict_not_well(line, &answer, c->check->is);
		finding_set(f, EXIT_NOT_WELL, "%s", line);
	} else {
		finding_set(f, EXIT_WELL, "%s", c->check->is);
	}
	if (answer.status != 0)
		finding_fact(f, "http_status", json_integer(answer.status));
	http_answer_free(&answer);
	target_free(&target);
}
