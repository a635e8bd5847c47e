/* fleet_members: the list itself, for fleet.c and what belongs to it. */
#ifndef SIDECAR_FLEET_MEMBERS_H
#define SIDECAR_FLEET_MEMBERS_H

#include "supervisor/fleet.h"
#include "supervisor/fleet_launch.h"

/* What the apps of one list refer to, until the last of them is gone. */
struct app_list {
	struct ecosystem *e;
	unsigned users;
};

/* One instance of an app. */
struct member {
	struct fleet *fleet;
	struct instance *in;
	struct app_list *list;
	const struct ecosystem_app *app; /* in list */
	unsigned number;                 /* of the instance */
	int backend;                     /* of an app-server; else -1 */
	bool drained;                    /* a proxy, by hand */
	bool leaving;                    /* of the list no more: freed once it has stopped */
	/* A proxy's own last word, by side. */
	struct {
		bool ready;
		bool needs_login; /* that is all */
		char why[256];
	} says[2];
};

struct fleet {
	struct fleet_spec spec;
	struct fleet_launcher launcher;
	struct proxy_link link;
	struct backends backends;
	struct member **members; /* in the order of `status`; those that leave at its end */
	size_t count;
	bool setup_done, first_alone, started;
	bool stopping;
	unsigned tier; /* that is being stopped */
	void (*on_stopped)(void *arg);
	void *on_stopped_arg;
	uv_timer_t sweep; /* of those that have left; not from inside of their change */
	size_t open;      /* instances that are being closed, and the handle above */
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* fleet_members.c */
struct app_list *fleet_list_new(struct ecosystem *e); /* takes e over */
void fleet_list_release(struct app_list *list);       /* one user less */
/* Not in the list yet. */
int fleet_member_new(struct member **out, struct fleet *f, struct app_list *list,
                     const struct ecosystem_app *app, unsigned number,
                     const struct instance_hooks *hooks) MUST_CHECK;
/* Of an instance that has been closed, or never was. */
void fleet_member_free(struct member *m);
/* The settings of its next start. */
void fleet_member_follow(struct member *m, struct app_list *list, const struct ecosystem_app *app);
/* Where an app-server will be found from the next start of that side on. 0 or -ENOMEM. */
int fleet_member_set_url(struct member *m, int side) MUST_CHECK;
bool fleet_member_is_linked(const struct member *m);
bool fleet_member_is_proxy(const struct member *m);
struct member *fleet_member_of(const struct fleet *f, const struct instance *in);
/* NULL: there is none. */
struct member *fleet_proxy(const struct fleet *f);
/* The first app-server of all. */
struct member *fleet_first_backend(const struct fleet *f);

/* fleet_drain.c: app_drained when it has, or cannot be asked. */
void fleet_on_drain(void *arg, struct instance *in, int side, uint64_t deadline_ms);

/* fleet.c */
extern const struct instance_hooks fleet_instance_hooks;
void fleet_gates_changed(struct fleet *f);
/* Frees, soon, what has left and is stopped. */
void fleet_sweep(struct fleet *f);
/* Starts it, if its list says so. */
void fleet_start_member(struct member *m);

#endif
