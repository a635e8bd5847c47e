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
	bool *todo;     /* by number of the instance */
	size_t current; /* in todo; under way when begun */
	bool begun;
	unsigned replaces; /* the generation that is to be replaced */
	enum roll_how how;
	char *why;
	roll_fn fn; /* NULL: nobody waits */
	void *arg;
};

void
roll_init(struct roll *r, struct pair *pair)
{
	*r = (struct roll){.pair = pair};
}

bool
roll_matches(const char *name, struct app_info info)
{
	return strcmp(name, "all") == 0 || strcmp(name, info.name) == 0 ||
	       strcmp(name, info.group) == 0;
}

static struct app_info
info_of(const struct roll *r, size_t i)
{
	return app_info(instance_current(pair_instance(r->pair, i)));
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
	job->todo = calloc(pair_count(r->pair), sizeof(*job->todo));
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
		               instance_name(pair_instance(r->pair, job->current)), why);
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
begin(struct roll *r, struct roll_job *job)
{
	struct instance *in = pair_instance(r->pair, job->current);

	job->begun = true;
	job->replaces = info_of(r, job->current).generation;
	if (job->how == ROLL_RESTART && job->current == pair_backends(r->pair))
		instance_restart(in, job->why);
	else
		instance_replace(in, job->why);
}

/* What has become of the instance that is under way: 1: well again, 0: not yet, or an error. */
static int
result(const struct roll *r, const struct roll_job *job, const char **why)
{
	const struct instance *in = pair_instance(r->pair, job->current);
	struct app_info info = info_of(r, job->current);

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
		while (job->current < pair_count(r->pair) && !job->todo[job->current])
			job->current++;
		if (job->current == pair_count(r->pair))
			finish(r, job, 0, NULL);
		else
			begin(r, job);
		return true;
	}
	code = result(r, job, &why);
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
	size_t found = 0;

	if (job == NULL || r->cancelled) {
		fn(arg, job == NULL ? -ENOMEM : -ECANCELED,
		   job == NULL ? "out of memory" : "shutting down");
		if (job != NULL)
			free_job(job);
		return;
	}
	for (size_t i = 0; i < pair_count(r->pair); i++) {
		job->todo[i] = roll_matches(name, info_of(r, i));
		found += job->todo[i];
	}
	if (found == 0) {
		free_job(job);
		fn(arg, -ENOENT, "no such app");
		return;
	}
	DL_APPEND(r->jobs, job);
	go_on(r);
}

void
roll_one(struct roll *r, size_t i, const char *why)
{
	struct roll_job *job;

	if (r->cancelled)
		return;
	DL_FOREACH(r->jobs, job) {
		if (job->todo[i] && (job->current < i || (job->current == i && !job->begun)))
			return;
	}
	job = new_job(r, ROLL_RELOAD, why, NULL, NULL);
	if (job == NULL) {
		log_error("out of memory: %s is not replaced (%s)",
		          instance_name(pair_instance(r->pair, i)), why);
		return;
	}
	job->todo[i] = true;
	DL_APPEND(r->jobs, job);
	go_on(r);
}

void
roll_on_change(struct roll *r, struct instance *in)
{
	if (r->jobs != NULL)
		go_on(r);
}

void
roll_cancel(struct roll *r)
{
	r->cancelled = true;
	while (r->jobs != NULL)
		finish(r, r->jobs, -ECANCELED, "shutting down");
}
