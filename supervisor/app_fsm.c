/* app_fsm: the life of one supervised process, as one table of states and events. Pure. */
#include "supervisor/app_fsm.h"

#include "common/common.h"

#define ANY -1 /* in `phase` and `goal`: whatever it is; in `set_goal`: leave it */

struct rule {
	enum app_state in;
	int phase;
	int goal;
	enum app_event on;
	enum app_state to;
	enum app_phase to_phase;
	int set_goal;
	unsigned todo;
};

#define NONE  APP_PHASE_NONE
#define DRAIN APP_PHASE_DRAIN
#define TERM  APP_PHASE_TERM
#define TERM2 APP_PHASE_TERM2
#define KILL  APP_PHASE_KILL
#define SWEEP APP_PHASE_SWEEP
#define DOWN  APP_GOAL_DOWN
#define UP    APP_GOAL_UP
#define AGAIN APP_GOAL_AGAIN
#define LATER APP_GOAL_LATER

#define AFRESH (APP_DO_FORGIVE | APP_DO_CHECK_GATE)

/* The first match counts; no match: the event means nothing here. */
/* clang-format off: one rule a line, or the table cannot be read */
static const struct rule rules[] = {
  /* in          phase  goal   on                   to            phase  goal   todo */
	{APP_STOPPED,  ANY,   ANY,   APP_EV_START,        APP_WAITING,  NONE,  UP,    AFRESH           },
	{APP_STOPPED,  ANY,   ANY,   APP_EV_RESTART,      APP_WAITING,  NONE,  UP,    AFRESH           },

	{APP_WAITING,  ANY,   ANY,   APP_EV_GO,           APP_STARTING, NONE,  ANY,   APP_DO_SPAWN     },
	{APP_WAITING,  ANY,   ANY,   APP_EV_STOP,         APP_STOPPED,  NONE,  DOWN,  0                },

	{APP_STARTING, ANY,   ANY,   APP_EV_SPAWN_FAILED, APP_STOPPING, SWEEP, ANY,   APP_DO_SWEEP     },
	{APP_STARTING, ANY,   ANY,   APP_EV_READY,        APP_READY,    NONE,  ANY,   0                },
	{APP_STARTING, ANY,   ANY,   APP_EV_TIMER,        APP_STOPPING, TERM,  ANY,   APP_DO_TERM      },
	{APP_STARTING, ANY,   ANY,   APP_EV_EXIT,         APP_STOPPING, SWEEP, ANY,   APP_DO_SWEEP     },
	{APP_STARTING, ANY,   ANY,   APP_EV_STOP,         APP_STOPPING, TERM,  DOWN,  APP_DO_TERM      },
	{APP_STARTING, ANY,   ANY,   APP_EV_RESTART,      APP_STOPPING, TERM,  AGAIN, APP_DO_TERM      },
	{APP_STARTING, ANY,   ANY,   APP_EV_PAUSE,        APP_STOPPING, TERM,  LATER, APP_DO_TERM      },

	{APP_READY,    ANY,   ANY,   APP_EV_EXIT,         APP_STOPPING, SWEEP, ANY,   APP_DO_SWEEP     },
	{APP_READY,    ANY,   ANY,   APP_EV_STOP,         APP_STOPPING, DRAIN, DOWN,  APP_DO_DRAIN     },
	{APP_READY,    ANY,   ANY,   APP_EV_RESTART,      APP_STOPPING, DRAIN, AGAIN, APP_DO_DRAIN     },
	{APP_READY,    ANY,   ANY,   APP_EV_PAUSE,        APP_STOPPING, DRAIN, LATER, APP_DO_DRAIN     },

 /* wishes during the end only change what comes after it */
	{APP_STOPPING, DRAIN, ANY,   APP_EV_STOP,         APP_STOPPING, DRAIN, DOWN,  0                },
	{APP_STOPPING, TERM,  ANY,   APP_EV_STOP,         APP_STOPPING, TERM,  DOWN,  0                },
	{APP_STOPPING, TERM2, ANY,   APP_EV_STOP,         APP_STOPPING, TERM2, DOWN,  0                },
	{APP_STOPPING, KILL,  ANY,   APP_EV_STOP,         APP_STOPPING, KILL,  DOWN,  0                },
	{APP_STOPPING, SWEEP, ANY,   APP_EV_STOP,         APP_STOPPING, SWEEP, DOWN,  0                },
	{APP_STOPPING, DRAIN, ANY,   APP_EV_START,        APP_STOPPING, DRAIN, AGAIN, 0                },
	{APP_STOPPING, TERM,  ANY,   APP_EV_START,        APP_STOPPING, TERM,  AGAIN, 0                },
	{APP_STOPPING, TERM2, ANY,   APP_EV_START,        APP_STOPPING, TERM2, AGAIN, 0                },
	{APP_STOPPING, KILL,  ANY,   APP_EV_START,        APP_STOPPING, KILL,  AGAIN, 0                },
	{APP_STOPPING, SWEEP, ANY,   APP_EV_START,        APP_STOPPING, SWEEP, AGAIN, 0                },
	{APP_STOPPING, DRAIN, ANY,   APP_EV_RESTART,      APP_STOPPING, DRAIN, AGAIN, 0                },
	{APP_STOPPING, TERM,  ANY,   APP_EV_RESTART,      APP_STOPPING, TERM,  AGAIN, 0                },
	{APP_STOPPING, TERM2, ANY,   APP_EV_RESTART,      APP_STOPPING, TERM2, AGAIN, 0                },
	{APP_STOPPING, KILL,  ANY,   APP_EV_RESTART,      APP_STOPPING, KILL,  AGAIN, 0                },
	{APP_STOPPING, SWEEP, ANY,   APP_EV_RESTART,      APP_STOPPING, SWEEP, AGAIN, 0                },

	{APP_STOPPING, DRAIN, ANY,   APP_EV_DRAINED,      APP_STOPPING, TERM,  ANY,   APP_DO_TERM      },
	{APP_STOPPING, DRAIN, ANY,   APP_EV_TIMER,        APP_STOPPING, TERM,  ANY,   APP_DO_TERM      },
	{APP_STOPPING, DRAIN, ANY,   APP_EV_HURRY,        APP_STOPPING, TERM,  ANY,   APP_DO_TERM      },
	{APP_STOPPING, TERM,  ANY,   APP_EV_TIMER,        APP_STOPPING, TERM2, ANY,   APP_DO_TERM      },
	{APP_STOPPING, TERM,  ANY,   APP_EV_HURRY,        APP_STOPPING, TERM2, ANY,   APP_DO_TERM      },
	{APP_STOPPING, TERM2, ANY,   APP_EV_TIMER,        APP_STOPPING, KILL,  ANY,   APP_DO_KILL      },
	{APP_STOPPING, TERM2, ANY,   APP_EV_HURRY,        APP_STOPPING, KILL,  ANY,   APP_DO_KILL      },
	{APP_STOPPING, KILL,  ANY,   APP_EV_TIMER,        APP_STOPPING, KILL,  ANY,   APP_DO_KILL      },
	{APP_STOPPING, DRAIN, ANY,   APP_EV_EXIT,         APP_STOPPING, SWEEP, ANY,   APP_DO_SWEEP     },
	{APP_STOPPING, TERM,  ANY,   APP_EV_EXIT,         APP_STOPPING, SWEEP, ANY,   APP_DO_SWEEP     },
	{APP_STOPPING, TERM2, ANY,   APP_EV_EXIT,         APP_STOPPING, SWEEP, ANY,   APP_DO_SWEEP     },
	{APP_STOPPING, KILL,  ANY,   APP_EV_EXIT,         APP_STOPPING, SWEEP, ANY,   APP_DO_SWEEP     },

	{APP_STOPPING, SWEEP, DOWN,  APP_EV_SWEPT,        APP_STOPPED,  NONE,  ANY,   0                },
	{APP_STOPPING, SWEEP, AGAIN, APP_EV_SWEPT,        APP_WAITING,  NONE,  UP,    APP_DO_CHECK_GATE},
	{APP_STOPPING, SWEEP, LATER, APP_EV_SWEPT,        APP_BACKOFF,  NONE,  UP,    APP_DO_BACKOFF   },
	{APP_STOPPING, SWEEP, UP,    APP_EV_SWEPT,        APP_STOPPING, SWEEP, ANY,   APP_DO_DECIDE    },
	{APP_STOPPING, SWEEP, ANY,   APP_EV_RETRY,        APP_BACKOFF,  NONE,  ANY,   APP_DO_BACKOFF   },
	{APP_STOPPING, SWEEP, ANY,   APP_EV_GIVE_UP,      APP_FAILED,   NONE,  ANY,   APP_DO_REST      },
	{APP_STOPPING, SWEEP, ANY,   APP_EV_LEAVE,        APP_STOPPED,  NONE,  DOWN,  0                },

	{APP_BACKOFF,  ANY,   ANY,   APP_EV_TIMER,        APP_WAITING,  NONE,  ANY,   APP_DO_CHECK_GATE},
	{APP_BACKOFF,  ANY,   ANY,   APP_EV_START,        APP_WAITING,  NONE,  ANY,   AFRESH           },
	{APP_BACKOFF,  ANY,   ANY,   APP_EV_RESTART,      APP_WAITING,  NONE,  ANY,   AFRESH           },
	{APP_BACKOFF,  ANY,   ANY,   APP_EV_STOP,         APP_STOPPED,  NONE,  DOWN,  0                },

	{APP_FAILED,   ANY,   ANY,   APP_EV_TIMER,        APP_WAITING,  NONE,  ANY,   APP_DO_CHECK_GATE},
	{APP_FAILED,   ANY,   ANY,   APP_EV_START,        APP_WAITING,  NONE,  ANY,   AFRESH           },
	{APP_FAILED,   ANY,   ANY,   APP_EV_RESTART,      APP_WAITING,  NONE,  ANY,   AFRESH           },
	{APP_FAILED,   ANY,   ANY,   APP_EV_STOP,         APP_STOPPED,  NONE,  DOWN,  0                },
};
/* clang-format on */

unsigned
app_fsm_step(struct app_fsm *f, enum app_event ev, bool *ignored)
{
	for (size_t i = 0; i < NELEM(rules); i++) {
		const struct rule *r = &rules[i];

		if (r->in != f->state || r->on != ev ||
		    (r->phase != ANY && r->phase != (int)f->phase) ||
		    (r->goal != ANY && r->goal != (int)f->goal))
			continue;
		f->state = r->to;
		f->phase = r->to_phase;
		if (r->set_goal != ANY)
			f->goal = (enum app_goal)r->set_goal;
		if (ignored != NULL)
			*ignored = false;
		return r->todo;
	}
	if (ignored != NULL)
		*ignored = true;
	return 0;
}

const char *
app_state_name(enum app_state state)
{
	switch (state) {
	case APP_STOPPED:
		return "stopped";
	case APP_WAITING:
		return "waiting";
	case APP_STARTING:
		return "starting";
	case APP_READY:
		return "ready";
	case APP_STOPPING:
		return "stopping";
	case APP_BACKOFF:
		return "backoff";
	case APP_FAILED:
		return "failed";
	}
	return "?";
}

const char *
app_phase_name(enum app_phase phase)
{
	switch (phase) {
	case APP_PHASE_NONE:
		return "none";
	case APP_PHASE_DRAIN:
		return "draining";
	case APP_PHASE_TERM:
	case APP_PHASE_TERM2:
		return "terminating";
	case APP_PHASE_KILL:
		return "killing";
	case APP_PHASE_SWEEP:
		return "sweeping";
	}
	return "?";
}

const char *
app_event_name(enum app_event ev)
{
	static const char *const names[] = {
		[APP_EV_START] = "start",     [APP_EV_STOP] = "stop",
		[APP_EV_RESTART] = "restart", [APP_EV_PAUSE] = "pause",
		[APP_EV_GO] = "go",           [APP_EV_SPAWN_FAILED] = "spawn failed",
		[APP_EV_READY] = "ready",     [APP_EV_TIMER] = "timer",
		[APP_EV_DRAINED] = "drained", [APP_EV_HURRY] = "hurry",
		[APP_EV_EXIT] = "exit",       [APP_EV_SWEPT] = "swept",
		[APP_EV_RETRY] = "retry",     [APP_EV_GIVE_UP] = "give up",
		[APP_EV_LEAVE] = "leave",
	};

	return names[ev];
}
