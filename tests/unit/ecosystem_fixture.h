/* ecosystem_fixture: reading ecosystem files, for the tests of it. */
#ifndef SIDECAR_TESTS_ECOSYSTEM_FIXTURE_H
#define SIDECAR_TESTS_ECOSYSTEM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "supervisor/ecosystem.h"

#define CPUS 4

static inline struct ecosystem *
parse(const char *text)
{
	struct ecosystem *e = ecosystem_parse(text, strlen(text), CPUS);

	assert_non_null(e);
	return e;
}

static inline void
dump(const struct ecosystem *e)
{
	ecosystem_print(e, "file", stderr);
}

/* One app that runs "x" and has these members too; no errors. */
static inline struct ecosystem *
with(const char *members)
{
	char text[2048];
	struct ecosystem *e;

	(void)snprintf(text, sizeof(text), "{\"apps\":[{\"script\":\"x\"%s%s}]}",
	               members[0] != '\0' ? "," : "", members);
	e = parse(text);
	if (e->errors > 0)
		dump(e);
	assert_int_equal(e->errors, 0);
	assert_int_equal(e->count, 1);
	return e;
}

static inline bool
says(const struct ecosystem *e, enum ecosystem_level level, const char *path, const char *words)
{
	for (size_t i = 0; i < e->findings_count; i++)
		if (e->findings[i].level == level && strcmp(e->findings[i].path, path) == 0 &&
		    strstr(e->findings[i].text, words) != NULL)
			return true;
	dump(e);
	return false;
}

/* The member is wrong in this way, and nothing else is. */
static inline void
refuse(const char *members, const char *path, const char *words)
{
	char text[2048];
	struct ecosystem *e;

	(void)snprintf(text, sizeof(text), "{\"apps\":[{\"name\":\"a\",\"script\":\"x\",%s}]}",
	               members);
	e = parse(text);
	assert_true(says(e, ECOSYSTEM_ERROR, path, words));
	if (e->errors != 1)
		dump(e);
	assert_int_equal(e->errors, 1);
	ecosystem_free(e);
}

static inline void
assert_list(char **list, const char *joined)
{
	char text[512] = "";

	for (; *list != NULL; list++) {
		(void)strncat(text, *list, sizeof(text) - strlen(text) - 1);
		(void)strncat(text, "|", sizeof(text) - strlen(text) - 1);
	}
	assert_string_equal(text, joined);
}

#define ASSERT_APP(members, condition)                                                             \
	do {                                                                                       \
		struct ecosystem *e_ = with(members);                                              \
		const struct ecosystem_app *a = &e_->apps[0];                                      \
		assert_true((a != NULL) && (condition));                                           \
		ecosystem_free(e_);                                                                \
	} while (0)

#endif
