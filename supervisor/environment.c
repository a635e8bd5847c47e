/* environment: the environment of a child, built from nothing: what is not named is not passed. */
#include "supervisor/environment.h"

#include <stdio.h>
#include <string.h>

extern char **environ;

static size_t
find(const struct environment *e, const char *name)
{
	size_t len = strlen(name), i;

	for (i = 0; i < e->count; i++)
		if (strncmp(e->vars[i], name, len) == 0 && e->vars[i][len] == '=')
			break;
	return i;
}

void
environment_set(struct environment *e, const char *name, const char *value)
{
	size_t at = find(e, name);
	char *text, **more;

	if (value == NULL) {
		if (at < e->count) {
			free(e->vars[at]);
			e->vars[at] = e->vars[--e->count];
			e->vars[e->count] = NULL;
		}
		return;
	}
	if (asprintf(&text, "%s=%s", name, value) < 0) {
		e->failed = true;
		return;
	}
	if (at < e->count) {
		free(e->vars[at]);
		e->vars[at] = text;
		return;
	}
	more = realloc(e->vars, (e->count + 2) * sizeof(*more));
	if (more == NULL) {
		free(text);
		e->failed = true;
		return;
	}
	e->vars = more;
	e->vars[e->count++] = text;
	e->vars[e->count] = NULL;
}

void
environment_set_int(struct environment *e, const char *name, long long value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%lld", value);
	environment_set(e, name, text);
}

void
environment_pass(struct environment *e, const char *name)
{
	const char *value = getenv(name);

	if (value != NULL)
		environment_set(e, name, value);
}

void
environment_pass_basics(struct environment *e)
{
	static const char *const names[] = {
		"PATH",          "HOME",          "USER",         "LOGNAME",
		"SHELL",         "LANG",          "LANGUAGE",     "TZ",
		"TMPDIR",        "SSL_CERT_FILE", "SSL_CERT_DIR", "ASAN_OPTIONS",
		"UBSAN_OPTIONS", "LSAN_OPTIONS",
	};

	for (size_t i = 0; i < NELEM(names); i++)
		environment_pass(e, names[i]);
	for (char **v = environ; *v != NULL; v++) {
		const char *equals = strchr(*v, '=');
		char name[64];

		if (strncmp(*v, "LC_", 3) != 0 || equals == NULL ||
		    (size_t)(equals - *v) >= sizeof(name))
			continue;
		(void)snprintf(name, sizeof(name), "%.*s", (int)(equals - *v), *v);
		environment_set(e, name, equals + 1);
	}
}

void
environment_free(struct environment *e)
{
	for (size_t i = 0; i < e->count; i++)
		free(e->vars[i]);
	free(e->vars);
	*e = (struct environment){.vars = NULL};
}
