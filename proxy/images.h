/* images: those that a conversation only names by an https URL are fetched, for codex takes none
 * but data URLs. */
#ifndef SIDECAR_PROXY_IMAGES_H
#define SIDECAR_PROXY_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "common/common.h"
#include "common/err.h"
#include "proxy/conversation.h"
#include "proxy/failure.h"

/* In one request. */
#define IMAGES_MAX 16

struct images; /* all fetches of the process */
struct images_job;

struct images_config {
	uv_loop_t *loop;
	const char *hosts;   /* as in fetcher_config */
	const char *ca_file; /* the same */
	size_t max_bytes;    /* of all data URLs that a request's images become */
};

/* failure NULL: the conversation has its images. */
typedef void (*images_fn)(void *arg, const struct failure *failure);

/* Embedded in who waits. Zero-initialised: it does not. */
struct images_wait {
	struct images_wait *prev, *next;
	struct images_job *job; /* NULL: nothing is waited for */
	images_fn fn;
	void *arg;
};

enum images_answer { IMAGES_READY, IMAGES_COMING, IMAGES_FAILED };

/* The strings of config must outlive it. */
int images_new(struct images **out, const struct images_config *config, struct err *err) MUST_CHECK;
/* Nobody may wait any more. NULL is fine. */
void images_close(struct images *all);

/* READY: none is to be fetched. COMING: fn is called once, from the loop. FAILED: *failure says
 * why. Copies of a conversation share what is fetched. all NULL: nothing may be fetched. */
enum images_answer
images_fetch(struct images *all, struct conversation *c, struct images_wait *wait, images_fn fn,
             void *arg, struct failure *failure);
/* fn does not come. Nothing when it is not waited for. */
void images_leave(struct images_wait *wait);

#endif
