/* fleet_take: another list of apps instead of the one there is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/ecosystem_spec.h"
#include "supervisor/fleet_members.h"

/* What is to become of the new list's instances. */
struct plan {
	struct member **members; /* in the order of the new list, then those that leave */
	bool *is_new;            /* of members */
	size_t count, room;
	struct fleet_changes *changes;
};

static struct member *
find(const struct fleet *f, const char *name)
{
	for (size_t i = 0; i < f->count; i++)
		if (!f->members[i]->leaving && strcmp(instance_name(f->members[i]->in), name) == 0)
			return f->members[i];
	return NULL;
}

/* Can the one that runs become what the list says now? Another kind of app is another app. */
static bool
is_same_app(const struct member *m, const struct ecosystem_app *app)
{
	return m->app->role == app->role && strcmp(m->app->name, app->name) == 0;
}

static bool
says_the_same(const struct member *m, const struct app_list *list, const struct ecosystem_app *app)
{
	struct member then = *m;

	then.list = (struct app_list *)(uintptr_t)list;
	then.app = app;
	return strcmp(m->app->source, app->source) == 0 &&
	       fleet_member_is_linked(m) == fleet_member_is_linked(&then);
}

static bool
is_planned(const struct plan *p, const struct member *m)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->members[i] == m)
			return true;
	return false;
}

/* New members come into being here; nothing that is there is touched. */
static int
make_plan(struct plan *p, struct fleet *f, struct app_list *list)
{
	for (size_t i = 0; i < list->e->count; i++) {
		const struct ecosystem_app *app = &list->e->apps[i];

		for (unsigned k = 0; k < app->instances; k++) {
			char name[ECOSYSTEM_SPEC_NAME_MAX];
			struct member **at = &p->members[p->count];
			int r = 0;

			(void)ecosystem_spec(app, k, name);
			*at = find(f, name);
			p->is_new[p->count] = *at == NULL || !is_same_app(*at, app);
			if (p->is_new[p->count])
				r = fleet_member_new(at, f, list, app, k, &fleet_instance_hooks);
			if (r < 0)
				return r;
			p->count++;
		}
	}
	return 0;
}

static void
on_dropped(void *arg)
{
	struct member *m = arg;
	struct fleet *f = m->fleet;

	f->open--; /* never the last one: the fleet is open */
	fleet_member_free(m);
}

static void
drop_plan(struct plan *p)
{
	for (size_t i = 0; i < p->count; i++) {
		struct member *m = p->members[i];

		if (!p->is_new[i])
			continue;
		if (m->backend >= 0)
			backends_remove(&m->fleet->backends, m->backend);
		m->fleet->open++;
		instance_close(m->in, on_dropped, m);
	}
}

static void
follow(struct plan *p, struct app_list *list)
{
	size_t at = 0;

	for (size_t i = 0; i < list->e->count; i++) {
		const struct ecosystem_app *app = &list->e->apps[i];

		for (unsigned k = 0; k < app->instances; k++, at++) {
			struct member *m = p->members[at];

			if (p->is_new[at]) {
				p->changes->added++;
				continue;
			}
			if (says_the_same(m, list, app))
				p->changes->kept++;
			else
				p->changes->changed[p->changes->changed_count++] = m->in;
			fleet_member_follow(m, list, app);
		}
	}
}

/* What is not in the new list goes to its end, and then away. */
static void
take_plan(struct plan *p, struct fleet *f)
{
	struct member **old = f->members;
	size_t count = f->count, listed = p->count;

	for (size_t i = 0; i < count; i++)
		if (!is_planned(p, old[i]))
			p->members[p->count++] = old[i];
	f->members = p->members;
	f->count = p->count;
	p->members = NULL;
	free(old);
	for (size_t i = listed; i < f->count; i++) {
		struct member *m = f->members[i];

		if (m->leaving)
			continue;
		p->changes->removed++;
		m->leaving = true;
		instance_stop(m->in, "not in the list any more");
	}
	fleet_sweep(f);
	for (size_t i = 0; i < listed; i++)
		if (p->is_new[i])
			fleet_start_member(f->members[i]);
	fleet_gates_changed(f);
}

int
fleet_take(struct fleet *f, struct ecosystem *e, struct fleet_changes *changes)
{
	struct app_list *list = fleet_list_new(e);
	struct plan p = {.room = f->count, .changes = changes};
	int r = -ENOMEM;

	*changes = (struct fleet_changes){.kept = 0};
	if (list == NULL)
		return r;
	for (size_t i = 0; i < e->count; i++)
		p.room += e->apps[i].instances;
	p.members = calloc(p.room, sizeof(struct member *));
	p.is_new = calloc(p.room, sizeof(*p.is_new));
	changes->changed = calloc(p.room, sizeof(struct instance *));
	if (p.members != NULL && p.is_new != NULL && changes->changed != NULL)
		r = make_plan(&p, f, list);
	if (r == 0) {
		follow(&p, list);
		take_plan(&p, f);
	} else {
		drop_plan(&p);
		free(changes->changed);
		*changes = (struct fleet_changes){.kept = 0};
	}
	free(p.members);
	free(p.is_new);
	fleet_list_release(list);
	return r;
}
