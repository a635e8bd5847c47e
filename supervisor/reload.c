/* reload: the configuration is read again while everything runs, and takes effect where it has
 * changed. */
#include "supervisor/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

static void
finish(struct reload *r, int code)
{
	r->busy = false;
	if (code < 0)
		log_error("not reloaded, %s: %s",
		          r->file_taken ? "the app-servers stay as they are"
		                        : "everything stays as it is",
		          r->warning);
	else if (r->configuration->file != NULL)
		log_info("reloaded: %zu as before, %zu changed, %zu new, %zu gone", r->done.kept,
		         r->done.changed_count, r->done.added, r->done.removed);
	else
		log_info("reloaded");
	free(r->done.changed);
	r->done.changed = NULL;
	r->fn(r->arg, code, r->warning);
}

/* The changed instances of one app go one after the other; if one does not become ready again, the
 * rest of them stay as they are. */
static void
replace_changed(struct reload *r)
{
	struct instance **in = r->done.changed;
	size_t n = r->done.changed_count, end;

	for (size_t i = 0; i < n; i = end) {
		const char *group = app_info(instance_current(in[i])).group;

		for (end = i; end < n; end++)
			if (strcmp(app_info(instance_current(in[end])).group, group) != 0)
				break;
		roll_these(r->roll, in + i, end - i, "its settings have changed");
	}
}

/* Those that run; a stopped one will find it at its start. */
static void
follow_codex(struct reload *r)
{
	unsigned changes = codex_setup_changes(r->setup);

	for (size_t i = 0; i < BACKENDS_MAX && changes != r->setup_changes; i++) {
		struct instance *in = fleet_backend(r->fleet, i);

		if (in != NULL && app_state(instance_current(in)) != APP_STOPPED)
			roll_one(r->roll, in, "codex or its configuration has changed");
	}
	r->setup_changes = changes;
}

static void
on_setup(void *arg, int code, const struct err *err)
{
	struct reload *r = arg;

	if (!r->busy)
		return; /* cancelled */
	if (code < 0)
		(void)snprintf(r->warning, sizeof(r->warning), "%s", err->text);
	else
		follow_codex(r);
	finish(r, code);
}

/* The file's part. False: nothing of it has changed anything. */
static bool
take_file(struct reload *r)
{
	struct err err = {.code = 0};
	struct ecosystem *e = configuration_read_again(r->configuration, &err);
	int code = e != NULL ? fleet_take(r->fleet, e, &r->done) : 0;

	if (e != NULL && code == 0) {
		r->file_taken = true;
		replace_changed(r);
		return true;
	}
	if (e != NULL)
		(void)err_set(&err, code, "%s", strerror(-code));
	(void)snprintf(r->warning, sizeof(r->warning), "%s", err.text);
	return false;
}

void
reload_start(struct reload *r, void (*fn)(void *arg, int code, const char *why), void *arg)
{
	if (r->busy) {
		fn(arg, -EBUSY, "another reload is under way");
		return;
	}
	r->busy = true;
	r->fn = fn;
	r->arg = arg;
	r->warning[0] = '\0';
	r->file_taken = false;
	r->done = (struct fleet_changes){.kept = 0};
	if (r->configuration->file != NULL && !take_file(r))
		finish(r, -EINVAL);
	else if (r->setup != NULL)
		codex_setup_run(r->setup, on_setup, r);
	else
		finish(r, 0);
}

static void
on_looked(void *arg, int code, const struct err *err)
{
	struct reload *r = arg;

	if (!r->busy)
		return; /* cancelled */
	r->busy = false;
	if (code < 0) /* status tells it as the setup's warning */
		log_warning("codex was looked at again, the app-servers stay as they are: %s",
		            err->text);
	else
		follow_codex(r);
}

static void
tell_nobody(void *arg, int code, const char *why)
{
}

void
reload_look_at_codex(struct reload *r)
{
	if (r->busy || r->setup == NULL)
		return;
	r->busy = true;
	r->fn = tell_nobody;
	codex_setup_run(r->setup, on_looked, r);
}

void
reload_cancel(struct reload *r)
{
	if (!r->busy)
		return;
	r->busy = false;
	free(r->done.changed);
	r->done.changed = NULL;
	r->fn(r->arg, -ECANCELED, "shutting down");
}
