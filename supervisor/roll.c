/* roll: planned restarts, one app after the other, each well again before the next one goes. */
#include "supervisor/roll.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/log.h"

struct roll_job {
	struct roll_job *prev, *next;
	struct instance **todo; /* NULL: done, or gone */
	size_t count, current;  /* in todo; under way when begun */
	bool begun;
	unsigned replaces; /* the generation that is to be replaced */
	enum roll_how how;
	char *why;
	roll_fn fn; /* NULL: nobody waits */
	void *arg;
};

void
roll_init(struct roll *r, struct fleet *fleet)
{
	*r = (struct roll){.fleet = fleet};
}

bool
roll_matches(const char *name, struct app_info info)
{
	return strcmp(name, "all") == 0 || strcmp(name, info.name) == 0 ||
	       strcmp(name, info.group) == 0;
}

static struct app_info
info_of(const struct instance *in)
{
	return app_info(instance_current(in));
}

static struct instance *
under_way(const struct roll_job *job)
{
	return job->todo[job->current];
}

static void
free_job(struct roll_job *job)
{
	free(job->todo);
	free(job->why);
	free(job);
}

static struct roll_job *
new_job(const struct roll *r, enum roll_how how, const char *why, roll_fn fn, void *arg)
{
	struct roll_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->todo = calloc(fleet_count(r->fleet), sizeof(struct instance *));
	job->why = strdup(why);
	job->how = how;
	job->fn = fn;
	job->arg = arg;
	if (job->todo == NULL || job->why == NULL) {
		free_job(job);
		return NULL;
	}
	return job;
}

static void
finish(struct roll *r, struct roll_job *job, int code, const char *why)
{
	char text[2 * APP_REASON_MAX];

	if (code == -EIO) {
		(void)snprintf(text, sizeof(text), "%s: not ready again: %s",
		               instance_name(under_way(job)), why);
		why = text;
	}
	DL_DELETE(r->jobs, job);
	if (job->fn != NULL)
		job->fn(job->arg, code, why);
	else if (code < 0)
		log_warning("%s (it was to be replaced: %s)", why, job->why);
	free_job(job);
}

static void
begin(struct roll_job *job)
{
	struct instance *in = under_way(job);
	enum app_surge surge = app_spec(instance_current(in))->surge;

	job->begun = true;
	job->replaces = info_of(in).generation;
	if (surge == APP_SURGE_NEVER || (surge == APP_SURGE_RELOAD && job->how == ROLL_RESTART))
		instance_restart(in, job->why);
	else
		instance_replace(in, job->why);
}

/* What has become of the instance that is under way: 1: well again, 0: not yet, or an error. */
static int
result(const struct roll_job *job, const char **why)
{
	const struct instance *in = under_way(job);
	struct app_info info = info_of(in);

	*why = info.reason;
	if (!instance_is_steady(in))
		return 0;
	switch (info.state) {
	case APP_READY:
		if (info.generation != job->replaces)
			return 1;
		*why = instance_failure(in);
		return (*why)[0] != '\0' ? -EIO : 0;
	case APP_BACKOFF:
	case APP_FAILED:
	case APP_STOPPED:
		return -EIO;
	case APP_WAITING:
	case APP_STARTING:
	case APP_STOPPING:
		break;
	}
	return 0;
}

/* True: there may be more to do at once. */
static bool
step(struct roll *r)
{
	struct roll_job *job = r->jobs;
	const char *why;
	int code;

	if (!job->begun) {
		while (job->current < job->count && under_way(job) == NULL)
			job->current++;
		if (job->current == job->count)
			finish(r, job, 0, NULL);
		else
			begin(job);
		return true;
	}
	code = result(job, &why);
	if (code == 0)
		return false;
	if (code < 0) {
		finish(r, job, code, why);
	} else {
		job->begun = false;
		job->current++;
	}
	return true;
}

/* What it does to an app comes back here by roll_on_change: one at a time. */
static void
go_on(struct roll *r)
{
	if (r->busy)
		return;
	r->busy = true;
	while (r->jobs != NULL && step(r))
		;
	r->busy = false;
}

void
roll_start(struct roll *r, const char *name, enum roll_how how, roll_fn fn, void *arg)
{
	struct roll_job *job = new_job(r, how, "restart asked for", fn, arg);

	if (job == NULL || r->cancelled) {
		fn(arg, job == NULL ? -ENOMEM : -ECANCELED,
		   job == NULL ? "out of memory" : "shutting down");
		if (job != NULL)
			free_job(job);
		return;
	}
	for (size_t i = 0; i < fleet_count(r->fleet); i++) {
		struct instance *in = fleet_instance(r->fleet, i);

		if (roll_matches(name, info_of(in)))
			job->todo[job->count++] = in;
	}
	if (job->count == 0) {
		free_job(job);
		fn(arg, -ENOENT, "no such app");
		return;
	}
	DL_APPEND(r->jobs, job);
	go_on(r);
}

/* Does it wait for its turn in this job? */
static bool
waits(const struct roll_job *job, const struct instance *in)
{
	for (size_t i = job->current + job->begun; i < job->count; i++)
		if (job->todo[i] == in)
			return true;
	return false;
}

void
roll_one(struct roll *r, struct instance *in, const char *why)
{
	struct roll_job *job;

	if (r->cancelled)
		return;
	DL_FOREACH(r->jobs, job) {
		if (waits(job, in))
			return;
	}
	job = new_job(r, ROLL_RELOAD, why, NULL, NULL);
	if (job == NULL) {
		log_error("out of memory: %s is not replaced (%s)", instance_name(in), why);
		return;
	}
	job->todo[job->count++] = in;
	DL_APPEND(r->jobs, job);
	go_on(r);
}

void
roll_these(struct roll *r, struct instance *const *list, size_t count, const char *why)
{
	struct roll_job *job = r->cancelled ? NULL : new_job(r, ROLL_RELOAD, why, NULL, NULL);

	if (job == NULL) {
		if (!r->cancelled)
			log_error("out of memory: nothing is replaced (%s)", why);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (app_state(instance_current(list[i])) != APP_STOPPED)
			job->todo[job->count++] = list[i];
	DL_APPEND(r->jobs, job);
	go_on(r);
}

void
roll_forget(struct roll *r, const struct instance *in)
{
	struct roll_job *job;

	DL_FOREACH(r->jobs, job) {
		for (size_t i = 0; i < job->count; i++) {
			if (job->todo[i] != in)
				continue;
			job->todo[i] = NULL;
			if (i == job->current)
				job->begun = false;
		}
	}
	go_on(r);
}

void
roll_on_change(struct roll *r, struct instance *in)
{
	if (r->jobs != NULL)
		go_on(r);
}

bool
roll_is_busy(const struct roll *r)
{
	return r->jobs != NULL;
}

void
roll_cancel(struct roll *r)
{
	r->cancelled = true;
	while (r->jobs != NULL)
		finish(r, r->jobs, -ECANCELED, "shutting down");
}
