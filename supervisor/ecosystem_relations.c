/* ecosystem_relations: the apps of an ecosystem file among each other: names, numbers, order. Pure.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/ecosystem_keys.h"

static void
report_app(struct ecosystem_reader *r, size_t index, const char *key, const char *what,
           const char *which)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "apps[%zu]", index);
	ecosystem_report(r, ECOSYSTEM_ERROR, path, key, "%s%.40s", what, which);
}

/* Is name one of a's instances, as status will show them? */
static bool
is_instance(const struct ecosystem_app *a, const char *name)
{
	size_t n = strlen(a->name);
	char *end;
	unsigned long i;

	if (a->instances < 2 || strncmp(a->name, name, n) != 0 || name[n] != '-' ||
	    !isdigit((unsigned char)name[n + 1]))
		return false;
	i = strtoul(name + n + 1, &end, 10);
	return *end == '\0' && i < a->instances;
}

static void
check_names(struct ecosystem_reader *r)
{
	const struct ecosystem_app *apps = r->e->apps;

	for (size_t i = 0; i < r->e->count; i++) {
		for (size_t k = 0; k < r->e->count && apps[i].name != NULL; k++) {
			if (k == i || apps[k].name == NULL)
				continue;
			if (k < i && strcmp(apps[i].name, apps[k].name) == 0)
				report_app(r, i, "name", "there are two named ", apps[i].name);
			else if (is_instance(&apps[k], apps[i].name))
				report_app(r, i, "name", "is also an instance of ", apps[k].name);
		}
	}
}

static void
check_numbers(struct ecosystem_reader *r)
{
	unsigned processes = 0, proxies = 0, app_servers = 0;

	for (size_t i = 0; i < r->e->count; i++) {
		const struct ecosystem_app *a = &r->e->apps[i];

		processes += a->instances;
		app_servers += a->role == ECOSYSTEM_APP_SERVER ? a->instances : 0;
		proxies += a->role == ECOSYSTEM_PROXY;
		if (a->role == ECOSYSTEM_PROXY && proxies == 2)
			report_app(r, i, "role", "there is one codex-proxy", "");
	}
	if (processes > ECOSYSTEM_PROCESSES_MAX || app_servers > ECOSYSTEM_INSTANCES_MAX)
		ecosystem_report(r, ECOSYSTEM_ERROR, "apps", NULL,
		                 "more than %d processes, or %d app-servers, in all",
		                 ECOSYSTEM_PROCESSES_MAX, ECOSYSTEM_INSTANCES_MAX);
}

static size_t
find_app(const struct ecosystem *e, const char *name)
{
	size_t i = 0;

	while (i < e->count && (e->apps[i].name == NULL || strcmp(e->apps[i].name, name) != 0))
		i++;
	return i;
}

static void
check_after(struct ecosystem_reader *r)
{
	const char *names[ECOSYSTEM_APPS_MAX + 1];
	size_t n = 0;

	for (size_t i = 0; i < r->e->count; i++)
		if (r->e->apps[i].name != NULL)
			names[n++] = r->e->apps[i].name;
	names[n] = NULL;
	for (size_t i = 0; i < r->e->count; i++) {
		for (char **after = r->e->apps[i].after; after != NULL && *after != NULL; after++) {
			const char *near = ecosystem_nearest(*after, names);

			if (find_app(r->e, *after) < r->e->count)
				continue;
			report_app(r, i, "after",
			           near != NULL ? "names no app; is this one meant? "
			                        : "names no app: ",
			           near != NULL ? near : *after);
		}
	}
}

static bool
names(char *const *list, const char *name)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static bool
stops_before(const struct ecosystem_app *a, const struct ecosystem_app *b)
{
	if (a->name == NULL || b->name == NULL)
		return false;
	if (a->role == ECOSYSTEM_PROXY && b->role == ECOSYSTEM_APP_SERVER)
		return !names(b->after, a->name); /* whatever that is good for */
	return names(a->after, b->name);
}

/* One more than the highest tier among those it stops before; again until nothing changes. */
static void
set_tiers(struct ecosystem_reader *r)
{
	struct ecosystem_app *apps = r->e->apps;
	size_t n = r->e->count;
	bool changed = true;

	for (size_t round = 0; changed && round <= n; round++) {
		changed = false;
		for (size_t i = 0; i < n; i++) {
			for (size_t k = 0; k < n; k++) {
				if (!stops_before(&apps[i], &apps[k]) ||
				    apps[i].tier > apps[k].tier)
					continue;
				apps[i].tier = apps[k].tier + 1;
				changed = true;
			}
		}
	}
	for (size_t i = 0; changed && i < n; i++)
		if (apps[i].tier > n)
			report_app(r, i, "after", "they wait for each other: ", apps[i].name);
}

void
ecosystem_relate(struct ecosystem_reader *r)
{
	check_names(r);
	check_numbers(r);
	check_after(r);
	set_tiers(r);
}
