/* app_fsm: the life of one supervised process, as one table of states and events. Pure. */
#ifndef SIDECAR_APP_FSM_H
#define SIDECAR_APP_FSM_H

#include <stdbool.h>

enum app_state {
	APP_STOPPED,
	APP_WAITING,  /* wanted, but something else must come first */
	APP_STARTING, /* executed, not ready yet */
	APP_READY,
	APP_STOPPING,
	APP_BACKOFF, /* will be started again after a delay */
	APP_FAILED,  /* crash loop: tried again after a long rest, or by hand */
};

/* Where in its end an app is: APP_STOPPING only. */
enum app_phase {
	APP_PHASE_NONE,
	APP_PHASE_DRAIN, /* asked to finish its work */
	APP_PHASE_TERM,  /* SIGTERM sent */
	APP_PHASE_TERM2, /* SIGTERM sent a second time */
	APP_PHASE_KILL,  /* SIGKILL sent */
	APP_PHASE_SWEEP, /* gone; its leftovers are killed, its output is read to the end */
};

/* What is to become of it once it has ended. */
enum app_goal {
	APP_GOAL_DOWN,
	APP_GOAL_UP,    /* the end was not planned: backoff or failed */
	APP_GOAL_AGAIN, /* planned restart: at once */
	APP_GOAL_LATER, /* planned restart: after a pause */
};

enum app_event {
	APP_EV_START,   /* somebody wants it up */
	APP_EV_STOP,    /* somebody wants it down */
	APP_EV_RESTART, /* planned, by hand or by us: drain first, counts as no failure */
	APP_EV_PAUSE,   /* planned too, but not up again before some time has passed */
	APP_EV_GO,      /* nothing has to come first any more */
	APP_EV_SPAWN_FAILED,
	APP_EV_READY,
	APP_EV_TIMER,   /* the timer of the state or phase ran out */
	APP_EV_DRAINED, /* it says it has finished its work, or cannot be asked */
	APP_EV_HURRY,   /* somebody is impatient: skip the rest of this phase */
	APP_EV_EXIT,    /* the main process was reaped */
	APP_EV_SWEPT,   /* nothing is left of it */
	APP_EV_RETRY,   /* the restart policy: again, after a delay */
	APP_EV_GIVE_UP, /* the restart policy: crash loop */
	APP_EV_LEAVE,   /* the restart policy: that was its last end */
};

/* What the caller has to do after a step, in this order. Each step disarms the timer first when
 * the state or the phase changed. */
#define APP_DO_CHECK_GATE 0x001u /* may it start? then feed APP_EV_GO, now or later */
#define APP_DO_SPAWN      0x002u /* and watch for readiness; timer: listen_timeout */
#define APP_DO_DRAIN      0x004u /* ask it; timer: drain deadline */
#define APP_DO_TERM       0x008u /* SIGTERM; timer: until the next step */
#define APP_DO_KILL       0x010u /* SIGKILL, to the group too; timer: say so again */
#define APP_DO_SWEEP      0x020u /* timer: give up on what is left */
#define APP_DO_DECIDE     0x040u /* ask the restart policy, feed RETRY, GIVE_UP or LEAVE */
#define APP_DO_BACKOFF    0x080u /* timer: the policy's delay */
#define APP_DO_REST       0x100u /* timer: the long rest of a failed app */
#define APP_DO_FORGIVE    0x200u /* forget past failures: somebody started it by hand */

struct app_fsm {
	enum app_state state;
	enum app_phase phase;
	enum app_goal goal;
};

/* Returns APP_DO_ bits. *ignored (may be NULL): no rule for this event here. */
unsigned app_fsm_step(struct app_fsm *f, enum app_event ev, bool *ignored);

const char *app_state_name(enum app_state state);
const char *app_phase_name(enum app_phase phase);
const char *app_event_name(enum app_event ev);

#endif
