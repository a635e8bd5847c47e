/* fake: what both fakes need: a listening socket on a loop, an end on SIGTERM, the way out. */
#ifndef SIDECAR_TESTS_FAKE_H
#define SIDECAR_TESTS_FAKE_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <stdio.h>
#include <uv.h>

#include "common/common.h"

struct fake {
	uv_loop_t loop;
	struct lws_context *ctx;
	struct lws_vhost *vhost;
	uv_poll_t accepting;
	uv_signal_t terminate;
	uv_signal_t interrupt;
	int listen_fd;
	char url[160];       /* as printed */
	char unix_path[108]; /* "" for TCP */
	/* Closes the program's own handles; called once, when the end begins. May be NULL. */
	void (*on_stop)(struct fake *f);
	bool stopping;
};

/* Die when the parent does; exits at once if it is gone already. */
void fake_die_with_parent(void);
/* listen_on: unix://PATH, ws://127.0.0.1:PORT, or 127.0.0.1:PORT (PORT 0: chosen). Prints
 * "listening on WHERE" on stdout. Exits with a message when it cannot: a fake has no plan B. */
void fake_open(struct fake *f, const char *listen_on, const struct lws_protocols *protocols);
/* Where to record: a file to append to, or stdout for "-". Exits when it cannot be opened. */
FILE *fake_record(const char *name);
/* Runs until SIGTERM or SIGINT; returns the exit code. */
int fake_run(struct fake *f);

#endif
