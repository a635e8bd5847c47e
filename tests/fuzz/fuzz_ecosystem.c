/* The ecosystem file: apps that can be run, or errors that say where; never both, never neither. */
#include "supervisor/ecosystem.h"

#include <string.h>

#include "supervisor/cron.h"
#include "supervisor/ecosystem_spec.h"
#include "tests/fuzz/fuzz.h"

#define CPUS 4

static void
check_findings(const struct ecosystem *e)
{
	size_t counts[ECOSYSTEM_ERROR + 1] = {0};

	for (size_t i = 0; i < e->findings_count; i++) {
		const struct ecosystem_finding *f = &e->findings[i];

		HOLDS(f->path != NULL && f->text != NULL && f->text[0] != '\0');
		counts[f->level]++;
	}
	HOLDS(counts[ECOSYSTEM_NOTE] == e->notes && counts[ECOSYSTEM_WARNING] == e->warnings &&
	      counts[ECOSYSTEM_ERROR] == e->errors);
	HOLDS((e->errors > 0) || (e->count > 0));
}

/* A list is a line each, whatever is in the file. */
static void
check_print(const struct ecosystem *e)
{
	char *text = NULL;
	size_t len = 0, lines = 0;
	FILE *out = open_memstream(&text, &len);

	HOLDS(out != NULL);
	ecosystem_print(e, "f", out);
	(void)fclose(out);
	for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	HOLDS(lines == e->findings_count + 1 && strlen(text) == len);
	for (const char *at = text; *at != '\0'; at++)
		HOLDS((unsigned char)*at >= 0x20 || *at == '\n');
	free(text);
}

static const struct ecosystem_app *
find_app(const struct ecosystem *e, const char *name)
{
	const struct ecosystem_app *found = NULL;

	for (size_t i = 0; i < e->count; i++) {
		if (strcmp(e->apps[i].name, name) != 0)
			continue;
		HOLDS(found == NULL); /* names are told apart */
		found = &e->apps[i];
	}
	return found;
}

static void
check_app(const struct ecosystem *e, const struct ecosystem_app *a)
{
	char name[ECOSYSTEM_SPEC_NAME_MAX];
	struct log_sink_spec logs;
	struct cron cron;
	const char *why;

	HOLDS(a->name != NULL && a->name[0] != '\0' && strlen(a->name) <= ECOSYSTEM_NAME_MAX);
	HOLDS(find_app(e, a->name) == a);
	HOLDS(a->script != NULL && a->script[0] != '\0');
	HOLDS(a->args != NULL && a->interpreter_args != NULL && a->env != NULL &&
	      a->env_pass != NULL && a->after != NULL);
	HOLDS(a->instances >= 1 && a->instances <= ECOSYSTEM_INSTANCES_MAX);
	HOLDS(a->cron_restart == NULL || cron_parse(&cron, a->cron_restart, &why) == 0);
	for (char **v = a->env; *v != NULL; v++)
		HOLDS(strchr(*v, '=') > *v);
	for (char **other = a->after; *other != NULL; other++) {
		const struct ecosystem_app *before = find_app(e, *other);

		HOLDS(before != NULL && before != a && before->tier < a->tier);
	}
	for (unsigned i = 0; i < a->instances; i++) {
		(void)ecosystem_spec(a, i, name);
		HOLDS(strncmp(name, a->name, strlen(a->name)) == 0);
	}
	(void)ecosystem_spec_logs(&logs, a);
}

/* What is kept of an app as its source, to see whether it has changed, is what was read. */
static void
sources_say_the_same(const struct ecosystem *e)
{
	struct json_buf text = {.data = NULL};
	struct ecosystem *again;

	json_buf_append(&text, "{\"apps\":[", 9);
	for (size_t i = 0; i < e->count; i++) {
		json_buf_append(&text, ",", i > 0);
		json_buf_append(&text, e->apps[i].source, strlen(e->apps[i].source));
	}
	json_buf_append(&text, "]}", 2);
	again = ecosystem_parse(text.data, text.len, CPUS);
	HOLDS(again != NULL && again->errors == 0 && again->count == e->count);
	for (size_t i = 0; i < e->count; i++) {
		HOLDS(strcmp(again->apps[i].source, e->apps[i].source) == 0);
		HOLDS(strcmp(again->apps[i].name, e->apps[i].name) == 0);
	}
	ecosystem_free(again);
	json_buf_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ecosystem *e = ecosystem_parse((const char *)data, size, CPUS);
	size_t processes = 0;

	HOLDS(e != NULL);
	check_findings(e);
	check_print(e);
	if (e->errors == 0) {
		for (size_t i = 0; i < e->count; i++) {
			check_app(e, &e->apps[i]);
			processes += e->apps[i].instances;
		}
		HOLDS(processes <= ECOSYSTEM_PROCESSES_MAX);
		sources_say_the_same(e);
	}
	ecosystem_free(e);
	return 0;
}
